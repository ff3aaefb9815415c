# SPDX-License-Identifier: MIT
"""Layers of torch whose products run on the agent:

    from penstock.torch import linear

    layer = linear(c, 784, 128)             # in the place of torch.nn.Linear
    layer = linear(c, trained_layer)        # with its weight and bias
    loss(layer(x)).backward()               # gradients are products there, too
"""

import torch



def _plain(x):
    """What products take of a torch tensor."""
    return x.detach().contiguous()


class _Product(torch.autograd.Function):
    """op(a) @ op(b) of matrices; its gradients are products again. resident: a
    copy of b on the agent, or None."""

    @staticmethod
    def forward(ctx, connection, a, b, transa, transb, resident):
        ctx.save_for_backward(a, b)
        ctx.args = connection, transa, transb
        m = a.shape[1] if transa else a.shape[0]
        n = b.shape[0] if transb else b.shape[1]
        out = torch.empty((m, n), dtype=a.dtype)
        if out.numel():
            connection.gemm(_plain(a), _plain(b) if resident is None
                            else resident, out, transa=transa, transb=transb)
        return out

    @staticmethod
    def backward(ctx, g):
        a, b = ctx.saved_tensors
        connection, transa, transb = ctx.args
        ga = gb = None
        if ctx.needs_input_grad[1]:
            ga = (_Product.apply(connection, b, g, transb, True, None)
                  if transa else
                  _Product.apply(connection, g, b, False, not transb, None))
        if ctx.needs_input_grad[2]:
            gb = (_Product.apply(connection, g, a, True, transa, None)
                  if transb else
                  _Product.apply(connection, a, g, not transa, False, None))
        return None, ga, gb, None, None, None


def matmul(connection, a, b):
    """a @ b of two matrices on the agent, with gradients of any order. They
    are on the CPU and have one type that Connection.gemm() takes."""
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[0]:
        raise ValueError(f"shapes {tuple(a.shape)} and {tuple(b.shape)} are "
                         "no matrices that match")
    if a.dtype != b.dtype:
        raise TypeError(f"a is {a.dtype} and b is {b.dtype}; convert one of "
                        "them")
    return _Product.apply(connection, a, b, False, False, None)


class Linear(torch.nn.Linear):
    """torch.nn.Linear, of which it has parameters, names and state. While it
    is trained its weight goes to the agent with each call. After eval() it
    stays there, and goes again when torch knows that it was changed, or after
    train() and eval(): torch does not see what is written by weight.data."""

    def __init__(self, connection, in_features, out_features, bias=True,
                 dtype=None):
        super().__init__(in_features, out_features, bias, dtype=dtype)
        self._connection = connection
        self._resident = None
        self._seen = None

    def train(self, mode=True):
        self._resident = None
        return super().train(mode)

    def _weight(self):
        """The weight on the agent, as it is now; None: as an operand."""
        w = self.weight
        if self.training or not w.numel():
            return None
        seen = w.data_ptr(), w._version, w.dtype, w.shape
        if (self._resident is None or seen != self._seen or
                self._connection.lost):
            self._resident = self._connection.tensor(_plain(w))
            self._seen = seen
        return self._resident

    def forward(self, x):
        if x.dtype != self.weight.dtype:
            raise TypeError(f"x is {x.dtype} and the weight "
                            f"{self.weight.dtype}")
        if x.shape[-1:] != (self.in_features,):
            raise ValueError(f"x has shape {tuple(x.shape)}, the layer "
                             f"{self.in_features} inputs")
        rows = x.reshape(-1, self.in_features)
        y = _Product.apply(self._connection, rows, self.weight, False, True,
                           self._weight())
        y = y.reshape(*x.shape[:-1], self.out_features)
        return y if self.bias is None else y + self.bias

    def __getstate__(self):
        raise TypeError("a layer has a connection: save its state_dict()")


def linear(connection, in_features, out_features=None, bias=True, dtype=None):
    """A Linear: in_features and out_features as torch.nn.Linear takes them, or
    a torch.nn.Linear whose parameters it shares."""
    if isinstance(in_features, torch.nn.Linear):
        given = in_features
        layer = Linear(connection, given.in_features, given.out_features,
                       given.bias is not None, given.weight.dtype)
        layer.weight, layer.bias = given.weight, given.bias
        return layer
    return Linear(connection, in_features, out_features, bias, dtype)


__all__ = ["Linear", "linear", "matmul"]
