# SPDX-License-Identifier: MIT
"""penstock vm against a real libvirtd that is this test's own: defines the
throw-away guest, starts it, pings its agent by name, stops and undefines it.

It runs in namespaces of its own (mounts, processes, network): libvirt's files
are on tmpfs, and all processes end with the first. There is no VFIO without an
IOMMU, so the card is QEMU's `edu` device, given to the domain as an argument."""
import contextlib
import fcntl
import glob
import json
import os
import pwd
import shlex
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET

import numpy

import vmlib

INNER = "PST_VM_TEST_INNER"
NAME = "throwaway"
OTHER = "other"
REGION = 64 << 20
MODULE = os.path.join(vmlib.BUILD, "libvirt-xml", ".libs", "penstock-vm.so")
# A guest that is emulated on a busy machine.
BOOT = "%ds" % (2 * vmlib.BOOT_S)
WORDS = ("console=ttyS0 loglevel=4 panic=-1 reboot=t no_timer_check "
         "penstock.agent_args=--listen%20vsock:7070%20--region%20auto"
         "%20--threads%201")
QEMU_NS = "{http://libvirt.org/schemas/domain/qemu/1.0}"
QEMU_CONF = """user = "root"
group = "root"
security_driver = "none"
stdio_handler = "file"
cgroup_controllers = []
namespaces = []
remember_owner = 0
"""
SHM = "/dev/shm"
# A directory of this run, and the one for regions.
TMP = None
DIR = SHM


# ---- Outside: the machine, and the namespaces ---------------------------

def need_libvirt():
    if os.geteuid() != 0:
        vmlib.skip("not root: libvirtd cannot be started")
    if not os.path.exists(MODULE):
        vmlib.skip("built without libvirt or libxml2")
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    os.environ["PATH"] = path
    for program in ("libvirtd", "virtlogd", "virsh", "unshare", "mount"):
        if not shutil.which(program):
            vmlib.skip("no %s on this machine (Debian: packages "
                       "libvirt-daemon, libvirt-clients)" % program)
    out = subprocess.run(["unshare", "--mount", "--pid", "--net", "--fork",
                          "true"], stderr=subprocess.PIPE, text=True,
                         check=False)
    if out.returncode:
        vmlib.skip("no namespaces here: " + out.stderr.strip())


def enter():
    """Runs this program again, as the only child of a namespace's first
    process, which reaps what is left to it."""
    os.environ[INNER] = "1"
    argv = ["unshare", "--mount", "--pid", "--net", "--fork", "--kill-child",
            "--mount-proc", "sh", "-c", '"$@" & wait $!', "sh",
            sys.executable, os.path.abspath(__file__)]
    return subprocess.run(argv, check=False).returncode


# ---- Inside: libvirtd ---------------------------------------------------

def run(*argv, check=True, timeout=vmlib.HANG_S, **kwargs):
    out = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                         text=True, timeout=timeout, check=False, **kwargs)
    if check and out.returncode:
        raise AssertionError("%r: exit %d: %s" % (argv, out.returncode,
                                                  out.stderr))
    return out


def virsh(*argv, **kwargs):
    return run("virsh", "-c", "qemu:///system", *argv, **kwargs).stdout


def make_user(name):
    """A user that Debian 12's libvirtd wants and its package does not make:
    in this namespace only, since it starts nothing as that user."""
    with contextlib.suppress(KeyError):
        pwd.getpwnam(name)
        return
    for path, line in (
            ("/etc/passwd", "%s:x:65533:65533::/nonexistent:/bin/false\n"),
            ("/etc/group", "%s:x:65533:\n")):
        copy = os.path.join(TMP, os.path.basename(path))
        shutil.copy(path, copy)
        with open(copy, "a") as f:
            f.write(line % name)
        run("mount", "--bind", copy, path)


def raise_loopback():
    """ip link set lo up, where there need be no ip (struct ifreq, netdevice(7))"""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        flags = fcntl.ioctl(s, 0x8913, struct.pack("16sh14x", b"lo", 0))
        up = struct.unpack("16sh14x", flags)[1] | 1
        fcntl.ioctl(s, 0x8914, struct.pack("16sh14x", b"lo", up))


def start_libvirtd():
    """a libvirtd of this test's own answers"""
    run("mount", "--make-rprivate", "/")
    make_user("libvirt-qemu")
    for path in ("/run", "/var/lib/libvirt", "/var/log/libvirt",
                 "/var/cache/libvirt", "/etc/libvirt", SHM):
        os.makedirs(path, exist_ok=True)
        run("mount", "-t", "tmpfs", "none", path)
    os.makedirs("/run/lock")
    raise_loopback()
    with open("/etc/libvirt/qemu.conf", "w") as f:
        f.write(QEMU_CONF)
    with open("/etc/libvirt/libvirtd.conf", "w") as f:
        f.write('auth_unix_ro = "none"\nauth_unix_rw = "none"\n'
                'log_outputs = "3:file:%s/libvirtd.log"\n' % TMP)
    use_hugepages()
    run("virtlogd", "-d")
    run("libvirtd", "-d")
    said = {}

    def answers():
        out = run("virsh", "-c", "qemu:///system", "version", check=False)
        said["last"] = out.stderr.strip()
        return out.returncode == 0

    try:
        vmlib.eventually(answers, vmlib.HANG_S, "libvirtd answers")
    except AssertionError as e:
        raise AssertionError("%s: %s" % (e, said["last"])) from None


