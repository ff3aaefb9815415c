# SPDX-License-Identifier: MIT
"""The C connection and its buffers: who keeps what alive."""

import contextlib
import ctypes
import errno
import gc
import os
import weakref

import numpy as np

from . import _layout, _library, errors
from .array import Array

_calls = None
# By the address of their struct pst, for memory that was found by its own.
_handles = weakref.WeakValueDictionary()


def calls():
    """What has Gate and Plan, loaded once."""
    global _calls
    if _calls is None:
        _calls = _library.calls(np.ndarray, Array)
    return _calls


class Handle:
    """A struct pst *, and who uses it: calls under way, and buffers."""

    check = staticmethod(_library.check)

    def __init__(self, library, pointer):
        self.library = library
        self.gate = calls().Gate(pointer)
        # Of _async, once it is used.
        self.queue = None
        _handles[pointer] = self

    @property
    def closed(self):
        return self.gate.closed

    @property
    def lost(self):
        pointer = self.gate.pointer
        if pointer is None or self.gate.forked:
            return True
        return self.library.pst_check(pointer) < 0

    def close(self):
        self.gate.close()

    @contextlib.contextmanager
    def using(self):
        """The pointer, valid within the block."""
        pointer = self.gate.enter()
        try:
            yield pointer
        finally:
            self.gate.leave()

    def call(self, function, *args):
        """Calls the library with the connection. Where it has no room, arrays
        that only the garbage collector can free are freed, and it is tried
        once more."""
        pointer = self.gate.enter()
        try:
            code = function(pointer, *args)
            if code == -errno.ENOSPC:
                gc.collect()
                code = function(pointer, *args)
            _library.check(pointer, code)
            return code
        finally:
            self.gate.leave()

    def free(self, address):
        """End of a buffer, which has counted as a user."""
        if not self.gate.forked:
            self.library.pst_free(self.gate.pointer, address)
        self.gate.leave()

    def check_memory(self, address):
        """Raises StaleError when the session is lost that had the buffer. It
        lives as long as that does, closed connection or not."""
        if self.gate.forked:
            raise errors.ForkedError(errno.EBADF,
                                     "the array is another process's")
        byte = ctypes.c_char()
        _library.check(self.gate.pointer, self.library.pst_take(
            self.gate.pointer, ctypes.byref(byte), address, 1))


# Whether a parent may have arrays here that this process cannot read.
_forked = False


def _note_fork():
    global _forked
    _forked = True


os.register_at_fork(after_in_child=_note_fork)


def check_fork(array):
    """Raises ForkedError for an array of the process that forked this one: its
    memory is not mapped here, or something else is in its place."""
    if not _forked:
        return
    base = array
    while isinstance(base, (np.ndarray, memoryview)):
        base = base.obj if isinstance(base, memoryview) else base.base
    if isinstance(base, Buffer) and base.handle.gate.forked:
        base.handle.check_memory(base.address)


class Buffer:
    """Memory in the region, freed with the last array on it: numpy keeps the
    object that it took the memory from."""

    def __init__(self, handle, size):
        address = ctypes.c_void_p()
        handle.gate.enter()
        try:
            handle.call(handle.library.pst_alloc, size, ctypes.byref(address))
        except BaseException:
            handle.gate.leave()
            raise
        self.handle = handle
        self.address = address.value
        self.__array_interface__ = {
            "version": 3, "shape": (size,), "typestr": "|u1",
            "data": (address.value, False),
        }
        finalizer = weakref.finalize(self, handle.free, address.value)
        # At exit arrays may still be in use; the agent sees the end itself.
        finalizer.atexit = False


def new_array(handle, shape, dtype, order):
    """An uninitialised array in the region."""
    dtype = _layout.dtype(dtype)
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
    """The Handle of the connection that has an array's memory, and an address
    in its buffer; or None, None. Arrays that others made of one, such as
    torch, are found by their address."""
    base = array
    while True:
        if isinstance(base, Buffer):
            return base.handle, base.address
        if isinstance(base, np.ndarray):
            base = base.base
        elif isinstance(base, memoryview):
            base = base.obj
        else:
            break
    if not isinstance(array, np.ndarray) or base is None or not array.size:
        return None, None
    address = _layout.address(array)
    pointer = _library.load().pst_owner(address)
    return _handles.get(pointer) if pointer else None, address


def lies_in(handle, array):
    """Whether an array's memory is a buffer of this connection."""
    return owner(array)[0] is handle


def check(*arrays):
    """Raises StaleError when one of them is of a lost session. Whoever lets
    numpy read an array that may lie in the region asks afterwards: the memory
    of a session that is lost becomes zeros."""
    for array in arrays:
        if isinstance(array, np.ndarray):
            handle, address = owner(array)
            if handle is not None:
                handle.check_memory(address)
