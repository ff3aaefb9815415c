# SPDX-License-Identifier: MIT
"""Labels from a model's outputs, as Python's Model.predict() makes them."""
import os
import tempfile
import unittest

import numpy as np

from pythonlib import data, penstock
import penstock_export

ENDPOINT = "spawn:?size=16M&threads=1"


def named(name, **attributes):
    """An object of a class of that name: a stand-in for one of torch's."""
    return type(name, (), attributes)()


class Labels(unittest.TestCase):
    """predict() gives what scikit-learn's predict() does."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = os.path.join(folder.name, "m.safetensors")
        self.c = penstock.open(ENDPOINT)
        self.addCleanup(self.c.close)

    def test_of_several_outputs_the_largest_has_the_label(self):
        m = self.c.load_model("m", data("digits.safetensors"))
        y = np.load(data("digits-y.npy"))
        x = np.load(data("digits-x.npy"))
        self.assertEqual(m.classes.tolist(), list(range(10)))
        self.assertEqual(m.predict(x).tolist(), y.argmax(1).tolist())
        self.assertEqual(m.predict(x[3]), y[3].argmax())
        self.assertEqual(m.predict(x[:0]).tolist(), [])

    def test_of_one_output_both_labels_occur(self):
        m = self.c.load_model("m", data("cancer.safetensors"))
        x, y = np.load(data("cancer-x.npy")), np.load(data("cancer-y.npy"))
        want = (y[:, 0] > 0.5).astype(int)
        self.assertEqual(set(want), {0, 1})
        self.assertEqual(m.classes.tolist(), [0, 1])
        got = m.predict(x)
        self.assertEqual(got.shape, want.shape)
        self.assertEqual(got.tolist(), want.tolist())
        self.assertEqual(m.predict(x[0]), want[0])

    def test_a_regressor_s_values_are_its_outputs(self):
        m = self.c.load_model("m", data("diabetes.safetensors"))
        x, y = np.load(data("diabetes-x.npy")), np.load(data("diabetes-y.npy"))
        self.assertIsNone(m.classes)
        self.assertEqual(m.predict(x).shape, (len(x),))
        np.testing.assert_allclose(m.predict(x), y[:, 0], rtol=1e-4)
        np.testing.assert_allclose(m.predict(x[1]), y[1, 0], rtol=1e-4)

    def eye(self, n, act=None, **kw):
        """A model of n outputs that are its inputs, behind an activation."""
        parts = {"0": named("Linear", weight=np.eye(n), bias=None)}
        if act:
            parts["1"] = named(act, dim=1)
        penstock_export.export(named("Sequential", _modules=parts), self.path,
                               **kw)
        if self.c.models():
            self.c.unload_model("m")
        return self.c.load_model("m", self.path)

    def test_logits_are_compared_with_0(self):
        m = self.eye(1, classes=["no", "yes"])
        self.assertEqual(m.predict([[-2.0], [0.25], [3.0]]).tolist(),
                         ["no", "yes", "yes"])
        m = self.eye(1, "Sigmoid", classes=["no", "yes"])
        self.assertEqual(m.predict([[-2.0], [0.25], [3.0]]).tolist(),
                         ["no", "yes", "yes"])
        m = self.eye(3, classes=[10, 20, 30])
        self.assertEqual(m.predict([[0.0, 3, 1], [-1, -2, -0.5]]).tolist(),
                         [20, 30])

    def test_several_sigmoids_are_labels_of_their_own(self):
        m = self.eye(3, "Sigmoid", classes=["a", "b", "c"])
        self.assertEqual(m.predict([[1.0, -1, 2], [-1, -1, -1]]).tolist(),
                         [[1, 0, 1], [0, 0, 0]])

    def test_what_no_file_says_is_not_guessed(self):
        self.eye(2, "Softmax", classes=["a", "b"])
        m = self.c.open_model("m")
        for call in (lambda: m.classes, lambda: m.predict([[1.0, 0]])):
            with self.assertRaisesRegex(ValueError, "open_model"):
                call()
        m = self.c.open_model("m", self.path)
        self.assertEqual(m.predict([[1.0, 0]]).tolist(), ["a"])
        m = self.c.open_model("m", data("cancer.safetensors"))
        with self.assertRaisesRegex(ValueError, "not the file"):
            m.predict([[1.0, 0]])
        for kw, words in (({}, "penstock.classes"),
                          ({"classes": [1, 2, 3]}, "3 classes for 2")):
            m = self.eye(2, "Sigmoid", **kw)
            with self.assertRaisesRegex(ValueError, words):
                m.predict([[1.0, 0]])
            self.assertEqual(m.infer([[1.0, 0]]).shape, (1, 2))
        m = self.eye(2, classes=["a", "b"])
        with self.assertRaisesRegex(ValueError, "NaN"):
            m.predict([[np.nan, 0]])
        m = self.eye(2, "Softmax")
        self.assertEqual(m.predict([[1.0, 0], [0, 1]]).tolist(), [0, 1])


if __name__ == "__main__":
    unittest.main()
