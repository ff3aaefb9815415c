# SPDX-License-Identifier: MIT
"""Models that the agent has loaded, and rows through them."""

import ctypes

import numpy as np

from . import _foreign, _labels, _layout, _library, _memory

_F32 = np.dtype("f4")
# Elements, of what is tried the short way first.
_SMALL = 1 << 16


def _leading(array):
    """Elements from row to row of float32 rows that are used where they lie,
    None for others."""
    if array.dtype != _F32 or not array.flags.aligned:
        return None
    col_major, ld = _layout.describe(array) or (True, 0)
    if array.shape[0] <= 1 and array.shape[1] and (
            array.strides[1] == array.itemsize or array.shape[1] == 1):
        return array.shape[1]
    return None if col_major else ld


class Model:
    """Made by load_model() and open_model(). It stays the agent's: dropping
    this object unloads nothing, unload_model() does."""

    def __init__(self, handle, model, path=None):
        self._handle = handle
        self._model = model
        self._address = ctypes.addressof(model)
        self._description = None
        self._why = (f"what the outputs of model {self.name!r} mean is in its "
                     f"file: open_model({self.name!r}, path) names it")
        if path is None:
            return
        try:
            found = _labels.Description(path)
            if (found.bytes, found.layers) != (model.bytes, model.n_layers):
                raise ValueError(f"it is not the file of {self!r}")
            self._description = found
        except (OSError, ValueError, LookupError, TypeError,
                AttributeError) as e:
            # infer() needs no such file.
            self._why = f"{path} does not say what its outputs are: {e}"

    def __repr__(self):
        return (f"<penstock.Model {self.name!r}, {self.inputs} to "
                f"{self.outputs} elements>")

    @property
    def name(self):
        return self._model.name.decode()

    @property
    def inputs(self):
        """Elements of an input row."""
        return self._model.n_in

    @property
    def outputs(self):
        """Elements of an output row."""
        return self._model.n_out

    @property
    def max_batch(self):
        """Rows of one operation; infer() takes any number."""
        return self._model.max_batch

    def _described(self):
        if self._description is None:
            raise ValueError(self._why)
        return self._description

    @property
    def classes(self):
        """The labels of a classifier, as an array; None when the file names
        none, as for a regressor. Of one output the second label is that for
        a high one. Raises ValueError when the file is not known, as it is
        after load_model(), and after open_model() with a path."""
        return self._described().classes

    def predict(self, rows, *, timeout=None):
        """infer(), and what scikit-learn's predict() makes of its outputs.

        A classifier: the label of each row. Of several outputs it is that of
        the largest; of one, the second label when it is above 0.5 behind a
        sigmoid, above 0 otherwise. Several outputs behind a sigmoid are so
        many labels of a row: 1 or 0 for each. Without classes a softmax gives
        the number of the largest output. A regressor: the outputs, as a
        vector if there is one a row. One row, as a vector, gives one result.

        Raises what infer() does, and ValueError when the file is not known
        (see classes) or does not say what the outputs are.
        """
        description = self._described()
        y = self.infer(rows, timeout=timeout)
        if y.ndim == 1:
            return _labels.predict(description, y[np.newaxis])[0]
        return _labels.predict(description, y)

    def infer(self, rows, out=None, *, timeout=None):
        """The outputs of a matrix of rows, or of one row as a vector, as
        float32. What they mean depends on the model: a classifier of two
        classes has one output, so argmax() of it says nothing; predict() does.

        Rows of float32 in the region are used where they lie, others are
        copied, other types converted to float32. Without out the result is a
        new private array. timeout: seconds; it ends the wait, not the
        computation.

        Raises ValueError (shapes), TypeError (element types, out), Error:
        ENOENT when the model was unloaded, StaleError when its agent is gone.
        """
        if (timeout is None and type(rows) is np.ndarray and
                0 < rows.ndim <= 2 and rows.size <= _SMALL):
            y = out
            if y is None:
                y = np.empty((*rows.shape[:-1], self._model.n_out), _F32)
            if self._handle.gate.infer(self._address, rows, y):
                return y
        x = _foreign.as_array(rows)
        if not np.can_cast(x.dtype, _F32, "same_kind"):
            raise TypeError(f"rows of {x.dtype} are no float32")
        if x.ndim == 1:
            result = self.infer(x[np.newaxis], None if out is None
                                else out[np.newaxis], timeout=timeout)[0]
            return result if out is None else out
        if x.ndim != 2 or x.shape[1] != self.inputs:
            raise ValueError(f"rows of {self.inputs} elements are needed, not "
                             f"an array of shape {x.shape}")
        _layout.check_dims(x.shape[0])
        if out is None:
            out = np.empty((x.shape[0], self.outputs), _F32)
        _memory.check_fork(out)
        if out.shape != (x.shape[0], self.outputs):
            raise ValueError(f"out has shape {out.shape}, the result "
                             f"{(x.shape[0], self.outputs)}")
        ld_out = _leading(out)
        if ld_out is None or not out.flags.writeable:
            raise TypeError("out must be a writable array of float32 in rows")
        if _leading(x) is None:
            x = np.ascontiguousarray(x, _F32)
        if x.shape[0]:
            self._run(x, _leading(x), out, ld_out, timeout)
        # Rows that were converted, or are another connection's.
        for array in (rows, out):
            if not _memory.lies_in(self._handle, array) or x is not rows:
                _memory.check(array)
        return out

    def _prepared(self, x, ld_in, out, ld_out):
        return _library.Infer(
            model=ctypes.pointer(self._model), input=_layout.address(x),
            output=_layout.address(out), rows=x.shape[0], ld_in=ld_in,
            ld_out=ld_out)

    def _run(self, x, ld_in, out, ld_out, timeout):
        infer = self._prepared(x, ld_in, out, ld_out)
        self._handle.call(self._handle.library.pst_infer, ctypes.byref(infer),
                          _library.nanoseconds(timeout), None)

    def plan(self, rows, out, *, timeout=None):
        """infer() as a prepared call, as Connection.plan() is of gemm(): rows
        and out are float32 arrays that are used where they lie.

        Raises TypeError, ValueError.
        """
        x, y = np.atleast_2d(rows), np.atleast_2d(out)
        if (not isinstance(rows, np.ndarray) or
                not isinstance(out, np.ndarray) or x.ndim != 2 or
                x.shape[0] == 0 or rows.ndim != out.ndim or
                x.shape[1] != self.inputs or
                y.shape != (x.shape[0], self.outputs)):
            raise ValueError(f"rows of {self.inputs} elements and an out of "
                             f"as many rows of {self.outputs} are needed")
        ld_in, ld_out = _leading(x), _leading(y)
        if ld_in is None or ld_out is None or not y.flags.writeable:
            raise TypeError("rows and out must be arrays of float32 in rows, "
                            "and out writable")
        for array in (x, y):
            if _memory.owner(array)[0] not in (None, self._handle):
                raise ValueError("an array is another connection's")
        return _memory.calls().Plan(
            self._handle.gate, True, bytes(self._prepared(x, ld_in, y,
                                                          ld_out)),
            (self._model, x, y), out, _library.nanoseconds(timeout))
