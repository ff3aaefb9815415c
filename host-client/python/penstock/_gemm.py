# SPDX-License-Identifier: MIT
"""Products of arrays and resident tensors: from Python's operands to
penstock.h's descriptor."""

import ctypes

import numpy as np

from . import _foreign, _layout, _library, _memory
from .tensor import Tensor

_COMPUTE = {"default": 0, "tf32": 1, "fast_f16": 2}
_ACT = {"none": 0, "relu": 1, "gelu_tanh": 2, "gelu_erf": 3}


class _Operand:
    """Where an operand lies and how: an address or the number of a tensor,
    whether its columns are contiguous, leading dimension, and elements from
    one matrix of a batch to the next (0: the same for all). is_outside: an
    array of memory that is not the connection's. It keeps the memory
    alive."""

    def __init__(self, source, layout, stride, is_outside=False):
        is_tensor = isinstance(source, Tensor)
        self.source = source
        self.is_outside = is_outside
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


def place(handle, x, target=None, fill=True, written=False, anywhere=True):
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
    if found and not shared and not (written and _overlaps_itself(x)):
        is_outside = not _memory.lies_in(handle, x)
        if not is_outside or (anywhere and x.flags.aligned):
            return _Operand(x, *found, is_outside)
    order = _layout.nearest_order(x) if x.ndim == 2 else "C"
    placed = _memory.new_array(handle, x.shape, x.dtype, order)
    if fill:
        placed[...] = x
        _memory.check(x)
    return _Operand(placed, *_layout_of(placed))


