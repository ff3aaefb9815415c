# SPDX-License-Identifier: MIT
"""Who uses a connection, and prepared calls, through ctypes: what _fast.c is
where there is no compiled module."""

import os
import threading

from . import _interrupt, _library

_forks = 0


def _count_fork():
    global _forks
    _forks += 1


os.register_at_fork(after_in_child=_count_fork)


class Gate:
    """Closes a connection when close() was called and nobody uses it any
    more: no call is under way and no buffer is alive, because pst_close() has
    to be the last call and ends all memory."""

    def __init__(self, pointer):
        self.pointer = pointer
        self.closed = False
        self._forks = _forks
        # Reentrant: a buffer can die, by garbage collection, at any point of
        # a thread that is in here.
        self._lock = threading.RLock()
        self._users = 0

    @property
    def forked(self):
        """Whether this process is a child of the one that connected."""
        return self._forks != _forks

    def enter(self):
        """The connection, until leave(). Raises Error."""
        # First: a signal's handler may raise in there.
        if not _interrupt.armed:
            _interrupt.arm()
        with self._lock:
            if self.closed or self.forked:
                _library.refuse(self.forked)
            self._users += 1
        return self.pointer

    def hold(self):
        """As enter(), for what began before close(); None: it is closed."""
        with self._lock:
            if self.pointer is not None and not self.forked:
                self._users += 1
                return self.pointer
        return None

    def leave(self):
        with self._lock:
            self._users -= 1
        self._close_if_last()

    def close(self):
        with self._lock:
            self.closed = True
        self._close_if_last()

    def _close_if_last(self):
        with self._lock:
            if not self.closed or self._users or self.pointer is None:
                return
            pointer, self.pointer = self.pointer, None
        if not self.forked:
            _library.load().pst_close(pointer)

    def matmul(self, a, b, out, alpha, beta):
        """Whether the product is done: not here."""
        return False

    def infer(self, model, rows, out):
        return False


class Plan:
    """A prepared call; see Connection.plan() and Model.plan()."""

    def __init__(self, gate, infers, descriptor, kept, result, timeout_ns):
        if not isinstance(gate, Gate):
            raise TypeError("Connection.plan() and Model.plan() make plans")
        library = _library.load()
        struct = _library.Infer if infers else _library.Gemm
        self._gate = gate
        self._call = library.pst_infer if infers else library.pst_gemm
        self._descriptor = struct.from_buffer_copy(descriptor)
        self._kept = kept
        self._result = result
        self._timeout_ns = timeout_ns

    def __call__(self):
        pointer = self._gate.enter()
        try:
            _library.check(pointer, self._call(pointer, self._descriptor,
                                               self._timeout_ns, None))
        finally:
            self._gate.leave()
        return self._result
