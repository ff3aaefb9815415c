# SPDX-License-Identifier: MIT
"""A model of 1 GiB through a region of 64 MiB, by the command: what memory agent
and runner take at most, that it computes, and that a client which is killed
half-way leaves nothing. PST_MIB is the size of the weights.

Memory is the Pss of both but their files' (programs and libraries), which does
not count what other processes take, and the bytes of the agent's files of
models, each once, whoever maps them."""
import json
import os
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.environ.get("PST_TOP_SRCDIR", "."),
                                "tests/proc"))
from onnxlib import F32, PROGRAM, Session, helper, model, np, \
    onnx, skip  # noqa: E402
from agentlib import MIB, STATS, eventually, run  # noqa: E402
from runner_client import Runner, RunnerError  # noqa: E402

COMMAND = os.path.join(os.environ.get("PST_TOP_BUILDDIR", "build"),
                       "host-client/penstock")
WEIGHTS = int(os.environ.get("PST_MIB", "1024")) * MIB
ROW = 16384
MOST = 3.1

try:
    Runner(PROGRAM, os.environ.get("PENSTOCK_ORT", "")).close()
except RunnerError as why:
    skip(why)


def make(directory):
    """y = x W, whose columns are 1, 2, 3 ... times 2^-10, in another file."""
    n = WEIGHTS // 4 // ROW
    w = onnx.TensorProto(name="w", data_type=F32, dims=[n, ROW],
                         data_location=onnx.TensorProto.EXTERNAL)
    for k, v in (("location", "w.bin"), ("offset", "0"),
                 ("length", str(WEIGHTS))):
        w.external_data.add(key=k, value=v)
    path = os.path.join(directory, "m.onnx")
    with open(path, "wb") as f:
        f.write(model([helper.make_node("MatMul", ["x", "w"], ["y"])],
                      [("x", F32, ["batch", n])], [("y", F32, ["batch", ROW])],
                      [w]))
    row = np.arange(1, ROW + 1, dtype="f4") / 1024
    with open(os.path.join(directory, "w.bin"), "wb") as f:
        for _ in range(n):
            f.write(row.tobytes())
    return path, n


def pss(pid):
    """Bytes of memory that are not a file's, and of the model's mapped ones."""
    total = 0
    try:
        with open("/proc/%d/smaps_rollup" % pid, encoding="ascii") as f:
            for line in f:
                if line.startswith("Pss_Anon:"):
                    total += int(line.split()[1]) << 10
    except (FileNotFoundError, ProcessLookupError):
        pass
    return total


def children(pid):
    with open("/proc/%d/task/%d/children" % (pid, pid), encoding="ascii") as f:
        return [int(p) for p in f.read().split()]


def model_files(pids):
    """Bytes of the files of models that processes have open."""
    seen = {}
    for pid in pids:
        folder = "/proc/%d/fd" % pid
        try:
            for fd in os.listdir(folder):
                path = os.path.join(folder, fd)
                if "memfd:penstock-model" in os.readlink(path):
                    st = os.stat(path)
                    seen[st.st_ino] = st.st_blocks * 512
        except (FileNotFoundError, ProcessLookupError):
            pass
    return sum(seen.values())


def memory(agent):
    pids = [agent.proc.pid] + children(agent.proc.pid)
    return model_files(pids) + sum(pss(p) for p in pids)


def load(agent, path):
    return subprocess.Popen(
        [COMMAND, "-e", "unix://%s?region=%s" % (agent.sock, agent.region),
         "model", "load", "large", path, "--json"], stdout=subprocess.PIPE,
        text=True)


def a_model_larger_than_the_region_takes_3_times_its_size(start):
    a = start(size=64 * MIB)
    directory = "/var/tmp/pst-large-%d" % os.getpid()
    os.mkdir(directory)
    try:
        path, n = make(directory)
        before = memory(a)
        # Killed when half of it is there.
        p = load(a, path)
        eventually(lambda: model_files([a.proc.pid]) > WEIGHTS / 2, 120)
        p.send_signal(signal.SIGKILL)
        p.wait()
        p.stdout.close()
        eventually(lambda: model_files([a.proc.pid]) == 0)
        s = Session(a, 4 * MIB)
        eventually(lambda: s.query(STATS)["model_bytes"] == 0)
        left = memory(a) - before
        assert left < 8 * MIB, left
        # To the end.
        begin = time.monotonic()
        p = load(a, path)
        most = 0
        while p.poll() is None:
            most = max(most, memory(a))
            time.sleep(0.02)
        out = p.stdout.read()
        p.stdout.close()
        took = time.monotonic() - begin
        assert p.returncode == 0 and json.loads(out)["bytes"] > WEIGHTS, out
        after = memory(a)
        m = s.describe("large")
        y, = s.run(m, {0: np.full((1, n), 1 / n, "f4")}, room=ROW * 4)
        want = np.arange(1, ROW + 1) / 1024
        assert np.allclose(y[0], want, rtol=1e-4), y
        print("# %d MiB of weights through 64 MiB in %.1f s: at most %.2f "
              "times the file, %.2f times once it is ready; %d KiB left of a "
              "client that was killed half-way" %
              (WEIGHTS >> 20, took, (most - before) / WEIGHTS,
               (after - before) / WEIGHTS, left >> 10))
        assert most - before <= MOST * WEIGHTS, (most, before)
    finally:
        for name in os.listdir(directory):
            os.unlink(os.path.join(directory, name))
        os.rmdir(directory)


if __name__ == "__main__":
    run(1)
