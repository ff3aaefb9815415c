# SPDX-License-Identifier: MIT
"""libpenstock through ctypes: penstock.h's structs and functions."""

import ctypes
import errno
import importlib.machinery
import importlib.util
import math
import os
import pathlib
import sys
import threading
from ctypes import (POINTER, Structure, c_char, c_char_p, c_double, c_int, c_int64, c_size_t,
                    c_uint32, c_uint64, c_void_p)
from urllib.parse import quote

from . import _interrupt, errors
from ._version import __version__

try:
    from . import _config
except ImportError:
    # Not put here by make install.
    _config = None

_NAME = "libpenstock.so.0"

FOREVER = 2**64 - 1
F32, F64, F16, BF16, I8, I32 = 1, 2, 3, 4, 5, 6
ROW_MAJOR, COL_MAJOR = 0, 1
OPEN_CONTROL_ONLY, OPEN_NO_SPIN = 1, 2
QUERY_INFO, QUERY_HEALTH, QUERY_STATS = 0, 1, 2


class _Sized(Structure):
    """A structure that begins with its size, for the library to know it by."""

    def __init__(self, **members):
        super().__init__(size=ctypes.sizeof(self), **members)


class Options(_Sized):
    _fields_ = [("size", c_size_t), ("timeout_ns", c_uint64),
                ("dead_ns", c_uint64), ("spin_ns", c_uint64),
                ("flags", c_uint32), ("queues", c_uint32),
                ("name", c_char_p)]


# Its first fields; size says that there are no more.
class Info(_Sized):
    _fields_ = [("size", c_size_t), ("epoch", c_uint64)]


class Gemm(_Sized):
    _fields_ = [("size", c_size_t),
                ("dtype", c_uint32), ("order", c_uint32),
                ("transa", c_uint32), ("transb", c_uint32),
                ("m", c_uint32), ("n", c_uint32), ("k", c_uint32),
                ("lda", c_uint32), ("ldb", c_uint32), ("ldc", c_uint32),
                ("alpha", c_double), ("beta", c_double),
                ("a", c_void_p), ("b", c_void_p), ("c", c_void_p),
                ("dtype_c", c_uint32), ("compute", c_uint32),
                ("act", c_uint32), ("batch", c_uint32),
                ("stride_a", c_uint64), ("stride_b", c_uint64),
                ("stride_c", c_uint64), ("bias", c_void_p),
                ("a_tensor", c_uint64), ("b_tensor", c_uint64),
                ("c_tensor", c_uint64), ("bias_tensor", c_uint64)]


class Completion(Structure):
    _fields_ = [("tag", c_uint64), ("user_data", c_uint64),
                ("status", ctypes.c_int32), ("reserved0", c_uint32),
                ("compute_ns", c_uint64), ("queue_ns", c_uint64),
                ("result", c_uint64), ("reserved", c_uint64 * 2)]


class Model(Structure):
    _fields_ = [("handle", c_uint64), ("epoch", c_uint64),
                ("bytes", c_uint64), ("n_in", c_uint32),
                ("n_out", c_uint32), ("max_batch", c_uint32),
                ("n_layers", c_uint32), ("dtype", c_uint32),
                ("reserved0", c_uint32), ("name", c_char * 64),
                ("reserved", c_uint64 * 4)]


MAX_RANK = 8


class TensorSpec(Structure):
    _fields_ = [("name", c_char_p), ("dtype", c_uint32), ("rank", c_uint32),
                ("dim", c_int64 * MAX_RANK), ("dim_name", c_char_p * MAX_RANK),
                ("reserved", c_uint64 * 2)]


class ModelSpec(Structure):
    _fields_ = [("model", Model), ("input", POINTER(TensorSpec)),
                ("output", POINTER(TensorSpec)), ("n_in", c_uint32),
                ("n_out", c_uint32), ("format", c_char_p),
                ("provider", c_char_p), ("runtime", c_char_p),
                ("note", c_char_p), ("meta", c_char_p), ("ready", c_uint32),
                ("wanted", c_uint32), ("n_cpus", c_uint32),
                ("shared", c_uint32), ("threads", c_uint32),
                ("reserved0", c_uint32), ("load_ns", c_uint64),
                ("first_ns", c_uint64), ("second_ns", c_uint64),
                ("run_ns", c_uint64), ("n_runs", c_uint64),
                ("copied", c_uint64), ("reserved", c_uint64 * 8)]


class Io(_Sized):
    _fields_ = [("size", c_size_t), ("name", c_char_p), ("data", c_void_p),
                ("bytes", c_uint64), ("index", c_uint32), ("dtype", c_uint32),
                ("rank", c_uint32), ("flags", c_uint32),
                ("dim", c_int64 * MAX_RANK)]


class Run(_Sized):
    _fields_ = [("size", c_size_t), ("model", POINTER(ModelSpec)),
                ("input", POINTER(Io)), ("output", POINTER(Io)),
                ("n_in", c_uint32), ("n_out", c_uint32)]


