# SPDX-License-Identifier: MIT
"""The Python package of this build, for the tests that use it."""
import os
import sys

BUILD = os.environ["PST_TOP_BUILDDIR"]
SOURCE = os.environ["PST_TOP_SRCDIR"]
PACKAGE = os.path.join(SOURCE, "host-client", "python")
sys.path.insert(0, PACKAGE)
os.environ.setdefault("PENSTOCK_LIBRARY", os.path.join(
    BUILD, "host-client", ".libs", "libpenstock.so.0"))
os.environ.setdefault("PENSTOCK_AGENT", os.path.join(
    BUILD, "guest-agent", "penstock-agent"))

import penstock  # noqa: E402,F401


def data(name):
    """The path of a file of tests/data."""
    return os.path.join(SOURCE, "tests", "data", name)


def children():
    """The processes that this one has started: private agents."""
    with open(f"/proc/self/task/{os.getpid()}/children") as f:
        return {int(pid) for pid in f.read().split()}
