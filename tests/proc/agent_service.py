# SPDX-License-Identifier: MIT
"""The agent's command line, and its life under a service manager."""
import os
import re
import socket
import subprocess

from agentlib import Conn, ESHUTDOWN, HANG_S, INFO, MIB, OK, PING, Skip, \
    UNIT, expect_error, run


def usage_errors_exit_2_with_one_line(start):
    a = start()
    program = a.proc.args[0]
    bad = [["--nonsense"], ["extra"], ["--threads"], ["--threads", "0"],
           ["--spin", "50"], ["--spin", "2m"], ["--max-clients", "32"],
           ["--max-clients", "0"], ["--scrub", "maybe"], ["--loop", "x"],
           ["--backend", "abacus"], ["--listen", "tcp:80"],
           ["--max-lease", "1K"], ["--log-level", "loud"],
           ["--allow-cid", "-1"], ["--max-dim", "4294967295"],
           ["--numa-node", "near"], ["--region", "nonsense:1"],
           ["--region", "memfd:5M"], ["--region", "ivshmem:4"]]
    for args in bad:
        r = subprocess.run([program, *args], capture_output=True, timeout=HANG_S)
        assert r.returncode == 2, (args, r)
        assert r.stderr.count(b"\n") == 1 and r.stdout == b"", (args, r)
        assert args[0].lstrip("-").encode() in r.stderr or \
            args[-1].encode() in r.stderr, (args, r)
    for args in (["--help"], ["--version"]):
        r = subprocess.run([program, *args], capture_output=True, timeout=HANG_S)
        assert r.returncode == 0 and r.stdout and not r.stderr
    assert b"--serve-fd" in subprocess.run(
        [program, "--help"], capture_output=True, timeout=HANG_S).stdout


def the_manual_has_every_option_with_its_default(start):
    program = start().proc.args[0]
    text = subprocess.run([program, "--help"], capture_output=True,
                          timeout=HANG_S, check=True).stdout.decode()
    manual = os.path.join(os.environ.get("PST_TOP_SRCDIR", ".."),
                          "guest-agent", "penstock-agent.8.scd")
    with open(manual) as f:
        page = f.read()
    names = re.findall(r"^  (--[a-z-]+)", text, re.M)
    assert len(names) >= 22, names
    for name in names:
        at = page.index("\n*%s*" % name)
        default = re.search(r"^  %s .*\[(\S+)\]$" % name, text, re.M)
        if default:
            section = page[at:].split("\n*--", 2)[1]
            assert "*%s*" % default.group(1) in section, name


def the_manuals_configuration_file_is_one(start):
    a = start()
    manual = os.path.join(os.environ.get("PST_TOP_SRCDIR", ".."),
                          "guest-agent", "penstock-agent.8.scd")
    with open(manual) as f:
        example = re.search(r"```\n(\[agent\]\n.*?)```", f.read(), re.S)[1]
    path = os.path.join(a.dir, "agent.conf")
    with open(path, "w") as f:
        f.write(example)
    command = [a.proc.args[0], "--config", path, "--region", "file:/nonesuch"]
    r = subprocess.run(command, capture_output=True, timeout=HANG_S)
    assert r.returncode == 1 and b"/nonesuch" in r.stderr, r
    with open(path, "a") as f:
        f.write("nonsense = 1\n")
    r = subprocess.run(command, capture_output=True, timeout=HANG_S)
    assert r.returncode == 2 and b"nonsense" in r.stderr, r
    # Also where the command line has another one.
    with open(path, "w") as f:
        f.write("[agent]\nregion = ivshmem:dax0.0\n")
    r = subprocess.run(command, capture_output=True, timeout=HANG_S)
    assert r.returncode == 2 and b"agent.conf:2" in r.stderr, r


def failures_exit_1_with_a_sentence(start):
    a = start()
    program = a.proc.args[0]
    empty = os.path.join(a.dir, "empty")
    with open(empty, "wb") as f:
        f.truncate(16 * MIB)
    cases = [
        (["--region", "file:/nonexistent"], b"/nonexistent"),
        (["--region", "file:" + empty], b"empty"),
        (["--region", "memfd:16M", "--listen",
          "unix:/nonexistent/sock"], b"/nonexistent"),
        (["--region", "memfd:16M", "--listen", "unix:" + a.sock], b"sock"),
        (["--region", "memfd:16M", "--serve-fd", "99"], b"99"),
        (["--region", "memfd:16M", "--numa-node", "1000"], b"1000"),
    ]
    for args, word in cases:
        r = subprocess.run([program, *args], capture_output=True, timeout=HANG_S)
        assert r.returncode == 1, (args, r)
        assert word in r.stderr.splitlines()[-1], (args, r)


def readiness_is_told_to_the_service_manager(start):
    a = start()
    for prefix, path in (("", os.path.join(a.dir, "notify")),
                         ("@", "pst-notify-%d" % os.getpid())):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
            s.settimeout(HANG_S)
            s.bind(("\0" if prefix else "") + path)
            proc = subprocess.Popen(
                [a.proc.args[0], "--region", "memfd:16M", "--listen",
                 "unix:" + os.path.join(a.dir, "n")],
                env=dict(os.environ, NOTIFY_SOCKET=prefix + path),
                stderr=subprocess.DEVNULL)
            try:
                assert s.recv(100) == b"READY=1"
            finally:
                proc.terminate()
                assert proc.wait(5) == 0
            assert s.recv(100) == b"STOPPING=1"


