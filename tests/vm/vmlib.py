# SPDX-License-Identifier: MIT
"""A throw-away guest for tests: started by penstock demo --keep, its debug
console and QMP, and TAP with a result for each case."""
import atexit
import contextlib
import glob
import json
import mmap
import os
import re
import shlex
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import traceback
from urllib.parse import parse_qs, unquote, urlsplit

BUILD = os.environ.get("PST_TOP_BUILDDIR", os.getcwd())
SRC = os.environ.get("PST_TOP_SRCDIR", os.path.dirname(os.path.dirname(
    os.path.dirname(os.path.abspath(__file__)))))
PENSTOCK = os.path.join(BUILD, "host-client", "penstock")
LIBRARY = os.path.join(BUILD, "host-client", ".libs", "libpenstock.so.0")
IMAGE = os.environ.get("PENSTOCK_GUEST_IMAGE",
                       os.path.join(BUILD, "guest-agent", "image"))
VHOST_VSOCK = os.environ.get(
    "PENSTOCK_VHOST_VSOCK",
    os.path.join(BUILD, "tools/vhost-device-vsock/usr/bin/vhost-device-vsock"))
# "auto" tries KVM before each boot; a whole run may say tcg.
ACCEL = os.environ.get("PST_VM_ACCEL", "auto")
# A guest boots in 5 to 15 s when nothing else runs, a command takes less than
# one: these end what hangs, not what is slow.
BOOT_S = 150
HANG_S = 120
# What tests start is ended by signals, also where ours are ignored.
for number in signal.SIGHUP, signal.SIGTERM:
    signal.signal(number, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)
# A place of our own: other demos of this user are none of ours.
RUNTIME = tempfile.mkdtemp(prefix="pst-vm-")
os.environ["XDG_RUNTIME_DIR"] = RUNTIME
atexit.register(shutil.rmtree, RUNTIME, True)
# Time a test program may take in all: a guest that hangs must not hang CI.
PROGRAM_S = 1200


def skip(reason):
    print("1..0 # SKIP " + reason)
    sys.exit(77)


def need_guest():
    """Ends the program with 77 if this machine cannot run the guest."""
    if not (os.environ.get("PENSTOCK_QEMU") or
            shutil.which("qemu-system-x86_64")):
        skip("no qemu-system-x86_64 on this machine")
    if not os.path.exists(os.path.join(IMAGE, "initrd.img")):
        skip("no guest image in %s: make guest-image" % IMAGE)
    if not (os.path.exists(VHOST_VSOCK) or
            shutil.which("vhost-device-vsock") or
            os.access("/dev/vhost-vsock", os.R_OK | os.W_OK)):
        skip("neither /dev/vhost-vsock nor vhost-device-vsock: "
             "make guest-tools")


def build_module(source):
    """Compiles a kernel module for the image's kernel; its path, or None and
    a line that says why not."""
    for modules in glob.glob(os.path.join(BUILD, "tools/kernel/lib/modules/*")):
        version = os.path.basename(modules)
        out = os.path.join(BUILD, "tests/vm/kmod")
        done = subprocess.run(
            [os.path.join(SRC, "guest-agent/kmod/build-module"), "-o", out,
             "--tools", os.path.join(BUILD, "tools"), "--kernel", version,
             "--source", os.path.join(SRC, source)],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            timeout=400, check=False)
        found = glob.glob(os.path.join(out, version, "*.ko"))
        if done.returncode == 0 and found:
            return found[0]
        print("# " + done.stdout.strip())
    return None


def image_has_own_module():
    return bool(glob.glob(os.path.join(
        BUILD, "guest-agent/kmod/*/penstock_bar.ko")))


def add_to_image(files):
    """From now on guests boot an image with these files too, a dict of paths
    in the guest to files here. The kernel takes a second archive behind the
    first."""
    image = os.path.join(RUNTIME, "image")
    root = os.path.join(RUNTIME, "root")
    os.makedirs(image)
    for path, source in files.items():
        to = os.path.join(root, path.lstrip("/"))
        os.makedirs(os.path.dirname(to), exist_ok=True)
        shutil.copy(source, to)
        os.chmod(to, 0o755)
    names = "\0".join(
        os.path.relpath(os.path.join(d, x), root)
        for d, dirs, plain in os.walk(root) for x in dirs + plain)
    archive = subprocess.run(
        ["cpio", "-o", "-0", "-H", "newc", "-R", "0:0", "--quiet"], cwd=root,
        input=names.encode(), stdout=subprocess.PIPE, check=True).stdout
    os.symlink(os.path.join(IMAGE, "vmlinuz"), os.path.join(image, "vmlinuz"))
    with open(os.path.join(IMAGE, "initrd.img"), "rb") as f, \
            open(os.path.join(image, "initrd.img"), "wb") as g:
        g.write(f.read())
        g.write(archive)
    os.environ["PENSTOCK_GUEST_IMAGE"] = image


