# SPDX-License-Identifier: MIT
"""The types of the Python package: the stubs say what there is, and mypy takes
what is right and refuses what is wrong. The manual's example runs."""
import ast
import importlib.util
import inspect
import os
import subprocess
import sys
import tempfile
import unittest

from pythonlib import PACKAGE, SOURCE, penstock

RIGHT = """
from typing import Any

import numpy as np
import penstock


async def product(c: penstock.Connection) -> None:
    print(await c.gemm_async(np.zeros((2, 2)), np.zeros((2, 2)), transb=True))


with penstock.open("spawn:", spin=0, timeout=1.5) as c:
    a = c.array([[1.0]], "f4")
    t: penstock.Tensor = c.tensor(a @ a)
    y = c.gemm(a, t, act="relu", region=True)
    call: penstock.Plan = c.plan(a, a, c.empty((1, 1), "f4"), alpha=2)
    call()
    model: penstock.Model = c.load_model("name", "path")
    labels = model.predict(np.zeros((1, 3)))
    rows: "np.ndarray[Any, np.dtype[Any]]" = model.infer(a)
    try:
        seconds: float = c.ping()
    except penstock.TimedOutError as e:
        print(e.errno, isinstance(e, TimeoutError))
"""
# Each line is wrong, behind "c = penstock.open()".
WRONG = ('penstock.open(spin="x")', 'c.gemm(1, 2, act="tanh")', "c.plan(1, 2)",
         "c.matmul()", 'c.empty("x")', "c.tensor(1).download(3)", "c.png()")


class Stubs(unittest.TestCase):
    def compare(self, node, thing, where):
        """A function of a stub has the parameters of what it describes."""
        if isinstance(thing, property):
            return
        given = []
        args = node.args
        for kind, names, defaults in (
                ("positional", args.args,
                 [None] * (len(args.args) - len(args.defaults)) +
                 list(args.defaults)),
                ("keyword", args.kwonlyargs, args.kw_defaults)):
            given += [(kind, a.arg, d is not None)
                      for a, d in zip(names, defaults)]
        real = [("keyword" if p.kind is p.KEYWORD_ONLY else "positional",
                 p.name, p.default is not p.empty)
                for p in inspect.signature(thing).parameters.values()
                if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
        self.assertEqual(given, real, where)
        self.assertEqual(isinstance(node, ast.AsyncFunctionDef),
                         inspect.iscoroutinefunction(thing), where)

    def test_they_have_the_signatures_of_the_package(self):
        for file, module in (("__init__", penstock),
                             ("errors", penstock.errors)):
            with open(os.path.join(PACKAGE, "penstock", file + ".pyi")) as f:
                tree = ast.parse(f.read())
            named = set()
            for node in tree.body:
                name = getattr(node, "name", "_")
                if name.startswith("_"):
                    continue
                named.add(name)
                thing = getattr(module, name)
                if not isinstance(node, ast.ClassDef):
                    self.compare(node, thing, name)
                    continue
                self.assertIsInstance(thing, type)
                if name == "Plan":
                    continue
                for member in node.body:
                    if isinstance(member, (ast.FunctionDef,
                                           ast.AsyncFunctionDef)):
                        if member.name == "__getattr__":
                            continue
                        self.compare(member,
                                     inspect.getattr_static(thing,
                                                            member.name),
                                     f"{name}.{member.name}")
                public = {n for n in vars(thing) if not n.startswith("_")}
                if "__getattr__" in {getattr(m, "name", "")
                                     for m in node.body}:
                    continue
                if name == "Array":
                    continue
                self.assertLessEqual(public, {
                    getattr(m, "name", "") for m in node.body} | {
                    m.target.id for m in node.body
                    if isinstance(m, ast.AnnAssign)} | {
                    m.targets[0].id for m in node.body
                    if isinstance(m, ast.Assign)}, name)
            imported = {a.asname or a.name for node in tree.body
                        if isinstance(node, ast.ImportFrom) and node.level
                        for a in node.names}
            if file == "__init__":
                self.assertLessEqual(set(module.__all__),
                                     named | imported | {"__version__"})

    def test_mypy_takes_them(self):
        if importlib.util.find_spec("mypy") is None:
            self.skipTest("no mypy (Debian: mypy)")
        with tempfile.TemporaryDirectory() as d:
            path = os.path.join(d, "use.py")
            bad = RIGHT.count("\n") + 1
            with open(path, "w") as f:
                f.write(RIGHT + "\n".join(WRONG) + "\n")
            run = subprocess.run(
                [sys.executable, "-m", "mypy", "--strict", "--cache-dir",
                 os.devnull, path], capture_output=True, text=True, cwd=d,
                env={**os.environ, "MYPYPATH": PACKAGE})
        lines = [line for line in run.stdout.splitlines() if "error" in line]
        found = {int(line.split(":")[1]) for line in lines if "use.py:" in line}
        self.assertEqual(found, set(range(bad, bad + len(WRONG))),
                         run.stdout + run.stderr)


class Manual(unittest.TestCase):
    def test_its_example_runs(self):
        with open(os.path.join(SOURCE, "host-client",
                               "penstock-python.7.scd")) as f:
            text = f.read().partition("# EXAMPLES")[2].split("```")[1]
        run = subprocess.run(
            [sys.executable, "-"], input=text, capture_output=True, text=True,
            env={**os.environ, "PYTHONPATH": PACKAGE,
                 "PENSTOCK_ENDPOINT": "spawn:?size=64M&threads=1"})
        self.assertEqual(run.returncode, 0, run.stderr)
        self.assertIn("none", run.stdout)


if __name__ == "__main__":
    unittest.main()
