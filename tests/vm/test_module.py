# SPDX-License-Identifier: MIT
"""The kernel module penstock_bar under SeaBIOS and OVMF: what it maps, what it
refuses, how it goes; and a device's DMA into the region."""
import os
import re
import sys

import vmlib
from vmlib import HANG_S, eventually

GUEST = None
MIB = 1 << 20
OVMF = "/usr/share/ovmf/OVMF.fd"
SLOT = "/sys/bus/pci/devices/"
PROBE = os.path.join(vmlib.BUILD, "tests/vm/region_probe")


def run(command, **kwargs):
    return GUEST.console.run(command, **kwargs)


def query(what):
    """info or health of the agent, or None while there is none."""
    out = vmlib.penstock("-e", GUEST.endpoint.uri, what, "--json")
    if out.returncode:
        return None
    answer = vmlib.last_json(out.stdout)
    return answer["agent"] if what == "info" else answer


def slot(device):
    """The directory in sysfs of the device with this PCI id."""
    return run("dirname $(grep -l %s %s*/device | head -n 1)" %
               (device, SLOT)).strip()


def ivshmem():
    return run("dirname $(dirname $(ls -d %s*/misc/penstock0))" %
               SLOT).strip()


def bar():
    """Start and size of BAR 2."""
    line = run("sed -n 3p %s/resource" % slot("0x1110")).split()
    return int(line[0], 16), int(line[1], 16) - int(line[0], 16) + 1


def attribute(name):
    return run("cat /sys/class/misc/penstock0/" + name).strip()


def driver(what, address):
    run("echo %s >/sys/bus/pci/drivers/penstock_bar/%s" %
        (os.path.basename(address), what))


# ---- What the agent has --------------------------------------------------

def case_agent():
    """the agent gets write-back memory in pages of 2 MiB by the module"""
    r = GUEST.result
    assert r["verified"] is True and r["provider"] == "ivshmem", r
    assert r["caching"] == "WB" and r["page_size"] == 2 * MIB, r
    info = query("info")
    assert info["region"]["name"].endswith("by /dev/penstock0"), info
    assert int(info["region"]["phys"], 16) == bar()[0] + 2 * MIB, info
    vma = run("awk '/^[0-9a-f]+-/ { on = /penstock0/ } on' /proc/%d/smaps" %
              GUEST.agent_pid())
    assert re.search(r"KernelPageSize: +2048 kB", vma), vma
    # Populated in one go: a fault for each 2 MiB, not for each 4 KiB.
    size = bar()[1]
    assert int(attribute("faults")) <= size // (2 * MIB) + 4, \
        attribute("faults")
    assert int(attribute("owner_pid")) == GUEST.agent_pid()


def case_unbind():
    """unbinding the device ends the agent with a sentence, and the next one
    goes through sysfs and names the cure"""
    pid, where = GUEST.agent_pid(), ivshmem()
    driver("unbind", where)
    eventually(lambda: "the region's memory is gone" in GUEST.serial(),
               HANG_S,
               "the agent said why it ended")
    eventually(lambda: (query("info") or {}).get("pid") not in (None, pid),
               HANG_S,
               "another agent answers")
    health = query("health")
    assert health["caching"] == "WC" and health["page_size"] == 4096, health
    assert "penstock_bar" in health["remedy"], health


def case_bind():
    """binding it again takes the memory from sysfs, and the agent comes back
    with the fast mapping"""
    pid = GUEST.agent_pid()
    driver("bind", slot("0x1110"))
    eventually(lambda: (query("info") or {}).get("pid") not in (None, pid),
               HANG_S,
               "another agent answers")
    health = query("health")
    assert health["caching"] == "WB" and health["page_size"] == 2 * MIB, health
    assert GUEST.serial().count("the region's memory is gone") == 2
    out = run("dmesg | grep -E 'BUG|WARNING:|Oops' || echo clean")
    assert out.strip() == "clean", out


# ---- The module, with a program of our own -------------------------------

def mapped(path, off, size):
    """(caching, page size, pin) of a mapping that region_probe makes."""
    out = run("region_probe map %s %d %d" % (path, off, size)).split()
    return out[1], int(out[3]), int(out[5])


