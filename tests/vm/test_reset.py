# SPDX-License-Identifier: MIT
"""penstock host gpu reset and rom for real: a guest with an IOMMU, in which
QEMU's devices behind root ports stand in for cards. One has a function-level
reset and a driver in the kernel (nvme), one has two functions, one has a ROM;
one is unplugged while it is reset."""
import contextlib
import glob
import hashlib
import json
import os
import shlex
import shutil
import signal
import struct
import subprocess
import sys

import vmlib

# By the root port's slot: an NVMe, a card of two functions, one with a ROM.
NVME, CARD, ROM = "0000:01:00.0", "0000:02:00.0", "0000:03:00.0"
SOUND = "0000:02:00.1"
DEVICES = "/sys/bus/pci/devices"
ROMFILES = ("/usr/share/qemu/efi-virtio.rom",
            "/usr/lib/ipxe/qemu/efi-virtio.rom",
            "/usr/share/qemu/virtio-net.rom")
MODULES = ("irqbypass", "vfio", "vfio_virqfd", "vfio_iommu_type1",
           "vfio-pci-core", "vfio-pci")
GUEST = None


class Machine:
    """QEMU with the image of the other tests and no demo around it."""

    def __init__(self):
        def at(name):
            return os.path.join(vmlib.RUNTIME, name)

        # A swap area: the first page of linux/swap.h, version 1.
        pages = 2048
        with open(at("disk"), "wb") as f:
            f.write(b"\0" * 1024 + struct.pack("<III", 1, pages - 1, 0))
            f.seek(4086)
            f.write(b"SWAPSPACE2")
            f.truncate(pages * 4096)
        image = os.environ["PENSTOCK_GUEST_IMAGE"]
        rom = next((f for f in ROMFILES if os.path.exists(f)), None)
        self.rom = rom
        argv = [
            os.environ.get("PENSTOCK_QEMU") or
            shutil.which("qemu-system-x86_64"),
            "-machine", "q35,kernel-irqchip=split", "-cpu", "max", "-accel",
            "tcg", "-smp", "1", "-m", "512", "-nodefaults", "-no-reboot",
            "-display", "none", "-device", "intel-iommu,intremap=on",
            "-kernel", os.path.join(image, "vmlinuz"),
            "-initrd", os.path.join(image, "initrd.img"), "-append",
            "console=ttyS0 loglevel=4 panic=-1 no_timer_check intel_iommu=on "
            "iommu=pt penstock.agent=0 penstock.own=0 penstock.debug=1",
            "-serial", "file:" + at("serial.log"),
            "-serial", "unix:%s,server,nowait" % at("console.sock"),
            "-qmp", "unix:%s,server,nowait" % at("qmp.sock"),
            "-drive", "if=none,id=d0,format=raw,file=" + at("disk"),
            "-device", "pcie-root-port,id=rp1,chassis=1,slot=1,addr=2.0",
            "-device", "nvme,serial=a,id=disk,bus=rp1,drive=d0",
            "-device", "pcie-root-port,id=rp2,chassis=2,slot=2,addr=3.0",
            "-device", "e1000e,id=card,bus=rp2,addr=0.0,multifunction=on",
            "-device", "e1000e,id=sound,bus=rp2,addr=0.1",
            "-device", "pcie-root-port,id=rp3,chassis=3,slot=3,addr=4.0",
            "-device", "virtio-net-pci,id=rom,bus=rp3" +
            (",romfile=" + rom if rom else "")]
        self.log = at("serial.log")
        self.qemu = subprocess.Popen(argv, stdin=subprocess.DEVNULL,
                                     stderr=subprocess.DEVNULL)
        self.qmp_path = at("qmp.sock")
        vmlib.eventually(lambda: os.path.exists(at("console.sock")),
                         vmlib.HANG_S, "QEMU runs")
        self.console = vmlib.Console(at("console.sock"))

    @contextlib.contextmanager
    def qmp(self):
        q = vmlib.Qmp(self.qmp_path)
        try:
            yield q
        finally:
            q.close()

    def stop(self):
        self.qemu.send_signal(signal.SIGKILL)
        self.qemu.wait()


def run(command, **kwargs):
    return GUEST.console.run(command, **kwargs)


def penstock(*args, status=0):
    """What the command prints in the guest; status: its exit code."""
    text = run("NO_COLOR=1 penstock %s; echo STATUS $?" %
               " ".join(shlex.quote(a) for a in args))
    text, _, code = text.rpartition("STATUS ")
    assert int(code) == status, (args, text, code)
    return text


def reset(addr, *args, status=0):
    """The object of gpu reset --yes."""
    text = penstock("host", "gpu", "reset", addr, "--yes", "--json", *args,
                    status=status)
    return json.loads(text[text.index("{"):].splitlines()[0])


def attr(addr, name):
    return run("cat %s/%s/%s" % (DEVICES, addr, name)).strip()


