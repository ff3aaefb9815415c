# SPDX-License-Identifier: MIT
"""Operands of all kinds as numpy's arrays or resident tensors."""

import numpy as np

from . import _dlpack, _layout, _memory
from .tensor import Tensor


def _is_torch(x):
    return type(x).__module__.partition(".")[0] == "torch"


def _bits(x):
    """torch's bfloat16 as the uint16 that numpy can hold, marked as such."""
    import torch
    return x.view(torch.int16).numpy().view(_layout.BF16)


def as_array(x):
    """numpy's array of anything that can be one, in the same memory where
    there is one. Raises TypeError, ValueError."""
    if isinstance(x, np.ndarray):
        _memory.check_fork(x)
        return x if type(x) is np.ndarray else x.view(np.ndarray)
    if _is_torch(x) and str(x.dtype) == "torch.bfloat16":
        return _bits(x)
    if not hasattr(x, "__array__") and hasattr(x, "__dlpack__"):
        return _dlpack.load(x)
    return np.asarray(x)


def operand(handle, x):
    """An array, or a tensor of this connection."""
    if not isinstance(x, Tensor):
        return as_array(x)
    if x._handle is not handle:
        # Its number may name one of this connection's, too.
        raise ValueError(f"{x!r} is another connection's")
    return x


def target(handle, x):
    """The same for what is written: never a copy. Raises TypeError."""
    if not isinstance(x, (np.ndarray, Tensor)) and not _is_torch(x):
        raise TypeError("out must be an array, a torch or a resident tensor, "
                        f"not {type(x).__name__}")
    return operand(handle, x)


def like(given, result):
    """A result for operands as they were given: torch's bfloat16, which numpy
    does not know, gives that."""
    if not any(_is_torch(x) and str(x.dtype) == "torch.bfloat16"
               for x in given):
        return result
    import torch
    bits = np.asarray(result).view(np.int16)
    return torch.from_numpy(bits).view(torch.bfloat16)
