# SPDX-License-Identifier: MIT
"""Products for asyncio: submitted, and collected when the library's descriptor
says so."""

import asyncio
import collections
import ctypes
import errno
import itertools

from . import _gemm, _library, errors

_MANY = 64
_numbers = itertools.count(1)


class Queue:
    """What is under way on a connection, of any event loop."""

    def __init__(self, handle):
        self.handle = handle
        # By number: the loop, its future, and what the operation uses.
        self.pending = {}
        # Futures of those that wait for a slot.
        self.waiting = collections.deque()
        self.readers = {}

    def submit(self, prepared):
        """(number, future) of a product that is under way; None: too many
        are."""
        library, number = self.handle.library, next(_numbers)
        tag = ctypes.c_uint64()
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        pointer = self.handle.gate.enter()
        try:
            # Before it: a completion may be collected by another thread.
            self.pending[number] = loop, future, prepared, tag
            code = library.pst_submit_gemm(
                pointer, ctypes.byref(prepared.gemm), number,
                ctypes.byref(tag))
            if code == -errno.EAGAIN and len(self.pending) > 1:
                self.forget(number)
                return None
            _library.check(pointer, code)
        except BaseException:
            self.forget(number)
            raise
        self.watch(loop)
        return number, future

    def forget(self, number):
        """The end of an operation: what it used is free."""
        if self.pending.pop(number, None) is not None:
            self.handle.gate.leave()

    def watch(self, loop):
        """Let the loop look at the descriptor as long as something of it is
        under way."""
        if loop not in self.readers:
            pointer = self.handle.gate.pointer
            fd = self.handle.library.pst_fd(pointer)
            _library.check(pointer, fd)
            self.readers[loop] = fd
            loop.add_reader(fd, self.collect, loop)
        loop.call_soon(self.collect, loop)

    def collect(self, loop=None):
        """Collect what is done, until the descriptor is armed."""
        library = self.handle.library
        # Of this call alone: threads collect at once.
        completions = (_library.Completion * _MANY)()
        while self.pending:
            pointer = self.handle.gate.hold()
            if pointer is None:
                break
            try:
                n = library.pst_poll(pointer, completions, _MANY)
                for done in completions[:max(n, 0)]:
                    self.finish(pointer, done)
                if n <= 0 and self.pending and library.pst_arm(pointer) <= 0:
                    break
            finally:
                self.handle.gate.leave()
        if not self.pending:
            self.wake()
        if loop is not None and not any(
                entry[0] is loop for entry in list(self.pending.values())):
            fd = self.readers.pop(loop, None)
            if fd is not None:
                loop.remove_reader(fd)

    def finish(self, pointer, done):
        entry = self.pending.get(done.user_data)
        if entry is None:
            return
        loop, future, _, _ = entry
        error = None
        if done.status < 0:
            error = self.error(pointer, done)
        self.forget(done.user_data)
        self.wake()
        _soon(loop, _set, future, error)

    def wake(self):
        """Let those try again that wait for a slot."""
        while self.waiting:
            try:
                loop, waiter = self.waiting.popleft()
            except IndexError:
                # Another thread's.
                break
            _soon(loop, _set, waiter, None)

    def error(self, pointer, done):
        library = self.handle.library
        text = ctypes.create_string_buffer(_library.SENTENCE_SIZE)
        if (done.status in (-errno.ECONNRESET, -errno.ESTALE) or
                library.pst_failure(pointer, done.tag, text, len(text)) < 0):
            text.value = library.pst_strerror(done.status)
        return errors.make(done.status, text.value.decode("utf-8", "replace"))

    def cancel(self, number):
        """Ask the agent to end an operation; it is still under way."""
        entry, pointer = self.pending.get(number), self.handle.gate.hold()
        if pointer is None:
            return
        if entry is not None:
            self.handle.library.pst_cancel(pointer, entry[3].value)
        self.handle.gate.leave()

    async def room(self):
        """Wait until a slot may be free."""
        loop = asyncio.get_running_loop()
        waiter = loop.create_future()
        self.waiting.append((loop, waiter))
        self.watch(loop)
        await waiter


def _set(future, error):
    if future.done():
        return
    if error is None:
        future.set_result(None)
    else:
        future.set_exception(error)


def _soon(loop, function, *args):
    try:
        loop.call_soon_threadsafe(function, *args)
    except RuntimeError:
        # The loop is closed: nobody waits for it any more.
        pass


async def gemm(handle, call, timeout):
    """Connection.gemm_async()."""
    if _gemm.is_empty(call.c):
        return call.result
    loop = asyncio.get_running_loop()
    try:
        prepared = _gemm.Prepared(handle, call.element, call.a, call.b,
                                  call.c, call.options, anywhere=False)
    except errors.NoRoomError:
        call.options["timeout_ns"] = _library.nanoseconds(timeout)
        return await loop.run_in_executor(None, call.run, handle)
    queue = handle.queue
    if queue is None:
        queue = handle.queue = Queue(handle)
    started = queue.submit(prepared)
    while started is None:
        await queue.room()
        started = queue.submit(prepared)
    number, future = started
    try:
        await asyncio.wait_for(future, timeout)
    except asyncio.TimeoutError:
        queue.cancel(number)
        raise errors.make(-errno.ETIMEDOUT, f"the product took longer than "
                          f"{timeout} s") from None
    except asyncio.CancelledError:
        queue.cancel(number)
        raise
    prepared.finish()
    return call.result
