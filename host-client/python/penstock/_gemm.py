# SPDX-License-Identifier: MIT
"""Products of arrays and resident tensors: from Python's operands to
penstock.h's descriptor."""

import ctypes

import numpy as np

from . import _layout, _library, _memory
from .tensor import Tensor

_COMPUTE = {"default": 0, "tf32": 1, "fast_f16": 2}
_ACT = {"none": 0, "relu": 1, "gelu_tanh": 2, "gelu_erf": 3}


class _Operand:
    """Where an operand lies and how: an address or the number of a tensor,
    whether its columns are contiguous, leading dimension, and elements from
    one matrix of a batch to the next (0: the same for all). It keeps the
    memory alive."""

    def __init__(self, source, layout, stride):
        is_tensor = isinstance(source, Tensor)
        self.source = source
        self.tensor = source.number if is_tensor else 0
        self.address = None if is_tensor else _layout.address(source)
        self.col, self.ld = layout
        self.stride = stride


def _batch_layout(array):
    """(col, ld) and stride of a 3-D array that is used where it lies, or
    None."""
    n, item = array.shape[0], array.itemsize
    if 0 in array.shape:
        return (False, max(array.shape[2], 1)), 0
    layout = _layout.describe(array[0])
    if layout is None or (n > 1 and (array.strides[0] < 0 or
                                     array.strides[0] % item)):
        return None
    return layout, array.strides[0] // item if n > 1 else 0


def _layout_of(array):
    if array.ndim == 3:
        return _batch_layout(array)
    layout = _layout.describe(array)
    return layout and (layout, 0)


def _overlaps_itself(array):
    """Whether matrices of a batch share memory: nothing writes there."""
    if array.ndim < 3 or array.shape[0] <= 1:
        return False
    low, size = _layout.span(array[0])
    return array.strides[0] < size + low


def place(connection, x, target=None, fill=True, written=False,
          anywhere=True):
    """An operand: the array or tensor itself, or a copy of it in the region
    (without contents, unless fill) where it cannot be used in place, or shares
    memory with target, an array that is written. anywhere: arrays outside the
    region are the library's to bring there."""
    if isinstance(x, Tensor):
        rows, cols = x.shape[-2:]
        return _Operand(x, (False, max(cols, 1)),
                        rows * cols if x.ndim == 3 else 0)
    found = _layout_of(x)
    shared = isinstance(target, np.ndarray) and np.may_share_memory(x, target)
    if (found and not shared and
            (_memory.lies_in(connection._handle, x) or
             (anywhere and x.flags.aligned)) and
            not (written and _overlaps_itself(x))):
        return _Operand(x, *found)
    order = _layout.nearest_order(x) if x.ndim == 2 else "C"
    placed = connection.empty(x.shape, x.dtype, order)
    if fill:
        placed[...] = x
        _memory.check(x)
    return _Operand(placed, *_layout_of(placed))


def run(connection, element, element_c, a, b, c, **options):
    """c = act(alpha a b + beta c + bias) for 2-D operands, or 3-D ones for a
    batch; all shapes fit. options: alpha, beta, transa, transb, bias, act,
    compute, timeout_ns."""
    m, n = c.shape[-2:]
    k = a.shape[-2] if options.get("transa") else a.shape[-1]
    batch = c.shape[0] if len(c.shape) == 3 else 1
    if m == 0 or n == 0 or batch == 0:
        return
    _layout.check_dims(m, n, k, batch)
    alpha, beta = options.get("alpha", 1.0), options.get("beta", 0.0)
    # The library has no such products of tensors and memory elsewhere.
    anywhere = batch == 1 or not any(isinstance(x, Tensor) for x in (a, b, c))
    target = place(connection, c, fill=beta != 0, written=True,
                   anywhere=anywhere)
    # Same memory as an operand's, or interleaved with it: BLAS must not
    # write what it still reads.
    pa = place(connection, a, target.source, anywhere=anywhere)
    pb = place(connection, b, target.source, anywhere=anywhere)
    gemm = _library.Gemm(
        dtype=element.code, dtype_c=element_c.code,
        order=_library.COL_MAJOR if target.col else _library.ROW_MAJOR,
        transa=(pa.col != target.col) != bool(options.get("transa")),
        transb=(pb.col != target.col) != bool(options.get("transb")),
        m=m, n=n, k=k, lda=pa.ld, ldb=pb.ld, ldc=target.ld,
        alpha=alpha, beta=beta,
        a=pa.address, b=pb.address, c=target.address,
        a_tensor=pa.tensor, b_tensor=pb.tensor, c_tensor=target.tensor,
        batch=batch, stride_a=pa.stride, stride_b=pb.stride,
        stride_c=target.stride,
        compute=_COMPUTE[options.get("compute") or "default"],
        act=_ACT[options.get("act") or "none"])
    bias = options.get("bias")
    if bias is not None:
        bias = _place_bias(connection, bias, target.source, gemm)
    with connection._handle.using() as pointer:
        connection._handle.check(
            pointer, connection._handle.library.pst_gemm(
                pointer, ctypes.byref(gemm),
                options.get("timeout_ns", _library.FOREVER), None))
    if target.source is not c:
        c[...] = target.source
        _memory.check(c, target.source)
    # Another connection's memory is any memory to the library.
    for x in (pa.source, pb.source, target.source):
        if (isinstance(x, np.ndarray) and
                not _memory.lies_in(connection._handle, x)):
            _memory.check(x)


