# SPDX-License-Identifier: MIT
"""Errors of the C library as exceptions."""

import errno


class Error(OSError):
    """A call failed: errno, and the sentence of the library or the agent.
    Where Python has a kind of its own for that it is one, too."""


class StaleError(Error):
    """An array or call of an agent or session that is gone (ESTALE)."""


class ForkedError(Error):
    """A connection, array or tensor of the process that forked this one
    (EBADF)."""


class NoRoomError(Error, MemoryError):
    """No room (ENOSPC, ENOMEM), or a size above a limit (EMSGSIZE)."""


class InvalidError(Error, ValueError):
    """An argument that the library or the agent refuses (EINVAL)."""


class UnsupportedError(Error, NotImplementedError):
    """What the agent's backend cannot do (EOPNOTSUPP)."""


class TimedOutError(Error, TimeoutError):
    """A deadline passed, or the agent's heartbeat stopped (ETIMEDOUT)."""


class NotFoundError(Error, FileNotFoundError):
    """No such socket, file, name or model (ENOENT)."""


class RefusedError(Error, ConnectionRefusedError):
    """No agent listens at the endpoint (ECONNREFUSED)."""


class ResetError(Error, ConnectionResetError):
    """The agent or its VM went away during the call (ECONNRESET)."""


class DeniedError(Error, PermissionError):
    """No permission (EACCES, EPERM)."""


class BusyError(Error, BlockingIOError):
    """Too many operations are outstanding (EAGAIN)."""


class EndedError(Error, InterruptedError):
    """The call was ended from outside (EINTR)."""


_KINDS = {
    errno.ESTALE: StaleError, errno.ENOSPC: NoRoomError,
    errno.ENOMEM: NoRoomError, errno.EMSGSIZE: NoRoomError,
    errno.EINVAL: InvalidError, errno.EOPNOTSUPP: UnsupportedError,
    errno.ETIMEDOUT: TimedOutError, errno.ENOENT: NotFoundError,
    errno.ECONNREFUSED: RefusedError, errno.ECONNRESET: ResetError,
    errno.EACCES: DeniedError, errno.EPERM: DeniedError,
    errno.EAGAIN: BusyError, errno.EINTR: EndedError}


def make(code, sentence):
    """The exception for a negative errno."""
    return _KINDS.get(-code, Error)(-code, sentence)