def add_to_qemu(*args):
    """From now on QEMU gets these arguments too."""
    qemu = (os.environ.get("PENSTOCK_QEMU") or
            shutil.which("qemu-system-x86_64"))
    path = os.path.join(RUNTIME, "qemu-%d" % len(os.listdir(RUNTIME)))
    with open(path, "w") as f:
        f.write("#!/bin/sh\nexec %s \"$@\" %s\n" %
                (shlex.quote(qemu), " ".join(shlex.quote(a) for a in args)))
    os.chmod(path, 0o755)
    os.environ["PENSTOCK_QEMU"] = path


class Tap:
    """Runs cases in order; a case is a function whose docstring is the
    sentence, which fails by an exception."""

    def __init__(self):
        self.count = 0
        self.failed = 0
        signal.signal(signal.SIGALRM, self.out_of_time)
        signal.alarm(PROGRAM_S)

    @staticmethod
    def out_of_time(*unused):
        raise TimeoutError("the program ran for %d s" % PROGRAM_S)

    def run(self, case, *args):
        begin = time.monotonic()
        self.count += 1
        sentence = " ".join((case.__doc__ or case.__name__).split())
        try:
            case(*args)
            result = "ok"
        except Exception:
            result = "not ok"
            self.failed += 1
            for line in traceback.format_exc().splitlines():
                print("# " + line)
        print("%s %d - %s # %.1f s" % (result, self.count, sentence,
                                       time.monotonic() - begin), flush=True)
        return result == "ok"

    def done(self):
        print("1..%d" % self.count, flush=True)
        return 1 if self.failed or not self.count else 0


def eventually(look, seconds, what):
    """Waits until look() is true; its value."""
    deadline = time.monotonic() + seconds
    while True:
        value = look()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError("after %s s still not: %s" % (seconds, what))
        time.sleep(0.05)


def alive(pid):
    """Whether a process runs; a zombie nobody reaps does not count."""
    try:
        with open("/proc/%d/stat" % pid) as f:
            return f.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def penstock(*args, timeout=120, **kwargs):
    """Runs the command; its CompletedProcess."""
    return subprocess.run([PENSTOCK, *args], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, timeout=timeout,
                          check=False, **kwargs)


def last_json(text):
    return json.loads(text.strip().splitlines()[-1])


class Endpoint:
    """What an endpoint's text says: how to reach the socket, the region."""

    def __init__(self, uri):
        parts = urlsplit(uri)
        self.uri = uri
        self.region = parse_qs(parts.query)["region"][0]
        self.scheme = parts.scheme
        if parts.scheme == "vsock":
            cid, port = parts.netloc.split(":")
            self.address = (int(cid), int(port))
        else:
            path, port = parts.path.rsplit(":", 1)
            self.address = (unquote(path), int(port))

    def connect(self, timeout=HANG_S):
        """A socket to the agent, past the CONNECT handshake."""
        where, port = self.address
        if self.scheme == "vsock":
            s = socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)
            s.settimeout(timeout)
            s.connect((where, port))
            return s
        s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        s.settimeout(timeout)
        s.connect(where)
        s.sendall(b"CONNECT %d\n" % port)
        line = b""
        while not line.endswith(b"\n"):
            byte = s.recv(1)
            if not byte:
                raise ConnectionResetError("handshake: %r" % line)
            line += byte
        if not line.startswith(b"OK "):
            raise ConnectionError("handshake: %r" % line)
        return s


class Qmp:
    def __init__(self, path):
        self.s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.s.settimeout(HANG_S)
        self.s.connect(path)
        self.f = self.s.makefile("rw")
        self.f.readline()
        self.run("qmp_capabilities")

    def run(self, command):
        self.f.write(json.dumps({"execute": command}) + "\n")
        self.f.flush()
        while True:
            answer = json.loads(self.f.readline())
            if "error" in answer:
                raise RuntimeError(answer["error"]["desc"])
            if "return" in answer:
                return answer["return"]

    def close(self):
        self.f.close()
        self.s.close()


