# SPDX-License-Identifier: MIT
"""A connection to an agent: arrays in the region, products, questions."""

import ctypes
import json
import os
import sys
import weakref

import numpy as np

from . import (_async, _dlpack, _foreign, _gemm, _interrupt, _layout, _library,
               _matmul, _memory, errors)
from .array import Array
from .model import Model
from .named import NamedModel
from .tensor import Tensor


def _connect(library, endpoint, options):
    pointer = ctypes.c_void_p()
    text = ctypes.create_string_buffer(512)
    name = _library.endpoint(endpoint)
    _interrupt.arm()
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
        given, x = x, _foreign.as_array(x)
        if dtype is not None:
            x = np.asarray(x, dtype=_layout.dtype(dtype))
        if _memory.lies_in(self._handle, x):
            _memory.check(x)
            return x
        fortran = x.flags.f_contiguous and not x.flags.c_contiguous
        array = self.empty(x.shape, x.dtype, "F" if fortran else "C")
        array[...] = x
        _memory.check(given)
        return array

    def array(self, x, dtype=None):
        """As asarray(), but an Array: a @ b runs on the agent then."""
        array = self.asarray(x, dtype).view(Array)
        array._handle = self._handle
        return array

    def from_dlpack(self, x, *, copy=None):
        """An array of what another library has in this process's memory, by
        x.__dlpack__(): the same memory, writable unless x is read-only; with
        copy=True a copy in the region. bf16 is ml_dtypes' where that is
        loaded, else uint16 that products know.

        Raises BufferError (another device's memory, elements that numpy does
        not know), TypeError.
        """
        array = _dlpack.load(x)
        return self.asarray(array) if copy else array

    def take(self, array):
        """A private copy of an array in the region, which nobody else can
        change any more."""
        _memory.check_fork(array)
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
        """alpha * a @ b + beta * out, for vectors, matrices, and stacks of
        matrices, which are broadcast as by numpy's matmul().

        a, b: arrays and what can be one, also torch's tensors and what has
        __dlpack__(), and resident tensors. float32, float64 and float16 are
        promoted as numpy does, and integers beside them; int8 gives int32;
        bf16 is ml_dtypes' or torch's bfloat16.

        Arrays in the region are used where they lie, transposed views and
        slices with a leading dimension too; all others go through it in
        pieces, and may be larger than it. Without out the result is a new
        private array, with region=True one in the region, which needs room
        for it (NoRoomError). timeout: seconds; it ends the wait, not the
        product: out is undefined until a later call returned.

        Raises TypeError (element types), ValueError (shapes), Error.
        """
        handle = self._handle
        if timeout is None and not region:
            if out is not None:
                if handle.gate.matmul(a, b, out, alpha, beta):
                    return out
            elif beta == 0:
                c = _matmul.simple_result(a, b)
                if c is not None and handle.gate.matmul(a, b, c, alpha, 0.0):
                    return c
        return _matmul.matmul(handle, a, b, alpha, beta, out, region,
                              _library.nanoseconds(timeout))

    def gemm(self, a, b, out=None, *, alpha=1.0, beta=0.0, bias=None,
             act=None, compute=None, transa=False, transb=False, dtype=None,
             out_dtype=None, region=False, timeout=None):
        """act(alpha op(a) @ op(b) + beta out + bias): the whole product.

        a, b, out: matrices, or batches of them with 3 dimensions (a matrix
        stands for as many of the same); arrays, or tensors, or both. transa,
        transb: op is the transpose. bias: one element for each column. act:
        "relu", "gelu_tanh" or "gelu_erf". compute: "tf32" or "fast_f16",
        which round operands of float32 to get done sooner.

        Elements of a and b: float32, float64, float16, int8, the bfloat16 of
        ml_dtypes or torch, or, with dtype="bf16" (or "bfloat16"), uint16 that
        holds the upper half of a float32. The result has the same, or
        out_dtype: "f4" for float16 and bf16; int8 gives int32. What the backend cannot do raises Error (EOPNOTSUPP).

        Returns out, or a new array. Arrays, region and timeout as with
        matmul().
        """
        return self._gemm_call(
            a, b, out, alpha=alpha, beta=beta, bias=bias, act=act,
            compute=compute, transa=transa, transb=transb, dtype=dtype,
            out_dtype=out_dtype, region=region,
            timeout=timeout).run(self._handle)

    def _gemm_call(self, a, b, out=None, *, alpha=1.0, beta=0.0, bias=None,
                   act=None, compute=None, transa=False, transb=False,
                   dtype=None, out_dtype=None, region=False, timeout=None):
        return _gemm.Call(self._handle, a, b, out, region, dtype, out_dtype, {
            "alpha": alpha, "beta": beta, "bias": bias, "act": act,
            "compute": compute, "transa": transa, "transb": transb,
            "timeout_ns": _library.nanoseconds(timeout)})

    def plan(self, a, b, out, **options):
        """gemm() as a prepared call: an object that computes it again each
        time it is called, without arguments, from what is in a and b then, and
        returns out. options: gemm()'s, without region. Several threads may
        call it.

        Raises what gemm() does, and ValueError where an operand cannot be used
        where it lies: it has strides that BLAS does not know, shares memory
        with out, or is another connection's.
        """
        if out is None:
            raise TypeError("a plan needs out")
        return _gemm.plan(self._handle, self._gemm_call(a, b, out, **options))

    async def gemm_async(self, a, b, out=None, *, timeout=None, **options):
        """gemm() for asyncio: other tasks run until the product is done.
        options: gemm()'s. Many at once may be under way, in the order in which
        they were begun.

        Arrays outside the region are copied there before it begins, and out
        is written behind it; where there is no room, a thread makes the call.
        A task that is cancelled cancels its product; out is undefined then, as
        after timeout, and operands are kept until the agent has finished.
        """
        call = self._gemm_call(a, b, out, **options)
        return await _async.gemm(self._handle, call, timeout)

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
        given, x = x, _foreign.as_array(x)
        if dtype is None:
            element = _layout.element(x.dtype)
        else:
            element = _layout.element(dtype)
            if _layout.known(x.dtype) != element:
                x = np.asarray(x, element.dtype)
        _memory.check(given)
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
