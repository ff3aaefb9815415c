# SPDX-License-Identifier: MIT
"""Models with named inputs and outputs, such as ONNX files, and a class with
the shape of onnxruntime's InferenceSession."""

import ctypes
import enum
import errno
import os

import numpy as np

from . import _library, _memory
from ._modelmeta import ModelMetadata

# numpy's type, and onnxruntime's name, of each element type of penstock.h. numpy
# has no bfloat16: uint16 holds it.
_TYPES = {
    1: ("float32", "float"), 2: ("float64", "double"),
    3: ("float16", "float16"), 4: ("uint16", "bfloat16"), 5: ("int8", "int8"),
    6: ("int32", "int32"), 7: ("int64", "int64"), 8: ("uint8", "uint8"),
    9: ("bool", "bool"), 10: ("int16", "int16"), 11: ("uint16", "uint16"),
    12: ("uint32", "uint32"), 13: ("uint64", "uint64"),
}
_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


def _text(raw):
    return raw.decode("utf-8", "replace")


class NodeArg:
    """An input or output: name, dtype (numpy's), shape, whose sizes are
    numbers, names of sizes that are equal within a call, or None. type is
    onnxruntime's word."""

    def __init__(self, spec):
        self.name = _text(spec.name)
        self.dtype = np.dtype(_TYPES[spec.dtype][0])
        self.type = f"tensor({_TYPES[spec.dtype][1]})"
        self.shape = [
            spec.dim[i] if spec.dim[i] >= 0 else
            _text(spec.dim_name[i]) if spec.dim_name[i] else None
            for i in range(spec.rank)]

    def __repr__(self):
        return f"NodeArg(name={self.name!r}, type={self.type!r}, " \
               f"shape={self.shape})"