def use_hugepages():
    """Regions lie on hugepages where there are some to spare."""
    global DIR
    with open("/proc/meminfo") as f:
        values = dict(line.split(":", 1) for line in f)
    free = int(values.get("HugePages_Free", "0"))
    if free < 4 * REGION >> 21 or "2048" not in values["Hugepagesize"]:
        print("# no hugepages to spare: regions lie in " + SHM)
        return
    DIR = os.path.join(TMP, "huge")
    os.mkdir(DIR)
    run("mount", "-t", "hugetlbfs", "-o", "pagesize=2M", "none", DIR)


def penstock(*args, code=0, **kwargs):
    """Runs the command; its CompletedProcess. Its exit code is checked."""
    out = vmlib.penstock(*args, **kwargs)
    if out.returncode != code:
        raise AssertionError("penstock %s: exit %d, not %d: %s%s" % (
            " ".join(args), out.returncode, code, out.stdout, out.stderr))
    return out


def vm(verb, *args, **kwargs):
    return penstock("vm", verb, *args, **kwargs)


def describe(name, *more):
    """What every domain of this test is given."""
    return (name, "--memory", "512M", "--vcpus", "1", "--hugepages", "no",
            "--emulated", "--region", str(REGION),
            "--kernel", os.path.join(vmlib.IMAGE, "vmlinuz"),
            "--initrd", os.path.join(vmlib.IMAGE, "initrd.img"),
            "--append", WORDS) + vsock(name) + more + (
                () if "--region-path" in more
                else ("--region-path", region(name)))


def region(name):
    return "%s/penstock-%s" % (DIR, name)


def vsock(name):
    return ("--vsock", "vhost-user:%s/%s.vhost" % (TMP, name),
            "--vsock-uds", "%s/%s.vsock" % (TMP, name))


