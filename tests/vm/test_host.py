# SPDX-License-Identifier: MIT
"""penstock host plan for real: a guest with an IOMMU, two NUMA nodes and a
stand-in card of two functions, booted with what was planned, and without;
then with a second device that only its address tells from the card's."""
import glob
import json
import os
import re
import shlex
import shutil
import stat
import subprocess
import sys

import vmlib
from vmlib import eventually

# Function 0 has no driver in the kernel, function 1 has: pvpanic-pci, which
# comes first unless vfio-pci is loaded before it. It is a module in all of
# Debian's kernels; virtio_pci and nvme are built into that of Debian 13. On the
# second node.
CARD = "0000:81:00"
MACHINE = [
    "-machine", "q35,kernel-irqchip=split", "-cpu", "max", "-accel", "tcg",
    "-smp", "2", "-m", "1280", "-nodefaults", "-no-reboot", "-display", "none",
    "-object", "memory-backend-ram,id=m0,size=640M",
    "-object", "memory-backend-ram,id=m1,size=640M",
    "-numa", "node,nodeid=0,memdev=m0,cpus=0",
    "-numa", "node,nodeid=1,memdev=m1,cpus=1",
    "-device", "intel-iommu,intremap=on",
    "-device", "pxb-pcie,id=far,bus_nr=128,numa_node=1,bus=pcie.0",
    "-device", "pcie-root-port,id=root1,bus=far,chassis=1",
    "-device", "edu,bus=root1,addr=0.0,multifunction=on",
    "-device", "pvpanic-pci,bus=root1,addr=0.1"]
# The same ids as function 1 of the card; it stays with the host.
TWIN = "0000:00:1e.0"
TWINS = ["-device", "pvpanic-pci,bus=pcie.0,addr=1e.0"]
# The card is no GPU, which plan and apply take only by --i-know.
REQUEST = ["--gpu", CARD + ".0", "--region", "64M", "--vm-memory", "96M"]
PAGES = (64 + 96) // 2
BOOT_S = vmlib.BOOT_S
UDEV_RULES = "/lib/udev/rules.d/80-drivers.rules"

INIT = """#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/sbin:/bin HOME=/root LD_LIBRARY_PATH=/lib
mount -t proc none /proc
mount -t sysfs none /sys
mount -t devtmpfs none /dev
mkdir -p /dev/hugepages /dev/shm
# As udev does it: each device's module, by its alias, then modules-load.d.
# kmod's modprobe, since busybox's knows no softdep.
if [ -x /bin/udevadm ]; then
	mkdir -p /run
	/sbin/systemd-udevd --daemon
	udevadm trigger --action=add
	udevadm settle
else
	cat /sys/bus/pci/devices/*/modalias | while read -r alias; do
		/sbin/modprobe -q -b "$alias"
	done
fi
cat /etc/modules-load.d/*.conf 2>/dev/null | grep -v '^#' |
	while read -r module; do
		/sbin/modprobe "$module"
	done
/sbin/modprobe -q kvm_amd || /sbin/modprobe -q kvm_intel
mount -t hugetlbfs -o pagesize=2M none /dev/hugepages
ulimit -l unlimited
while :; do
	stty -F /dev/ttyS1 raw -echo
	setsid sh -c 'exec sh /dev/ttyS1 >/dev/ttyS1 2>&1 </dev/null'
done
"""

GUEST = None


def run(command, **kwargs):
    return GUEST.console.run(command, **kwargs)


def libraries(program):
    out = subprocess.run(["ldd", program], stdout=subprocess.PIPE,
                         stderr=subprocess.DEVNULL, text=True,
                         check=False).stdout
    return re.findall(r"\s(/\S+) \(0x", out)


