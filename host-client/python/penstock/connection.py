# SPDX-License-Identifier: MIT
"""A connection to an agent: arrays in the region, products, questions."""

import ctypes
import json
import os
import sys
import weakref

import numpy as np

from . import _gemm, _interrupt, _layout, _library, _memory, errors
from .model import Model
from .named import NamedModel
from .tensor import Tensor


def _connect(library, endpoint, options):
    pointer = ctypes.c_void_p()
    text = ctypes.create_string_buffer(512)
    name = _library.endpoint(endpoint)
    _interrupt.arm(library)
    code = library.pst_open(name, ctypes.byref(options),
                            ctypes.byref(pointer), text, len(text))
    if _interrupt.raised:
        if code >= 0:
            library.pst_close(pointer)
        _interrupt.check()
    if code < 0:
        sentence = text.value or library.pst_strerror(code)
        raise errors.make(code, sentence.decode("utf-8", "replace"))
    return pointer.value


class Connection:
    """Made by penstock.open(). A context manager; see the package's text for
    memory, closing and threads. Methods raise Error, and StaleError for arrays
    of a session that is gone."""

    def __init__(self, endpoint=None, *, timeout=None, name=None,
                 control_only=False, spin=None, dead=None):
        library = _library.load()
        if name is None:
            name = os.path.basename(sys.argv[0] or "") or "python"
        if dead == 0:
            raise ValueError("dead=0 would take every agent for dead")
        flags = _library.OPEN_CONTROL_ONLY if control_only else 0
        if spin == 0:
            flags |= _library.OPEN_NO_SPIN
        options = _library.Options(
            timeout_ns=_library.nanoseconds(timeout, 0),
            dead_ns=_library.nanoseconds(dead, 0),
            spin_ns=_library.nanoseconds(spin, 0),
            flags=flags, name=_library.text(name))
        self._handle = _memory.Handle(library,
                                      _connect(library, endpoint, options))
        self._finalizer = weakref.finalize(self, self._handle.close)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def __repr__(self):
        state = "closed" if self.closed else "open"
        return f"<penstock.Connection, {state}>"

    @property
    def closed(self):
        """Whether close() was called."""
        return self._handle.closed

    @property
    def lost(self):
        """Whether the session is lost: the agent died, or its machine. Arrays
        and tensors that were made before are stale then, for good: calls with
        them raise StaleError, and numpy reads zeros where results were. The
        next empty(), asarray() or tensor(), or a product of private arrays,
        opens a new session; then it is False again, and what was stale stays
        so. True after close() once no array is left."""
        return self._handle.lost

    def close(self):
        """End the connection. Arrays live on, the session ends with the last
        of them."""
        self._handle.close()

    # Questions.

    def ping(self):
        """The time of a round trip on the control socket, in seconds."""
        ns = ctypes.c_uint64()
        with self._handle.using() as c:
            self._handle.check(c, self._handle.library.pst_ping(
                c, ctypes.byref(ns)))
        return ns.value / 1e9

    def info(self):
        """What the agent is and can do, as a dict."""
        return self._query(_library.QUERY_INFO)

    def health(self):
        """How the agent is: a dict with "healthy"."""
        return self._query(_library.QUERY_HEALTH)

    def stats(self):
        """The agent's counters, as a dict."""
        return self._query(_library.QUERY_STATS)

    def _query(self, what):
        library = self._handle.library
        return self._json(lambda c, ret: library.pst_query(c, what, ret))

    def _json(self, call):
        """The object in the text that a call hands over."""
        library = self._handle.library
        text = ctypes.c_void_p()
        with self._handle.using() as c:
            self._handle.check(c, call(c, ctypes.byref(text)))
        try:
            return json.loads(ctypes.string_at(text.value))
        finally:
            library.libc_free(text)

    # Arrays.

    def empty(self, shape, dtype=np.float64, order="C"):
        """An array in the region, its contents undefined."""
        return _memory.new_array(self._handle, _layout.as_shape(shape), dtype,
                                 order)

    def zeros(self, shape, dtype=np.float64, order="C"):
        """An array of zeros in the region."""
        array = self.empty(shape, dtype, order)
        array.fill(np.zeros((), array.dtype)[()])
        return array

    def asarray(self, x, dtype=None):
        """x as an array in the region: itself when it lies there already and
        has the dtype, else a copy in the same order."""
        given, x = x, np.asarray(x, dtype=dtype)
        if _memory.lies_in(self._handle, x):
            _memory.check(x)
            return x
        fortran = x.flags.f_contiguous and not x.flags.c_contiguous
        array = self.empty(x.shape, x.dtype, "F" if fortran else "C")
        array[...] = x
        _memory.check(given)
        return array

    def take(self, array):
        """A private copy of an array in the region, which nobody else can
        change any more."""
        if not _memory.lies_in(self._handle, array):
            copy = np.array(array)
            _memory.check(array)
            return copy
        low, size = _layout.span(array)
        raw = np.empty(max(size, 1), np.uint8)
        if size:
            with self._handle.using() as c:
                self._handle.check(c, self._handle.library.pst_take(
                    c, _layout.address(raw), _layout.address(array) + low, size))
        return np.ndarray(array.shape, array.dtype, raw, -low, array.strides)

    # Products.

    def matmul(self, a, b, alpha=1.0, beta=0.0, out=None, *, region=False,
               timeout=None):
        """alpha * a @ b + beta * out, for matrices and vectors of float32,
        float64, float16, or int8 with a result of int32.

        Arrays in the region are used where they lie, transposed views and
        slices with a leading dimension too; all others go through it in
        pieces, and may be larger than it. Without out the result is a new
        private array, with region=True one in the region. timeout: seconds;
        it ends the wait, not the product: out is undefined until a later call
        returned.

        Raises TypeError (element types), ValueError (shapes), Error.
        """
        a, b = np.asarray(a), np.asarray(b)
        element = _layout.operand(a.dtype)
        if a.dtype != b.dtype:
            raise TypeError(f"a is {a.dtype} and b is {b.dtype}; convert one "
                            "of them")
        a2, b2, pick = _as_matrices(a, b)
        shape = (a2.shape[0], b2.shape[1])
        _layout.check_dims(*a2.shape, *b2.shape)
        if out is None:
            if beta != 0:
                raise ValueError("beta needs out")
            new = self.empty if region else np.empty
            c2 = new(shape, element.natural)
        else:
            c2 = _check_out(out, element.natural, shape, pick)
        _gemm.run(self, element, _layout.element(element.natural), a2, b2, c2,
                  alpha=alpha, beta=beta,
                  timeout_ns=_library.nanoseconds(timeout))
        return c2[pick] if out is None else out

    def gemm(self, a, b, out=None, *, alpha=1.0, beta=0.0, bias=None,
             act=None, compute=None, transa=False, transb=False, dtype=None,
             out_dtype=None, region=False, timeout=None):
        """act(alpha op(a) @ op(b) + beta out + bias): the whole product.

        a, b, out: matrices, or batches of them with 3 dimensions (a matrix
        stands for as many of the same); arrays, or tensors, or both. transa,
        transb: op is the transpose. bias: one element for each column. act:
        "relu", "gelu_tanh" or "gelu_erf". compute: "tf32" or "fast_f16",
        which round operands of float32 to get done sooner.

        Elements of a and b: float32, float64, float16, int8, or, with
        dtype="bf16" (or "bfloat16"), uint16 that holds the upper half of a float32. The
        result has the same, or out_dtype: "f4" for float16 and bf16; int8
        gives int32. What the backend cannot do raises Error (EOPNOTSUPP).

        Returns out, or a new array. Arrays, region and timeout as with
        matmul().
        """
        return _gemm.gemm(self, a, b, out, region, dtype, out_dtype, {
            "alpha": alpha, "beta": beta, "bias": bias, "act": act,
            "compute": compute, "transa": transa, "transb": transb,
            "timeout_ns": _library.nanoseconds(timeout)})

    # Resident tensors.

    def tensor(self, x=None, *, shape=None, dtype=None, timeout=None):
        """A Tensor: x copied to the backend's own memory, or zeros of a shape
        and dtype (float64 by default). dtype "bf16" takes uint16. Its memory
        is given back when it dies; the agent limits how much a session has.

        Raises TypeError (element types), ValueError, Error.
        """
        if (x is None) == (shape is None):
            raise ValueError("a tensor is made of an array or of a shape")
        if x is None:
            return Tensor(self._handle, _layout.as_shape(shape),
                          _layout.element(dtype or np.float64))
        element = None if dtype is None else _layout.element(dtype)
        given, x = x, np.asarray(x, None if element is None else element.dtype)
        _memory.check(given)
        element = element or _layout.element(x.dtype)
        return Tensor(self._handle, x.shape, element).upload(x,
                                                             timeout=timeout)

    def upload(self, tensor, x, *, timeout=None):
        """Copy an array into a tensor; see Tensor.upload()."""
        return tensor.upload(x, timeout=timeout)

    def download(self, tensor, out=None, *, timeout=None):
        """A private copy of a tensor's contents; see Tensor.download()."""
        return tensor.download(out, timeout=timeout)

    # Models.

    def load_model(self, name, path, *, timeout=None):
        """Load a model file (penstock-models(7)) under a name, for every
        client of the agent; return a Model. timeout: seconds."""
        model = _library.Model()
        with self._handle.using() as c:
            self._handle.check(c, self._handle.library.pst_model_load(
                c, _library.text(name), _library.text(path),
                _library.nanoseconds(timeout),
                ctypes.byref(model)))
        return Model(self._handle, model, path)

    def open_model(self, name, path=None):
        """The Model that somebody has loaded under a name. path: the file it
        was loaded from, for Model.classes and predict(): the agent does not
        keep them."""
        model = _library.Model()
        with self._handle.using() as c:
            self._handle.check(c, self._handle.library.pst_model_open(
                c, _library.text(name), ctypes.byref(model)))
        return Model(self._handle, model, path)

    def model(self, name):
        """The NamedModel of any format that somebody has loaded under a name:
        what it takes and gives, and run()."""
        return NamedModel(self._handle, name)

    def unload_model(self, name):
        """End a model, whoever loaded it."""
        with self._handle.using() as c:
            self._handle.check(c, self._handle.library.pst_model_unload(
                c, _library.text(name)))

    def models(self):
        """What is loaded: a list of dicts."""
        return self._json(self._handle.library.pst_model_list)["models"]

    def infer(self, model, rows, out=None, *, timeout=None):
        """Rows through a model: a Model, or the name of one. See
        Model.infer()."""
        if isinstance(model, str):
            model = self.open_model(model)
        if model._handle is not self._handle:
            raise ValueError(f"{model!r} is another connection's")
        return model.infer(rows, out, timeout=timeout)


