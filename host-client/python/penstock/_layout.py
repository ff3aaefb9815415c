# SPDX-License-Identifier: MIT
"""How BLAS can read a numpy array where it lies. Pure functions."""

import collections
import operator
import sys

import numpy as np

from . import _library

# name: "float32", or "bf16", which numpy does not know. code: penstock.h's.
# dtype: how numpy holds it. natural: the dtype of a product's result.
Element = collections.namedtuple("Element", "name code dtype natural")

_ELEMENTS = {
    e.name: e for e in (
        Element("float32", _library.F32, np.dtype("f4"), np.dtype("f4")),
        Element("float64", _library.F64, np.dtype("f8"), np.dtype("f8")),
        Element("float16", _library.F16, np.dtype("f2"), np.dtype("f2")),
        Element("bf16", _library.BF16, np.dtype("u2"), np.dtype("u2")),
        Element("int8", _library.I8, np.dtype("i1"), np.dtype("i4")),
        Element("int32", _library.I32, np.dtype("i4"), np.dtype("i4")))}
# torch's bfloat16, as long as numpy holds it for a call.
BF16 = np.dtype("u2", metadata={"penstock": "bf16"})
_BY_DTYPE = {e.dtype: e for e in _ELEMENTS.values() if e.name != "bf16"}
# Names that numpy does not know.
_NAMES = {"f32": "float32", "f64": "float64", "bfloat16": "bf16"}
# Dimensions and leading dimensions have 32 bits in penstock.h.
_MAX_DIM = 2**32 - 1


def bfloat16():
    """How numpy holds bf16 here: ml_dtypes', if that is loaded, else marked
    uint16."""
    found = sys.modules.get("ml_dtypes")
    return np.dtype(found.bfloat16) if found else BF16


def known(dtype):
    """The element type of numpy's dtype, or None."""
    # First: to make a dtype's name takes numpy microseconds.
    found = _BY_DTYPE.get(dtype)
    if found is not None:
        return found
    if dtype.name == "bfloat16" and dtype.itemsize == 2:
        # Of ml_dtypes.
        return Element("bf16", _library.BF16, dtype, dtype)
    if dtype.metadata and dtype.metadata.get("penstock") == "bf16":
        return Element("bf16", _library.BF16, dtype, np.dtype("u2"))
    return None


def _plain(given):
    """A type as numpy takes it, or one of the names above: torch's types by
    their names."""
    if type(given).__module__ == "torch":
        given = str(given).replace("torch.", "")
    return _NAMES.get(given, given) if isinstance(given, str) else given


def dtype(given):
    """numpy's type for any name of one; uint16 holds "bf16". Raises
    TypeError."""
    given = _plain(given)
    if isinstance(given, str) and given in _ELEMENTS:
        return _ELEMENTS[given].dtype
    return np.dtype(given)


def element(dtype):
    """The element type of a numpy or torch type, or of its name; "bf16" and
    "bfloat16" are uint16 that holds it. Raises TypeError."""
    dtype = _plain(dtype)
    if isinstance(dtype, str) and dtype in _ELEMENTS:
        return _ELEMENTS[dtype]
    dtype = np.dtype(dtype)
    found = known(dtype)
    if found is None:
        raise TypeError(f"elements of type {dtype} ({dtype.str}) cannot be "
                        "multiplied; float32, float64, float16 and int8 in "
                        "the machine's byte order can, and bf16: uint16 that "
                        'holds it, with dtype="bf16", or the bfloat16 of '
                        "ml_dtypes or torch")
    return found


def operand(dtype):
    """The same for an operand of a product. Raises TypeError."""
    found = element(dtype)
    if found.name == "int32":
        raise TypeError("elements of type int32 cannot be multiplied; they "
                        "are the result of int8")
    return found


def address(array):
    """Where an array's first element lies."""
    return array.__array_interface__["data"][0]


def check_dims(*dims):
    """Raises ValueError for what penstock.h cannot express."""
    if max(dims) > _MAX_DIM:
        raise ValueError(f"a dimension of {max(dims)} is too large")


def _leading(lines, line, between, within, item):
    """The leading dimension of `lines` lines of `line` elements each, which
    are `between` bytes apart, elements `within` bytes; None: not such."""
    if line > 1 and within != item:
        return None
    if lines <= 1:
        return max(line, 1)
    if between % item or between < line * item:
        return None
    ld = between // item
    return ld if 1 <= ld <= _MAX_DIM else None


def describe(array):
    """(column_major, ld) of a 2-D array that BLAS can read in place, or
    None: it has to be copied (strides that are negative, zero, or no multiple
    of the element, or elements that are not aligned)."""
    rows, cols = array.shape
    between_rows, between_cols = array.strides
    item = array.itemsize
    if not array.flags.aligned:
        return None
    if rows == 0 or cols == 0:
        return False, max(cols, 1)
    ld = _leading(rows, cols, between_rows, between_cols, item)
    if ld is not None:
        return False, ld
    ld = _leading(cols, rows, between_cols, between_rows, item)
    if ld is not None:
        return True, ld
    return None


def nearest_order(array):
    """The order in which a copy of a 2-D array is cheapest."""
    between_rows, between_cols = map(abs, array.strides)
    return "F" if between_rows < between_cols else "C"


def span(array):
    """(offset from the first element, bytes) of the memory that an array
    reaches into; the offset is negative with negative strides."""
    if array.size == 0:
        return 0, 0
    low = high = 0
    for n, stride in zip(array.shape, array.strides):
        reach = (n - 1) * stride
        low += min(reach, 0)
        high += max(reach, 0)
    return low, high + array.itemsize - low


def as_shape(shape):
    """A shape as a tuple of int. Raises TypeError or ValueError."""
    try:
        shape = (operator.index(shape),)
    except TypeError:
        shape = tuple(operator.index(n) for n in shape)
    if any(n < 0 for n in shape):
        raise ValueError(f"negative dimension in {shape}")
    return shape
