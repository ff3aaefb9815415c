# SPDX-License-Identifier: MIT
"""The compiled part of the package, for pip; without a compiler or headers the
package works through ctypes."""
import os

from setuptools import Extension, setup

TOP = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))

setup(
    ext_modules=[Extension(
        "penstock._fast", ["_fast.c"], include_dirs=[TOP], optional=True,
        py_limited_api=True,
        define_macros=[("Py_LIMITED_API", "0x03090000")])],
    options={"bdist_wheel": {"py_limited_api": "cp39"}})