class Load(_Sized):
    _fields_ = [("size", c_size_t), ("name", c_char_p), ("path", c_char_p),
                ("data", POINTER(c_char_p)), ("n_data", c_uint32),
                ("provider", c_uint32), ("flags", c_uint32),
                ("reserved", c_uint32), ("progress", c_void_p),
                ("arg", c_void_p)]


class Infer(_Sized):
    _fields_ = [("size", c_size_t), ("model", POINTER(Model)),
                ("input", c_void_p), ("output", c_void_p),
                ("rows", c_uint32), ("ld_in", c_uint32),
                ("ld_out", c_uint32), ("reserved", c_uint32)]


# Name, result, arguments; c_void_p stands for struct pst *.
_FUNCTIONS = [
    ("pst_version", c_char_p, []),
    ("pst_strerror", c_char_p, [c_int]),
    ("pst_open", c_int, [c_char_p, POINTER(Options), POINTER(c_void_p),
                         c_char_p, c_size_t]),
    ("pst_close", None, [c_void_p]),
    ("pst_set_interrupt", None, [c_void_p, c_void_p]),
    ("pst_last_error", None, [c_void_p, c_char_p, c_size_t]),
    ("pst_get_info", c_int, [c_void_p, POINTER(Info)]),
    ("pst_check", c_int, [c_void_p]),
    ("pst_owner", c_void_p, [c_void_p]),
    ("pst_query", c_int, [c_void_p, c_int, POINTER(c_void_p)]),
    ("pst_ping", c_int, [c_void_p, POINTER(c_uint64)]),
    ("pst_alloc", c_int, [c_void_p, c_size_t, POINTER(c_void_p)]),
    ("pst_free", c_int, [c_void_p, c_void_p]),
    ("pst_take", c_int, [c_void_p, c_void_p, c_void_p, c_size_t]),
    ("pst_tensor_create", c_int, [c_void_p, c_uint64, POINTER(c_uint64)]),
    ("pst_tensor_destroy", c_int, [c_void_p, c_uint64]),
    ("pst_upload", c_int, [c_void_p, c_uint64, c_uint64, c_void_p, c_uint64,
                           c_uint64]),
    ("pst_download", c_int, [c_void_p, c_void_p, c_uint64, c_uint64, c_uint64,
                             c_uint64]),
    ("pst_gemm", c_int, [c_void_p, POINTER(Gemm), c_uint64, c_void_p]),
    ("pst_submit_gemm", c_int, [c_void_p, POINTER(Gemm), c_uint64,
                                POINTER(c_uint64)]),
    ("pst_poll", c_int, [c_void_p, POINTER(Completion), c_int]),
    ("pst_wait_any", c_int, [c_void_p, POINTER(Completion), c_int, c_uint64]),
    ("pst_failure", c_int, [c_void_p, c_uint64, c_char_p, c_size_t]),
    ("pst_cancel", c_int, [c_void_p, c_uint64]),
    ("pst_fd", c_int, [c_void_p]),
    ("pst_arm", c_int, [c_void_p]),
    ("pst_model_load", c_int, [c_void_p, c_char_p, c_char_p, c_uint64,
                               POINTER(Model)]),
    ("pst_model_open", c_int, [c_void_p, c_char_p, POINTER(Model)]),
    ("pst_model_unload", c_int, [c_void_p, c_char_p]),
    ("pst_model_list", c_int, [c_void_p, POINTER(c_void_p)]),
    ("pst_model_load_file", c_int, [c_void_p, POINTER(Load), c_uint64,
                                    POINTER(Model)]),
    ("pst_model_info", c_int, [c_void_p, c_char_p,
                               POINTER(POINTER(ModelSpec))]),
    ("pst_run", c_int, [c_void_p, POINTER(Run), c_uint64, c_void_p]),
    ("pst_infer", c_int, [c_void_p, POINTER(Infer), c_uint64, c_void_p]),
]


def nanoseconds(seconds, default=FOREVER):
    """A time in penstock.h's units; one that is not 0 stays so. Raises
    ValueError."""
    if seconds is None:
        return default
    if not seconds >= 0:
        raise ValueError(f"a timeout of {seconds} s")
    return math.ceil(min(seconds * 1e9, FOREVER))


def text(value):
    """A str, bytes or path as a string of C's. Raises ValueError."""
    value = os.fsencode(value)
    if b"\0" in value:
        raise ValueError(f"{value!r} has a NUL in it")
    return value


def check_size(size):
    """Raises ValueError for bytes that penstock.h cannot express."""
    if size >= 2**63:
        raise ValueError(f"{size} bytes are too many")
    return size


_lock = threading.Lock()
_loaded = None
_path = None
SENTENCE_SIZE = 512


