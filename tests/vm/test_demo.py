# SPDX-License-Identifier: MIT
"""penstock demo itself: what it prints, and that it leaves nothing behind
however it ends."""
import glob
import json
import os
import signal
import subprocess
import sys
import tempfile
import time

import numpy

import vmlib
from vmlib import eventually, last_json, penstock

KEYS = {"vm", "accel", "provider", "endpoint", "n", "seconds", "gflops",
        "overhead_us", "max_error", "verified"}
RUNTIME = vmlib.RUNTIME


def processes():
    """Pids of what runs with our runtime directory in its arguments."""
    pids = []
    for path in glob.glob("/proc/[0-9]*/cmdline"):
        pid = int(path.split("/")[2])
        try:
            with open(path, "rb") as f:
                if RUNTIME.encode() in f.read() and vmlib.alive(pid):
                    pids.append(pid)
        except OSError:
            pass
    return pids


def states():
    return glob.glob(os.path.join(RUNTIME, "penstock", "*"))


def assert_nothing_left(region=None):
    eventually(lambda: not processes(), vmlib.HANG_S, "no process is left")
    assert states() == [], states()
    if region:
        assert not os.path.exists(region), region


def case_whole():
    """the demo verifies its product, prints one JSON object last and leaves
    nothing behind"""
    out = penstock("demo", "--json", "--n", "256", "--accel", vmlib.ACCEL)
    assert out.returncode == 0, out.stderr
    r = last_json(out.stdout)
    assert KEYS <= set(r), KEYS - set(r)
    assert r["verified"] is True and r["vm"] is True and r["n"] == 256, r
    assert r["provider"] == "ivshmem" and r["accel"] in ("kvm", "tcg"), r
    assert 0 <= r["max_error"] < 1e-3 and r["seconds"] > 0, r
    assert_nothing_left(vmlib.Endpoint(r["endpoint"]).region)


def case_kvm_fallback():
    """auto takes KVM or says in one line that it uses TCG"""
    out = penstock("demo", "--n", "64", "--accel", "auto")
    assert out.returncode == 0, out.stderr
    lines = [x for x in out.stderr.splitlines() if "TCG" in x]
    assert len(lines) == (1 if "emulation" in out.stdout else 0), out.stderr
    assert "verified" in out.stdout, out.stdout
    assert_nothing_left()


def case_no_vm():
    """without a guest it multiplies given files through a private agent"""
    rng = numpy.random.default_rng(3)
    with tempfile.TemporaryDirectory() as d:
        a, b = os.path.join(d, "a.npy"), os.path.join(d, "b.npy")
        numpy.save(a, numpy.asfortranarray(rng.standard_normal((90, 37))))
        numpy.save(b, rng.standard_normal((37, 21)))
        out = penstock("demo", "--no-vm", "--json", "--a", a, "--b", b)
        assert out.returncode == 0, out.stderr
        r = last_json(out.stdout)
        assert (r["m"], r["n"], r["k"]) == (90, 21, 37), r
        assert r["vm"] is False and r["accel"] == "none", r
        assert r["verified"] is True and r["max_error"] < 1e-12, r
    assert_nothing_left()


def start_demo():
    """A demo whose guest is being started; its state when QEMU runs."""
    p = subprocess.Popen([vmlib.PENSTOCK, "demo", "--accel", "tcg", "--n",
                          "256"], stdout=subprocess.DEVNULL,
                         stderr=subprocess.DEVNULL)

    def look():
        for path in states():
            try:
                with open(os.path.join(path, "state.json")) as f:
                    state = json.load(f)
                if state["qemu"]["pid"]:
                    return state
            except (OSError, ValueError):
                pass
        return None
    return p, eventually(look, vmlib.HANG_S, "QEMU runs")


def case_killed():
    """SIGKILL of the demo leaves no QEMU, and the next demo removes its
    files"""
    p, state = start_demo()
    assert len(processes()) >= 1
    p.kill()
    p.wait()
    eventually(lambda: not processes(), vmlib.HANG_S,
               "QEMU died with the demo")
    assert len(states()) == 1, states()
    out = penstock("demo", "--no-vm", "--n", "16")
    assert out.returncode == 0, out.stderr
    assert_nothing_left(state["region"])


