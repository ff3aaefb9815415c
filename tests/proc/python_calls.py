# SPDX-License-Identifier: MIT
"""Prepared and asynchronous calls of the Python package, other libraries'
memory, its exceptions, and what threads, forks and garbage do."""
import asyncio
import ctypes
import errno
import gc
import math
import os
import pickle
import signal
import socket
import tempfile
import threading
import unittest
import weakref

import numpy as np

from pythonlib import children, data, penstock
from penstock import _interrupt, _library, _memory

ENDPOINT = "spawn:?size=64M&threads=1"
DIABETES = data("diabetes.safetensors")
# Of the test of memory.
CALLS = int(os.environ.get("PST_PYTHON_CALLS", "100000"))


class WithConnection(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.c = penstock.open(ENDPOINT)
        cls.x = np.arange(12.0).reshape(3, 4)

    @classmethod
    def tearDownClass(cls):
        cls.c.close()


class Plans(WithConnection):
    def test_a_plan_computes_what_is_in_its_operands_now(self):
        c = self.c
        a, b, out = c.asarray(self.x), c.asarray(self.x.T), c.empty((3, 3))
        private = np.empty((3, 3))
        plans = [c.plan(a, b, out), c.plan(a, a, out, transb=True),
                 c.plan(np.array(a), np.array(b), private),
                 c.plan(c.tensor(a), b, out)]
        for plan in plans:
            self.assertIsInstance(plan, penstock.Plan)
            self.assertEqual(plan().tolist(), (self.x @ self.x.T).tolist())
        a[...] = 1
        self.assertIs(plans[0](), out)
        self.assertEqual(out.tolist(), (np.ones((3, 4)) @ self.x.T).tolist())
        again = c.plan(a, b, out, beta=1, alpha=2, bias=c.zeros(3), act="relu")
        want = np.array(out) + 2 * np.ones((3, 4)) @ self.x.T
        self.assertEqual(again().tolist(), want.tolist())
        del a, b
        gc.collect()
        self.assertEqual(plans[0]().tolist(),
                         (np.ones((3, 4)) @ self.x.T).tolist())

    def test_a_plan_copies_nothing_and_says_so(self):
        c = self.c
        a, out = c.zeros((4, 4)), c.zeros((4, 4))
        for words, args in (("a cannot be used", (a[::-1], a, out)),
                            ("b cannot be used", (a, a[:, ::-1], out)),
                            ("a cannot be used", (out, a, out)),
                            ("out cannot be used", (a[:2], a[:, :2],
                                                    out[::2, ::2])),
                            ("nothing", (a[:0], a, out[:0]))):
            with self.assertRaisesRegex(ValueError, words):
                c.plan(*args)
        with penstock.open(ENDPOINT) as other:
            with self.assertRaisesRegex(ValueError, "another"):
                c.plan(a, other.zeros((4, 4)), out)
        with self.assertRaises(TypeError):
            c.plan(a, a, None)
        with self.assertRaises(TypeError):
            c.plan(a, a, out)(a)

    def test_nobody_else_makes_a_plan(self):
        whole = bytes(_library.Gemm())
        for make in (lambda: penstock.Plan(None, False, b"", (), None, 0),
                     lambda: penstock.Plan(object(), False, whole, (), None,
                                           0),
                     lambda: penstock.Plan(gate=self.c._handle.gate),
                     lambda: penstock.Plan.__new__(penstock.Plan)()):
            with self.assertRaises((TypeError, AttributeError)):
                make()

    def test_a_plan_that_its_result_has_is_collected(self):
        x = self.x
        out = self.c.array(np.zeros((3, 3)))
        out.step = self.c.plan(x, x.T.copy(), out)
        gone = weakref.ref(out)
        del out
        gc.collect()
        self.assertIsNone(gone())

    def test_a_connection_that_is_closed_as_a_call_begins(self):
        c = penstock.open(ENDPOINT)
        plan = c.plan(self.x, self.x.T.copy(), np.empty((3, 3)))
        armed, arm = _interrupt.armed, _interrupt.arm
        _interrupt.armed, _interrupt.arm = False, c.close
        try:
            with self.assertRaisesRegex(penstock.Error, "closed"):
                plan()
        finally:
            _interrupt.armed, _interrupt.arm = armed, arm
        self.assertIsNone(c._handle.gate.pointer)

    def test_rows_of_a_model_are_planned_too(self):
        c = self.c
        m = c.load_model("planned", DIABETES)
        rows = np.random.default_rng(1).random((3, m.inputs), "f4")
        want = m.infer(rows)
        for x, y in ((rows, np.empty_like(want)),
                     (c.asarray(rows), c.empty(want.shape, "f4")),
                     (rows[0], np.empty(m.outputs, "f4"))):
            plan = m.plan(x, y)
            self.assertIs(plan(), y)
            self.assertTrue(np.allclose(y, want if x.ndim == 2 else want[0]))
        self.assertEqual(m.infer(rows[0]).tolist(),
                         m.infer(rows[0].tolist()).tolist())
        for x, y, error in ((rows.astype("f8"), want, TypeError),
                            (rows, want[:1], ValueError),
                            (rows[:, ::-1], want, TypeError),
                            (rows[:0], want[:0], ValueError)):
            with self.assertRaises(error):
                m.plan(x, y)
        plan = m.plan(rows, want)
        c.unload_model("planned")
        with self.assertRaises(FileNotFoundError):
            plan()
        with self.assertRaises(FileNotFoundError):
            m.infer(rows[0], want[0])

    def test_calls_of_a_closed_connection_and_a_lost_session_raise(self):
        before = children()
        c = penstock.open(ENDPOINT)
        (agent,) = children() - before
        a = c.zeros((4, 4))
        plan = c.plan(a, a, c.empty((4, 4)))
        os.kill(agent, 9)
        while not c.lost:
            pass
        for call in (plan, lambda: c.matmul(a, a, out=np.empty((4, 4))),
                     lambda: c.array(a) @ a):
            with self.assertRaises(penstock.StaleError):
                call()
        c.close()
        with self.assertRaisesRegex(penstock.Error, "closed"):
            plan()
        with self.assertRaisesRegex(penstock.Error, "closed"):
            c.matmul(a, a, out=np.empty((4, 4)))


class Asynchronous(WithConnection):
    def test_products_are_awaited(self):
        c, x = self.c, self.x
        want = (x @ x.T).tolist()

        async def main():
            out = c.empty((3, 3))
            self.assertIs(await c.gemm_async(c.asarray(x), x.T, out), out)
            self.assertEqual(out.tolist(), want)
            out = np.empty((6, 6))[::2, ::2]
            await c.gemm_async(c.tensor(x), c.tensor(x), out, transb=True)
            self.assertEqual(out.tolist(), want)
            # More than may be outstanding.
            many = await asyncio.gather(*(
                c.gemm_async(x * i, x.T) for i in range(600)))
            self.assertEqual([y[0, 1] for y in many],
                             [38.0 * i for i in range(600)])
            self.assertEqual((await c.gemm_async(x[:0], x.T)).shape, (0, 3))
            with self.assertRaises(ValueError):
                await c.gemm_async(x, x)

        asyncio.run(main())
        asyncio.run(main())

    def test_what_has_no_room_is_computed_by_a_thread(self):
        large = np.ones((8, 1200000))

        async def main():
            got = await self.c.gemm_async(large, large, transb=True)
            self.assertEqual(got.tolist(), np.full((8, 8), 1.2e6).tolist())

        asyncio.run(main())

    def test_a_cancelled_product_leaves_the_connection_as_it_was(self):
        before = children()
        c = penstock.open(ENDPOINT, dead=math.inf)
        self.addCleanup(c.close)
        (agent,) = children() - before
        x, out = c.asarray(np.ones((100, 100))), c.empty((100, 100))

        async def main():
            # An agent that is stopped finishes nothing.
            os.kill(agent, signal.SIGSTOP)
            try:
                tasks = [asyncio.create_task(c.gemm_async(x, x, out))
                         for _ in range(3)]
                await asyncio.sleep(0.001)
                for task in tasks:
                    task.cancel()
                for task in tasks:
                    with self.assertRaises(asyncio.CancelledError):
                        await task
                with self.assertRaises(TimeoutError):
                    await c.gemm_async(x, x, out, timeout=1e-3)
            finally:
                os.kill(agent, signal.SIGCONT)
            self.assertEqual((await c.gemm_async(self.x, self.x.T)).tolist(),
                             (self.x @ self.x.T).tolist())

        asyncio.run(main())
        self.assertFalse(c._handle.queue.pending)

    def test_loops_of_several_threads_share_a_connection(self):
        results = []

        async def some(i):
            for j in range(50):
                y = await self.c.gemm_async(self.x * i, self.x.T)
                results.append(y[0, 1] == 38 * i)

        threads = [threading.Thread(target=lambda i=i: asyncio.run(some(i)))
                   for i in range(1, 4)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertEqual(results, [True] * 150)

    def test_a_lost_agent_ends_what_is_awaited(self):
        before = children()
        c = penstock.open(ENDPOINT)
        self.addCleanup(c.close)
        (agent,) = children() - before
        x = c.asarray(np.ones((1000, 1000)))
        out = c.empty((1000, 1000))

        async def main():
            task = [asyncio.create_task(c.gemm_async(x, x, out))
                    for _ in range(20)]
            await asyncio.sleep(0.01)
            os.kill(agent, 9)
            for result in await asyncio.gather(*task, return_exceptions=True):
                self.assertTrue(result is out or isinstance(
                    result, (ConnectionResetError, penstock.StaleError)),
                    result)
            self.assertIsInstance(result, penstock.Error)

        asyncio.run(main())


class Exporter:
    """An array by DLPack, made by hand: numpy's capsule, or a structure of
    version 1."""

    def __init__(self, array, flags=None, major=1, change=None, device=(1, 0)):
        self.array, self.flags, self.major = array, flags, major
        self.change, self.device = change, device
        self.freed = 0

    def __dlpack_device__(self):
        return self.device

    def __dlpack__(self, **options):
        if self.flags is None:
            if options:
                raise TypeError("of a version before 1.0")
            return self.array.__dlpack__()
        from penstock import _dlpack as d
        self.shape = (ctypes.c_int64 * 8)(*self.array.shape)
        self.strides = (ctypes.c_int64 * 8)(
            *(s // self.array.itemsize for s in self.array.strides))
        self.deleter = d._DELETER(self.free)
        s = self.managed = d._Versioned()
        s.major, s.flags = self.major, self.flags
        s.deleter = ctypes.cast(self.deleter, ctypes.c_void_p).value
        t = s.tensor
        t.data, t.device_type = self.array.ctypes.data, 1
        t.ndim, t.code, t.lanes = self.array.ndim, 2, 1
        t.bits = 8 * self.array.itemsize
        t.shape = ctypes.cast(self.shape, ctypes.POINTER(ctypes.c_int64))
        t.strides = ctypes.cast(self.strides, ctypes.POINTER(ctypes.c_int64))
        if self.change:
            self.change(t)
        return d._new(ctypes.addressof(s), d._OURS[b"dltensor_versioned"],
                      None)

    def free(self, _):
        self.freed += 1


class DLPack(WithConnection):
    def test_memory_is_shared_until_the_last_view_dies(self):
        for flags in (None, 0):
            x = np.arange(12.0).reshape(3, 4)
            source = Exporter(x[::2, ::-1] if flags == 0 else x, flags)
            got = self.c.from_dlpack(source)
            self.assertTrue(np.shares_memory(got, x))
            self.assertEqual(got.tolist(), source.array.tolist())
            got[0, 0] = 50
            self.assertEqual(source.array[0, 0], 50)
            view = got[1:]
            del got
            gc.collect()
            self.assertEqual(source.freed, 0)
            self.assertEqual(self.c.matmul(view, view.T).tolist(),
                             (view @ view.T).tolist())
            del view
            gc.collect()
            self.assertEqual(source.freed, 0 if flags is None else 1)

    def test_flags_and_copies(self):
        got = self.c.from_dlpack(Exporter(self.x, 1))
        with self.assertRaises(ValueError):
            got[0, 0] = 1
        with self.assertRaises(ValueError):
            got.flags.writeable = True
        got = self.c.from_dlpack(Exporter(self.x, 0), copy=True)
        self.assertFalse(np.shares_memory(got, self.x))
        self.assertEqual(got.tolist(), self.x.tolist())
        source = Exporter(np.empty((0, 4)), 0)
        self.assertEqual(self.c.from_dlpack(source).shape, (0, 4))
        gc.collect()
        self.assertEqual(source.freed, 1)
        region = self.c.asarray(self.x)
        self.assertIs(self.c.asarray(region), region)
        got = self.c.from_dlpack(Exporter(region, 0))
        self.assertTrue(np.shares_memory(self.c.asarray(got), region))

    def test_what_is_malformed_is_refused(self):
        def changed(**members):
            def change(t):
                for name, value in members.items():
                    setattr(t, name, value)
            return Exporter(self.x, 0, change=change)

        null = ctypes.POINTER(ctypes.c_int64)()
        negative = (ctypes.c_int64 * 2)(-1, 4)
        huge = (ctypes.c_int64 * 2)(1 << 62, 1 << 62)
        p64 = ctypes.POINTER(ctypes.c_int64)
        for source in (changed(ndim=-1), changed(ndim=100), changed(data=None),
                       changed(device_type=2), changed(code=9),
                       changed(bits=4), changed(lanes=2), changed(shape=null),
                       changed(byte_offset=1 << 63), changed(data=1 << 63),
                       changed(byte_offset=(1 << 64) - 1),
                       changed(shape=ctypes.cast(negative, p64)),
                       changed(shape=ctypes.cast(huge, p64), strides=null),
                       Exporter(self.x, 0, major=2),
                       Exporter(self.x, device=(2, 0))):
            with self.assertRaises(BufferError):
                self.c.from_dlpack(source)
            self.assertEqual(source.freed, 0)
        for source in (3, object(), np.arange(3).__dlpack__()):
            with self.assertRaises((TypeError, AttributeError)):
                self.c.from_dlpack(source)
        odd = (ctypes.c_int64 * 2)(1 << 62, 1)
        one = changed(shape=ctypes.cast((ctypes.c_int64 * 2)(1, 4), p64),
                      strides=ctypes.cast(odd, p64))
        self.assertEqual(self.c.from_dlpack(one).tolist(),
                         self.x[:1].tolist())
        once = Exporter(self.x)
        capsule = once.__dlpack__()
        once.__dlpack__ = None

        class Again:
            def __dlpack__(self):
                return capsule
        self.c.from_dlpack(Again())
        with self.assertRaises(BufferError):
            self.c.from_dlpack(Again())

    def test_tensors_are_exported_as_copies(self):
        c = self.c
        for x in (self.x, self.x.astype("f4"), np.arange(5, dtype="i1"),
                  np.zeros((0, 3)), np.ones(())):
            t = c.tensor(x)
            self.assertEqual(t.__dlpack_device__(), (1, 0))
            for version in (None, (0, 8), (1, 0), (1, 9)):
                name = ("dltensor_versioned" if version and version[0]
                        else "dltensor")
                self.assertIn(f'"{name}"',
                              repr(t.__dlpack__(max_version=version)))

                class One:
                    def __dlpack__(self, **options):
                        return t.__dlpack__(max_version=version)
                got = c.from_dlpack(One())
                self.assertEqual(got.dtype, x.dtype)
                self.assertEqual(got.tolist(), x.tolist())
            self.assertEqual(np.from_dlpack(t).tolist(), x.tolist())
        bits = c.tensor(shape=(2,), dtype="bf16")
        if hasattr(_memory.calls(), "end_capsule"):
            # numpy drops the capsule with its own exception on the way.
            with self.assertRaises((RuntimeError, BufferError)):
                np.from_dlpack(bits)
        self.assertEqual(c.from_dlpack(bits).tolist(), [0, 0])
        with self.assertRaises(BufferError):
            t.__dlpack__(dl_device=(2, 0))
        with self.assertRaises(BufferError):
            t.__dlpack__(copy=False)


class Kinds(WithConnection):
    def test_exceptions_are_pythons_own_kinds(self):
        c = self.c
        with tempfile.TemporaryDirectory() as d:
            nobody = os.path.join(d, "sock")
            with socket.socket(socket.AF_UNIX) as s:
                s.bind(nobody)
            mute = os.path.join(d, "mute")
            with socket.socket(socket.AF_UNIX) as s:
                s.bind(mute)
                s.listen()
                for kind, call in (
                        (FileNotFoundError, lambda: penstock.open(
                            "unix:///nonexistent/sock")),
                        (FileNotFoundError, lambda: c.open_model("none")),
                        (ConnectionRefusedError, lambda: penstock.open(
                            "unix://" + nobody)),
                        (TimeoutError, lambda: penstock.open(
                            "unix://" + mute, timeout=0.05)),
                        (ValueError, lambda: penstock.open("what://x")),
                        (MemoryError, lambda: c.empty(1 << 40, "u1")),
                        (MemoryError, lambda: c.tensor(shape=(1 << 50,)))):
                    with self.subTest(kind=kind):
                        with self.assertRaises(kind) as caught:
                            call()
                        self.assertIsInstance(caught.exception, penstock.Error)
                        self.assertTrue(caught.exception.errno)
                        again = pickle.loads(pickle.dumps(caught.exception))
                        self.assertEqual(again.args, caught.exception.args)

    def test_every_error_of_the_library_has_a_class(self):
        for name in errno.errorcode:
            e = penstock.errors.make(-name, "words")
            self.assertIsInstance(e, penstock.Error)
            self.assertEqual((e.errno, e.strerror), (name, "words"))


class Memory(WithConnection):
    def test_cycles_are_collected_before_there_is_no_room(self):
        c = self.c
        gc.disable()
        try:
            for _ in range(40):
                loop = [c.empty(4 << 20, "u1")]
                loop.append(loop)
            loop = None
            a = np.ones((1000, 900))
            for _ in range(12):
                loop = [c.tensor(shape=(4 << 20,), dtype="int8")]
                loop.append(loop)
            self.assertEqual(c.matmul(a, a.T)[0, 0], 900)
        finally:
            gc.enable()
            loop = None
            gc.collect()

    def test_results_are_larger_than_the_arena(self):
        a = np.ones((3200, 2))
        self.assertGreater(3200 * 3200 * 8, 64 << 20)
        self.assertTrue((self.c.array(a) @ a.T == 2).all())
        with self.assertRaises(penstock.NoRoomError):
            self.c.matmul(a, a.T, region=True)

    def test_memory_is_flat_over_many_calls(self):
        c = self.c
        a, out = c.asarray(self.x), c.empty((3, 3))
        b = c.asarray(self.x.T)
        plan, t = c.plan(a, b, out), c.tensor(self.x)
        array = c.array(self.x)

        def some(n):
            for _ in range(n):
                c.matmul(a, b, out=out)
                c.matmul(a, b)
                plan()
            for _ in range(n // 100):
                c.matmul(a, b[::-1])
                array @ b
                c.empty(100)
                np.from_dlpack(t)
                with self.assertRaises(ValueError):
                    c.matmul(a, a, out=out)

        def resident():
            gc.collect()
            with open("/proc/self/statm") as f:
                return int(f.read().split()[1]) * os.sysconf("SC_PAGESIZE")

        some(2000)
        before = resident()
        some(CALLS // 3)
        self.assertLess(resident() - before, 1 << 20)
        self.assertEqual(c._handle.gate.closed, False)


class Processes(unittest.TestCase):
    def test_every_call_of_a_child_raises(self):
        c = penstock.open(ENDPOINT)
        self.addCleanup(c.close)
        a, t = c.zeros((4, 4)), c.tensor(np.zeros((4, 4)))
        array = c.array(np.zeros((4, 4)))
        p, out = np.zeros((4, 4)), np.empty((4, 4))
        plan = c.plan(a, a, a.copy())
        read, write = os.pipe()
        pid = os.fork()
        if pid == 0:
            wrong = []
            try:
                own = penstock.open(ENDPOINT)
                for i, call in enumerate((
                        c.ping, c.info, plan, lambda: c.matmul(a, p),
                        lambda: c.matmul(p, p, out=out), lambda: c.take(a),
                        lambda: c.matmul(p, p), lambda: c.tensor(p),
                        lambda: c.empty(3), lambda: t @ p, t.download,
                        lambda: asyncio.run(c.gemm_async(p, p)),
                        lambda: own.matmul(a, p, out=out),
                        lambda: own.matmul(p, a), lambda: own.asarray(a),
                        lambda: own.matmul(p, p, out=a),
                        lambda: array @ p)):
                    try:
                        call()
                        wrong.append(i)
                    except penstock.ForkedError:
                        pass
                if own.matmul(p + 1, p + 1)[0, 0] != 4:
                    wrong.append("own")
                own.close()
                c.close()
            except BaseException as e:
                wrong.append(repr(e))
            os.write(write, repr(wrong).encode())
            os._exit(0)
        os.close(write)
        with open(read) as f:
            self.assertEqual(f.read(), "[]")
        self.assertEqual(os.waitpid(pid, 0)[1], 0)
        self.assertEqual(plan().tolist(), p.tolist())
        self.assertGreater(c.ping(), 0)

    def test_threads_call_and_close_at_once(self):
        for _ in range(5):
            c = penstock.open(ENDPOINT)
            a, out = c.zeros((8, 8)), [c.empty((8, 8)) for _ in range(4)]
            plans = [c.plan(a, a, o) for o in out]
            wrong = []

            def work(i):
                try:
                    while True:
                        plans[i]()
                        c.matmul(a, a, out=out[i])
                except penstock.Error as e:
                    if "closed" not in str(e):
                        wrong.append(e)

            threads = [threading.Thread(target=work, args=(i,))
                       for i in range(4)]
            for thread in threads:
                thread.start()
            c.close()
            for thread in threads:
                thread.join()
            self.assertEqual(wrong, [])
            gate = c._handle.gate
            del a, out, plans
            gc.collect()
            self.assertIsNone(gate.pointer)

    def test_a_handle_dies_with_its_last_user(self):
        c = penstock.open(ENDPOINT)
        handle = weakref.ref(c._handle)
        a = c.zeros((2, 2))
        plan = c.plan(a, a, np.zeros((2, 2)))
        del c, a
        # It ends as a connection that was closed.
        with self.assertRaisesRegex(penstock.Error, "closed"):
            plan()
        gc.collect()
        self.assertIsNotNone(handle())
        del plan
        gc.collect()
        self.assertIsNone(handle())


if __name__ == "__main__":
    unittest.main()