@contextlib.contextmanager
def vsock_daemon(name):
    """vhost-device-vsock for one start of one domain."""
    paths = ["%s/%s.%s" % (TMP, name, x) for x in ("vhost", "vsock")]
    for path in paths:
        if os.path.exists(path):
            os.unlink(path)
    program = (vmlib.VHOST_VSOCK if os.path.exists(vmlib.VHOST_VSOCK)
               else shutil.which("vhost-device-vsock"))
    with open(os.path.join(TMP, "vsock.log"), "a") as log:
        daemon = subprocess.Popen(
            [program, "--guest-cid", "3", "--socket", paths[0], "--uds-path",
             paths[1]], stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    try:
        vmlib.eventually(lambda: os.path.exists(paths[0]), vmlib.HANG_S,
                         "the vsock daemon listens")
        yield
    finally:
        daemon.kill()
        daemon.wait()


def conf(kind, name):
    return os.path.join(TMP, "penstock", kind, name + ".conf")


def conf_dir():
    return ("--conf-dir", os.path.join(TMP, "penstock"))


def status(name, code=0):
    return vmlib.last_json(vm("status", name, "--json", code=code).stdout)


def has(text, *parts):
    for part in parts:
        assert part in text, "no %s in %s" % (part, text)


# ---- XML ----------------------------------------------------------------

def native(*args):
    """QEMU's arguments for a domain, as libvirt itself makes them: a list of
    an option and its value each, values that are JSON with sorted keys."""
    path = os.path.join(TMP, "native.xml")
    with open(path, "w") as f:
        f.write(vm("xml", *args).stdout)
    words = shlex.split(virsh("domxml-to-native", "qemu-argv", path).replace(
        "\\\n", " "))
    lines = []
    for word in words:
        if word.startswith("{"):
            word = json.dumps(json.loads(word), sort_keys=True)
        if lines and lines[-1].startswith("-") and " " not in lines[-1] and \
                not word.startswith("-"):
            lines[-1] += " " + word
        else:
            lines.append(word)
    return lines


def golden(name, *args):
    """Every line of tests/vm/argv/NAME is among the arguments, in this order;
    what other versions of libvirt and QEMU write differently is not in it."""
    lines = native(*args)
    with open(os.path.join(vmlib.SRC, "tests/vm/argv", name)) as f:
        wanted = [x.rstrip("\n") for x in f if not x.startswith("#")]
    at = 0
    for want in wanted:
        for key, value in (("@REGION@", region("n")), ("@SHM@", SHM),
                           ("@IMAGE@", vmlib.IMAGE), ("@TMP@", TMP)):
            want = want.replace(key, value)
        found = [i for i in range(at, len(lines)) if matches(want, lines[i])]
        assert found, "no %s in\n%s" % (want, "\n".join(lines[at:]))
        at = found[0] + 1


def matches(want, line):
    """The same option, with all that is wanted, in JSON or in a list, and
    what this version of libvirt adds by itself."""
    if " " not in want or " " not in line:
        return want == line
    option, text = want.split(" ", 1)
    name, have = line.split(" ", 1)
    if name != option or have.startswith("{") != text.startswith("{"):
        return False
    if text.startswith("{"):
        have = json.loads(have)
        return all(have.get(k) == v for k, v in json.loads(text).items())
    have = iter(have.split(","))
    return all(x in have for x in text.split(","))


def case_native_nvdimm():
    """libvirt makes of an nvdimm a shared file and a device on node 0"""
    golden("nvdimm", *describe("n", "--region-via", "nvdimm"))


def case_native_ivshmem():
    """libvirt hands the region's arguments on, with their addresses"""
    golden("ivshmem", *describe("n", "--region-via", "ivshmem"))


def case_native_shmem():
    """libvirt's own shmem is in /dev/shm, of the region's size"""
    golden("shmem", *describe("n", "--region-via", "shmem", "--region-path",
                              SHM + "/penstock-n"))


def case_native_card():
    """all functions of a card are passed, with its ROM, and OVMF's copy"""
    tree = os.path.join(TMP, "host")
    for fn, kind in ((0, "0x030000"), (1, "0x040300")):
        address = "0000:01:00.%d" % fn
        group = os.path.join(tree, "sys/kernel/iommu_groups/1")
        dev = os.path.join(tree, "sys/bus/pci/devices", address)
        for path in (dev, os.path.join(group, "devices", address)):
            os.makedirs(path)
        os.symlink("../../../../kernel/iommu_groups/1",
                   os.path.join(dev, "iommu_group"))
        for name, text in (("vendor", "0x10de"), ("device", "0x17c2"),
                           ("class", kind), ("numa_node", "-1"),
                           ("resource", "0x0 0x0 0x0\n" * 7)):
            with open(os.path.join(dev, name), "w") as f:
                f.write(text + "\n")
    golden("card", "n", "--memory", "512M", "--vcpus", "2", "--hugepages",
           "no", "--emulated", "--disk", "/var/n.qcow2", "--gpu", "01:00.0",
           "--rom", "/var/n.rom", "--firmware", "/ovmf/code:/ovmf/vars",
           "--region", str(REGION), "--region-path", region("n"),
           "--cid", "42", "--root", tree, "--uri", "qemu:///system")


def case_native_cid():
    """with the kernel's vsock the domain has its CID"""
    path = os.path.join(TMP, "cid.xml")
    with open(path, "w") as f:
        f.write(vm("xml", "n", "--memory", "512M", "--vcpus", "2",
                   "--hugepages", "no", "--disk", "/var/n.qcow2", "--emulated",
                   "--firmware", "bios", "--cid", "77").stdout)
    virsh("define", "--validate", path)
    other = ("m", "--memory", "512M", "--vcpus", "1", "--hugepages", "no",
             "--emulated", "--disk", "/d", "--firmware", "bios")
    try:
        has(virsh("dumpxml", "n"), "address='77'")
        out = vm("xml", *other, "--cid", "77", code=1)
        has(out.stderr, "CID 77 already belongs to domain n")
        has(vm("xml", *other).stdout, 'address="3"')
        # Its own it keeps.
        has(vm("xml", "n", *other[1:]).stdout, 'address="77"')
    finally:
        virsh("undefine", "n")


def boots(name, command, log):
    """Runs a QEMU until the agent in it answers; what INFO says of it."""
    uri = "vsock-uds://%s/%s.vsock:7070?region=%s" % (TMP, name, region(name))
    with vsock_daemon(name), open(os.path.join(TMP, "plain.log"), "w") as f:
        qemu = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=f,
                                stderr=f)
        try:
            # Nothing is sent before: see cmd_vm_agent.h.
            vmlib.eventually(
                lambda: os.path.exists(log) and b"MiB arena" in read(log),
                2 * vmlib.BOOT_S, "the agent starts")
            vmlib.eventually(
                lambda: vmlib.penstock("-e", uri, "health").returncode == 0,
                vmlib.HANG_S, "the agent answers")
            return vmlib.last_json(
                penstock("-e", uri, "info", "--json").stdout)["agent"]
        finally:
            qemu.kill()
            qemu.wait()
            os.unlink(region(name))


def read(path):
    with open(path, "rb") as f:
        return f.read()


