# SPDX-License-Identifier: MIT
"""The region as the guest's nvdimm: the dax provider, at a first boot."""
import os
import sys

import numpy

import pstlib
import vmlib
from vmlib import HANG_S

GUEST = None


def agent_vma():
    """smaps of the agent's mapping of /dev/dax0.0, as a dict."""
    text = GUEST.console.run(
        "awk '/^[0-9a-f]+-/ { on = /dax0.0/ } on' /proc/%d/smaps" %
        GUEST.agent_pid())
    return dict(line.split(":", 1) for line in text.splitlines()[1:])


def case_first_boot():
    """a blank file with the block is /dev/dax0.0 at the guest's first boot,
    without a tool, and the product through it is right"""
    r = GUEST.result
    assert r["verified"] is True and r["provider"] == "dax", r
    assert r["caching"] == "WB" and r["page_size"] == 2 << 20, r
    assert r["read_gbps"] > 0 and r["write_gbps"] > 0, r
    assert r["gpu_registration"] == "none", r
    print("# read %.2f GB/s, write %.2f GB/s (%s)" %
          (r["read_gbps"], r["write_gbps"], r["accel"]))


def case_mapping():
    """the agent has it in pages of 2 MiB, and nothing else took the memory"""
    vma = agent_vma()
    assert vma["KernelPageSize"].split() == ["2048", "kB"], vma
    out = GUEST.console.run("cat /proc/iomem; ls /dev")
    assert "dax0.0" in out and "pmem0" not in out, out


def case_report():
    """INFO, HEALTH and the start's line say the same of it"""
    with pstlib.Connection(pstlib.load(vmlib.LIBRARY),
                           GUEST.endpoint.uri) as c:
        info, health = c.query(0), c.query(1)
        g, a, b = c.square(64)
        c.check(c.gemm(g))
        got = c.get(g.c, 64 * 64, numpy.float64).reshape(64, 64)
        assert numpy.allclose(got, a @ b)
    for key in ("provider", "caching", "page_size", "gpu_registration"):
        assert info[key] == health[key] == GUEST.result.get(key), key
    at = GUEST.console.run("cat /sys/bus/dax/devices/dax0.0/resource")
    assert int(info["region"]["phys"], 16) == int(at, 16), (info, at)
    line = [x for x in GUEST.serial().splitlines() if "region dax dax0.0" in x]
    assert len(line) == 1 and "2048 KiB pages, WB, read " in line[0], line


def case_second_agent():
    """a second agent on the device is refused with the first one's pid"""
    first = GUEST.agent_pid()
    out = GUEST.console.run(
        "timeout 20 penstock-agent --listen vsock:7071 --region dax:dax0.0 "
        "</dev/null; echo status=$?")
    assert "status=1" in out and "pid %d" % first in out, out


def case_grant():
    """an agent without privileges has it, after --grant"""
    run = GUEST.console.run
    run(": >/run/ending; killall penstock-agent")
    vmlib.eventually(lambda: "gone" in run("pidof penstock-agent || echo gone"),
                     HANG_S, "the agent ended")
    # The image is root's alone.
    run("chmod a+rx / && chmod -R a+rX /bin /lib /lib64 2>/dev/null; "
        "chmod a+rw /dev/null")
    command = ("timeout 20 region_probe as 1234 penstock-agent --listen "
               "unix:/dev/shm/sock </dev/null 2>&1; true")
    out = run(command)
    assert "no permission" in out, out
    assert "1 device " in run("penstock-agent --grant 1234 2>&1")
    assert run("stat -c '%g %a' /dev/dax0.0").split() == ["1234", "660"]
    out = run(command)
    assert "region dax dax0.0" in out and "stopping" in out, out


def main():
    global GUEST
    vmlib.need_guest()
    tap = vmlib.Tap()
    vmlib.add_to_image({"/bin/region_probe": os.path.join(
        vmlib.BUILD, "tests/vm/region_probe")})
    GUEST = vmlib.Guest("--region-via", "nvdimm")
    try:
        for name, case in list(globals().items()):
            if name.startswith("case_"):
                tap.run(case)
    finally:
        GUEST.stop()
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
