# SPDX-License-Identifier: MIT
"""numpy's arrays whose products run on the agent."""

import numpy as np


def _plain(x):
    return x.view(np.ndarray) if isinstance(x, Array) else x


class Array(np.ndarray):
    """Made by Connection.array(): a numpy array in the region. a @ b, numpy's
    matmul() and dot() of matrices run on the agent, where it has their type,
    and give private Arrays; all else is numpy's own, and gives Arrays, too. An
    operand of a lost session raises StaleError."""

    _handle = None

    def __array_finalize__(self, obj):
        self._handle = getattr(obj, "_handle", None)

    def _wrap(self, result):
        if type(result) is not np.ndarray:
            return result
        result = result.view(Array)
        result._handle = self._handle
        return result

    def _product(self, a, b, out=None):
        """The product of the agent, or NotImplemented: numpy's then."""
        from . import _matmul
        a, b, out = _plain(a), _plain(b), _plain(out)
        found = self._handle and _matmul.operands(a, b, out)
        if not found:
            return NotImplemented
        return _matmul.matmul(self._handle, *found, out=out)

    def __array_ufunc__(self, ufunc, method, *inputs, out=None, **kw):
        from . import _memory
        of = next(x for x in (*inputs, *(out or ()), self)
                  if isinstance(x, Array) and x._handle is not None or
                  x is self)
        result = NotImplemented
        if ufunc is np.matmul and method == "__call__" and not kw:
            result = of._product(*inputs, *(out or ()))
        if result is NotImplemented:
            if out:
                kw["out"] = tuple(_plain(x) for x in out)
            result = getattr(ufunc, method)(*map(_plain, inputs), **kw)
            _memory.check(*inputs)
        if out and len(out) == 1:
            return out[0]
        if isinstance(result, tuple):
            return tuple(map(of._wrap, result))
        return of._wrap(result)

    def dot(self, b, out=None):
        """As numpy's, on the agent for matrices and vectors."""
        result = NotImplemented
        if 1 <= self.ndim <= 2 and 1 <= np.ndim(b) <= 2:
            result = self._product(self, b, out)
        if result is NotImplemented:
            result = np.dot(_plain(self), _plain(b), _plain(out))
        return self._wrap(result) if out is None else out

    def __array_function__(self, func, types, args, kwargs):
        if func is np.dot:
            return _dot(*args, **kwargs)
        return super().__array_function__(func, types, args, kwargs)


def _dot(a, b, out=None):
    of = a if isinstance(a, Array) else b if isinstance(b, Array) else out
    if not isinstance(a, np.ndarray):
        a = np.asarray(a)
    if not isinstance(a, Array):
        a = of._wrap(a.view(np.ndarray))
    return a.dot(b, out)
