# SPDX-License-Identifier: MIT
"""DLPack, with and without versions: arrays of other libraries' memory, and
copies of tensors for them. The structures are dlpack.h's of 1.0."""

import ctypes
import weakref
from ctypes import (POINTER, Structure, c_char_p, c_int32, c_int64, c_uint8,
                    c_uint16, c_uint32, c_uint64, c_void_p, py_object)

import numpy as np

from . import _layout, _library, _memory

# kDLCPU, and its only device.
CPU = (1, 0)
_READ_ONLY = 1
_IS_COPIED = 2
_MAX_NDIM = 32
_ALIGN = 64
# By the code of a type and its bits; 4 is bfloat, 6 bool.
_KINDS = {0: "i", 1: "u", 2: "f", 5: "c"}
_CODES = {"i": 0, "u": 1, "f": 2}
_BFLOAT, _BOOL = 4, 6


class _Tensor(Structure):
    _fields_ = [("data", c_void_p), ("device_type", c_int32),
                ("device_id", c_int32), ("ndim", c_int32), ("code", c_uint8),
                ("bits", c_uint8), ("lanes", c_uint16),
                ("shape", POINTER(c_int64)), ("strides", POINTER(c_int64)),
                ("byte_offset", c_uint64)]


class _Managed(Structure):
    _fields_ = [("tensor", _Tensor), ("context", c_void_p),
                ("deleter", c_void_p)]


class _Versioned(Structure):
    _fields_ = [("major", c_uint32), ("minor", c_uint32),
                ("context", c_void_p), ("deleter", c_void_p),
                ("flags", c_uint64), ("tensor", _Tensor)]


_NAMES = {b"dltensor": _Managed, b"dltensor_versioned": _Versioned}
_DELETER = ctypes.CFUNCTYPE(None, c_void_p)
_DESTRUCTOR = ctypes.PYFUNCTYPE(None, c_void_p)


def _api(name, result, *arguments):
    function = getattr(ctypes.pythonapi, name)
    return ctypes.PYFUNCTYPE(result, *arguments)(
        ctypes.cast(function, c_void_p).value)


_is_valid = _api("PyCapsule_IsValid", ctypes.c_int, py_object, c_char_p)
_is_valid_at = _api("PyCapsule_IsValid", ctypes.c_int, c_void_p, c_char_p)
_pointer = _api("PyCapsule_GetPointer", c_void_p, py_object, c_char_p)
_pointer_at = _api("PyCapsule_GetPointer", c_void_p, c_void_p, c_char_p)
_rename = _api("PyCapsule_SetName", ctypes.c_int, py_object, c_char_p)
_new = _api("PyCapsule_New", py_object, c_void_p, c_char_p, c_void_p)

# Capsules keep the address of their name.
_USED = {name: c_char_p(b"used_" + name) for name in _NAMES}
_OURS = {name: c_char_p(name) for name in _NAMES}


class _Memory:
    """Somebody else's memory, until no array is on it any more."""

    def __init__(self, address, size, managed, deleter, is_read_only):
        self.__array_interface__ = {
            "version": 3, "shape": (size,), "typestr": "|u1",
            "data": (address, is_read_only)}
        if deleter:
            weakref.finalize(self, _DELETER(deleter), managed).atexit = False


def _dtype(t):
    """numpy's type of a tensor's elements. Raises BufferError."""
    if t.lanes == 1 and (t.code, t.bits) == (_BFLOAT, 16):
        return _layout.bfloat16()
    if t.lanes == 1 and (t.code, t.bits) == (_BOOL, 8):
        return np.dtype("?")
    kind = _KINDS.get(t.code)
    if kind and t.lanes == 1 and t.bits in (8, 16, 32, 64, 128):
        try:
            return np.dtype(f"{kind}{t.bits // 8}")
        except TypeError:
            pass
    raise BufferError(f"elements of DLPack's type {t.code} with {t.bits} bits "
                      f"and {t.lanes} lanes are nothing that numpy knows")


def _layout_of(t, item):
    """(shape, strides in bytes, first byte, bytes) of a tensor; the first is
    below 0 with strides that are. Raises BufferError."""
    if not 0 <= t.ndim <= _MAX_NDIM or (t.ndim and not t.shape):
        raise BufferError(f"DLPack's tensor has {t.ndim} dimensions")
    shape = tuple(t.shape[:t.ndim])
    if t.strides:
        strides = tuple(n * item for n in t.strides[:t.ndim])
    else:
        strides, step = (), item
        for n in reversed(shape):
            strides = (step, *strides)
            step *= n
    if any(n < 0 for n in shape):
        raise BufferError(f"DLPack's tensor has shape {shape}")
    if 0 in shape:
        return shape, strides, 0, 0
    # Of one element any stride is right, also one that numpy refuses.
    strides = tuple(s if n > 1 else item for n, s in zip(shape, strides))
    reach = [(n - 1) * s for n, s in zip(shape, strides)]
    low = sum(r for r in reach if r < 0)
    size = sum(r for r in reach if r > 0) + item - low
    if size >= 2**63:
        raise BufferError(f"DLPack's tensor has shape {shape}")
    return shape, strides, low, size


