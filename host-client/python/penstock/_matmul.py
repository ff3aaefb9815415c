# SPDX-License-Identifier: MIT
"""Products as numpy's matmul() has them: vectors, matrices, and stacks of
them that are broadcast."""

import math

import numpy as np

from . import _foreign, _gemm, _layout, _library, _memory
from .tensor import Tensor

# Those of which numpy's product has the same type.
_FLOATS = ("float16", "float32", "float64")
# Elements, of what is tried the short way first.
_SMALL = 1 << 16


def simple_result(a, b):
    """An array for the product of two small matrices of one type, or None:
    of anything else."""
    if (type(a) is not np.ndarray or type(b) is not np.ndarray or
            a.ndim != 2 or b.ndim != 2 or a.dtype != b.dtype or
            a.shape[0] * b.shape[1] > _SMALL):
        return None
    element = _layout.known(a.dtype)
    return element and np.empty((a.shape[0], b.shape[1]), element.natural)


def _mixed(a, b):
    names = [x.element.name if isinstance(x, Tensor) else x.dtype
             for x in (a, b)]
    return TypeError(f"a is {names[0]} and b is {names[1]}; convert one of "
                     "them")


def _element(a, b):
    """The element type of a product of two operands, as numpy promotes them.
    Raises TypeError."""
    known = [x.element if isinstance(x, Tensor) else _layout.known(x.dtype)
             for x in (a, b)]
    if None not in known and known[0].code == known[1].code:
        _layout.operand(known[0].dtype)
        return known[0]
    for x, other in ((a, b), (b, a)):
        if isinstance(x, Tensor):
            # It is not converted.
            if isinstance(other, Tensor) or not np.can_cast(
                    other.dtype, x.dtype, "safe"):
                raise _mixed(a, b)
            return x.element
    for x in (a, b):
        if x.dtype.kind not in "fiub":
            _layout.operand(x.dtype)
    if any(e is not None and e.name == "bf16" for e in known):
        raise _mixed(a, b)
    if not any(x.dtype.kind == "f" for x in (a, b)):
        # Of integers there are products of int8 alone.
        for x in (a, b):
            _layout.operand(x.dtype)
        raise _mixed(a, b)
    return _layout.operand(np.result_type(a.dtype, b.dtype))


def operands(a, b, out):
    """These as arrays or tensors where numpy's result would have the type of
    the agent's, else None: there are products of floating point numbers, and
    others are numpy's."""
    try:
        xs = [x if isinstance(x, Tensor) else _foreign.as_array(x)
              for x in (a, b)]
        element = _element(*xs)
    except TypeError:
        return None
    has_type = element.name in _FLOATS and (
        out is None or getattr(out, "dtype", None) == element.natural)
    return xs if has_type else None


def _convert(x, element):
    if isinstance(x, Tensor) or x.dtype == element.dtype:
        return x
    known = _layout.known(x.dtype)
    if known is not None and known.code == element.code:
        # bf16, held in another way.
        return x.view(element.dtype)
    converted = x.astype(element.dtype)
    _memory.check(x)
    return converted


def _expand(x, first):
    """A vector as a matrix: a row before, a column behind."""
    if x.ndim == 1:
        shape = (1, x.shape[0]) if first else (x.shape[0], 1)
        return x.reshape(shape)
    return x


def _shapes(a, b):
    """The shape of the product of stacks of matrices."""
    if a.shape[-1] != b.shape[-2]:
        raise ValueError(f"shapes {a.shape} and {b.shape} do not match: "
                         f"{a.shape[-1]} is not {b.shape[-2]}")
    stack = a.shape[:-2]
    try:
        if stack != b.shape[:-2]:
            stack = np.broadcast_shapes(stack, b.shape[:-2])
    except ValueError:
        raise ValueError(f"shapes {a.shape} and {b.shape} cannot be "
                         "broadcast together") from None
    return (*stack, a.shape[-2], b.shape[-1])


