# SPDX-License-Identifier: MIT
"""Matrix products on a GPU inside a virtual machine, through shared memory.

    import penstock

    with penstock.open("vsock://7?region=/dev/hugepages/penstock-gpu0") as c:
        a = c.empty((1024, 1024), "f4")    # a numpy array in the region
        a[...] = ...                       # what is written, the agent reads
        b = c.asarray(other)               # copied there once
        ab = c.matmul(a, b)                # a private array
        c.matmul(a, b, out=a2)             # where a2 is, in the region or not
        step = c.plan(a, b, a2)            # prepared: step() does it again
        ab = c.array(other) @ b            # on the agent, too
        ab = await c.gemm_async(a, b)

        w = c.tensor(weights)              # in the GPU's own memory
        y = c.gemm(a, w, act="relu", region=True)  # stays in the region

        net = c.load_model("digits", "digits.safetensors")
        labels = net.predict(rows)         # through a network over there
        y = net.infer(rows)                # its outputs as they are

Memory. Arrays of empty(), zeros() and asarray() lie in the region and are
ordinary writable numpy arrays; results do with out= such an array or
region=True, and are private otherwise. Their memory is given back when the
last array or view on it dies. It is memory that the guest could still change:
whoever decides something by such a result takes a copy first, with take().

Closing. After close() no call is possible, but arrays stay readable and
writable: the session ends when the last of them is gone.

A lost agent. A call under way raises Error (ECONNRESET), and Connection.lost
is true. Arrays in the region that were made before are stale: all calls with
them or their views raise StaleError, asarray() and take() too. numpy itself
does not know that, and reads zeros where results were. Private results are not
concerned. The next empty() opens a new session by itself.

Signals. While a call waits the handlers of Python's signals run, within 0.1 s;
what one raises, as KeyboardInterrupt, ends the call and cancels its operation.
As after a timeout, out is undefined then. That is so in the main thread, and
not in open().

Threads may share a connection. A child made by fork() cannot use it: each call
with it or its arrays raises ForkedError there. What numpy alone reads of such
an array is SIGSEGV, or what the child has at that address.

Errors are OSErrors, and of Python's own kinds as well: TimeoutError,
FileNotFoundError, ConnectionRefusedError, MemoryError and so on; see errors.
penstock-python(7) has more.

The library is that of the same installation, or of the build/ of the source
tree that the package is used from; for a package installed by pip the one that
the loader finds. $PENSTOCK_LIBRARY names another one.
"""

from ._version import __version__
from .array import Array
from .connection import Connection
from .errors import (BusyError, DeniedError, EndedError, Error, ForkedError,
                     InvalidError, NoRoomError, NotFoundError, RefusedError,
                     ResetError, StaleError, TimedOutError, UnsupportedError)
from .model import Model
from .named import (ExecutionMode, GraphOptimizationLevel, InferenceSession,
                    NamedModel, RunOptions, SessionOptions,
                    get_available_providers)
from .tensor import Tensor

__all__ = ["Array", "BusyError", "Connection", "DeniedError", "EndedError",
           "Error", "ExecutionMode", "ForkedError", "GraphOptimizationLevel",
           "InferenceSession", "InvalidError", "Model", "NamedModel",
           "NoRoomError", "NotFoundError", "RefusedError", "ResetError",
           "RunOptions", "SessionOptions", "StaleError", "Tensor",
           "TimedOutError", "UnsupportedError", "__version__",
           "get_available_providers", "open"]


def open(endpoint=None, *, timeout=None, name=None, control_only=False,
         spin=None, dead=None):
    """Connect to an agent; return a Connection.

    endpoint: a URI or a configured name, see penstock(1); None means
    $PENSTOCK_ENDPOINT. timeout: seconds to connect and for control calls,
    None means the library's default. name: shown in the agent's statistics,
    the program's by default. control_only: for ping, info, health and stats
    only, so that no lane is taken.

    spin: seconds that a call spins before it sleeps, None means 50e-6; 0 for
    programs that share few cores with others, math.inf for one that has a
    core to itself. dead: seconds without a sign of life from the agent after
    which calls end with ETIMEDOUT, None means 1, or 10 where the agent says
    that it is emulated; math.inf: never.

    Raises Error, ValueError.
    """
    return Connection(endpoint, timeout=timeout, name=name,
                      control_only=control_only, spin=spin, dead=dead)


def __getattr__(name):
    # With the library, which is loaded when it is needed.
    if name == "Plan":
        from . import _memory
        return _memory.calls().Plan
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
