# SPDX-License-Identifier: MIT
"""Errors of the C library as exceptions."""

import errno


class Error(OSError):
    """A call failed: errno, and the sentence of the library or the agent."""


class StaleError(Error):
    """An array or call of an agent or session that is gone (ESTALE)."""


def make(code, sentence):
    """The exception for a negative errno."""
    number = -code
    cls = StaleError if number == errno.ESTALE else Error
    return cls(number, sentence)