def case_qemu_format():
    """QEMU's command line, as it is printed, boots a guest whose agent
    answers"""
    log = os.path.join(TMP, "plain.serial")
    out = vm("xml", *describe("plain", "--region-via", "ivshmem", "--format",
                              "qemu", "--serial-log", log))
    note = [x for x in out.stderr.splitlines() if "host region create" in x]
    penstock("host", *note[0].split("penstock host ", 1)[1].split())
    agent = boots("plain", ["sh", "-c", "exec " + out.stdout], log)
    assert agent["provider"] == "ivshmem", agent


def case_memmap():
    """a region that is a piece of the guest's memory becomes /dev/dax0.0 by
    memmap=, as Cloud Hypervisor's zone has to"""
    penstock("host", "region", "create", "zone", "--size", "64M", "--path", DIR)
    log = os.path.join(TMP, "zone.serial")
    memory = []
    # QEMU's own tables lie at the end, Cloud Hypervisor's at the beginning.
    for i, (kind, size) in enumerate((("memfd", 448), ("file", 64),
                                      ("memfd", 64))):
        path = ",mem-path=" + region("zone") if kind == "file" else ""
        memory += ["-object", "memory-backend-%s,id=m%d,size=%dM,share=on%s" %
                   (kind, i, size, path), "-numa", "node,memdev=m%d" % i]
    agent = boots("zone", [
        os.environ.get("PENSTOCK_QEMU", "qemu-system-x86_64"), "-nodefaults",
        "-machine", "q35,accel=tcg", "-cpu", "max", "-m", "576M", *memory,
        "-display", "none", "-nic", "none", "-chardev",
        "file,id=s,path=" + log, "-serial", "chardev:s", "-chardev",
        "socket,id=v,path=%s/zone.vhost" % TMP, "-device",
        "vhost-user-vsock-pci,chardev=v",
        "-kernel", os.path.join(vmlib.IMAGE, "vmlinuz"), "-initrd",
        os.path.join(vmlib.IMAGE, "initrd.img"), "-append",
        WORDS + " memmap=64M!448M penstock.modules=pmem"], log)
    assert agent["provider"] == "dax" and agent["caching"] == "WB", agent
    assert agent["page_size"] == 2 << 20, agent


# ---- Life ---------------------------------------------------------------

def case_define():
    """define makes the domain, the endpoint and the region's settings"""
    out = vm("define", *describe(NAME, "--region-via", "nvdimm"), *conf_dir())
    has(out.stdout, NAME + " is defined")
    has(out.stderr, '"%s" rw,' % region(NAME),
        "penstock-region@" + NAME)
    with open(conf("endpoints.d", NAME)) as f:
        has(f.read(), "endpoint = vsock-uds://%s/%s.vsock:7070?region=%s" %
            (TMP, NAME, region(NAME)))
    with open(conf("regions.d", NAME)) as f:
        has(f.read(), "SIZE=64M\n", "ARGS=--path %s\n" % DIR)
    assert NAME in virsh("list", "--all", "--name").split()
    assert not os.path.exists(region(NAME))


def case_define_again():
    """defining it again replaces it and keeps its UUID"""
    uuid = virsh("domuuid", NAME)
    vm("define", *describe(NAME, "--region-via", "nvdimm"), *conf_dir())
    assert virsh("domuuid", NAME) == uuid


def case_define_other_region():
    """a region of another size goes with the definition that wanted it, and
    one of another domain is not shared"""
    penstock("host", "region", "create", NAME, "--size", "64M", "--path", DIR)
    args = list(describe(NAME, "--region-via", "nvdimm"))
    vm("define", *args, *conf_dir())
    assert os.path.exists(region(NAME))
    args[args.index("--region") + 1] = "32M"
    vm("define", *args, *conf_dir())
    assert not os.path.exists(region(NAME))
    vm("define", *describe(NAME, "--region-via", "nvdimm"), *conf_dir())
    out = vm("define", "twin", *args[1:], *conf_dir(), code=1)
    has(out.stderr, "already belongs to domain %s" % NAME)


def case_define_disk():
    """a disk keeps its format, whatever the guest writes at its beginning"""
    path = os.path.join(TMP, "disk.img")
    with open(path, "wb") as f:
        f.truncate(1 << 20)
    args = describe("disk", "--disk", path) + conf_dir()
    vm("define", *args)
    with open(path, "r+b") as f:
        f.write(b"QFI\xfb")
    vm("define", *args)
    has(virsh("dumpxml", "disk"), "type='raw'")
    vm("undefine", "disk", *conf_dir())


def case_define_at_once():
    """domains that are defined at the same time get different CIDs"""
    names = ["at-once-%d" % i for i in range(4)]
    jobs = [subprocess.Popen(
        [vmlib.PENSTOCK, "vm", "define", name, "--memory", "512M", "--vcpus",
         "1", "--hugepages", "no", "--emulated", "--disk", "/d", "--firmware",
         "bios", "--json", *conf_dir()], stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, text=True) for name in names]
    cids = [vmlib.last_json(job.communicate(timeout=vmlib.HANG_S)[0])["cid"]
            for job in jobs]
    for name in names:
        vm("undefine", name, *conf_dir())
    assert len(set(cids)) == len(names), cids