class Tree:
    """The guest's root: programs and modules, and /etc as a machine has it."""

    def __init__(self):
        self.root = os.path.join(vmlib.RUNTIME, "root")
        for name in ("bin", "sbin", "lib", "proc", "sys", "dev", "root", "tmp",
                     "etc/default", "etc/modprobe.d", "var/lib", "usr"):
            os.makedirs(os.path.join(self.root, name))
        for name in ("lib64", "usr/lib"):
            os.symlink("/lib", os.path.join(self.root, name))
        self.program(shutil.which("busybox"), "bin/busybox")
        kmod = (shutil.which("kmod") or "/bin/kmod")
        self.program(kmod, "sbin/modprobe")
        self.program(vmlib.PENSTOCK, "bin/penstock")
        self.modules()
        self.text("init", INIT, 0o755)
        # Without no_timer_check a kernel that is emulated on a busy machine
        # takes its timer for broken, and panics.
        self.text("etc/default/grub",
                  "# this machine's\nGRUB_CMDLINE_LINUX=\"console=ttyS0 "
                  "intel_iommu=off panic=-1 no_timer_check\"\n"
                  "GRUB_CMDLINE_LINUX_DEFAULT='quiet'\n")

    def text(self, name, text, mode=0o644):
        path = os.path.join(self.root, name)
        with open(path, "w") as f:
            f.write(text)
        os.chmod(path, mode)

    def program(self, source, name):
        for path in [source] + libraries(source):
            to = name if path == source else "lib/" + os.path.basename(path)
            shutil.copy(path, os.path.join(self.root, to))
            os.chmod(os.path.join(self.root, to), 0o755)

    def modules(self):
        """Those that are wanted, what they need, and the lists."""
        source = glob.glob(os.path.join(
            vmlib.BUILD, "tools/kernel/lib/modules/*"))[0]
        base = os.path.join(self.root, "lib/modules",
                            os.path.basename(source))
        os.makedirs(base)
        deps = {}
        with open(os.path.join(source, "modules.dep")) as f:
            for line in f:
                name, rest = line.split(":")
                deps[name] = rest.split()
        wanted = {"pvpanic-pci", "vfio-pci", "vfio_iommu_type1", "vhost_vsock",
                  "kvm-amd", "kvm-intel"}
        for name, rest in deps.items():
            if os.path.basename(name).split(".")[0] not in wanted:
                continue
            for path in [name] + rest:
                to = os.path.join(base, path)
                os.makedirs(os.path.dirname(to), exist_ok=True)
                shutil.copy(os.path.join(source, path), to)
        for path in glob.glob(os.path.join(source, "modules.builtin*")) + \
                glob.glob(os.path.join(source, "modules.order")):
            shutil.copy(path, base)
        subprocess.run(["depmod", "-b", self.root, os.path.basename(source)],
                       env=dict(os.environ, PATH=os.environ["PATH"] +
                                ":/sbin:/usr/sbin"), check=True)

    def udev(self):
        """From now on it is udev that loads modules."""
        self.program(shutil.which("udevadm"), "bin/udevadm")
        os.symlink("/bin/udevadm", os.path.join(self.root,
                                                "sbin/systemd-udevd"))
        os.makedirs(os.path.join(self.root, "lib/udev/rules.d"))
        shutil.copy(UDEV_RULES, os.path.join(self.root, "lib/udev/rules.d"))

    def pack(self, path):
        names = "\0".join(
            os.path.relpath(os.path.join(d, x), self.root)
            for d, dirs, plain in os.walk(self.root) for x in dirs + plain)
        with open(path, "wb") as f:
            subprocess.run(["cpio", "-o", "-0", "-H", "newc", "-R", "0:0",
                            "--quiet"], cwd=self.root, input=names.encode(),
                           stdout=f, check=True)

    def take_back(self):
        """What the guest has made of /etc and /var."""
        data = run("cd / && tar c etc var | gzip | base64")
        for name in ("etc", "var"):
            shutil.rmtree(os.path.join(self.root, name))
        subprocess.run("base64 -d | tar xz -C %s" % shlex.quote(self.root),
                       shell=True, input=data, text=True, check=True)

    def cmdline(self):
        """The kernel's command line, as a shell reads GRUB's settings."""
        return subprocess.run(
            ["sh", "-euc", ". \"$1\"; echo \"$GRUB_CMDLINE_LINUX "
             "$GRUB_CMDLINE_LINUX_DEFAULT\"", "-",
             os.path.join(self.root, "etc/default/grub")],
            stdout=subprocess.PIPE, text=True, check=True).stdout.strip()

    def files(self):
        """Every file of /etc and /var with its bytes."""
        found = {}
        for top in ("etc", "var"):
            for d, _, names in os.walk(os.path.join(self.root, top)):
                for name in names:
                    path = os.path.join(d, name)
                    with open(path, "rb") as f:
                        mode = stat.S_IMODE(os.stat(path).st_mode)
                        found[os.path.relpath(path, self.root)] = (mode,
                                                                   f.read())
        return found