def _place_bias(connection, bias, target, gemm):
    """Names the bias in the descriptor; the result keeps it alive."""
    if isinstance(bias, Tensor):
        gemm.bias_tensor = bias.number
        return bias
    shared = isinstance(target, np.ndarray) and np.may_share_memory(bias,
                                                                    target)
    if (shared or not bias.flags.c_contiguous or not bias.flags.aligned or
            not _memory.lies_in(connection._handle, bias)):
        placed = connection.empty(bias.shape, bias.dtype)
        placed[...] = bias
        _memory.check(bias)
        bias = placed
    gemm.bias = _layout.address(bias)
    return bias


def _as_operand(x, name):
    if not isinstance(x, Tensor):
        x = np.asarray(x)
    if not 2 <= x.ndim <= 3:
        raise ValueError(f"{name} has {x.ndim} dimensions; a matrix has 2, a "
                         "batch of them 3")
    return x


def _element(a, b, dtype):
    """The element type of a and b."""
    if dtype is None:
        tensors = [x.element.name for x in (a, b) if isinstance(x, Tensor)]
        dtype = tensors[0] if tensors else a.dtype
    element = _layout.operand(dtype)
    for name, x in (("a", a), ("b", b)):
        if isinstance(x, Tensor):
            has, fits = x.element.name, x.element == element
        else:
            has, fits = x.dtype, x.dtype == element.dtype
        if not fits:
            raise TypeError(f"{name} is {has}, not {element.name}; convert it")
    return element


def _element_c(out, out_dtype, element):
    """The element type of the result."""
    if out_dtype is not None:
        wanted = _layout.element(out_dtype)
    elif isinstance(out, Tensor):
        wanted = out.element
    elif out is not None and out.dtype != element.natural:
        wanted = _layout.element(out.dtype)
    else:
        wanted = _layout.element(
            "bf16" if element.name == "bf16" else element.natural)
    if out is not None and out.dtype != wanted.dtype:
        raise TypeError(f"out is {out.dtype}, not {wanted.name}")
    return wanted


def _result_shape(a, b, transa, transb):
    m, k = a.shape[-2:][::-1] if transa else a.shape[-2:]
    k_b, n = b.shape[-2:][::-1] if transb else b.shape[-2:]
    if k != k_b:
        raise ValueError(f"shapes {a.shape} and {b.shape} do not match")
    batches = {x.shape[0] for x in (a, b) if x.ndim == 3}
    if len(batches) > 1:
        raise ValueError(f"batches of {a.shape[0]} and {b.shape[0]} do not "
                         "match")
    return (*batches, m, n)


def _check_name(what, name, names):
    if name is not None and name not in names:
        raise ValueError(f"{what} {name!r} is none of {', '.join(names)}")


def _check_bias(bias, n, element_c):
    if bias is None:
        return None
    if not isinstance(bias, Tensor):
        bias = np.asarray(bias)
    if bias.shape != (n,) or bias.dtype != element_c.dtype:
        raise ValueError(f"bias is no vector of {n} elements of "
                         f"{element_c.name}")
    return bias


def gemm(connection, a, b, out, region, dtype, out_dtype, options):
    """Connection.gemm()."""
    a, b = _as_operand(a, "a"), _as_operand(b, "b")
    for x in (a, b, out, options["bias"]):
        # Its number may name one of this connection's, too.
        if isinstance(x, Tensor) and x._handle is not connection._handle:
            raise ValueError(f"{x!r} is another connection's")
    _check_name("act", options["act"], _ACT)
    _check_name("compute", options["compute"], _COMPUTE)
    element = _element(a, b, dtype)
    shape = _result_shape(a, b, options["transa"], options["transb"])
    element_c = _element_c(out, out_dtype, element)
    if out is None:
        if options["beta"] != 0:
            raise ValueError("beta needs out")
        new = connection.empty if region else np.empty
        out = new(shape, element_c.dtype)
    elif out.shape != shape:
        raise ValueError(f"out has shape {out.shape}, the product {shape}")
    elif isinstance(out, np.ndarray) and not out.flags.writeable:
        raise ValueError("out cannot be written")
    options["bias"] = _check_bias(options["bias"], shape[-1], element_c)
    run(connection, element, element_c, a, b, out, **options)
    return out
