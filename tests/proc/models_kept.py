# SPDX-License-Identifier: MIT
"""Safetensors files have the life that ONNX files have: loaded from models_dir,
installed, described, and run by their tensors' names; without ONNX Runtime."""
import json
import os
import shutil
import subprocess

import numpy as np

from agentlib import Skip, eventually, run

TOP = os.environ.get("PST_TOP_SRCDIR", ".")
COMMAND = os.path.join(os.environ["PST_TOP_BUILDDIR"], "host-client/penstock")
DIGITS = os.path.join(TOP, "tests/data/digits")


def penstock(agent, *args):
    """What penstock prints; its sentence where it fails."""
    p = subprocess.run([COMMAND, "-e", "unix://%s?region=%s" %
                        (agent.sock, agent.region), *args],
                       capture_output=True, text=True, check=False)
    return p.returncode, p.stdout or p.stderr


def good(agent, *args):
    status, text = penstock(agent, *args)
    assert status == 0, text
    return text


def begin(start, *args):
    a = start("--backend", "cpu", *args)
    if not a.has_gemm:
        raise Skip("built without a CBLAS")
    return a


def answers(agent, name):
    """Runs a model by the names of its tensors."""
    x, want = (np.load("%s-%s.npy" % (DIGITS, k)) for k in "xy")
    out = os.path.join(os.path.dirname(agent.sock), "y.npy")
    good(agent, "run", name, "input=%s-x.npy" % DIGITS, "-o", "output=" + out)
    y = np.load(out)
    os.unlink(out)
    assert y.shape == want.shape and np.allclose(y, want, atol=1e-4)


def is_there(agent, name):
    return lambda: penstock(agent, "model", "show", name)[0] == 0


def models_dir_has_safetensors_files_and_directories(start):
    a = begin(start)
    d = os.path.join(os.path.dirname(a.sock), "models")
    a.stop()
    os.makedirs(d + "/deep")
    os.makedirs(d + "/two")
    shutil.copy(DIGITS + ".safetensors", d + "/flat.safetensors")
    shutil.copy(DIGITS + ".safetensors", d + "/deep/model.safetensors")
    shutil.copy(DIGITS + ".safetensors", d + "/two/model.safetensors")
    shutil.copy(DIGITS + ".safetensors", d + "/two/other.bin")
    with open(DIGITS + ".safetensors", "rb") as f:
        data = f.read()
    for name, bad in (("short", data[:-1]), ("empty", b""), ("eight", data[:8]),
                      ("long", data + b"x"), ("huge", b"\xff" * 64),
                      ("bare", b"\x02" + bytes(7) + b"{}")):
        with open("%s/%s.safetensors" % (d, name), "wb") as f:
            f.write(bad)
    os.symlink("flat.safetensors", d + "/link.safetensors")
    a = begin(start, "--models-dir", d)
    for name in ("flat", "deep"):
        eventually(is_there(a, name))
        answers(a, name)
    for name in ("short", "empty", "eight", "long", "huge", "bare", "link"):
        assert name + ".safetensors of models_dir is not loaded" in \
            a.output(), (name, a.output())
    assert "two of models_dir is not loaded: a safetensors model has one " \
        "file" in a.output(), a.output()
    names = [m["name"] for m in
             json.loads(good(a, "model", "list", "--json"))["models"]]
    assert names == ["deep", "flat"], names


def a_large_one_is_loaded_while_others_are_served(start):
    n = 3000
    weights = np.zeros((n, n), "<f4")
    np.fill_diagonal(weights, 2)
    head = json.dumps({
        "__metadata__": {"penstock.layers": json.dumps(
            [{"type": "linear", "weight": "w"}])},
        "w": {"dtype": "F32", "shape": [n, n],
              "data_offsets": [0, weights.nbytes]}}).encode()
    a = begin(start)
    d = os.path.join(os.path.dirname(a.sock), "models")
    a.stop()
    os.mkdir(d)
    with open(d + "/large.safetensors", "wb") as f:
        f.write(len(head).to_bytes(8, "little") + head + weights.tobytes())
    a = begin(start, "--models-dir", d)
    good(a, "ping", "--count", "3")
    eventually(is_there(a, "large"))
    text = good(a, "run", "large", "input=@2x%d:3" % n)
    assert "6" in text, text


def a_safetensors_model_is_installed_shown_and_run_at_the_next_start(start):
    a = begin(start)
    d = os.path.join(os.path.dirname(a.sock), "models")
    file = DIGITS + ".safetensors"
    status, text = penstock(a, "model", "install", "kept", file)
    assert status and "allow-install" in text, text
    a.stop()
    os.mkdir(d)
    a = begin(start, "--models-dir", d, "--allow-install", "yes")
    m = json.loads(good(a, "model", "install", "kept", file, "--json"))
    assert (m["inputs"], m["outputs"], m["format"]) == (64, 10, "safetensors"), m
    assert m["layers"] > 1 and m["max_batch"] > 0, m
    assert os.listdir(d) == ["kept"] and \
        os.listdir(d + "/kept") == ["model.safetensors"], os.listdir(d)
    with open(file, "rb") as f, open(d + "/kept/model.safetensors", "rb") as g:
        assert f.read() == g.read()
    answers(a, "kept")
    # Its name is taken; free again, it takes the place of what was there.
    status, text = penstock(a, "model", "install", "kept", file)
    assert status and "already loaded" in text, text
    good(a, "model", "unload", "kept")
    shutil.copy(file, d + "/kept.safetensors")
    good(a, "model", "install", "kept", file)
    assert os.listdir(d) == ["kept"], os.listdir(d)
    a.stop()
    a = begin(start, "--models-dir", d)
    eventually(is_there(a, "kept"))
    m = json.loads(good(a, "model", "show", "kept", "--json"))
    assert m["format"] == "safetensors" and m["ready"], m
    assert m["inputs"] == [{"name": "input", "dtype": "f32",
                            "shape": ["batch", 64]}], m
    answers(a, "kept")
    good(a, "model", "unload", "kept")
    assert penstock(a, "run", "kept", "input=@1x64:1")[0]


def what_cannot_be_installed_leaves_nothing(start):
    a = begin(start)
    d = os.path.join(os.path.dirname(a.sock), "models")
    a.stop()
    os.mkdir(d)
    a = begin(start, "--models-dir", d, "--allow-install", "yes",
              "--max-models", "1")
    bad = os.path.join(os.path.dirname(a.sock), "bad")
    with open(DIGITS + ".safetensors", "rb") as f, open(bad, "wb") as g:
        g.write(f.read()[:-4])
    status, text = penstock(a, "model", "install", "bad", bad)
    assert status and "cut short" in text, text
    assert not os.listdir(d), os.listdir(d)
    good(a, "model", "load", "one", DIGITS + ".safetensors")
    status, text = penstock(a, "model", "install", "two",
                            DIGITS + ".safetensors")
    assert status and "--max-models" in text, text
    good(a, "model", "unload", "one")
    os.rmdir(d)
    status, text = penstock(a, "model", "install", "two",
                            DIGITS + ".safetensors")
    assert status and "cannot install" in text, text
    # Neither is it loaded.
    assert not json.loads(good(a, "model", "list", "--json"))["models"]
    os.unlink(bad)


if __name__ == "__main__":
    run(4)
