# SPDX-License-Identifier: MIT
"""The Python package without its compiled module: the tests of products and
calls, through ctypes, with fewer cases."""
import os
import sys
import unittest

os.environ["PENSTOCK_CTYPES"] = "1"
os.environ["PST_PYTHON_CASES"] = "500"
os.environ["PST_PYTHON_CALLS"] = "3000"

from python_calls import *  # noqa: E402,F401,F403
from python_numpy import *  # noqa: E402,F401,F403

del WithConnection, Numpy  # noqa: F821

if __name__ == "__main__":
    unittest.main(sys.modules[__name__])
