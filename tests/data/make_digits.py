#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes the model fixtures beside it: networks trained by scikit-learn on data
sets that come with it, inputs they have not seen, and what scikit-learn makes
of those.

    python3 tests/data/make_digits.py

Needs scikit-learn; made with Debian 12's, 1.2.1. The tests need numpy only.
For each NAME: NAME.safetensors, NAME-x.npy (float32 rows), NAME-y.npy (float64:
predict_proba(), of two classes the second's column, or predict() of a
regressor). The rows of digits-f16 are those of digits.
"""

import os
import sys

import numpy as np
import sklearn
from sklearn import datasets
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../../host-client/python"))
import penstock_export  # noqa: E402


def path(name):
    return os.path.join(HERE, name)


def split(data):
    """Train and test split; test rows as the float32 they are saved as."""
    x, x_test, y, y_test = train_test_split(data.data, data.target,
                                            test_size=0.2, random_state=7)
    return x, y, x_test.astype(np.float32), y_test


def save(name, model, x_test, y_test, dtype="float32", rows=True):
    x = x_test.astype(np.float64)
    if hasattr(model, "predict_proba"):
        y = model.predict_proba(x)
        y = y[:, 1:] if y.shape[1] == 2 else y
    else:
        y = model.predict(x).reshape(len(x), -1)
    penstock_export.export(model, path(name + ".safetensors"), dtype)
    if rows:
        np.save(path(name + "-x.npy"), x_test)
    np.save(path(name + "-y.npy"), y.astype(np.float64))
    print("%-10s score %.3f on %d rows unseen" %
          (name, model.score(x, y_test), len(x)))


def main():
    print("scikit-learn", sklearn.__version__)
    x, y, x_test, y_test = split(datasets.load_digits())
    digits = make_pipeline(StandardScaler(), MLPClassifier(
        (48, 24), activation="relu", max_iter=400, random_state=1))
    save("digits", digits.fit(x, y), x_test, y_test)
    half = make_pipeline(MinMaxScaler(), MLPClassifier(
        (40,), activation="tanh", max_iter=400, random_state=2))
    save("digits-f16", half.fit(x, y), x_test, y_test, "float16", rows=False)

    x, y, x_test, y_test = split(datasets.load_breast_cancer())
    cancer = make_pipeline(StandardScaler(), MLPClassifier(
        (16,), activation="logistic", max_iter=2000, random_state=3))
    save("cancer", cancer.fit(x, y), x_test, y_test)

    x, y, x_test, y_test = split(datasets.load_diabetes())
    diabetes = make_pipeline(StandardScaler(), MLPRegressor(
        (20, 10), activation="relu", max_iter=3000, random_state=4))
    save("diabetes", diabetes.fit(x, y), x_test, y_test)


if __name__ == "__main__":
    main()