class Machine:
    """One boot."""

    def __init__(self, tree, more):
        initrd = os.path.join(vmlib.RUNTIME, "initrd.img")
        console = os.path.join(vmlib.RUNTIME, "console.sock")
        tree.pack(initrd)
        kernel = glob.glob(os.path.join(vmlib.BUILD,
                                        "tools/kernel/boot/vmlinuz-*"))[0]
        self.serial = os.path.join(vmlib.RUNTIME, "serial.log")
        qemu = os.environ.get("PENSTOCK_QEMU", "qemu-system-x86_64")
        self.process = subprocess.Popen(
            [qemu, *MACHINE, *more, "-kernel", kernel, "-initrd", initrd,
             "-append", tree.cmdline(), "-serial", "file:" + self.serial,
             "-chardev", "socket,id=c,path=%s,server=on,wait=off" % console,
             "-device", "isa-serial,chardev=c"], stdin=subprocess.DEVNULL)
        try:
            eventually(lambda: os.path.exists(console), vmlib.HANG_S,
                       "QEMU has made its socket")
            self.console = vmlib.Console(console)
            # Nothing of the boot is read before it is over.
            eventually(lambda: "ttyS1" in self.console.run("ps"), BOOT_S,
                       "the guest has booted")
        except Exception:
            self.stop()
            with open(self.serial, errors="replace") as f:
                for line in f.read().splitlines()[-20:]:
                    print("# " + line)
            raise

    def stop(self):
        self.process.kill()
        self.process.wait()
        os.unlink(os.path.join(vmlib.RUNTIME, "console.sock"))


def boot(tree, more=()):
    global GUEST
    if GUEST:
        GUEST.stop()
        GUEST = None
    GUEST = Machine(tree, more)


def penstock(*args, code=0):
    out = run("penstock %s; echo exit $?" % shlex.join(args))
    lines = out.splitlines()
    for line in lines:
        if not line.startswith("{"):
            print("# " + line)
    assert lines[-1] == "exit %d" % code, out
    return "\n".join(lines[:-1])


def driver(function):
    return driver_of("%s.%d" % (CARD, function))


def driver_of(address):
    link = "/sys/bus/pci/devices/%s/driver" % address
    return run("basename $(readlink %s || echo none)" % link).strip()


def hugepages(node):
    where = "/sys/devices/system/node/node%d/hugepages/hugepages-2048kB" % node
    return [int(n) for n in run("cat %s/nr_hugepages %s/free_hugepages" %
                                (where, where)).split()]


def case_before(tree):
    """a guest with its IOMMU off: no groups, the card's second function has its own
    driver, no hugepages"""
    boot(tree)
    assert driver(0) == "none", driver(0)
    assert driver(1) == "pvpanic-pci", driver(1)
    assert not run("ls /sys/kernel/iommu_groups").split()
    assert hugepages(1) == [0, 0], hugepages(1)
    numa = run("cat /sys/bus/pci/devices/%s.0/numa_node" % CARD)
    assert int(numa) == 1, numa


def case_apply(tree):
    """plan shows and changes nothing, apply writes, verify says what the
    reboot has to bring"""
    before = tree.files()
    out = penstock("host", "plan", *REQUEST, "--i-know")
    assert "hugepages=1:%d" % PAGES in out, out
    tree.take_back()
    assert tree.files() == before
    penstock("host", "apply", *REQUEST, "--i-know")
    out = penstock("host", "verify", code=3)
    assert "FAIL  driver     %s.1" % CARD in out, out
    tree.take_back()
    assert tree.files() != before


def case_bound(tree):
    """booted with the plan's command line and modprobe.d, every function of
    the card comes up on vfio-pci, in a group"""
    boot(tree)
    assert driver(0) == "vfio-pci" and driver(1) == "vfio-pci", (
        driver(0), driver(1))
    group = run("basename $(readlink /sys/bus/pci/devices/%s.0/iommu_group)" %
                CARD).strip()
    assert run("ls /dev/vfio").split() == [group, "vfio"], group
    assert "pvpanic_pci" in run("cat /proc/modules")