def driver(addr):
    return os.path.basename(
        run("readlink %s/%s/driver || true" % (DEVICES, addr)).strip())


def to_vfio(*addrs):
    for a in addrs:
        run("cd %s/%s && echo vfio-pci >driver_override && "
            "{ [ ! -e driver ] || echo %s >driver/unbind; } && "
            "echo %s >/sys/bus/pci/drivers_probe" % (DEVICES, a, a, a))
        assert driver(a) == "vfio-pci", a


def override(addr):
    return attr(addr, "driver_override")


# ---- Cases ------------------------------------------------------------------

def boots():
    """a guest with an IOMMU, and VFIO in it"""
    for m in MODULES:
        run("[ ! -e /reset/%s.ko ] || insmod /reset/%s.ko" % (m, m))
    run("test -e /sys/kernel/iommu_groups/0 && test -e /dev/vfio/vfio")


def stale_bus_method():
    """the kernel refuses the bus for one of two functions, though it shows it"""
    assert "bus" in attr(CARD, "reset_method").split()
    out = run("echo bus >%s/%s/reset_method" % (DEVICES, CARD), check=False)
    assert "nvalid argument" in out, out
    # What the udev rule of penstock host plan writes.
    run("echo >%s/%s/reset_method" % (DEVICES, CARD))
    assert attr(CARD, "reset_method") == ""
    run("echo default >%s/%s/reset_method" % (DEVICES, CARD))


def refuses_a_driver_of_the_host():
    """a disk of the host's is not reset, and what it holds is named"""
    run("swapon /dev/nvme0n1")
    out = penstock("host", "gpu", "reset", NVME, "--yes", status=1)
    assert "nvme of the host drives it: swap on nvme0n1" in out, out
    run("swapoff /dev/nvme0n1")
    out = penstock("host", "gpu", "reset", NVME, "--yes", status=1)
    assert "nvme of the host drives it" in out, out
    assert driver(NVME) == "nvme"


def says_first_what_it_would_do():
    """without --yes nothing is done"""
    to_vfio(CARD, SOUND)
    out = penstock("host", "gpu", "reset", CARD)
    for words in ("1. function", "2. bus", "3. rescan", CARD, SOUND,
                  "Nothing is done yet"):
        assert words in out, (words, out)


def refuses_an_open_group():
    """a card that a process has open is not reset, and the process is named"""
    group = os.path.basename(run("readlink %s/%s/iommu_group" %
                                 (DEVICES, CARD)).strip())
    out = run("exec 3<>/dev/vfio/%s; penstock host gpu reset %s --yes; "
              "echo STATUS $?; exec 3>&-" % (group, CARD))
    assert "has it open" in out and "STATUS 1" in out, out


def ways():
    """each way brings the card back to vfio-pci, as it was"""
    for way in "function", "bus", "rescan", "auto":
        o = reset(CARD, "--method", way)
        assert o["back"], (way, o)
        assert len(o["tried"]) == 1, (way, o)
        for a in CARD, SOUND:
            assert (driver(a), override(a)) == ("vfio-pci",) * 2, (way, a)
    # No process holds its group after that.
    group = os.path.basename(run("readlink %s/%s/iommu_group" %
                                 (DEVICES, CARD)).strip())
    run("exec 3<>/dev/vfio/%s; exec 3>&-" % group)


def flr_and_no_driver_of_the_host():
    """by flr, and what a driver of the host takes at a rescan is taken back"""
    to_vfio(NVME)
    assert "flr" in attr(NVME, "reset_method").split()
    for way in "function", "rescan", "bus":
        o = reset(NVME, "--method", way)
        assert o["back"], (way, o)
        assert driver(NVME) == "vfio-pci", (way, driver(NVME))
    run("echo %s >%s/%s/driver/unbind && echo >%s/%s/driver_override && "
        "echo %s >/sys/bus/pci/drivers_probe" %
        (NVME, DEVICES, NVME, DEVICES, NVME, NVME))
    assert driver(NVME) == "nvme"


def check_knows():
    """host check sees that the card answers, its link and its power"""
    out = penstock("host", "check", "--gpu", CARD, status=3)
    assert "PASS  gpu.answer" in out and "2 of 2 functions" in out, out
    assert "gpu.power" in out and "is in D" in out, out
    assert "gpu.link" in out and "the card has x1 of x1" in out, out


def rom():
    """the ROM of a card is read byte for byte, and hidden again"""
    if not GUEST.rom:
        print("# no efi-virtio.rom on this machine")
        return
    out = penstock("host", "rom", ROM, "-o", "/tmp/rom")
    assert "PASS  rom.signature" in out and "PASS  rom.images" in out, out
    assert "PASS  rom.efi" in out and "PASS  rom.checksum" in out, out
    assert "PASS  rom.ids" in out, out
    size = os.path.getsize(GUEST.rom)
    got = run("head -c %d /tmp/rom | md5sum" % size).split()[0]
    with open(GUEST.rom, "rb") as f:
        assert got == hashlib.md5(f.read()).hexdigest()
    out = run("dd if=%s/%s/rom of=/dev/null bs=512 count=1" % (DEVICES, ROM),
              check=False)
    assert "nvalid argument" in out, out


