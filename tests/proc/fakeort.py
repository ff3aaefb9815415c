# SPDX-License-Identifier: MIT
"""A directory with the double of ONNX Runtime that has CUDA (tests/fakeort)."""
import os
import shutil
import tempfile

DOUBLE = os.path.join(os.environ.get("PST_TOP_BUILDDIR", "build"),
                      "tests/fakeort/.libs/fakeort.so")
NAMES = ["libonnxruntime.so.1", "libcuda.so.1"]


def real():
    """The library that PENSTOCK_ORT names, or None: the loader's is not a
    file that can be put beside the double."""
    path = os.environ.get("PENSTOCK_ORT", "")
    return path if "/" in path and os.path.exists(DOUBLE) else None


class FakeOrt:
    """While it lasts, programs that are started find the double."""

    def __init__(self, card):
        self.dir = tempfile.mkdtemp(prefix="pst-ort-")
        self.library = os.path.join(self.dir, NAMES[0])
        for name in NAMES:
            os.symlink(os.path.abspath(DOUBLE), os.path.join(self.dir, name))
        os.symlink(real(), os.path.join(self.dir, "real"))
        with open(os.path.join(self.dir, "card"), "w") as f:
            f.write(card)
        self.before = os.environ.get("LD_LIBRARY_PATH")
        os.environ["LD_LIBRARY_PATH"] = self.dir

    def calls(self):
        with open(os.path.join(self.dir, "calls")) as f:
            return f.read().splitlines()

    def close(self):
        if self.before is None:
            del os.environ["LD_LIBRARY_PATH"]
        else:
            os.environ["LD_LIBRARY_PATH"] = self.before
        shutil.rmtree(self.dir)