class Console:
    """The root shell on the guest's second serial line: no echo, and a marker
    behind each command says that it is over."""

    def __init__(self, path):
        self.s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.s.connect(path)
        self.buf = b""
        self.n = 0
        eventually(self.answers, HANG_S, "the debug console answers")

    def answers(self):
        """Whether the shell reads this line. What comes before it has opened
        the line is lost, or half of it is: so no bracket or quote is sent that
        would stay open, and swallow all that follows."""
        self.n += 1
        self.s.settimeout(HANG_S)
        self.s.sendall(b"\necho READY-%d\n" % self.n)
        deadline = time.monotonic() + 1
        while not re.search(rb"(^|\n)READY-%d\r?\n" % self.n, self.buf):
            if not self.receive(deadline):
                return False
        self.buf = b""
        return True

    def receive(self, deadline):
        """Waits for more in the buffer; whether there is."""
        left = deadline - time.monotonic()
        if left <= 0:
            return False
        self.s.settimeout(left)
        try:
            data = self.s.recv(65536)
        except socket.timeout:
            return False
        if not data:
            raise ConnectionResetError("the console closed")
        self.buf += data
        return True

    def run(self, command, timeout=HANG_S, check=True):
        """The command's output, stderr too; raises if it fails."""
        self.n += 1
        marker = b"END-%d-OF-COMMAND" % self.n
        self.s.settimeout(HANG_S)
        # Quotes split the marker, should the line ever be echoed.
        self.s.sendall(("{ %s\n} 2>&1; echo END-%d-OF'-'COMMAND $?\n" %
                        (command, self.n)).encode())
        deadline = time.monotonic() + timeout
        while True:
            found = re.search(re.escape(marker) + rb" (\d+)\r?\n", self.buf)
            if found:
                break
            if not self.receive(deadline):
                raise TimeoutError("%r gives %r" % (command, self.buf))
        text = self.buf[:found.start()].decode(errors="replace")
        self.buf = self.buf[found.end():]
        if check and int(found.group(1)):
            raise AssertionError("%r: status %s: %s" % (
                command, found.group(1).decode(), text))
        return text.replace("\r\n", "\n")

    def number(self, command, **kwargs):
        return int(self.run(command, **kwargs).split()[-1])


class Guest:
    """A kept demo with a debug console."""

    def __init__(self, *args, n=64):
        self.dir = None
        out = penstock("demo", "--keep", "--debug-console", "--json",
                       "--accel", ACCEL, "--n", str(n), "--timeout",
                       "%ds" % BOOT_S, *args, timeout=3 * BOOT_S)
        for line in out.stderr.splitlines():
            print("# " + line)
        if out.returncode:
            raise RuntimeError("penstock demo --keep: exit %d" %
                               out.returncode)
        self.result = last_json(out.stdout)
        self.dir = self.result["state"]
        atexit.register(self.stop)
        self.endpoint = Endpoint(self.result["endpoint"])
        self.qemu_pid = self.result["qemu_pid"]
        self._console = None

    def path(self, name):
        return os.path.join(self.dir, name)

    @property
    def console(self):
        if not self._console:
            self._console = Console(self.path("console.sock"))
        return self._console

    @contextlib.contextmanager
    def qmp(self):
        q = Qmp(self.path("qmp.sock"))
        try:
            yield q
        finally:
            q.close()

    def agent_pid(self):
        """The one that serves the region, the oldest if there are more."""
        return self.console.number(
            "pidof penstock-agent | tr ' ' '\\n' | sort -n | head -n 1")

    def serial(self):
        with open(self.path("serial.log"), errors="replace") as f:
            return f.read()

    def stop(self):
        if self.dir:
            penstock("demo", "--stop", self.dir)
            self.dir = None


# ---- Control frames, raw, to break the protocol with --------------------

FRAME = struct.Struct("<IHHIIIIQ")
MAGIC = 0x4b545350
CHALLENGE, HELLO, ERROR = 1, 2, 12
REPLY = 0x8000


def recv_exactly(s, n):
    data = b""
    while len(data) < n:
        part = s.recv(n - len(data))
        if not part:
            raise ConnectionResetError("the agent closed after %d of %d bytes"
                                       % (len(data), n))
        data += part
    return data


def recv_frame(s):
    """(type, status, payload) of the next frame."""
    head = FRAME.unpack(recv_exactly(s, FRAME.size))
    assert head[0] == MAGIC, head
    return head[2], head[5], recv_exactly(s, head[3])


def send_hello(s, challenge, nonce, version=1):
    epoch, slot = struct.unpack_from("<QI", challenge)
    payload = struct.pack("<IIQII16sII32s", version, 0, epoch, slot, 0, nonce,
                          os.getpid(), 0, b"raw")
    s.sendall(FRAME.pack(MAGIC, 1, HELLO, len(payload), 7, 0, 0, 0) + payload)


def nonce_of(region, challenge):
    """The nonce in the region's header: file offset 2 MiB + 1 KiB."""
    slot = struct.unpack_from("<QI", challenge)[1]
    with open(region, "rb") as f:
        with mmap.mmap(f.fileno(), 4 << 20, prot=mmap.PROT_READ) as m:
            off = (2 << 20) + 1024 + 64 * slot
            return bytes(m[off:off + 16])
