# SPDX-License-Identifier: MIT
"""Turns trained networks into model files for Penstock.

A model file is a safetensors file whose metadata has the list of layers at
"penstock.layers" (penstock-models(7)). This module writes one from a
scikit-learn MLPClassifier or MLPRegressor, alone or behind a scaler, and from
a torch.nn.Sequential:

    import penstock_export
    penstock_export.export(model, "digits.safetensors")

It needs numpy only: scikit-learn and torch are known by their objects' names
and attributes, and need not be importable.
"""

import json
import os
import struct

import numpy as np

_LAYERS = "penstock.layers"
_CLASSES = "penstock.classes"
_DTYPES = ("float32", "float16", "bfloat16")
# A layer's name in a file: not what "from" calls the model's input, and bytes.
_INPUT = "input"
_NAME_MAX = 64


class ExportError(ValueError):
    """The model has a part that Penstock has no layer for."""


# ---- Files ---------------------------------------------------------------

def _bfloat16(array):
    """The upper halves of float32s, rounded to nearest, ties to even."""
    bits = np.ascontiguousarray(array, "<f4").view("<u4")
    rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16
    quiet = (bits >> 16) | 0x40
    return np.where(np.isnan(array), quiet, rounded).astype("<u2")


def _encode(array, dtype):
    """(name of the type in the file, bytes)."""
    with np.errstate(over="ignore"):
        short = array.astype("<f2" if dtype == "float16" else "<f4")
        if dtype == "bfloat16":
            bits = _bfloat16(short)
            short = (bits.astype("<u4") << 16).view("<f4")
    if not np.all(np.isfinite(short) == np.isfinite(array)):
        raise ExportError(f"a weight is too large for {dtype}")
    if dtype == "bfloat16":
        return "BF16", bits.tobytes()
    return "F16" if dtype == "float16" else "F32", short.tobytes()


def write(path, layers, tensors, dtype="float32", metadata=None):
    """Write a model file: layers as in the file's list, tensors as a dict of
    arrays, all in dtype ("float32", "float16" or "bfloat16"). The file appears
    whole or not at all."""
    if dtype not in _DTYPES:
        raise ValueError(f"dtype is {dtype!r}, not one of {_DTYPES}")
    header = {"__metadata__": {
        **(metadata or {}), _LAYERS: json.dumps(layers)}}
    data = []
    offset = 0
    # Matrices first, so that short biases do not misalign them: GPUs multiply
    # faster from multiples of 16 bytes.
    arrays = {name: np.asarray(array, np.float64)
              for name, array in tensors.items()}
    for name, array in sorted(arrays.items(), key=lambda item: -item[1].ndim):
        kind, raw = _encode(array, dtype)
        header[name] = {"dtype": kind, "shape": list(array.shape),
                        "data_offsets": [offset, offset + len(raw)]}
        offset += len(raw)
        data.append(raw)
    text = json.dumps(header, separators=(",", ":")).encode()
    # Spaces, so that the data begins at a multiple of 8.
    text += b" " * (-len(text) % 8)
    temp = f"{path}.{os.getpid()}.tmp"
    try:
        with open(temp, "wb") as f:
            f.write(struct.pack("<Q", len(text)))
            f.write(text)
            f.writelines(data)
        os.replace(temp, path)
    except BaseException:
        if os.path.exists(temp):
            os.unlink(temp)
        raise


# ---- scikit-learn --------------------------------------------------------

# "identity" is no layer.
_SKLEARN = {"relu": "relu", "tanh": "tanh", "logistic": "sigmoid",
            "softmax": "softmax"}


def _scaling(scaler):
    """(factor, offset) of a scaler: it gives factor * x + offset."""
    name = type(scaler).__name__
    if name.endswith("Scaler") and not hasattr(scaler, "scale_"):
        raise ExportError(f"{name} is not fitted")
    if name == "StandardScaler":
        scale = scaler.scale_ if scaler.scale_ is not None else 1.0
        mean = scaler.mean_ if scaler.with_mean else 0.0
        factor = 1.0 / np.asarray(scale, np.float64)
        return factor, -np.asarray(mean, np.float64) * factor
    if name == "MinMaxScaler":
        if scaler.clip:
            raise ExportError("a MinMaxScaler that clips is no linear layer")
        return np.asarray(scaler.scale_), np.asarray(scaler.min_)
    if name == "MaxAbsScaler":
        return 1.0 / np.asarray(scaler.scale_), np.float64(0.0)
    raise ExportError(f"{name} is no scaler that can be exported")


def _split(model):
    """(list of scalers, MLP) of a model or a Pipeline."""
    steps = getattr(model, "steps", None)
    parts = [part for _, part in steps] if steps else [model]
    parts = [p for p in parts if p is not None and not isinstance(p, str)]
    return parts[:-1], parts[-1]