def case_verify():
    """verify finds everything as planned"""
    out = penstock("host", "verify")
    assert "FAIL" not in out and "pool" in out, out
    result = json.loads(penstock("host", "verify", "--json"))
    assert result["ok"] is True, result
    penstock("host", "verify", *REQUEST[:2], "--vm-memory", "8G", code=3)


def case_check():
    """host check passes: no finding is a FAIL"""
    out = penstock("host", "check", *REQUEST)
    assert " 0 FAIL" in out, out
    out = json.loads(penstock("host", "check", *REQUEST, "--json"))
    failed = [f["id"] for f in out["findings"] if f["status"] == "FAIL"]
    assert not failed, failed


def case_nodes():
    """the pool lies on the card's node, and libnuma makes a region of it"""
    assert hugepages(0) == [0, 0], hugepages(0)
    assert hugepages(1) == [PAGES, PAGES], hugepages(1)
    penstock("host", "region", "create", "far", "--size", "64M", "--node", "1")
    assert hugepages(1) == [PAGES, PAGES - 32], hugepages(1)
    # The other node has none, and the region does not come from elsewhere.
    out = penstock("host", "region", "create", "near", "--size", "64M",
                   "--node", "0", code=1)
    assert "on node 0" in out, out
    nr = "/sys/devices/system/node/node%d/hugepages/hugepages-2048kB/" \
        "nr_hugepages"
    run("echo 40 >" + nr % 0)
    assert hugepages(0) == [40, 40], hugepages(0)
    penstock("host", "region", "create", "near", "--size", "64M", "--node", "0")
    assert hugepages(0) == [40, 8], hugepages(0)
    assert hugepages(1) == [PAGES, PAGES - 32], hugepages(1)
    run("rm /dev/hugepages/penstock-*")


def case_undo(tree, before):
    """undo brings back every byte, and the next boot has the card as it was"""
    penstock("host", "undo")
    tree.take_back()
    assert tree.files() == before, tree.files()
    boot(tree, TWINS)
    assert driver(0) == "none" and driver(1) == "pvpanic-pci", (driver(0),
                                                               driver(1))
    assert hugepages(1) == [0, 0], hugepages(1)
    assert not run("ls /sys/kernel/iommu_groups").split()


def case_twins(tree):
    """of two devices with the same ids, udev's rule gives vfio-pci the card's
    and leaves the host its own"""
    assert driver_of(TWIN) == "pvpanic-pci", driver_of(TWIN)
    out = penstock("host", "apply", *REQUEST[:2], "--i-know")
    assert "10-penstock-vfio.rules" in out, out
    tree.take_back()
    tree.udev()
    boot(tree, TWINS)
    assert driver(0) == "vfio-pci" and driver(1) == "vfio-pci", (
        driver(0), driver(1))
    assert driver_of(TWIN) == "pvpanic-pci", driver_of(TWIN)
    penstock("host", "verify")


def need():
    if not (os.environ.get("PENSTOCK_QEMU") or
            shutil.which("qemu-system-x86_64")):
        vmlib.skip("no qemu-system-x86_64 on this machine")
    if not glob.glob(os.path.join(vmlib.BUILD, "tools/kernel/boot/vmlinuz-*")):
        vmlib.skip("no kernel in tools/kernel: make guest-image")
    for tool in ("busybox", "cpio"):
        if not shutil.which(tool):
            vmlib.skip("no %s on this machine" % tool)


def main():
    need()
    tap = vmlib.Tap()
    tree = Tree()
    before = tree.files()
    try:
        if tap.run(case_before, tree) and tap.run(case_apply, tree) and \
                tap.run(case_bound, tree):
            tap.run(case_verify)
            tap.run(case_check)
            tap.run(case_nodes)
            if tap.run(case_undo, tree, before):
                if os.path.exists(UDEV_RULES) and shutil.which("udevadm"):
                    tap.run(case_twins, tree)
                else:
                    print("# no udev here: its rule is not tried")
    finally:
        if GUEST:
            GUEST.stop()
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