def _flat(x, stack):
    """An operand for a batch of matrices: 3-D, or 2-D where it is the same
    for all; None: it is neither."""
    if all(n == 1 for n in x.shape[:-2]):
        return x.reshape(x.shape[-2:])
    if x.shape[:-2] == stack:
        return x.reshape((math.prod(stack), *x.shape[-2:]))
    return None


def _stacked(handle, element, a, b, c, options):
    """c = a b for stacks of matrices."""
    stack = c.shape[:-2]
    if not stack:
        _gemm.run(handle, element, a, b, c, options)
        return
    if 0 in c.shape:
        return
    fa, fb = _flat(a, stack), _flat(b, stack)
    if c.flags.c_contiguous and fa is not None and fb is not None:
        rows = c.reshape((math.prod(stack), *c.shape[-2:]))
        if fb.ndim == 2 and fa.ndim == 3 and _is_packed(fa):
            # One product of all rows.
            fa = fa.reshape((math.prod(fa.shape[:2]), fa.shape[2]))
            rows = c.reshape((-1, c.shape[-1]))
        elif fa.ndim == fb.ndim == 2:
            fa = fa.reshape((1, *fa.shape))
        _gemm.run(handle, element, fa, fb, rows, options)
        return
    for i in range(stack[0]):
        _stacked(handle, element, _part(a, i, len(stack)),
                 _part(b, i, len(stack)), c[i], options)


def _is_packed(x):
    return isinstance(x, Tensor) or x.flags.c_contiguous


def _part(x, i, depth):
    """Of a stack of that many dimensions the i-th along the first one."""
    if x.ndim - 2 < depth:
        return x
    if isinstance(x, Tensor):
        x = x.download()
    return x[0 if x.shape[0] == 1 else i]


def _check_out(out, dtype, shape):
    if out.dtype != dtype:
        raise TypeError(f"out must be an array of {dtype}")
    if out.shape != shape:
        raise ValueError(f"out has shape {out.shape}, the product {shape}")
    if isinstance(out, np.ndarray) and not out.flags.writeable:
        raise ValueError("out cannot be written")


def matmul(handle, a, b, alpha=1.0, beta=0.0, out=None, region=False,
           timeout_ns=_library.FOREVER):
    """Connection.matmul()."""
    given = a, b
    a, b = _foreign.operand(handle, a), _foreign.operand(handle, b)
    for name, x in (("a", a), ("b", b)):
        if x.ndim == 0:
            raise ValueError(f"{name} has 0 dimensions: a product needs "
                             "vectors, matrices or stacks of them")
    element = _element(a, b)
    a, b = _convert(a, element), _convert(b, element)
    a2, b2 = _expand(a, True), _expand(b, False)
    full = _shapes(a2, b2)
    _layout.check_dims(*a2.shape, *b2.shape)
    shape = (*full[:-2], *full[-2:-1][:a.ndim > 1], *full[-1:][:b.ndim > 1])
    if out is None:
        if beta != 0:
            raise ValueError("beta needs out")
        c = (_memory.new_array(handle, full, element.natural, "C") if region
             else np.empty(full, element.natural))
    else:
        c = _foreign.target(handle, out)
        _check_out(c, element.natural, shape)
        c = _shaped(c, full)
    options = {"alpha": alpha, "beta": beta, "timeout_ns": timeout_ns}
    if isinstance(c, Tensor):
        _gemm.run(handle, element, a2, b2, c, options)
    else:
        _stacked(handle, element, a2, b2, c, options)
    if out is not None:
        return out
    return _foreign.like(given, c.reshape(shape)[()])


def _shaped(c, full):
    """out with the dimensions that a vector's product lacks. A view: reshape()
    of no contiguous array would copy it."""
    if isinstance(c, Tensor):
        return c.reshape(full)
    missing = len(full) - c.ndim
    if missing == 2:
        return c[..., np.newaxis, np.newaxis]
    if missing == 1:
        return c[..., np.newaxis] if full[-1] == 1 and c.shape == full[:-1] \
            else c[..., np.newaxis, :]
    return c