class NamedModel:
    """Made by Connection.model(). It stays the agent's: dropping this object
    unloads nothing."""

    def __init__(self, handle, name):
        self._handle = handle
        self._spec = ctypes.POINTER(_library.ModelSpec)()
        with handle.using() as c:
            handle.check(c, handle.library.pst_model_info(
                c, _library.text(name), ctypes.byref(self._spec)))
        m = self._spec.contents
        self.name = _text(m.model.name)
        self.format = _text(m.format)
        self.provider = _text(m.provider)
        self.runtime = _text(m.runtime)
        self.note = _text(m.note)
        # At the time of the question: runs of all clients, and bytes of operands
        # that were not used in place.
        self.runs, self.copied = m.n_runs, m.copied
        self.inputs = [NodeArg(m.input[i]) for i in range(m.n_in)]
        self.outputs = [NodeArg(m.output[i]) for i in range(m.n_out)]
        self._in = {a.name: i for i, a in enumerate(self.inputs)}
        self._out = {a.name: i for i, a in enumerate(self.outputs)}

    def __del__(self):
        if getattr(self, "_spec", None):
            self._handle.library.libc_free(
                ctypes.cast(self._spec, ctypes.c_void_p))

    def __repr__(self):
        return (f"<penstock.NamedModel {self.name!r}, "
                f"{', '.join(self._in)} to {', '.join(self._out)}>")

    def _input(self, name, value, io):
        index = self._in.get(name)
        if index is None:
            raise ValueError(f"model {self.name!r} has no input {name!r}: "
                             f"{', '.join(self._in)}")
        arg = self.inputs[index]
        x = np.asarray(value)
        _memory.check_fork(x)
        # As onnxruntime: an array has the type that is wanted, a Python number
        # or list takes it.
        if x.dtype != arg.dtype and isinstance(value, (np.ndarray, np.generic)):
            raise TypeError(f"{name} is {arg.dtype}; the array is {x.dtype}")
        if x.ndim > _library.MAX_RANK:
            raise ValueError(f"{name} has {x.ndim} dimensions; "
                             f"{_library.MAX_RANK} are allowed")
        x = np.asarray(x, arg.dtype, order="C")
        io.size = ctypes.sizeof(io)
        io.index = index
        io.data = x.__array_interface__["data"][0]
        io.bytes = x.nbytes
        io.rank = x.ndim
        io.dim[:x.ndim] = x.shape
        return x

    def _output(self, name, out, io):
        index = self._out.get(name)
        if index is None:
            raise ValueError(f"model {self.name!r} has no output {name!r}: "
                             f"{', '.join(self._out)}")
        io.size = ctypes.sizeof(io)
        io.index = index
        if out is None:
            return
        arg = self.outputs[index]
        if (not isinstance(out, np.ndarray) or out.dtype != arg.dtype or
                not out.flags.c_contiguous or not out.flags.writeable):
            raise TypeError(f"the array for {name} must be a writable one of "
                            f"{arg.dtype} in C order")
        _memory.check_fork(out)
        io.data = out.__array_interface__["data"][0]
        io.bytes = out.nbytes

    def _take(self, c, name, io, out):
        """The result as an array: out, or a private copy."""
        shape = tuple(io.dim[:io.rank])
        if out is not None:
            if out.shape != shape:
                raise ValueError(f"the array for {name} has shape {out.shape},"
                                 f" the result {shape}")
            return out
        result = np.empty(shape, self.outputs[io.index].dtype)
        try:
            if io.bytes:
                self._handle.check(c, self._handle.library.pst_take(
                    c, result.__array_interface__["data"][0], io.data,
                    io.bytes))
        finally:
            self._handle.library.pst_free(c, io.data)
        return result

    def run(self, feed, outputs=None, *, out=None, timeout=None):
        """Run the model: feed is a dict of an array for each input; the result
        one of an array for each output, or for those named in outputs.

        Arrays in the region that begin at a multiple of 64, as those of
        empty() do, are used where they lie; others are copied. out: a dict of
        arrays for outputs, which are written then; one in the region can be an
        input of the next call without a copy. Other results are new private
        arrays. Elements of bfloat16 are uint16. timeout: seconds, after which
        the agent ends the run.

        Raises ValueError (names, shapes), TypeError (element types), Error:
        EINVAL (shapes that do not fit the model), ENOENT when it was unloaded,
        StaleError when its agent is gone.
        """
        out = out or {}
        names = list(self._out) if outputs is None else list(outputs)
        for name in out:
            if name not in names:
                names.append(name)
        ins = (_library.Io * max(len(feed), 1))()
        outs = (_library.Io * max(len(names), 1))()
        kept = [self._input(name, value, io)
                for (name, value), io in zip(feed.items(), ins)]
        for name, io in zip(names, outs):
            self._output(name, out.get(name), io)
        args = _library.Run(model=self._spec, input=ins, output=outs,
                            n_in=len(feed), n_out=len(names))
        with self._handle.using() as c:
            self._handle.check(c, self._handle.library.pst_run(
                c, ctypes.byref(args), _library.nanoseconds(timeout), None))
            results = {name: self._take(c, name, io, out.get(name))
                       for name, io in zip(names, outs)}
        # Of a lost session there would be zeros.
        _memory.check(*(x for x in kept))
        return results


def get_available_providers():
    """What can be asked for. Whether an agent has it, its loads say."""
    return [_PROVIDERS["cuda"], _PROVIDERS["cpu"]]


class GraphOptimizationLevel(enum.IntEnum):
    """onnxruntime's names and numbers; without effect, as SessionOptions."""
    ORT_DISABLE_ALL = 0
    ORT_ENABLE_BASIC = 1
    ORT_ENABLE_EXTENDED = 2
    ORT_ENABLE_LAYOUT = 3
    ORT_ENABLE_ALL = 99


class ExecutionMode(enum.IntEnum):
    """As GraphOptimizationLevel."""
    ORT_SEQUENTIAL = 0
    ORT_PARALLEL = 1


class SessionOptions:
    """Takes and keeps what scripts set; it has no effect on the agent."""

    def add_session_config_entry(self, key, value):
        vars(self).setdefault("config", {})[key] = value

    def get_session_config_entry(self, key):
        return vars(self).get("config", {})[key]


class RunOptions:
    """As SessionOptions; run() refuses what would change a result."""


