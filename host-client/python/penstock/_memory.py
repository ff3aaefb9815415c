# SPDX-License-Identifier: MIT
"""The C connection and its buffers: who keeps what alive."""

import contextlib
import ctypes
import errno
import os
import threading
import weakref

import numpy as np

from . import _interrupt, _library, errors

_SENTENCE_SIZE = 512


class Handle:
    """A struct pst *. It is closed when close() was called and nobody uses it
    any more: no call is under way and no buffer is alive, because pst_close()
    has to be the last call and ends all memory."""

    def __init__(self, library, pointer):
        self.library = library
        self._pointer = pointer
        self._pid = os.getpid()
        # Reentrant: a buffer can die, by garbage collection, at any point of
        # a thread that is in here.
        self._lock = threading.RLock()
        self._users = 0
        self._closing = False

    @property
    def closed(self):
        return self._closing

    @property
    def lost(self):
        with self._lock:
            if self._pointer is None or os.getpid() != self._pid:
                return True
            return self.library.pst_check(self._pointer) < 0

    def acquire(self):
        if os.getpid() != self._pid:
            raise errors.Error(errno.EBADF,
                               "the connection is another process's")
        with self._lock:
            if self._closing:
                raise errors.Error(errno.EBADF, "the connection is closed")
            self._users += 1
        if not _interrupt.armed:
            _interrupt.arm(self.library)
        return self._pointer

    def release(self):
        with self._lock:
            self._users -= 1
        self._close_if_last()

    def close(self):
        with self._lock:
            self._closing = True
        self._close_if_last()

    def _close_if_last(self):
        with self._lock:
            if not self._closing or self._users or self._pointer is None:
                return
            pointer, self._pointer = self._pointer, None
        if os.getpid() == self._pid:
            self.library.pst_close(pointer)

    @contextlib.contextmanager
    def using(self):
        """The pointer, valid within the block."""
        pointer = self.acquire()
        try:
            yield pointer
        finally:
            self.release()

    def check(self, pointer, code):
        """Raise what a negative result of a call in this thread means, or a
        signal's handler raised meanwhile."""
        if _interrupt.raised:
            _interrupt.check()
        if code >= 0:
            return
        text = ctypes.create_string_buffer(_SENTENCE_SIZE)
        self.library.pst_last_error(pointer, text, len(text))
        sentence = text.value or self.library.pst_strerror(code)
        raise errors.make(code, sentence.decode("utf-8", "replace"))

    def free(self, address):
        """End of a buffer, which has counted as a user."""
        if os.getpid() == self._pid:
            self.library.pst_free(self._pointer, address)
        self.release()


class Buffer:
    """Memory in the region, freed with the last array on it: numpy keeps the
    object that it took the memory from."""

    def __init__(self, handle, size):
        address = ctypes.c_void_p()
        pointer = handle.acquire()
        try:
            handle.check(pointer, handle.library.pst_alloc(
                pointer, size, ctypes.byref(address)))
        except BaseException:
            handle.release()
            raise
        self.handle = handle
        self.__array_interface__ = {
            "version": 3, "shape": (size,), "typestr": "|u1",
            "data": (address.value, False),
        }
        finalizer = weakref.finalize(self, handle.free, address.value)
        # At exit arrays may still be in use; the agent sees the end itself.
        finalizer.atexit = False

    def check(self):
        """Raises StaleError when the session is lost, and with it what was
        in here. It lives as long as this does, closed connection or not."""
        byte = ctypes.c_char()
        handle = self.handle
        if os.getpid() != handle._pid:
            raise errors.Error(errno.EBADF, "the array is another process's")
        handle.check(handle._pointer, handle.library.pst_take(
            handle._pointer, ctypes.byref(byte),
            self.__array_interface__["data"][0], 1))


def new_array(handle, shape, dtype, order):
    """An uninitialised array in the region."""
    dtype = np.dtype(dtype)
    if dtype.hasobject:
        raise TypeError("an array in the region cannot hold Python objects")
    if order not in ("C", "F"):
        raise ValueError(f"order {order!r} is neither 'C' nor 'F'")
    size = dtype.itemsize
    for n in shape:
        size *= n
    _library.check_size(size)
    raw = np.asarray(Buffer(handle, max(size, 1)))
    return raw[:size].view(dtype).reshape(shape, order=order)


def owner(array):
    """The Buffer that an array's memory is, of any connection, or None."""
    base = array
    while True:
        if isinstance(base, Buffer):
            return base
        if isinstance(base, np.ndarray):
            base = base.base
        elif isinstance(base, memoryview):
            base = base.obj
        else:
            return None


def lies_in(handle, array):
    """Whether an array's memory is a buffer of this connection."""
    buffer = owner(array)
    return buffer is not None and buffer.handle is handle


def check(*arrays):
    """Raises StaleError when one of them is of a lost session. Whoever lets
    numpy read an array that may lie in the region asks afterwards: the memory
    of a session that is lost becomes zeros."""
    for array in arrays:
        buffer = owner(array)
        if buffer is not None:
            buffer.check()
