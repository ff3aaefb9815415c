# SPDX-License-Identifier: MIT
"""What a model file says of its outputs, and labels from them."""

import json

import numpy as np

# A header that an agent accepts is much smaller.
_HEADER_MAX = 1 << 20


class Description:
    """classes: an array, or None where the file has none. last: the type of
    the last layer. layers: their number. bytes: of the weights."""

    def __init__(self, path):
        with open(path, "rb") as f:
            size = int.from_bytes(f.read(8), "little")
            if size > _HEADER_MAX:
                raise ValueError("it is no model file")
            header = json.loads(f.read(size))
        metadata = header.pop("__metadata__")
        layers = json.loads(metadata["penstock.layers"])
        classes = json.loads(metadata.get("penstock.classes", "null"))
        if not isinstance(classes, (list, type(None))):
            raise ValueError("its penstock.classes is no list")
        self.classes = None if classes is None else np.array(classes)
        self.last = layers[-1]["type"]
        self.layers = len(layers)
        self.bytes = max((t["data_offsets"][1] for t in header.values()),
                         default=0)


def predict(description, y):
    """Labels, or a regressor's values, from rows of outputs."""
    classes, last = description.classes, description.last
    outputs = y.shape[1]
    labelled = classes is not None or last == "softmax"
    if labelled and np.isnan(y).any():
        raise ValueError("an output is NaN, which has no label")
    if classes is None:
        if last == "softmax":
            return y.argmax(1)
        if last == "sigmoid":
            raise ValueError("the model's file does not say what its outputs "
                             "are: it has no penstock.classes, which "
                             "penstock_export.export(classes=...) writes")
        return y[:, 0] if outputs == 1 else y
    wanted = 2 if outputs == 1 and last != "softmax" else outputs
    if classes.shape != (wanted,):
        raise ValueError(f"penstock.classes of the model's file has "
                         f"{classes.size} classes for {outputs} outputs")
    # Probabilities, else what a sigmoid would have made of them.
    above = y > (0.5 if last == "sigmoid" else 0)
    if outputs == 1:
        return classes[above[:, 0].astype(int)]
    if last == "sigmoid":
        return above.astype(int)
    return classes[y.argmax(1)]
