# SPDX-License-Identifier: MIT
"""Signals while Python waits for an agent that does not answer."""
import math
import os
import signal
import socket
import tempfile
import threading
import time
import unittest

import numpy as np

from pythonlib import children, data, penstock

ENDPOINT = "spawn:?size=64M&threads=1"
DIABETES = data("diabetes.safetensors")
# A call that no signal ends would wait for ever: its agent is killed then.
PATIENCE = 20


class Interrupted(unittest.TestCase):
    def setUp(self):
        # What a script starts in the background ignores it.
        self.addCleanup(signal.signal, signal.SIGINT,
                        signal.signal(signal.SIGINT,
                                      signal.default_int_handler))
        before = children()
        # The agent is stopped, not dead.
        self.c = penstock.open(ENDPOINT, dead=math.inf, timeout=10 * PATIENCE)
        self.addCleanup(self.c.close)
        (self.agent,) = children() - before
        self.over = threading.Event()

    def stop(self):
        """Stops the agent; gives up on the test when that takes too long."""
        os.kill(self.agent, signal.SIGSTOP)
        self.over.clear()

        def guard():
            if not self.over.wait(PATIENCE):
                os.kill(self.agent, signal.SIGKILL)
        threading.Thread(target=guard, daemon=True).start()

    def go_on(self):
        self.over.set()
        os.kill(self.agent, signal.SIGCONT)

    def signal_soon(self, number=signal.SIGINT, after=0.2):
        def send():
            time.sleep(after)
            self.sent = time.monotonic()
            os.kill(os.getpid(), number)
        threading.Thread(target=send, daemon=True).start()

    def assert_works(self):
        x = np.arange(64.0).reshape(8, 8)
        self.assertEqual(self.c.matmul(x, x).tolist(), (x @ x).tolist())
        y = self.c.asarray(x)
        out = self.c.empty((8, 8))
        self.c.matmul(y, y, out=out)
        self.assertEqual(out.tolist(), (x @ x).tolist())

    def test_keyboard_interrupt_ends_every_kind_of_call(self):
        c = self.c
        x = c.asarray(np.ones((64, 64), "f4"))
        p, out = np.ones((64, 64), "f4"), c.empty((64, 64), "f4")
        large = np.ones((20, 450000), "f4")
        t, many = c.tensor(p), c.tensor(shape=(1 << 20,), dtype="f4")
        m = c.load_model("m", DIABETES)
        rows = np.ones((4, m.inputs), "f4")
        for name, call in (
                ("in place", lambda: c.matmul(x, x, out=out)),
                ("private", lambda: c.matmul(p, p)),
                ("in pieces", lambda: c.matmul(large, large.T)),
                ("tensors", lambda: c.gemm(t, t)),
                ("infer", lambda: m.infer(rows)),
                ("infer in place", lambda: m.infer(c.asarray(rows))),
                ("upload", lambda: many.upload(np.zeros(1 << 20, "f4"))),
                ("download", lambda: many.download()),
                ("in one operation", lambda: t.upload(x)),
                ("room", lambda: c.empty(40 << 20, "u1")),
                ("load", lambda: c.load_model("n", DIABETES)),
                ("ping", c.ping), ("info", c.info)):
            with self.subTest(name):
                self.stop()
                self.signal_soon()
                with self.assertRaises(KeyboardInterrupt):
                    call()
                print(f"# {name}: {1e3 * (time.monotonic() - self.sent):.0f} "
                      "ms after the signal")
                self.go_on()
                self.assert_works()
        for name in [n["name"] for n in c.models()]:
            c.unload_model(name)
        del x, out, m
        self.assertEqual(c.empty(36 << 20, "u1").size, 36 << 20)

    def test_calls_of_an_agent_that_answers_are_ended_too(self):
        x = np.ones((700, 700))
        self.signal_soon(after=0.05)
        with self.assertRaises(KeyboardInterrupt):
            until = time.monotonic() + PATIENCE
            while time.monotonic() < until:
                self.c.matmul(x, x)
        self.assert_works()

    def test_a_handler_that_returns_lets_the_call_go_on(self):
        c, seen = self.c, []

        def handler(number, frame):
            # It may use the library itself.
            seen.append(c.lost)
            self.go_on()
            seen.append(c.ping() > 0)

        old = signal.signal(signal.SIGUSR1, handler)
        self.addCleanup(signal.signal, signal.SIGUSR1, old)
        x, out = c.asarray(np.eye(16)), c.zeros((16, 16))
        for call in (lambda: c.matmul(x, x, out=out),
                     lambda: c.matmul(np.eye(16), np.eye(16))):
            self.stop()
            self.signal_soon(signal.SIGUSR1)
            self.assertEqual(call().tolist(), np.eye(16).tolist())
        self.assertEqual(seen, [False, True] * 2)

    def test_other_threads_are_left_alone(self):
        c, results = self.c, []
        x = np.eye(16)
        self.stop()
        threads = [threading.Thread(
            target=lambda: results.append(c.matmul(x, x))) for _ in range(2)]
        for thread in threads:
            thread.start()
        self.signal_soon()
        with self.assertRaises(KeyboardInterrupt):
            c.matmul(x, x)
        self.go_on()
        for thread in threads:
            thread.join()
        self.assertEqual([r.tolist() for r in results], [x.tolist()] * 2)

    def test_opening_is_ended_although_nobody_answers(self):
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, "sock")
            with socket.socket(socket.AF_UNIX) as mute:
                mute.bind(path)
                mute.listen()
                self.signal_soon()
                with self.assertRaises(KeyboardInterrupt):
                    penstock.open("unix://" + path, timeout=2 * PATIENCE)
        self.assertLess(time.monotonic() - self.sent, PATIENCE)
        print(f"# open: {1e3 * (time.monotonic() - self.sent):.0f} ms after "
              "the signal")
        self.assert_works()


if __name__ == "__main__":
    unittest.main()