def case_define_foreign():
    """a domain of that name that somebody else made is never overwritten"""
    path = os.path.join(TMP, "other.xml")
    with open(path, "w") as f:
        f.write("<domain type='qemu'><name>%s</name><memory unit='MiB'>512"
                "</memory><vcpu>1</vcpu><os><type arch='x86_64' machine='q35'>"
                "hvm</type><kernel>%s</kernel><initrd>%s</initrd><cmdline>%s"
                "</cmdline></os><cpu mode='maximum'/><memoryBacking><source "
                "type='memfd'/><access mode='shared'/></memoryBacking>"
                "<devices><serial type='pty'/><video><model type='none'/>"
                "</video></devices></domain>" %
                (OTHER, os.path.join(vmlib.IMAGE, "vmlinuz"),
                 os.path.join(vmlib.IMAGE, "initrd.img"),
                 WORDS + " penstock.power=button"))
    virsh("define", path)
    before = virsh("dumpxml", OTHER)
    out = vm("define", *describe(OTHER), *conf_dir(), code=1)
    has(out.stderr, "not Penstock's")
    out = vm("undefine", OTHER, *conf_dir(), code=1)
    has(out.stderr, "not Penstock's")
    out = vm("start", OTHER, code=1)
    has(out.stderr, "not Penstock's")
    assert virsh("dumpxml", OTHER) == before
    assert not os.path.exists(conf("endpoints.d", OTHER))


def case_stand_in():
    """a device that the user adds stays, and the domain stays ours"""
    ET.register_namespace("qemu", QEMU_NS.strip("{}"))
    ET.register_namespace("penstock", "urn:penstock:domain:1")
    root = ET.fromstring(virsh("dumpxml", "--inactive", NAME))
    line = root.find(QEMU_NS + "commandline")
    for arg in ("-device", "edu,bus=pcie.0,addr=0x1b"):
        ET.SubElement(line, QEMU_NS + "arg", value=arg)
    path = os.path.join(TMP, "edu.xml")
    ET.ElementTree(root).write(path)
    virsh("define", path)
    assert status(NAME)["ours"] is True


def case_start():
    """start --wait makes the region, and returns when the agent answers"""
    out = vm("start", NAME, "--wait", "--timeout", BOOT, "--json",
             timeout=4 * vmlib.BOOT_S)
    r = vmlib.last_json(out.stdout)
    print("# %.1f s" % r["seconds"])
    assert r["region_created"] is True and r["agent_answers"] is True, r
    assert r["health"]["healthy"] is True, r
    has(virsh("qemu-monitor-command", NAME, "--hmp", "info pci"), "1234:11e8")


def case_endpoint():
    """the agent is reached by the domain's name, and multiplies"""
    has(penstock("-e", NAME, "ping", "-c", "3").stdout, "ring (NOP)")
    info = vmlib.last_json(penstock("-e", NAME, "info", "--json").stdout)
    assert info["agent"]["provider"] == "dax", info["agent"]
    assert info["agent"]["caching"] == "WB", info["agent"]
    a, c = os.path.join(TMP, "a.npy"), os.path.join(TMP, "c.npy")
    numpy.save(a, numpy.arange(64 * 64, dtype="f4").reshape(64, 64))
    penstock("-e", NAME, "gemm", a, a, "-o", c, "--verify")
    x = numpy.load(a).astype("f8")
    assert numpy.allclose(numpy.load(c), x @ x, rtol=1e-5)


def case_status():
    """status shows domain, region and agent in one view"""
    s = status(NAME)
    assert s["state"] == "running" and s["ours"] is True, s
    assert s["region"]["usable"] is True and s["region"]["size"] == REGION, s
    assert s["agent"]["healthy"] is True, s
    has(vm("status", NAME).stdout, "agent.healthy")


def case_autostart_and_list():
    """autostart is set and shown; list shows ours, --all the others too"""
    has(vm("autostart", NAME, "on").stdout, "autostart on")
    has(vm("autostart", NAME).stdout, "autostart on")
    r = vmlib.last_json(vm("list", "--json").stdout)["domains"]
    assert [d["name"] for d in r] == [NAME] and r[0]["autostart"] is True, r
    r = vmlib.last_json(vm("list", "--json", "--all").stdout)["domains"]
    assert sorted(d["name"] for d in r) == [OTHER, NAME], r
    has(vm("autostart", NAME, "off").stdout, "autostart off")


def case_busy():
    """what runs is neither started again nor undefined"""
    has(vm("start", NAME, code=1).stderr, "runs already")
    has(vm("undefine", NAME, *conf_dir(), code=1).stderr, "stop")


def stop(name, said):
    """Stops a domain that hears that; how."""
    out = vm("stop", name, "--timeout", "%ds" % vmlib.HANG_S, "--json")
    has(out.stderr, said)
    how = vmlib.last_json(out.stdout)
    print("# off after %.1f s" % how["seconds"])
    assert status(name)["state"] == "off"
    return how["how"]


