# SPDX-License-Identifier: MIT
"""Resident tensors: arrays in the backend's own memory."""

import ctypes
import weakref

import numpy as np

from . import _layout, _library, _memory, errors


def _destroy(handle, number):
    """The end of a tensor, whether or not its session is still there."""
    try:
        with handle.using() as c:
            handle.library.pst_tensor_destroy(c, number)
    except errors.Error:
        # The session has ended, and the tensor with it.
        pass


class Tensor:
    """Made by Connection.tensor(): an array, row after row, in the memory of
    the agent's backend (the GPU's), an operand of Connection.gemm(). Its
    memory is given back when it dies, or by free().

    shape: a tuple. dtype: the elements as numpy knows them, uint16 for bf16.
    """

    def __init__(self, handle, shape, element):
        self._handle = handle
        self.shape = shape
        self.element = element
        size = element.dtype.itemsize
        for n in shape:
            size *= n
        self.nbytes = _library.check_size(size)
        number = ctypes.c_uint64()
        with handle.using() as c:
            # One of 0 bytes there is not; an empty array has no contents.
            handle.check(c, handle.library.pst_tensor_create(
                c, max(size, 1), ctypes.byref(number)))
        self.number = number.value
        self._finalizer = weakref.finalize(self, _destroy, handle,
                                           number.value)
        self._finalizer.atexit = False

    def __repr__(self):
        state = "" if self._finalizer.alive else ", freed"
        return f"<penstock.Tensor {self.shape} {self.element.name}{state}>"

    @property
    def dtype(self):
        return self.element.dtype

    @property
    def ndim(self):
        return len(self.shape)

    def free(self):
        """Give the memory back now; calls under way still use it."""
        self._finalizer()

    def upload(self, x, *, timeout=None):
        """Copy an array of the same shape here; return the tensor."""
        given, x = x, np.ascontiguousarray(x, self.dtype)
        # ascontiguousarray makes a scalar a vector.
        if x.shape != self.shape and (self.shape or x.shape != (1,)):
            raise ValueError(f"the array has shape {x.shape}, the tensor "
                             f"{self.shape}")
        if self.nbytes:
            with self._handle.using() as c:
                self._handle.check(c, self._handle.library.pst_upload(
                    c, self.number, 0, _layout.address(x), self.nbytes,
                    _library.nanoseconds(timeout)))
        _memory.check(given)
        return self

    def download(self, out=None, *, timeout=None):
        """The contents as an array, a private copy; in out when that is
        given, which has the same shape and dtype and is contiguous."""
        if out is None:
            out = np.empty(self.shape, self.dtype)
        elif (out.shape != self.shape or out.dtype != self.dtype or
              not out.flags.c_contiguous or not out.flags.writeable):
            raise ValueError("out is no writable, contiguous array of shape "
                             f"{self.shape} and type {self.dtype}")
        if self.nbytes:
            with self._handle.using() as c:
                self._handle.check(c, self._handle.library.pst_download(
                    c, _layout.address(out), self.number, 0, self.nbytes,
                    _library.nanoseconds(timeout)))
            _memory.check(out)
        return out
