# SPDX-License-Identifier: MIT
"""Penstock's version: configure.ac and pyproject.toml read it here."""

__version__ = "0.9.0"