def _wanted(providers):
    """The number of penstock.h for a list of onnxruntime's: the first decides,
    and one alone is a demand."""
    if not providers:
        return 0
    names = [p[0] if isinstance(p, (tuple, list)) else p for p in providers]
    known = [p for p in names if p in _PROVIDERS.values()]
    if not known:
        raise ValueError(f"providers are {get_available_providers()}, not "
                         f"{names}")
    if known[0] == _PROVIDERS["cpu"]:
        return 1
    return 0 if _PROVIDERS["cpu"] in known else 2


class InferenceSession:
    """The shape of onnxruntime's class, for a script to change one import:

        import penstock as onnxruntime

    path: an ONNX file, or its bytes, which is loaded into the agent for this
    object alone, or the name of a model that somebody has loaded; what has a
    slash or ends with .onnx is a file. providers: as onnxruntime's;
    ["CPUExecutionProvider"] keeps it off a card, ["CUDAExecutionProvider"]
    alone fails where there is none. sess_options and provider_options have no
    effect. endpoint: see penstock.open(); connection: one that is open already.
    """

    def __init__(self, path, sess_options=None, providers=None,
                 provider_options=None, *, endpoint=None, connection=None,
                 name=None, timeout=None):
        from . import open as connect
        self._owned = self._meta = None
        self._timeout = timeout
        wanted = _wanted(providers)
        raw = isinstance(path, (bytes, bytearray, memoryview))
        if not raw:
            path = os.fspath(path)
            if not os.path.exists(path) and (
                    name or "/" in path or path.endswith(".onnx")):
                raise FileNotFoundError(errno.ENOENT,
                                        os.strerror(errno.ENOENT), path)
        self._connection = connection or connect(endpoint)
        if raw:
            # The library reads files.
            with os.fdopen(os.memfd_create("model"), "wb") as f:
                f.write(path)
                f.flush()
                self._open(f"/proc/self/fd/{f.fileno()}", wanted, name)
        else:
            self._open(path, wanted, name)

    def _open(self, path, wanted, name):
        if os.path.exists(path):
            name = name or f"session-{os.getpid()}-{id(self):x}"
            self._load(name, path, wanted)
            self._owned = name
            with open(path, "rb") as f:
                self._meta = ModelMetadata(f)
            path = name
        self._model = self._connection.model(path)
        if wanted and self._model.provider != ("cpu", "cuda")[wanted - 1]:
            raise ValueError(f"model {path!r} was loaded for "
                             f"{self.get_providers()}")

    def _load(self, name, path, wanted):
        handle = self._connection._handle
        load = _library.Load(name=_library.text(name),
                             path=_library.text(path), provider=wanted)
        with handle.using() as c:
            handle.check(c, handle.library.pst_model_load_file(
                c, ctypes.byref(load), _library.nanoseconds(self._timeout),
                None))

    def get_modelmeta(self):
        """What the file says of itself, with onnxruntime's names."""
        if self._meta is None:
            raise ValueError(f"the file of model {self._model.name!r} is not "
                             "known: it was loaded by somebody else")
        return self._meta

    def get_inputs(self):
        return self._model.inputs

    def get_outputs(self):
        return self._model.outputs

    def get_providers(self):
        """Who computes the model really, as onnxruntime names it."""
        return [_PROVIDERS.get(self._model.provider, self._model.provider)]

    def run(self, output_names, input_feed, run_options=None):
        """A list of arrays for the outputs named; None means all."""
        for what in ("terminate", "training_mode"):
            if getattr(run_options, what, False):
                raise ValueError(f"run_options asks for {what}, which there "
                                 "is not here")
        names = list(output_names) if output_names else None
        results = self._model.run(input_feed, names, timeout=self._timeout)
        return [results[n] for n in names or results]

    def close(self):
        """Unload a model that was loaded for this object."""
        owned, self._owned = self._owned, None
        if owned:
            self._connection.unload_model(owned)

    def __del__(self):
        try:
            if getattr(self, "_owned", None):
                self.close()
        except Exception:
            # Its agent may be gone, and the model with it.
            pass