def _as_matrices(a, b):
    """Vectors as matrices, as numpy's matmul does: a row before, a column
    behind. The index picks the result of the right shape."""
    if not 1 <= a.ndim <= 2 or not 1 <= b.ndim <= 2:
        raise ValueError(f"matrices or vectors are needed, not {a.ndim} and "
                         f"{b.ndim} dimensions")
    pick = (slice(None) if a.ndim == 2 else 0,
            slice(None) if b.ndim == 2 else 0)
    a2 = a if a.ndim == 2 else a[np.newaxis, :]
    b2 = b if b.ndim == 2 else b[:, np.newaxis]
    if a2.shape[1] != b2.shape[0]:
        raise ValueError(f"shapes {a.shape} and {b.shape} do not match")
    return a2, b2, pick


def _check_out(out, dtype, shape, pick):
    """out as a matrix of the shape of the product."""
    wanted = tuple(n for n, i in zip(shape, pick) if isinstance(i, slice))
    if not isinstance(out, np.ndarray) or out.dtype != dtype:
        raise TypeError(f"out must be an array of {dtype}")
    if out.shape != wanted:
        raise ValueError(f"out has shape {out.shape}, the product {wanted}")
    if not out.flags.writeable:
        raise ValueError("out cannot be written")
    return out[tuple(i if isinstance(i, slice) else np.newaxis for i in pick)]
