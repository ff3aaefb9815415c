# SPDX-License-Identifier: MIT
"""AF_VSOCK on both ends: agent and client in one guest, by vsock_loopback."""
import io
import json
import os
import sys
import tempfile

import numpy

import vmlib
from vmlib import HANG_S

GUEST = None
E = "vsock://1:7071?region=/dev/shm/penstock-loop"


def npy(array):
    """The bytes of a .npy file as an argument of printf."""
    f = io.BytesIO()
    numpy.save(f, array)
    return "".join("\\%03o" % byte for byte in f.getvalue())


def run(command, **kwargs):
    return GUEST.console.run(command, **kwargs)


def case_serve():
    """an agent serves AF_VSOCK on a region file inside the guest"""
    assert "vsock_loopback" in run("lsmod")
    for port, allow in ((7071, "--allow-cid 1"), (7072, "")):
        region = "loop" if port == 7071 else "other"
        run("penstock host region create %s --size 32M --path /dev/shm" %
            region)
        run("penstock-agent --listen vsock:%d %s --region "
            "file:/dev/shm/penstock-%s </dev/null >/tmp/agent-%d.log 2>&1 &" %
            (port, allow, region, port))
    vmlib.eventually(
        lambda: "ok" in run("penstock -e '%s' ping >/dev/null && echo ok" % E,
                            check=False), HANG_S, "the agent answers")


def case_info():
    """the client reaches it at CID 1 and sees the file"""
    info = vmlib.last_json(run("penstock -e '%s' info --json" % E))
    assert info["agent"]["provider"] == "file", info


def case_gemm():
    """a product of .npy files goes over AF_VSOCK and is numpy's"""
    rng = numpy.random.default_rng(9)
    a, b = rng.standard_normal((7, 12)), rng.standard_normal((12, 5))
    run("printf '%s' >/tmp/a.npy" % npy(a))
    run("printf '%s' >/tmp/b.npy" % npy(b))
    out = run("penstock -e '%s' gemm /tmp/a.npy /tmp/b.npy -o /tmp/c.npy "
              "--verify --json" % E)
    assert vmlib.last_json(out)["verified"] is True, out
    text = run("od -An -v -t x1 /tmp/c.npy")
    data = bytes.fromhex("".join(text.split()))
    c = numpy.frombuffer(data[-7 * 5 * 8:], "<f8").reshape(7, 5)
    assert numpy.allclose(c, a @ b), c


def case_not_allowed():
    """without --allow-cid the same kernel is refused"""
    out = run("penstock -e 'vsock://1:7072?region=/dev/shm/penstock-other' ping; "
              "echo status=$?", check=False)
    assert "status=0" not in out, out
    assert "CID 1" in run("cat /tmp/agent-7072.log"), out


def case_beside():
    """the guest's own agent still answers the host"""
    out = vmlib.penstock("-e", GUEST.endpoint.uri, "ping")
    assert out.returncode == 0, out.stderr


def case_bench():
    """the host's bench measures the guest, and says when it is emulated"""
    with tempfile.TemporaryDirectory() as d:
        path = os.path.join(d, "result.json")
        out = vmlib.penstock("-e", GUEST.endpoint.uri, "bench", "latency",
                             "--seconds", "1", "-o", path, timeout=120)
        assert out.returncode == 0, out.stderr
        with open(path) as f:
            result = json.load(f)
    names = {r["name"] for r in result["results"] if r["count"]}
    assert {"NOP, spinning", "PING over the control socket"} <= names, names
    assert result["agent_cpu"] is None, result["agent_cpu"]
    info = vmlib.last_json(vmlib.penstock(
        "-e", GUEST.endpoint.uri, "info", "--json").stdout)
    assert result["emulated"] == info["session"]["emulated"], result
    assert ("emulated" in out.stdout) == result["emulated"], out.stdout


def main():
    global GUEST
    vmlib.need_guest()
    tap = vmlib.Tap()
    GUEST = vmlib.Guest("--append", "penstock.modules=loopback")
    try:
        for name, case in list(globals().items()):
            if name.startswith("case_"):
                tap.run(case)
    finally:
        GUEST.stop()
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