def case_page_tables():
    """its pages are write-back, of 2 MiB, and can be pinned; through sysfs
    they are uncached or write-combining and cannot"""
    where, size = slot("0x1110"), bar()[1]
    fault = -14
    # /init starts no other agent then.
    run(": >/run/ending; killall penstock-agent")
    eventually(lambda: "gone" in run("pidof penstock-agent || echo gone"),
               HANG_S,
               "the agent ended")
    driver("unbind", where)
    assert mapped(where + "/resource2", 2 * MIB, 2 * MIB) == (
        "UC-", 4096, fault)
    assert mapped(where + "/resource2_wc", 4 * MIB, 2 * MIB) == (
        "WC", 4096, fault)
    driver("bind", where)
    kernel = attribute("kernel_caching")
    print("# kernel's own mapping: %s; MTRRs: %s" %
          (kernel, "; ".join(run("cat /proc/mtrr").splitlines())))
    assert mapped("/dev/penstock0", 2 * MIB, size - 2 * MIB) == (
        "WB", 2 * MIB, 1)
    # What is not aligned goes page by page, and works.
    assert mapped("/dev/penstock0", 4096, 4 * MIB) == ("WB", 4096, 1)


def case_limits():
    """nothing beyond the end, nothing private, nobody beside the first"""
    out = run("region_probe limits /dev/penstock0 %d" % bar()[1])
    assert "limits kept" in out and "busy" in out, out


def case_unstamped():
    """a device that is no region is left alone"""
    out = run("ls -d %s*/misc/penstock*; dmesg" % SLOT)
    assert out.count("/misc/penstock") == 1, out
    assert "no Penstock region, left alone" in out, out


def case_pinned():
    """unbinding waits for the last pin; later touches get SIGBUS"""
    where, size = ivshmem(), bar()[1]
    run("mkfifo /run/go; { region_probe hold /dev/penstock0 %d %d </run/go; "
        "echo status $?; } >/run/hold 2>&1 & exec 9>/run/go" %
        (2 * MIB, size - 2 * MIB))
    eventually(lambda: "pinned 1" in run("cat /run/hold"), HANG_S,
               "it is pinned")
    run("{ echo %s >/sys/bus/pci/drivers/penstock_bar/unbind; "
        "echo over >/run/over; } &" % os.path.basename(where))
    eventually(lambda: "waiting for pinned" in run("dmesg | tail -n 5"),
               HANG_S,
               "unbinding waits")
    run("sleep 1; test ! -e /run/over")
    run("echo >&9")
    eventually(lambda: "over" in run("cat /run/over 2>/dev/null",
                                     check=False), HANG_S, "unbinding is over")
    run("echo >&9")
    # 128 and SIGBUS.
    eventually(lambda: "status 135" in run("cat /run/hold"), HANG_S,
               "the touch got SIGBUS")
    driver("bind", where)
    assert mapped("/dev/penstock0", 2 * MIB, size - 2 * MIB) == (
        "WB", 2 * MIB, 1)


def case_dma():
    """a device's DMA reads from and writes into the region, and the host sees
    the bytes"""
    start, size = bar()
    # Half of the device's buffer: QEMU 7.2 refuses to fill it.
    n = 2048
    source, target = size - 4 * MIB, size - 2 * MIB
    data = os.urandom(n)
    with open(GUEST.endpoint.region, "r+b") as f:
        f.seek(source)
        f.write(data)
    out = run("region_probe edu %s %d %d %d" % (
        slot("0x11e8"), start + source, start + target, n))
    assert "copied %d" % n in out, out
    with open(GUEST.endpoint.region, "rb") as f:
        f.seek(target)
        assert f.read(n) == data


# ---- Agents without privileges, and two of them --------------------------

ID = 1234


def start_agent(name, *args, user=ID):
    """An agent in the background; returns its pid. It has not come up yet."""
    run("mkdir -p /run/u && chmod 777 /run/u && rm -f /run/u/%s.*" % name)
    words = ["penstock-agent", "--threads", "1", "--listen",
             "unix:/run/u/%s.sock" % name, *args]
    if user:
        words = ["region_probe", "as", str(user), *words]
    return run("%s >/run/u/%s.log 2>&1 </dev/null & echo $!" %
               (" ".join(words), name)).strip()


def log_of(name, words, seconds=30):
    show = lambda: run("cat /run/u/%s.log" % name, check=False)
    try:
        eventually(lambda: words in show(), seconds, "%s says '%s'" %
                   (name, words))
    except AssertionError as e:
        raise AssertionError("%s, but '%s'" % (e, show())) from None
    return show()


