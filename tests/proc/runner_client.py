# SPDX-License-Identifier: MIT
"""The agent's side of guest-agent/runner/runner.h, for tests of the runner."""
import ctypes
import mmap
import os
import socket
import subprocess
import struct

VERSION = 3
START, READY, LOAD, LOADED, UNLOAD, UNLOADED = range(1, 7)
IO, RANK, FILES, SYMBOLS, TEXT, NAME = 64, 8, 8, 64, 384, 128
IN_PLACE, TOO_SMALL = 1, 2
u16, u32, i32 = ctypes.c_uint16, ctypes.c_uint32, ctypes.c_int32
u64, i64, text = ctypes.c_uint64, ctypes.c_int64, ctypes.c_char


class Start(ctypes.Structure):
    _fields_ = [("type", u32), ("version", u32), ("map_off", u64),
                ("map_size", u64), ("threads", u32), ("gpu", u32),
                ("gpu_memory", u64), ("max_memory", u64), ("library", text * 256)]


class Ready(ctypes.Structure):
    _fields_ = [("type", u32), ("status", i32), ("text", text * TEXT),
                ("version", text * 32), ("api", u32), ("threads", u32),
                ("tid", i32),
                ("reserved0", u32)]


class File(ctypes.Structure):
    _fields_ = [("name", text * 64), ("size", u64)]


class Shape(ctypes.Structure):
    _fields_ = [("known", u32), ("rank", u32), ("dim", i64 * RANK)]


class Load(ctypes.Structure):
    _fields_ = [("type", u32), ("n_files", u32), ("id", u64),
                ("provider", u32), ("reserved0", u32),
                ("file", File * FILES), ("warm", Shape * IO)]


class Tensor(ctypes.Structure):
    _fields_ = [("name", text * NAME), ("elem", u32), ("rank", u32),
                ("dim", i64 * RANK), ("symbol", u16 * RANK)]


class Loaded(ctypes.Structure):
    _fields_ = [("type", u32), ("status", i32), ("id", u64),
                ("text", text * TEXT), ("n_in", u32), ("n_out", u32),
                ("n_symbols", u32), ("provider", u32),
                ("note", text * 256), ("load_ns", u64),
                ("first_ns", u64), ("second_ns", u64),
                ("io", Tensor * (2 * IO)), ("symbol", text * 64 * SYMBOLS)]


class Unload(ctypes.Structure):
    _fields_ = [("type", u32), ("reserved0", u32), ("id", u64)]


class Unloaded(ctypes.Structure):
    _fields_ = [("type", u32), ("status", i32), ("id", u64)]


class Io(ctypes.Structure):
    _fields_ = [("slot", u32), ("elem", u32), ("rank", u32), ("flags", u32),
                ("off", u64), ("size", u64), ("bytes", u64),
                ("dim", i64 * RANK)]


class Call(ctypes.Structure):
    _fields_ = [("id", u64), ("n_in", u32), ("n_out", u32),
                ("io", Io * (2 * IO)), ("status", i32), ("cpu", u32),
                ("compute_ns", u64), ("copied", u64), ("text", text * TEXT)]


class Word(ctypes.Structure):
    _fields_ = [("value", u64), ("pad", ctypes.c_uint8 * 56)]


class Mailbox(ctypes.Structure):
    _fields_ = [("submitted", Word), ("cancel", Word), ("done", Word),
                ("call", Call * 2)]


class RunnerError(Exception):
    """An answer with a status other than 0."""

    def __init__(self, status, sentence):
        super().__init__(sentence)
        self.errno = -status