def _checked(managed):
    """(dtype, shape, strides, first byte, bytes) of a structure. Raises
    BufferError."""
    t = managed.tensor
    if isinstance(managed, _Versioned) and managed.major != 1:
        raise BufferError(f"DLPack {managed.major} is not known")
    if t.device_type != CPU[0]:
        raise BufferError(f"DLPack's tensor is in a device of type "
                          f"{t.device_type}, not in this process's memory")
    dtype = _dtype(t)
    found = _layout_of(t, dtype.itemsize)
    _, _, low, size = found
    first = (t.data or 0) + t.byte_offset + low
    if size and (not t.data or first <= 0 or first + size >= 2**63):
        raise BufferError("DLPack's tensor has no memory")
    return (dtype, *found)


def _take(capsule):
    """The array of a capsule, which is used up by that."""
    for name, struct in _NAMES.items():
        if _is_valid(capsule, name):
            break
    else:
        raise BufferError("no DLPack capsule, or one that was used before")
    address = _pointer(capsule, name)
    # A private copy: what is checked is what is used.
    managed = struct.from_buffer_copy(struct.from_address(address))
    dtype, shape, strides, low, size = _checked(managed)
    _rename(capsule, _USED[name])
    t = managed.tensor
    memory = _Memory(t.data + t.byte_offset + low if size else 0, size,
                     address, managed.deleter, struct is _Versioned and
                     managed.flags & _READ_ONLY != 0)
    if not size:
        return np.empty(shape, dtype)
    return np.ndarray(shape, dtype, np.asarray(memory), -low, strides)


def load(x):
    """An array of the memory of x, which has __dlpack__(). Raises BufferError,
    TypeError."""
    device = getattr(x, "__dlpack_device__", None)
    if device is not None and int(device()[0]) != CPU[0]:
        raise BufferError(f"x is in a device of type {int(device()[0])}, not "
                          "in this process's memory")
    try:
        capsule = x.__dlpack__(max_version=(1, 0))
    except TypeError:
        # A version before 1.0.
        capsule = x.__dlpack__()
    return _take(capsule)


def _end(capsule):
    """The end of a capsule of ours that nobody took, where there is no
    compiled module."""
    for name in _NAMES:
        if _is_valid_at(capsule, name):
            _library.load().libc_free(_pointer_at(capsule, name))


_destructor = _DESTRUCTOR(_end)
# Capsules may outlive this module's variables.
ctypes.pythonapi.Py_IncRef(py_object(_destructor))


def _describe(t, tensor, shape, data):
    element = tensor.element
    t.data = data
    t.device_type, t.device_id = CPU
    t.ndim = tensor.ndim
    t.code = _BFLOAT if element.name == "bf16" else _CODES[element.dtype.kind]
    t.bits, t.lanes = 8 * element.dtype.itemsize, 1
    t.shape = ctypes.cast(shape, POINTER(c_int64))
    t.strides = ctypes.cast(shape + 8 * tensor.ndim, POINTER(c_int64))
    step = 1
    for i in reversed(range(tensor.ndim)):
        t.shape[i], t.strides[i] = tensor.shape[i], step
        step *= tensor.shape[i]


def export(tensor, stream, max_version, dl_device, copy):
    """Tensor.__dlpack__(): structure, shape and contents in one piece of
    memory, whose deleter is C's free(), so that nothing of Python is needed
    when whoever took it lets it go."""
    if dl_device is not None and tuple(map(int, dl_device)) != CPU:
        raise BufferError("a tensor's contents can be copied to this "
                          "process's memory only")
    if copy is False:
        raise BufferError("a tensor is another machine's memory: it cannot be "
                          "shared without a copy")
    if stream is not None:
        raise BufferError("there are no streams of this process's memory")
    name = (b"dltensor" if max_version is None or max_version[0] < 1
            else b"dltensor_versioned")
    struct = _NAMES[name]
    library = _library.load()
    head = ctypes.sizeof(struct) + 16 * tensor.ndim
    data = -(-head // _ALIGN) * _ALIGN
    address = library.libc_alloc(_ALIGN, -(-(data + max(tensor.nbytes, 1))
                                           // _ALIGN) * _ALIGN)
    if not address:
        raise MemoryError(f"{tensor.nbytes} bytes")
    try:
        managed = struct.from_address(address)
        ctypes.memset(address, 0, ctypes.sizeof(struct))
        _describe(managed.tensor, tensor, address + ctypes.sizeof(struct),
                  address + data)
        managed.deleter = ctypes.cast(library.libc_free, c_void_p).value
        if struct is _Versioned:
            managed.major, managed.minor, managed.flags = 1, 0, _IS_COPIED
        if tensor.nbytes:
            tensor._read(address + data)
        end = getattr(_memory.calls(), "end_capsule", None)
        return _new(address, _OURS[name],
                    end() if end else ctypes.cast(_destructor, c_void_p))
    except BaseException:
        library.libc_free(address)
        raise