def from_sklearn(model, scaler=None):
    """(layers, tensors, metadata) of a fitted MLPClassifier or MLPRegressor, or
    of a Pipeline of scalers and one. Scalers become part of the first layer.
    The outputs are what predict_proba() gives (of two classes: the second
    one's probability alone), or predict() of a regressor."""
    scalers, mlp = _split(model)
    if scaler is not None:
        scalers = [scaler] + scalers
    if not hasattr(mlp, "coefs_"):
        raise ExportError(f"{type(mlp).__name__} is no fitted MLP")
    weights = [np.asarray(w, np.float64).T for w in mlp.coefs_]
    biases = [np.asarray(b, np.float64) for b in mlp.intercepts_]
    for part in reversed(scalers):
        factor, offset = _scaling(part)
        biases[0] = biases[0] + weights[0] @ np.broadcast_to(
            offset, weights[0].shape[1])
        weights[0] = weights[0] * factor
    acts = [mlp.activation] * (len(weights) - 1) + [mlp.out_activation_]
    layers, tensors = [], {}
    for i, (weight, bias, act) in enumerate(zip(weights, biases, acts)):
        name = f"fc{i}"
        tensors[name + ".weight"] = weight
        tensors[name + ".bias"] = bias
        layers.append({"type": "linear", "name": name,
                       "weight": name + ".weight", "bias": name + ".bias"})
        if act != "identity":
            layers.append({"type": _SKLEARN[act]})
    classes = getattr(mlp, "classes_", None)
    metadata = {}
    if classes is not None:
        metadata[_CLASSES] = json.dumps(np.asarray(classes).tolist())
    return layers, tensors, metadata


# ---- torch ---------------------------------------------------------------

_PLAIN = {"ReLU": "relu", "SiLU": "silu", "Tanh": "tanh",
          "Sigmoid": "sigmoid"}
# Without effect on a trained network whose rows are flat.
_IGNORED = ("Dropout", "Identity", "Flatten")


def _array(parameter):
    """A torch parameter (or anything numpy takes) as float64."""
    for step in ("detach", "cpu", "double", "numpy"):
        if hasattr(parameter, step):
            parameter = getattr(parameter, step)()
    return np.asarray(parameter, np.float64)


def _modules(module):
    """The modules of a Sequential, nested ones too, with their names: one that
    is there twice (an activation, as a rule) is given twice, which torch's
    named_children() would not do."""
    for name, child in module._modules.items():
        if type(child).__name__ == "Sequential":
            for inner, part in _modules(child):
                yield f"{name}.{inner}", part
        else:
            yield name, child


def _torch_linear(name, module, tensors):
    layer = {"type": "linear", "weight": name + ".weight"}
    tensors[name + ".weight"] = _array(module.weight)
    if module.bias is not None:
        layer["bias"] = name + ".bias"
        tensors[name + ".bias"] = _array(module.bias)
    return layer


def _torch_layernorm(name, module, tensors):
    if len(tuple(module.normalized_shape)) != 1:
        raise ExportError(f"{name}: a LayerNorm over several dimensions")
    layer = {"type": "layernorm", "eps": float(module.eps)}
    for key in ("weight", "bias"):
        parameter = getattr(module, key, None)
        if parameter is not None:
            layer[key] = f"{name}.{key}"
            tensors[f"{name}.{key}"] = _array(parameter)
    return layer


def _torch_layer(name, module, tensors):
    """The layer of one module, None for one without effect."""
    kind = type(module).__name__
    if kind in _PLAIN:
        return {"type": _PLAIN[kind]}
    if kind in _IGNORED:
        return None
    if kind == "Linear":
        return _torch_linear(name, module, tensors)
    if kind == "LayerNorm":
        return _torch_layernorm(name, module, tensors)
    if kind == "GELU":
        form = getattr(module, "approximate", "none")
        if form not in ("none", "tanh"):
            raise ExportError(f"{name}: GELU with approximate={form!r}")
        return {"type": "gelu" if form == "none" else "gelu_tanh"}
    if kind == "Softmax":
        # Rows have two dimensions: batch, elements.
        if module.dim not in (-1, 1):
            raise ExportError(f"{name}: Softmax over dimension {module.dim}")
        return {"type": "softmax"}
    raise ExportError(f"{name}: there is no layer for {kind}")


def from_torch(module):
    """(layers, tensors, metadata) of a torch.nn.Sequential of Linear, ReLU,
    GELU, SiLU, Tanh, Sigmoid, Softmax, LayerNorm, and Dropout, Identity and
    Flatten, which have no effect here."""
    if not hasattr(module, "_modules"):
        raise ExportError("this Sequential is not torch's")
    layers, tensors = [], {}
    for name, part in _modules(module):
        layer = _torch_layer(name, part, tensors)
        if layer is None:
            continue
        # The name serves messages only; some cannot be one.
        if name != _INPUT and len(name.encode()) <= _NAME_MAX:
            layer["name"] = name
        layers.append(layer)
    if not tensors:
        raise ExportError("no module of the Sequential has weights")
    return layers, tensors, {}


def export(model, path, dtype="float32", scaler=None, classes=None):
    """Write a fitted scikit-learn MLP (or Pipeline with one) or a
    torch.nn.Sequential to path. scaler: one that the rows of a scikit-learn
    model went through. classes: the labels of a classifier in the order of its
    outputs, of one output those for low and high; a scikit-learn model has
    them. Raises ExportError for what has no layer."""
    if type(model).__name__ == "Sequential":
        if scaler is not None:
            raise ExportError("a scaler goes with scikit-learn models only")
        layers, tensors, metadata = from_torch(model)
    else:
        layers, tensors, metadata = from_sklearn(model, scaler)
    if classes is not None:
        metadata[_CLASSES] = json.dumps(np.asarray(classes).tolist())
    write(path, layers, tensors, dtype, metadata)