def case_signals():
    """SIGINT, SIGTERM and SIGHUP end the demo at once and leave nothing"""
    for i in range(15):
        sig = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)[i % 3]
        p, state = start_demo()
        time.sleep((0, 0.01, 0.05, 0.2)[i % 4])
        p.send_signal(sig)
        assert p.wait(timeout=vmlib.HANG_S) == -sig, (p.returncode, sig)
        assert_nothing_left(state["region"])


def case_dead_kernel():
    """a guest that panics is reported with the end of its console"""
    with tempfile.TemporaryDirectory() as d:
        os.symlink(os.path.join(vmlib.IMAGE, "vmlinuz"),
                   os.path.join(d, "vmlinuz"))
        with open(os.path.join(d, "initrd.img"), "wb") as f:
            f.write(b"not an archive")
        out = penstock("demo", "--accel", "tcg", "--n", "16",
                       env=dict(os.environ, PENSTOCK_GUEST_IMAGE=d))
    assert out.returncode == 1, out.stdout
    assert "Kernel panic" in out.stderr, out.stderr
    assert "QEMU ended" in out.stderr, out.stderr
    assert_nothing_left()


def case_deadline():
    """a guest whose agent never answers is given up at the deadline"""
    out = penstock("demo", "--accel", "tcg", "--n", "16", "--timeout", "8s",
                   "--append", "penstock.agent=0")
    assert out.returncode == 1, out.stdout
    assert "did not start in time" in out.stderr, out.stderr
    assert_nothing_left()


def case_bad_input():
    """bad input is refused in one sentence before a guest is started"""
    with tempfile.TemporaryDirectory() as d:
        path = {x: os.path.join(d, x + ".npy") for x in "abtx"}
        numpy.save(path["a"], numpy.ones((3, 4)))
        numpy.save(path["b"], numpy.ones((5, 6)))
        with open(path["a"], "rb") as f, open(path["t"], "wb") as g:
            g.write(f.read()[:-1])
        for left, right, word in (("a", "b", "columns"), ("x", "b", "x.npy"),
                                  ("t", "a", "t.npy")):
            out = penstock("demo", "--a", path[left], "--b", path[right])
            assert out.returncode == 1, (left, right, out.stdout)
            assert len(out.stderr.splitlines()) == 1, out.stderr
            assert word in out.stderr, out.stderr
    for args in (("--a", "x"), ("--accel", "xen"), ("--n", "0"),
                 ("--region-size", "3M"), ("--keep", "--no-vm"), ("surplus",)):
        out = penstock("demo", *args)
        assert out.returncode == 2, (args, out)
        assert len(out.stderr.splitlines()) == 1, out.stderr
    assert_nothing_left()


def case_missing_parts():
    """a missing image, QEMU or vsock device is named with its cure"""
    for variable, word in (("PENSTOCK_GUEST_IMAGE", "guest image"),
                           ("PENSTOCK_QEMU", "/nonexistent")):
        out = penstock("demo", "--n", "16", "--accel", "tcg",
                       env=dict(os.environ, **{variable: "/nonexistent"}))
        assert out.returncode == 1, out.stdout
        assert word in out.stderr, out.stderr
    assert_nothing_left()


def case_keep_and_stop():
    """kept guests are used by other commands and ended by --stop, also when
    QEMU is dead already"""
    others = [x for x in glob.glob("/tmp/penstock-demo-*")
              if os.stat(x).st_uid == os.geteuid()]
    guest = vmlib.Guest()
    out = penstock("info", "--json", "-e", guest.endpoint.uri)
    assert out.returncode == 0, out.stderr
    assert last_json(out.stdout)["agent"]["provider"] == "ivshmem", out
    os.kill(guest.qemu_pid, signal.SIGKILL)
    # Without a name it would end what is none of ours, if there is any.
    args = ("demo", "--stop", guest.dir) if others else ("demo", "--stop")
    out = penstock(*args)
    assert out.returncode == 0, out.stderr
    assert "1 guest ended" in out.stdout, out.stdout
    out = penstock("demo", "--stop", guest.dir, "--json")
    assert out.returncode == 1 and "error" in last_json(out.stdout), out
    assert_nothing_left(guest.endpoint.region)


def main():
    vmlib.need_guest()
    tap = vmlib.Tap()
    for name, case in list(globals().items()):
        if name.startswith("case_"):
            tap.run(case)
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