def _declare(library):
    for name, result, arguments in _FUNCTIONS:
        function = getattr(library, name)
        function.restype = result
        function.argtypes = arguments
    # For strings that the library hands over; its free() is the process's.
    libc = ctypes.CDLL(None)
    library.libc_free = libc.free
    library.libc_free.restype = None
    library.libc_free.argtypes = [c_void_p]
    library.libc_alloc = libc.aligned_alloc
    library.libc_alloc.restype = c_void_p
    library.libc_alloc.argtypes = [c_size_t, c_size_t]
    return library


def _candidates():
    """Where the library may be: with the same make install, in the build of
    this source tree, beside a Python package that pip installed."""
    if _config:
        return [_config.LIBRARY]
    top = pathlib.Path(__file__).absolute().parents[3]
    return [str(folder / _NAME) for folder in (
        top / "build" / "host-client" / ".libs",
        pathlib.Path(sys.prefix) / "lib", pathlib.Path("/usr/local/lib"))]


def _find():
    """The path of the library, or its name for the loader to search, and what
    was looked for."""
    path = os.environ.get("PENSTOCK_LIBRARY")
    if path:
        return path, "$PENSTOCK_LIBRARY"
    tried = _candidates()
    for path in tried:
        if os.path.exists(path):
            return path, path
    return _NAME, ", ".join(tried) + f" and {_NAME} where the loader looks"


def _open():
    path, tried = _find()
    try:
        library = ctypes.CDLL(path)
    except OSError as e:
        raise errors.make(
            -errno.ENOENT, f"cannot load Penstock's library: {e} (tried "
            f"{tried}; $PENSTOCK_LIBRARY may name it)") from None
    try:
        _declare(library)
    except AttributeError as e:
        raise errors.Error(
            errno.ENOEXEC, f"{path} is no library of Penstock {__version__}, "
            f"as the Python package is: {e}") from None
    version = library.pst_version().decode()
    if version.split(".")[:2] != __version__.split(".")[:2]:
        raise errors.Error(
            errno.ENOEXEC, f"{path} is of Penstock {version}, the Python "
            f"package in {os.path.dirname(__file__)} of {__version__}")
    return library, path


def load():
    """The library, loaded once. Raises Error."""
    global _loaded, _path
    with _lock:
        if _loaded is None:
            _loaded, _path = _open()
            _interrupt.library = _loaded
        return _loaded


def check(pointer, code):
    """Raise what a negative result of a call in this thread means, or a
    signal's handler raised meanwhile."""
    if _interrupt.raised:
        _interrupt.check()
    if code >= 0:
        return
    text = ctypes.create_string_buffer(SENTENCE_SIZE)
    _loaded.pst_last_error(pointer, text, len(text))
    sentence = text.value or _loaded.pst_strerror(code)
    raise errors.make(code, sentence.decode("utf-8", "replace"))


def refuse(forked):
    """Raise why a connection cannot be used."""
    if forked:
        raise errors.ForkedError(
            errno.EBADF, "the connection is another process's: a child made "
            "by fork() opens one of its own")
    raise errors.Error(errno.EBADF, "the connection is closed")


def _compiled():
    """The compiled module: installed beside this one, or of the build tree
    that the library is of. None: there is none, or it is not wanted."""
    if os.environ.get("PENSTOCK_CTYPES"):
        return None
    try:
        from . import _fast
        return _fast
    except ImportError:
        pass
    path = os.path.join(os.path.dirname(os.path.abspath(_path)), "..",
                        "python", ".libs", "_fast.abi3.so")
    if not os.path.exists(path):
        return None
    name = __package__ + "._fast"
    loader = importlib.machinery.ExtensionFileLoader(name, path)
    module = importlib.util.module_from_spec(
        importlib.util.spec_from_loader(name, loader))
    loader.exec_module(module)
    return module


def calls(ndarray, array):
    """What has Gate and Plan: the compiled module, else _gate."""
    load()
    fast = _compiled()
    wanted = [int(n) for n in __version__.split(".")[:2]]
    if fast is None or fast.VERSION != wanted[0] * 1000 + wanted[1]:
        from . import _gate
        return _gate
    fast.setup(_path, ndarray, array, check, refuse, _interrupt)
    return fast


def _agent():
    """The agent that came with the loaded library; None: the library knows."""
    agent = _config.AGENT if _config else ""
    folder = os.path.dirname(os.path.abspath(_path))
    if os.path.basename(folder) == ".libs":
        agent = os.path.join(os.path.dirname(os.path.dirname(folder)),
                             "guest-agent", "penstock-agent")
    return agent if os.path.exists(agent) else None


def endpoint(name):
    """What pst_open() is given: "spawn:" starts the agent that came with the
    library, unless another one is asked for."""
    if name is None:
        name = os.environ.get("PENSTOCK_ENDPOINT")
    if name is None:
        return None
    name = os.fsdecode(name)
    if (name.startswith("spawn:") and "agent=" not in name and
            not os.environ.get("PENSTOCK_AGENT")):
        agent = _agent()
        if agent:
            name += ("&" if "?" in name else "?") + "agent=" + quote(agent)
    return text(name)