def activated(a, listener, *args):
    """An agent that gets a listening socket as systemd passes it."""
    return subprocess.Popen(
        ["sh", "-c", "export LISTEN_PID=$$ LISTEN_FDS=1; exec \"$@\" 3<&%d" %
         listener.fileno(), "sh", a.proc.args[0], "--config", os.devnull,
         *args], pass_fds=[listener.fileno()], stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL)


def signs_of_life_go_to_the_service_manager_as_it_wants_them(start):
    a = start()
    path = os.path.join(a.dir, "notify")
    program = a.proc.args[0]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.settimeout(HANG_S)
        s.bind(path)
        env = dict(os.environ, NOTIFY_SOCKET=path, WATCHDOG_USEC="300000")
        proc = subprocess.Popen(
            [program, "--region", "memfd:16M", "--listen",
             "unix:" + os.path.join(a.dir, "n")], env=env,
            stderr=subprocess.DEVNULL)
        try:
            assert s.recv(100) == b"READY=1"
            for _ in range(4):
                assert s.recv(100) == b"WATCHDOG=1"
        finally:
            proc.terminate()
            assert proc.wait(5) == 0
    env["WATCHDOG_USEC"] = "soon"
    r = subprocess.run([program, "--region", "memfd:16M"], env=env,
                       capture_output=True, timeout=HANG_S)
    assert r.returncode == 2 and b"WATCHDOG_USEC=soon" in r.stderr, r


def a_passed_socket_is_served_and_left_to_its_owner(start):
    a = start()
    a.stop()
    path = os.path.join(a.dir, "passed")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as s:
        s.bind(path)
        s.listen()
        proc = activated(a, s, "--region", "file:" + a.region)
        a.sock = path
        # Waits in the listener's queue until the agent is up.
        c = Conn(a).open()
        c.submit(tag=5)
        assert c.reap()[:2] == (5, OK)
        c.close()
        proc.terminate()
        line = proc.communicate(timeout=HANG_S)[1]
        assert proc.returncode == 0
        assert b"listens on unix:" + path.encode() + b";" in line, line
        assert os.path.exists(path)
        # And by the next one.
        proc = activated(a, s, "--region", "file:" + a.region, "--listen",
                         "unix:" + os.path.join(a.dir, "own"))
        Conn(a).open().close()
        a.sock = os.path.join(a.dir, "own")
        Conn(a).open().close()
        proc.terminate()
        proc.communicate(timeout=HANG_S)
        assert proc.returncode == 0
        assert os.path.exists(path) and not os.path.exists(a.sock)


def a_passed_vsock_socket_takes_the_place_of_port_7070(start):
    a = start()
    a.stop()
    try:
        s = socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)
    except OSError as e:
        raise Skip("no AF_VSOCK: %s" % e)
    with s:
        s.bind((socket.VMADDR_CID_ANY, socket.VMADDR_PORT_ANY))
        s.listen()
        port = s.getsockname()[1]
        proc = activated(a, s, "--region", "file:" + a.region)
        # Which backend it found may come first.
        lines = [proc.stderr.readline()]
        while lines[-1] and b"listens on" not in lines[-1]:
            lines.append(proc.stderr.readline())
        proc.terminate()
        proc.communicate(timeout=HANG_S)
        assert b"listens on vsock:%d;" % port in lines[-1], lines


def a_passed_socket_that_is_none_is_a_usage_error(start):
    a = start()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        proc = activated(a, s, "--region", "memfd:16M")
        err = proc.communicate(timeout=HANG_S)[1]
        assert proc.returncode == 2 and err.count(b"\n") == 1, err
        assert b"descriptor 3, passed by LISTEN_FDS, is not a stream" in err


def a_second_sigterm_changes_nothing_about_the_first(start):
    a = start()
    c = Conn(a).open()
    a.proc.terminate()
    a.proc.terminate()
    expect_error(c, ESHUTDOWN)
    assert a.stop() == 0


def all_threads_run_on_the_node_that_was_named(start):
    nodes = "/sys/devices/system/node"
    if not os.path.exists(nodes):
        return
    with open(nodes + "/node0/cpulist") as f:
        node = cpu_set(f.read())
    a = start("--numa-node", "0")
    c = Conn(a).open()
    off = c.lease(UNIT)[1][0]
    c.gemm(1, off, off + 65536, off + 131072, 64)
    assert c.reap()[:2] == (1, OK)
    tasks = os.listdir("/proc/%d/task" % a.proc.pid)
    assert len(tasks) >= 2
    for tid in tasks:
        with open("/proc/%d/task/%s/status" % (a.proc.pid, tid)) as f:
            allowed = re.search(r"Cpus_allowed_list:\s*(\S+)", f.read())[1]
        assert cpu_set(allowed) == node & os.sched_getaffinity(0), tid


def cpu_set(text):
    cpus = set()
    for part in text.strip().split(","):
        first, _, last = part.partition("-")
        cpus |= set(range(int(first), int(last or first) + 1))
    return cpus


def both_kinds_of_loop_serve(start):
    for kind in ("poll", "auto"):
        a = start("--loop", kind)
        c = Conn(a).open()
        assert c.call(PING, b"x") == (OK, b"x")
        c.submit(1)
        assert c.reap()[:2] == (1, OK)
        if kind == "poll":
            assert c.query(INFO)["loop"].startswith("poll")
        c.close()
        assert a.stop() == 0


run(12)
