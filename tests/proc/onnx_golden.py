# SPDX-License-Identifier: MIT
"""Debian's golden models through one agent: bit for bit what ONNX Runtime gives
by itself. PST_GOLDEN=all takes all of them, else every 4th is taken."""
import glob
import os
import sys
import time

from onnxlib import CODES, PROGRAM, Refused, Session, np, numpy_helper, onnx, \
    skip
from agentlib import MIB, run
from runner_client import Runner, RunnerError

GOLDEN = "/usr/share/libonnx-testdata/data"
LIBRARY = os.environ.get("PENSTOCK_ORT", "")
# What is random.
RANDOM = ("bernoulli", "training_dropout")

if not os.path.isdir(GOLDEN):
    skip("libonnx-testdata is not installed")
try:
    Runner(PROGRAM, LIBRARY).close()
except RunnerError as why:
    skip(why)


def tensors(pattern):
    """The arrays pattern.format(0), pattern.format(1) ..., and their names."""
    out = []
    while os.path.exists(pattern.format(len(out))):
        with open(pattern.format(len(out)), "rb") as f:
            t = onnx.TensorProto()
            t.ParseFromString(f.read())
        out.append((t.name, t.data_type, numpy_helper.to_array(t)))
    return out


def by_itself(runner, data, feed, rooms):
    """The outputs' bytes by a runner without an agent; None: not loaded."""
    try:
        m = runner.load(data)
    except RunnerError:
        return None
    try:
        got = runner.run(m, feed, rooms)
        return [(dims, data) for _, dims, data, _ in got]
    except RunnerError as e:
        return str(e)
    finally:
        runner.unload(m)


def through(session, name, data, feed, rooms):
    m = session.load(name, data)
    try:
        ins = {slot: a for slot, a in feed}
        got = session.run(m, ins, outputs=[(i, m.outputs[i][1], room)
                                           for i, room in rooms])
        return [(o.shape, o.tobytes()) for o in got]
    except Refused as e:
        return e.sentence
    finally:
        session.unload(name)


def golden_models_give_the_same_bits_through_an_agent(start):
    begin = time.monotonic()
    session = Session(start(size=160 * MIB), 64 * MIB)
    step = 1 if os.environ.get("PST_GOLDEN") == "all" else 4
    same = failed = other = 0
    with Runner(PROGRAM, LIBRARY) as runner:
        for path in sorted(glob.glob(GOLDEN + "/*/*/model.onnx"))[::step]:
            folder = os.path.dirname(path)
            name = os.path.basename(folder)
            if any(word in name for word in RANDOM):
                continue
            with open(path, "rb") as f:
                data = f.read()
            try:
                ins = tensors(folder + "/test_data_set_0/input_{}.pb")
                outs = tensors(folder + "/test_data_set_0/output_{}.pb")
                graph = onnx.load_from_string(data).graph
            except Exception:  # not tensors  pylint: disable=broad-except
                continue
            # numpy has no bfloat16.
            if any(t == 16 for _, t, _ in ins) or \
                    any(a.dtype.str not in CODES for _, _, a in ins + outs):
                continue
            const = {i.name for i in graph.initializer}
            order = [i.name for i in graph.input if i.name not in const]
            slots = [order.index(n) if n in order else k
                     for k, (n, _, _) in enumerate(ins)]
            rooms = [(i, a.nbytes + 4096) for i, (_, _, a) in enumerate(outs)]
            want = by_itself(runner, data,
                             [(s, t, a.shape, a.tobytes())
                              for s, (_, t, a) in zip(slots, ins)], rooms)
            if want is None:
                other += 1
                continue
            # Some are named longer than a model may be.
            got = through(session, name[-63:], data,
                          [(s, a) for s, (_, _, a) in zip(slots, ins)], rooms)
            if isinstance(want, str):
                failed += 1
                assert isinstance(got, str), (name, want, got)
                continue
            assert want == got, (name, want, got)
            same += 1
    print("# %d models the same, %d fail either way, %d not loaded, %.1f s" %
          (same, failed, other, time.monotonic() - begin))
    assert same * step > 850, same


if __name__ == "__main__":
    run(1)