class Prepared:
    """penstock.h's descriptor of c = act(alpha a b + beta c + bias) for 2-D
    operands, or 3-D ones for a batch, all shapes of which fit and are not
    empty, and what it points to. options: alpha, beta, transa, transb, bias,
    act, compute. anywhere: whether the call takes memory outside the
    region."""

    def __init__(self, handle, element, a, b, c, options, anywhere=True):
        m, n = c.shape[-2:]
        k = a.shape[-2] if options.get("transa") else a.shape[-1]
        batch = c.shape[0] if len(c.shape) == 3 else 1
        _layout.check_dims(m, n, k, batch)
        alpha, beta = options.get("alpha", 1.0), options.get("beta", 0.0)
        # The library has no such products of tensors and memory elsewhere.
        anywhere = anywhere and (batch == 1 or not any(
            isinstance(x, Tensor) for x in (a, b, c)))
        target = place(handle, c, fill=beta != 0, written=True,
                       anywhere=anywhere)
        # Same memory as an operand's, or interleaved with it: BLAS must not
        # write what it still reads.
        pa = place(handle, a, target.source, anywhere=anywhere)
        pb = place(handle, b, target.source, anywhere=anywhere)
        # 0: the natural one.
        element_c = options.get("element_c")
        dtype_c = element_c.code if element_c else 0
        gemm = _library.Gemm(
            dtype=element.code, dtype_c=dtype_c,
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
            bias = _place_bias(handle, bias, target.source, gemm)
        self.gemm = gemm
        self.out = c
        self.target = target.source
        self.sources = (pa.source, pb.source, target.source, bias)
        # Another connection's memory is any memory to the library.
        self.outside = [x.source for x in (pa, pb, target) if x.is_outside]

    def finish(self):
        """After the call: brings the result to where it is wanted."""
        if self.target is not self.out:
            self.out[...] = self.target
            _memory.check(self.out, self.target)
        _memory.check(*self.outside)


def is_empty(c):
    """Whether there is nothing to compute."""
    return 0 in c.shape


def run(handle, element, a, b, c, options):
    """Prepared, and done."""
    if is_empty(c):
        return
    prepared = Prepared(handle, element, a, b, c, options)
    handle.call(handle.library.pst_gemm, ctypes.byref(prepared.gemm),
                options.get("timeout_ns", _library.FOREVER), None)
    prepared.finish()


def _place_bias(handle, bias, target, gemm):
    """Names the bias in the descriptor; the result keeps it alive."""
    if isinstance(bias, Tensor):
        gemm.bias_tensor = bias.number
        return bias
    shared = isinstance(target, np.ndarray) and np.may_share_memory(bias,
                                                                    target)
    if (shared or not bias.flags.c_contiguous or not bias.flags.aligned or
            not _memory.lies_in(handle, bias)):
        placed = _memory.new_array(handle, bias.shape, bias.dtype, "C")
        placed[...] = bias
        _memory.check(bias)
        bias = placed
    gemm.bias = _layout.address(bias)
    return bias


def _as_operand(handle, x, name):
    x = _foreign.operand(handle, x)
    if not 2 <= x.ndim <= 3:
        raise ValueError(f"{name} has {x.ndim} dimensions; a matrix has 2, a "
                         "batch of them 3")
    return x


def _element(a, b, dtype):
    """The element type of a and b."""
    if dtype is None:
        tensors = [x.element for x in (a, b) if isinstance(x, Tensor)]
        element = tensors[0] if tensors else _layout.operand(a.dtype)
    else:
        element = _layout.operand(dtype)
    for name, x in (("a", a), ("b", b)):
        if isinstance(x, Tensor):
            has, fits = x.element.name, x.element.code == element.code
        else:
            known = _layout.known(x.dtype)
            has, fits = x.dtype, x.dtype == element.dtype or (
                known is not None and known.code == element.code)
        if not fits:
            raise TypeError(f"{name} is {has}, not {element.name}; convert it")
    if element.name == "int32":
        return _layout.operand(element.dtype)
    return element


def _element_c(out, out_dtype, element):
    """The element type of the result."""
    if out_dtype is not None:
        wanted = _layout.element(out_dtype)
    elif isinstance(out, Tensor):
        wanted = out.element
    elif out is not None and out.dtype != element.natural:
        wanted = _layout.element(out.dtype)
    elif element.name == "bf16":
        wanted = element
    else:
        wanted = _layout.element(element.natural)
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


def _check_bias(handle, bias, n, element_c):
    if bias is None:
        return None
    bias = _foreign.operand(handle, bias)
    if bias.shape != (n,) or bias.dtype != element_c.dtype:
        raise ValueError(f"bias is no vector of {n} elements of "
                         f"{element_c.name}")
    return bias


class Call:
    """The arguments of Connection.gemm(), checked. c: where the result goes;
    result: what is returned, out or a new array."""

    def __init__(self, handle, a, b, out, region, dtype, out_dtype, options):
        given = a, b
        a, b = _as_operand(handle, a, "a"), _as_operand(handle, b, "b")
        c = None if out is None else _foreign.target(handle, out)
        _check_name("act", options["act"], _ACT)
        _check_name("compute", options["compute"], _COMPUTE)
        element = _element(a, b, dtype)
        shape = _result_shape(a, b, options["transa"], options["transb"])
        element_c = _element_c(c, out_dtype, element)
        if c is None:
            if options["beta"] != 0:
                raise ValueError("beta needs out")
            new = element_c.dtype if element_c.name != "bf16" \
                else element.natural
            c = (_memory.new_array(handle, shape, new, "C") if region
                 else np.empty(shape, new))
        elif c.shape != shape:
            raise ValueError(f"out has shape {c.shape}, the product {shape}")
        elif isinstance(c, np.ndarray) and not c.flags.writeable:
            raise ValueError("out cannot be written")
        options["bias"] = _check_bias(handle, options["bias"], shape[-1],
                                      element_c)
        options["element_c"] = element_c
        self.element, self.a, self.b, self.c = element, a, b, c
        self.options = options
        self._given, self._out = given, out

    @property
    def result(self):
        if self._out is not None:
            return self._out
        if self.options["element_c"].name == "bf16":
            return _foreign.like(self._given, self.c)
        return self.c

    def run(self, handle):
        run(handle, self.element, self.a, self.b, self.c, self.options)
        return self.result


def plan(handle, call):
    """Connection.plan()."""
    if is_empty(call.c):
        raise ValueError("there is nothing to compute")
    prepared = Prepared(handle, call.element, call.a, call.b, call.c,
                        call.options)
    bias = call.options["bias"]
    for name, x, y in zip(("a", "b", "out", "bias"), prepared.sources,
                          (call.a, call.b, call.c, bias)):
        if x is not y:
            raise ValueError(f"{name} cannot be used where it lies")
        owner = None if isinstance(x, Tensor) or x is None \
            else _memory.owner(x)[0]
        if owner is not None and owner is not handle:
            raise ValueError(f"{name} is another connection's")
    return _memory.calls().Plan(
        handle.gate, False, bytes(prepared.gemm), prepared, call.result,
        call.options["timeout_ns"])