def case_stop_asks():
    """stop asks the guest first; one that does not listen runs on"""
    out = vm("stop", NAME, "--timeout", "2s", code=1)
    has(out.stderr, "ACPI", "--force")
    assert status(NAME)["state"] == "running"


def case_paused():
    """a guest that is paused cannot be asked, which is said"""
    virsh("suspend", NAME)
    s = status(NAME, code=4)
    assert s["agent"]["reason"] == "the domain is paused", s
    has(vm("stop", NAME, "--timeout", "2s", code=1).stderr, "paused")
    virsh("resume", NAME)


def case_stop_force():
    """stop --force ends it then, and says so"""
    begin = time.monotonic()
    out = vm("stop", NAME, "--timeout", "1s", "--force")
    has(out.stdout, "was destroyed")
    assert time.monotonic() - begin < vmlib.HANG_S
    s = status(NAME)
    assert s["state"] == "off" and s["agent"]["reachable"] is False, s
    assert s["agent"]["reason"] == "the domain is off", s
    has(vm("stop", NAME).stdout, "does not run")


def case_stale_region():
    """a region of another size is named instead of a QEMU that ends"""
    path = region(NAME)
    os.unlink(path)
    penstock("host", "region", "create", NAME, "--size", "32M", "--path", DIR)
    has(vm("start", NAME, code=1).stderr, "32", "64", "remove it")
    os.unlink(path)