class Runner:
    """A runner process, its arena of size bytes, and calls to it."""

    def __init__(self, program, library="", size=64 << 20, threads=1,
                 max_memory=0, gpu=0, gpu_memory=0):
        ours, theirs = socket.socketpair(socket.AF_UNIX,
                                         socket.SOCK_SEQPACKET)
        self.socket = ours
        arena = os.memfd_create("arena")
        os.ftruncate(arena, size)
        self.arena = mmap.mmap(arena, size)
        box = os.memfd_create("mailbox")
        os.ftruncate(box, ctypes.sizeof(Mailbox))
        self.box_map = mmap.mmap(box, ctypes.sizeof(Mailbox))
        self.box = Mailbox.from_buffer(self.box_map)
        self.door, self.bell, self.stop = (os.eventfd(0) for _ in range(3))
        self.process = subprocess.Popen(
            [program], stdin=subprocess.DEVNULL, close_fds=True,
            pass_fds=[3], preexec_fn=lambda: os.dup2(theirs.fileno(), 3))
        theirs.close()
        start = Start(START, VERSION, 0, size, threads, gpu, gpu_memory,
                      max_memory, library.encode())
        socket.send_fds(ours, [bytes(start)],
                        [arena, box, self.door, self.bell, self.stop])
        os.close(arena)
        os.close(box)
        self.calls = 0
        self.next_id = 0
        try:
            self.ready = self.answer(Ready)
        except RunnerError:
            self.close()
            raise

    def answer(self, kind):
        data = self.socket.recv(1 << 17)
        if len(data) != ctypes.sizeof(kind):
            raise EOFError("the runner has ended")
        reply = kind.from_buffer_copy(data)
        if reply.status:
            raise RunnerError(reply.status, getattr(reply, "text", b"").decode(
                errors="replace"))
        return reply

    def load(self, model, files=None, provider=0):
        """model: bytes of the graph; files: a dict of names and bytes."""
        self.next_id += 1
        request = Load(LOAD, 0, self.next_id, provider)
        fds = []
        for name, data in [("", model)] + list((files or {}).items()):
            fd = os.memfd_create("file")
            os.write(fd, data)
            fds.append(fd)
            request.file[request.n_files] = File(name.encode(), len(data))
            request.n_files += 1
        try:
            socket.send_fds(self.socket, [bytes(request)], fds)
            return self.answer(Loaded)
        finally:
            for fd in fds:
                os.close(fd)

    def unload(self, model):
        self.socket.send(bytes(Unload(UNLOAD, 0, model.id)))
        return self.answer(Unloaded)

    def submit(self, model, inputs, rooms):
        """inputs: (slot, elem, dims, bytes); rooms: (slot, bytes of room)."""
        self.calls += 1
        call = self.box.call[self.calls % 2]
        call.id, call.n_in, call.n_out = model.id, len(inputs), len(rooms)
        at = 0
        for i, (slot, elem, dims, data) in enumerate(inputs):
            self.arena[at:at + len(data)] = data
            call.io[i] = Io(slot, elem, len(dims), 0, at, len(data), 0,
                            (i64 * RANK)(*dims))
            at += (len(data) + 63) // 64 * 64
        for i, (slot, room) in enumerate(rooms):
            call.io[len(inputs) + i] = Io(slot, 0, 0, 0, at, room, 0)
            at += (room + 63) // 64 * 64
        self.box.submitted.value = self.calls
        os.write(self.door, struct.pack("Q", 1))
        return call

    def wait(self):
        while self.box.done.value < self.calls:
            os.read(self.bell, 8)

    def cancel(self):
        self.box.cancel.value = self.calls
        os.write(self.stop, struct.pack("Q", 1))

    def outputs(self, call):
        """(rank, dims, bytes, flags) of each output of a call that is done."""
        if call.status:
            raise RunnerError(call.status, call.text.decode(errors="replace"))
        return [(o.rank, tuple(o.dim[:o.rank]),
                 self.arena[o.off:o.off + o.bytes], o.flags)
                for o in call.io[call.n_in:call.n_in + call.n_out]]

    def run(self, model, inputs, rooms):
        call = self.submit(model, inputs, rooms)
        self.wait()
        return self.outputs(call)

    def close(self):
        self.socket.close()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        for fd in (self.door, self.bell, self.stop):
            os.close(fd)

    def __enter__(self):
        return self

    def __exit__(self, *args):
        self.close()