def end_agent(pid):
    run("kill %s; while kill -0 %s 2>/dev/null; do sleep 0.1; done" %
        (pid, pid))


def case_unprivileged():
    """an agent without privileges gets the region from --grant, through the
    module and through sysfs"""
    where = ivshmem()
    # The image is root's alone.
    run("chmod a+rx / && chmod -R a+rX /bin /lib /lib64 2>/dev/null; "
        "chmod a+rw /dev/null")
    run("chown 0:0 /dev/penstock0; chmod 600 /dev/penstock0")
    start_agent("a")
    log_of("a", "no permission")
    run("penstock-agent --grant %d" % ID)
    assert run("stat -c '%g %a' /dev/penstock0").split() == [str(ID), "660"]
    pid = start_agent("a")
    log = log_of("a", "listens on")
    assert "by /dev/penstock0" in log and " WB" in log, log
    end_agent(pid)
    driver("unbind", where)
    start_agent("a")
    log_of("a", "no permission")
    run("penstock-agent --grant %d" % ID)
    pid = start_agent("a")
    log = log_of("a", "listens on")
    assert "/dev/penstock" not in log.splitlines()[0], log
    assert " WC" in log, log
    end_agent(pid)
    driver("bind", where)


def case_two():
    """the module serves two regions to two agents, and one going does not
    disturb the other"""
    first = ivshmem()
    devices = run("grep -l 0x1110 %s*/device" % SLOT).split()
    second, = {os.path.dirname(d) for d in devices} - {first}
    address = os.path.basename(second)
    # Named by its address it gets a stamp, and then the module takes it.
    pid = start_agent("b", "--region", "ivshmem:" + address, user=0)
    log_of("b", "listens on")
    end_agent(pid)
    driver("bind", second)
    run("test -c /dev/penstock1")
    start_agent("a", user=0)
    log_of("a", "several devices are regions", 60)
    out = run("penstock-agent --grant %d 2>&1" % ID)
    assert "2 devices" in out, out
    one = start_agent("a", "--region",
                      "ivshmem:" + os.path.basename(first))
    two = start_agent("b", "--region", "ivshmem:" + address)
    assert "by /dev/penstock0" in log_of("a", "listens on")
    assert "by /dev/penstock1" in log_of("b", "listens on")
    assert run("cat /sys/class/misc/penstock1/owner_pid").strip() == two
    driver("unbind", first)
    log_of("a", "the region's memory is gone")
    run("! kill -0 %s 2>/dev/null && kill -0 %s" % (one, two))
    driver("bind", first)
    one = start_agent("a", "--region",
                      "ivshmem:" + os.path.basename(first), user=0)
    log_of("a", "listens on")
    run("kill -0 %s" % two)
    end_agent(one)
    end_agent(two)


def case_unload():
    """the module can be removed"""
    run("rmmod penstock_bar")
    out = run("ls /dev; dmesg | grep -E 'BUG|WARNING:|Oops' || echo clean")
    assert "penstock0" not in out and "clean" in out, out


def cases(tap, *names):
    global GUEST
    GUEST = vmlib.Guest()
    try:
        for name in names:
            tap.run(name)
    finally:
        GUEST.stop()


def main():
    vmlib.need_guest()
    if not vmlib.image_has_own_module():
        vmlib.skip("no penstock_bar.ko: make guest-image says what it lacks")
    probe = vmlib.build_module("tests/vm/kmod")
    if not probe:
        vmlib.skip("the test module does not compile")
    tap = vmlib.Tap()
    vmlib.add_to_image({"/bin/region_probe": PROBE,
                        "/lib/modules/zz/pst_probe.ko": probe})
    vmlib.add_to_qemu("-device", "edu,dma_mask=0xffffffffffffffff",
                      "-object", "memory-backend-memfd,id=other,size=8M",
                      "-device", "ivshmem-plain,memdev=other,addr=0x1e")
    load = lambda: run("insmod /lib/modules/zz/pst_probe.ko")
    load.__doc__ = "SeaBIOS: the test's module loads"
    both = (case_agent, load, case_unbind, case_bind, case_page_tables)
    cases(tap, *both, case_limits, case_unstamped, case_pinned, case_dma,
          case_unprivileged, case_two, case_unload)
    if os.path.exists(OVMF):
        vmlib.add_to_qemu("-bios", OVMF)
        load.__doc__ = "OVMF: the test's module loads"
        cases(tap, *both)
    else:
        print("# no %s: not tried under OVMF" % OVMF)
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
