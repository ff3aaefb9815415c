# SPDX-License-Identifier: MIT
"""Resident tensors: arrays in the backend's own memory."""

import ctypes
import weakref

import numpy as np

from . import _dlpack, _layout, _library, _memory, errors


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

    shape: a tuple. dtype: the elements as numpy knows them, uint16 for bf16
    unless it was made of ml_dtypes' bfloat16.

    a @ t and t @ a are Connection.matmul(), numpy.asarray(t) is download(),
    and other libraries take a copy by DLPack.
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
        # One of 0 bytes there is not; an empty array has no contents.
        handle.call(handle.library.pst_tensor_create, max(size, 1),
                    ctypes.byref(number))
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
            self._handle.call(
                self._handle.library.pst_upload, self.number, 0,
                _layout.address(x), self.nbytes, _library.nanoseconds(timeout))
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
            self._read(_layout.address(out), timeout)
            _memory.check(out)
        return out

    def _read(self, address, timeout=None):
        """Copy the contents to memory that has room for them."""
        self._handle.call(
            self._handle.library.pst_download, address, self.number, 0,
            self.nbytes, _library.nanoseconds(timeout))

    def reshape(self, shape):
        """The same memory with another shape."""
        # An array without bytes knows the rules.
        shape = np.empty(self.shape, "V0").reshape(shape).shape
        other = Tensor.__new__(Tensor)
        other.__dict__.update(self.__dict__)
        other.shape = shape
        # The memory is given back with the first one.
        other._base = self
        return other

    @property
    def size(self):
        """The number of elements."""
        return self.nbytes // self.element.dtype.itemsize

    # numpy leaves operators with arrays to the methods below.
    __array_ufunc__ = None

    def __array__(self, dtype=None, copy=None):
        if copy is False:
            raise ValueError("a tensor is another machine's memory: it cannot "
                             "be an array without a copy")
        array = self.download()
        return array if dtype is None else array.astype(dtype, copy=False)

    def __matmul__(self, other):
        from . import _matmul
        return _matmul.matmul(self._handle, self, other)

    def __rmatmul__(self, other):
        from . import _matmul
        return _matmul.matmul(self._handle, other, self)

    def __dlpack__(self, *, stream=None, max_version=None, dl_device=None,
                   copy=None):
        """A copy of the contents in this process's memory. Raises BufferError
        for another device, and for copy=False."""
        return _dlpack.export(self, stream, max_version, dl_device, copy)

    def __dlpack_device__(self):
        return _dlpack.CPU