def case_crash():
    """start --wait ends with the guest, long before its time is over"""
    with vsock_daemon(NAME):
        waiter = subprocess.Popen(
            [vmlib.PENSTOCK, "vm", "start", NAME, "--wait", "--timeout", BOOT],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        vmlib.eventually(
            lambda: "running" in virsh("domstate", NAME), vmlib.HANG_S,
            "the domain runs")
        virsh("destroy", NAME)
        out, err = waiter.communicate(timeout=vmlib.HANG_S)
    assert waiter.returncode == 1, (out, err)
    has(err, "ended before its agent answered")


def case_patch_shows():
    """patch shows what a domain of others lacks, and changes nothing"""
    before = virsh("dumpxml", "--inactive", OTHER)
    args = ("--region", str(REGION), "--region-via", "ivshmem",
            "--region-path", region(OTHER)) + vsock(OTHER)
    out = vm("patch", OTHER, *args)
    lines = [x for x in out.stdout.splitlines()
             if x.startswith("-") and not x.startswith("---")]
    assert "indented anew" not in out.stderr, out.stderr
    # The root element gets a namespace; all else is added.
    assert len(lines) == 1 and lines[0].startswith("-<domain "), out.stdout
    has(out.stdout, "+  <metadata>", "penstock-region", "guest_agent")
    assert virsh("dumpxml", "--inactive", OTHER) == before
    vm("patch", OTHER, *args, "--apply", *conf_dir())
    again = vm("patch", OTHER, *args)
    assert again.stdout == "", again.stdout
    has(again.stderr, "nothing is missing")


def case_patch_secrets():
    """patch shows no password, and the domain keeps it"""
    path = os.path.join(TMP, "secret.xml")
    with open(path, "w") as f:
        f.write("<domain type='qemu'><name>secret</name><memory unit='MiB'>512"
                "</memory><os><type arch='x86_64' machine='q35'>hvm</type></os>"
                "<devices><graphics type='vnc' passwd='geheim'/></devices>"
                "</domain>")
    virsh("define", path)
    out = vm("patch", "secret", "--region", str(REGION), "--region-path",
             region("secret"), "--apply", *conf_dir())
    assert "geheim" not in out.stdout + out.stderr, out.stdout
    has(virsh("dumpxml", "--security-info", "secret"), "passwd='geheim'",
        "urn:penstock:domain:1")
    vm("undefine", "secret", *conf_dir())


def case_patched_runs():
    """a patched domain starts; its console shows the boot; the agent answers;
    stop presses the power button, and returns when the guest is off"""
    with vsock_daemon(OTHER):
        vm("start", OTHER)
        console = subprocess.Popen([vmlib.PENSTOCK, "vm", "console", OTHER],
                                   stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE)
        seen = b""
        while b"penstock-init: ready" not in seen:
            data = os.read(console.stdout.fileno(), 4096)
            assert data, seen
            seen += data
        console.stdin.write(b"\x1d")
        console.stdin.close()
        assert console.wait(timeout=vmlib.HANG_S) == 0
        vm("start", OTHER, "--wait", "--timeout", BOOT,
           timeout=4 * vmlib.BOOT_S)
        info = vmlib.last_json(penstock("-e", OTHER, "info", "--json").stdout)
        assert info["agent"]["provider"] == "ivshmem", info["agent"]
        assert stop(OTHER, "ACPI") == "acpi"


def case_uefi():
    """a domain boots by OVMF with its own copy of the variables, which goes
    with it; stop asks by the guest agent where one is connected"""
    name = "uefi"
    args = list(describe(name, "--firmware", "auto"))
    args[args.index("--append") + 1] = WORDS + " penstock.power=agent"
    out = vmlib.penstock("vm", "define", *args, *conf_dir(), "--json")
    if out.returncode and "(OVMF)" in out.stderr:
        print("# no OVMF here")
        return
    r = vmlib.last_json(out.stdout)
    assert r["region"]["via"] == "nvdimm", r
    root = ET.fromstring(virsh("dumpxml", "--inactive", name))
    nvram = root.find("os/nvram")
    assert not os.path.exists(nvram.text), nvram.text
    with vsock_daemon(name):
        out = vm("start", name, "--wait", "--timeout", BOOT, "--json",
                 timeout=4 * vmlib.BOOT_S)
        print("# %.1f s" % vmlib.last_json(out.stdout)["seconds"])
        assert os.path.getsize(nvram.text) == \
            os.path.getsize(nvram.get("template"))
        info = vmlib.last_json(penstock("-e", name, "info", "--json").stdout)
        assert info["agent"]["provider"] == "dax", info["agent"]
        assert info["agent"]["caching"] == "WB", info["agent"]
        assert stop(name, "the guest agent") == "guest agent"
    vm("undefine", name, *conf_dir())
    assert not os.path.exists(nvram.text), nvram.text


def case_hint():
    """a start that fails for want of hugepages says what to do"""
    name = "huge"
    args = list(describe(name, "--region-via", "shmem", "--region-path",
                         SHM + "/penstock-huge"))
    args[args.index("--hugepages") + 1] = "later"
    vm("define", *args, *conf_dir())
    with vsock_daemon(name):
        out = vm("start", name, code=1)
    has(out.stderr, "huge does not start", "hint: ", "pool")
    # Nor for one who may start domains and not read their regions. The clone
    # may lie where only root may look.
    for source in vmlib.PENSTOCK, MODULE:
        to = os.path.join(TMP, "all", os.path.relpath(source, vmlib.BUILD))
        os.makedirs(os.path.dirname(to))
        shutil.copy(source, to)
    os.chmod(TMP, 0o711)
    out = run("setpriv", "--reuid=65534", "--clear-groups",
              TMP + "/all/host-client/penstock", "vm", "start", name,
              check=False)
    has(out.stderr, "huge does not start")
    vm("undefine", name, *conf_dir())


def empty_qcow2(path):
    """An image of 1 MiB, as qemu-img makes it (QEMU's docs/interop/qcow2):
    header, reference counts, L1 table, of four clusters."""
    kib64 = 1 << 16
    head = struct.pack(">4sIQIIQIIQQIIQ", b"QFI\xfb", 2, 0, 0, 16, 1 << 20, 0,
                       1, 3 * kib64, kib64, 1, 0, 0)
    with open(path, "wb") as f:
        for cluster in (head, struct.pack(">Q", 2 * kib64),
                        struct.pack(">4H", 1, 1, 1, 1), b""):
            f.write(cluster.ljust(kib64, b"\0"))


def tutorial(verb):
    """The words of the first `penstock vm VERB` of penstock-tutorial(7)."""
    with open(os.path.join(vmlib.SRC, "host-client",
                           "penstock-tutorial.7.scd")) as f:
        text = f.read().replace("\\\\\n", " ")
    return shlex.split(text.split("\npenstock vm %s " % verb)[1].
                       split("\n")[0])


def case_tutorial():
    """the tutorial's guest is defined, started and stopped by its commands;
    here it is emulated, without a network, and its disk is empty"""
    words = tutorial("define")
    name, disk = words[0], words[words.index("--disk") + 1]
    at = words.index("--network")
    del words[at:at + 2]
    os.makedirs(os.path.dirname(disk))
    empty_qcow2(disk)
    out = vmlib.penstock("vm", "define", *words, "--emulated",
                         "--region-path", region(name), *vsock(name),
                         *conf_dir())
    if out.returncode and "(OVMF)" in out.stderr:
        print("# no OVMF here")
        return
    has(out.stdout, name + " is defined", "--wait " + name)
    with vsock_daemon(name):
        vm(*["start"] + tutorial("start"))
        s = status(name, code=4)
        assert s["state"] == "running" and s["ours"] is True, s
        assert s["region"]["size"] == 1 << 30, s
        vm(*["stop"] + tutorial("stop"), "--force", "--timeout", "1s")
    assert status(name)["state"] == "off"
    vm("undefine", name, *conf_dir())
    os.unlink(disk)


def case_undefine():
    """undefine takes back what define did, and nothing else"""
    with open(conf("endpoints.d", "mine"), "w") as f:
        f.write("endpoint = spawn:\n")
    for name in (NAME, OTHER):
        vm("undefine", name, *conf_dir())
        assert not os.path.exists(region(name))
        assert not os.path.exists(conf("endpoints.d", name))
        assert not os.path.exists(conf("regions.d", name))
    assert os.path.exists(conf("endpoints.d", "mine"))
    assert virsh("list", "--all", "--name").split() == []
    has(vm("status", NAME, code=1).stderr, "no domain")


@contextlib.contextmanager
def own_etc():
    """/etc is a copy, and systemd seems to run, with a systemctl that notes
    what it is told."""
    copy = os.path.join(TMP, "etc")
    run("cp", "-a", "/etc", copy)
    run("mount", "--bind", copy, "/etc")
    os.makedirs("/run/systemd/system")
    tools = os.path.join(TMP, "bin")
    os.makedirs(tools)
    with open(os.path.join(tools, "systemctl"), "w") as f:
        f.write('#!/bin/sh\necho "$*" >>%s/systemctl.calls\n' % TMP)
    os.chmod(os.path.join(tools, "systemctl"), 0o755)
    path = os.environ["PATH"]
    os.environ["PATH"] = tools + ":" + path
    try:
        yield
    finally:
        os.environ["PATH"] = path
        os.rmdir("/run/systemd/system")
        run("umount", "-l", "/etc")


def case_system():
    """without --conf-dir it is /etc/penstock, and the unit is enabled; where
    that is read-only, it is said what to put there"""
    name = "etc"
    with own_etc():
        vm("define", *describe(name))
        for kind, line in (("endpoints.d", "endpoint = "),
                           ("regions.d", "SIZE=64M")):
            with open("/etc/penstock/%s/etc.conf" % kind) as f:
                has(f.read(), line)
        with open(os.path.join(TMP, "systemctl.calls")) as f:
            has(f.read(), "enable penstock-region@etc.service")
        # A region that the unit cannot make: a unit that was is taken back.
        other = list(describe(name))
        other[other.index("--region-path") + 1] = DIR + "/odd"
        vm("define", *other)
        assert not os.path.exists("/etc/penstock/regions.d/etc.conf")
        vm("define", *other)
        with open(os.path.join(TMP, "systemctl.calls")) as f:
            assert f.read().count("disable") == 1
        vm("undefine", name)
        assert not os.path.exists("/etc/penstock/endpoints.d/etc.conf")
        with open(os.path.join(TMP, "systemctl.calls")) as f:
            has(f.read(), "disable penstock-region@etc.service")
        # libvirtd wants to write to its own part of it.
        run("mount", "--bind", "/etc/penstock", "/etc/penstock")
        run("mount", "-o", "remount,bind,ro", "/etc/penstock")
        out = vm("define", *describe("frozen"), code=1)
        has(out.stderr, "Read-only file system",
            "/etc/penstock/endpoints.d/frozen.conf has to hold:",
            "endpoint = vsock-uds:", "SIZE=64M")
        has(virsh("list", "--all", "--name"), "frozen")
        vm("undefine", "frozen")
        run("umount", "-l", "/etc/penstock")


def case_no_libvirtd():
    """a libvirtd that is not there is said in one line, exit 4"""
    out = vm("list", "--uri", "qemu:///system?socket=%s/none" % TMP, code=4)
    assert len(out.stderr.splitlines()) == 1, out.stderr


def inside():
    global TMP
    TMP = tempfile.mkdtemp(prefix="pst-libvirt-")
    # Four guests are booted, one of them by an emulated OVMF.
    vmlib.PROGRAM_S = 1800
    tap = vmlib.Tap()
    try:
        if not tap.run(start_libvirtd):
            return tap.done()
        os.makedirs(os.path.join(TMP, "penstock", "endpoints.d"))
        os.environ["XDG_CONFIG_HOME"] = TMP
        cases = {k[5:]: v for k, v in globals().items()
                 if k.startswith("case_")}
        living = ("start", "endpoint", "status", "autostart_and_list", "busy",
                  "stop_asks", "paused", "stop_force")
        for name, case in cases.items():
            if name not in living:
                tap.run(case)
            elif name == living[0]:
                with vsock_daemon(NAME):
                    for step in living:
                        tap.run(cases[step])
        return tap.done()
    finally:
        if tap.failed:
            for log in glob.glob(TMP + "/*.log") + \
                    glob.glob("/var/log/libvirt/qemu/*.log"):
                with open(log, errors="replace") as f:
                    print("# ---- " + log)
                    for line in f.read().splitlines()[-40:]:
                        print("# " + line)
        if DIR != SHM:
            run("umount", "-l", DIR, check=False)
        shutil.rmtree(TMP, ignore_errors=True)


def main():
    if os.environ.get(INNER):
        return inside()
    vmlib.need_guest()
    if not os.path.exists(vmlib.VHOST_VSOCK) and \
            not shutil.which("vhost-device-vsock"):
        vmlib.skip("no vhost-device-vsock: make guest-tools")
    need_libvirt()
    return enter()


if __name__ == "__main__":
    sys.exit(main())