def sleeps():
    """when a way fails the machine sleeps, if that is asked for, and wakes"""
    at = "%s/%s/reset" % (DEVICES, CARD)
    run("mount --bind /dev/full " + at)
    o = reset(CARD, "--method", "function", "--suspend")
    run("umount " + at)
    assert o["back"], o
    assert [t["method"] for t in o["tried"]] == ["function", "suspend"], o
    assert "sleep state S3" in run("dmesg")
    assert (driver(CARD), driver(SOUND)) == ("vfio-pci",) * 2


def tell(q, command, **arguments):
    q.f.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
    q.f.flush()
    while True:
        answer = json.loads(q.f.readline())
        assert "error" not in answer, answer
        if "return" in answer:
            return


def unplugged_meanwhile():
    """a card that is unplugged while it is reset leaves nothing undone"""
    with GUEST.qmp() as q:
        for turn in range(4):
            way = ("rescan", "function", "bus", "auto")[turn]
            run("rm -f /tmp/rounds; n=0; (while penstock host gpu reset %s "
                "--yes --timeout 1s --method %s; do n=$((n + 1)); "
                "echo $n >/tmp/rounds; done; echo over) >/tmp/resets 2>&1 &" %
                (CARD, way))
            vmlib.eventually(
                lambda: int(run("cat /tmp/rounds 2>/dev/null || echo 0")) >= 2,
                vmlib.HANG_S, "it is reset again and again")
            tell(q, "device_del", id="card")
            # The kernel gives what is gone a minute to come back.
            vmlib.eventually(lambda: "over" in run("tail -n 1 /tmp/resets"),
                             vmlib.HANG_S, "the last reset is over")
            out = run("tail -n 3 /tmp/resets")
            assert "penstock host gpu reset: " in out, out
            print("# %s: %s" % (way, out.splitlines()[-2]))
            assert "0000:02" not in run("ls " + DEVICES)
            text = penstock("host", "gpu", "reset", CARD, "--yes", status=1)
            assert "no PCI device" in text, text
            tell(q, "device_add", driver="e1000e", id="sound", bus="rp2",
                 addr="0.1")
            tell(q, "device_add", driver="e1000e", id="card", bus="rp2",
                 addr="0.0", multifunction=True)
            vmlib.eventually(lambda: CARD in run("ls " + DEVICES),
                             vmlib.HANG_S, "it is plugged in again")
            to_vfio(CARD, SOUND)
    # Its neighbour is as it was, and can be reset.
    to_vfio(NVME)
    assert reset(NVME)["back"]


def need():
    if not (os.environ.get("PENSTOCK_QEMU") or
            shutil.which("qemu-system-x86_64")):
        vmlib.skip("no qemu-system-x86_64 on this machine")
    if not os.path.exists(os.path.join(vmlib.IMAGE, "initrd.img")):
        vmlib.skip("no guest image in %s: make guest-image" % vmlib.IMAGE)
    found = glob.glob(os.path.join(vmlib.BUILD, "tools/kernel/lib/modules/*"))
    files = {}
    for m in MODULES:
        for f in glob.glob(os.path.join(found[0], "kernel/**", m + ".ko*"),
                           recursive=True) if found else ():
            files[m] = f
    if "vfio-pci" not in files:
        vmlib.skip("no kernel with vfio-pci as a module in %s/tools: make "
                   "guest-tools" % vmlib.BUILD)
    return files


def unpack(path):
    """The module without its compression, in a file of ours."""
    to = os.path.join(vmlib.RUNTIME, os.path.basename(path).split(".ko")[0] +
                      ".ko")
    tool = {".xz": "xz", ".zst": "zstd"}.get(os.path.splitext(path)[1])
    with open(to, "wb") as f:
        subprocess.run([tool, "-dc", path] if tool else ["cat", path],
                       stdout=f, check=True)
    return to


def main():
    global GUEST
    files = need()
    vmlib.add_to_image({"/reset/%s.ko" % m: unpack(f)
                        for m, f in files.items()})
    tap = vmlib.Tap()
    GUEST = Machine()
    try:
        if not tap.run(boots):
            with open(GUEST.log, errors="replace") as f:
                print("# " + "# ".join(f.readlines()[-20:]))
            return tap.done()
        for case in (stale_bus_method, refuses_a_driver_of_the_host,
                     says_first_what_it_would_do, refuses_an_open_group,
                     check_knows, ways, flr_and_no_driver_of_the_host, rom,
                     unplugged_meanwhile, sleeps):
            tap.run(case)
        return tap.done()
    finally:
        GUEST.stop()


if __name__ == "__main__":
    sys.exit(main())
