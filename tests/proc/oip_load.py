# SPDX-License-Identifier: MIT
"""Inferences through penstock-gateway beside others: slow clients by the
thousand, agents that die, and many requests, after which nothing has grown.

PST_REQUESTS: how many requests (make long: 100000).
"""
import json
import os
import random
import resource
import socket
import sys
import time
import unittest

from agentlib import CONTROL_ONLY, STATS, Agent, Conn, eventually
from gatewaylib import HANG_S, PROGRAM
from oipcases import A, B, BAD, C, GOOD, made
from oiplib import (DATA, Client, Server, body, judge_error,
                    judge_infer, need, tensor)

REQUESTS = int(os.environ.get("PST_REQUESTS", "2000"))
INFER = "/v2/models/gemm/infer"


def product(c):
    """The client's product is right."""
    got = judge_infer(c.ask("POST", INFER, *made({})), "gemm", {})
    need(got == {"C": ("FP32", [2, 2], C)}, got)


class Slow(unittest.TestCase):
    def test_a_thousand_slow_connections_keep_nobody_out(self):
        files = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (files[1], files[1]))
        s = Server()
        slow = []
        try:
            for i in range(1000):
                slow.append(self.slow(s, i))
            c, other = Client(s.g.sock), Client(s.tcp)
            for i in range(30):
                for honest in (c, other):
                    product(honest)
                    r = honest.ask("GET", "/metrics")
                    self.assertEqual(r.status, 200)
                    self.assertIn(b'penstock_up{agent="card"} 1', r.data)
                # Some drop a byte meanwhile.
                for sock in slow[i::30]:
                    try:
                        sock.send(b"x")
                    except OSError:
                        pass
            for way in (s.g.sock, s.tcp):
                fresh = Client(way)
                product(fresh)
                fresh.close()
            c.close()
            other.close()
        finally:
            for sock in slow:
                sock.close()
            s.close()

    def slow(self, s, i):
        """A connection that wants the gateway to wait, of a few kinds."""
        sock = socket.socket()
        sock.settimeout(HANG_S)
        sock.connect(("127.0.0.1", s.tcp[0]))
        known = "Authorization: Bearer another-token-of-16\r\n"
        head = ("POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: "
                "application/json\r\n%sContent-Length: %d\r\n\r\n")
        sock.sendall((
            "", "GET /met", "GET /metrics HTTP/1.1\r\nHost: loc",
            head % (INFER, known, 1 << 20), head % (INFER, "", 1 << 20),
            head % (INFER, known, 1 << 20) + '{"inputs": [',
            ("GET / HTTP/1.1\r\nHost: localhost\r\n%s\r\n" % known) * 20,
        )[i % 7].encode())
        return sock


class Dead(unittest.TestCase):
    def test_an_agents_death_is_told_and_ends_by_itself(self):
        s = Server()
        try:
            c, digits = Client(s.g.sock), Client(s.tcp)
            t, _ = tensor("input", "FP32", [1, 64], [0] * 64)
            m = json.loads(digits.ask("GET", "/v2/models/digits").data)
            t["name"] = m["inputs"][0]["name"]
            for _ in range(1 + REQUESTS // 50000):
                product(c)
                judge_infer(digits.infer("digits", {"inputs": [t]}), "digits",
                            {})
                s.agent.kill()
                for client, name, inputs in ((c, "gemm", [A, B]),
                                             (digits, "digits", [t])):
                    for _ in range(2):
                        judge_error(client.infer(name, {"inputs": inputs}),
                                    503)
                    eventually(lambda: client.ask(
                        "GET", "/v2/health/ready").status == 503)
                    self.assertEqual(
                        client.ask("GET", "/v2/health/live").status, 200)
                s.agent = Agent(s.dir, "--backend", "cpu", "--threads", "1")
                s.load("digits", os.path.join(DATA, "digits.safetensors"))
                eventually(lambda: c.infer(
                    "gemm", {"inputs": [A, B]}).status == 200, 60)
                eventually(lambda: digits.infer(
                    "digits", {"inputs": [t]}).status == 200, 60)
            c.close()
            digits.close()
        finally:
            s.close()

    def test_clients_that_wait_are_told(self):
        """The agent dies while products are under way."""
        s = Server()
        try:
            n = 1200
            a, data = tensor("A", "FP32", [n, n], [1] * (n * n), True)
            b = {**a, "name": "B"}
            text, headers = body({"inputs": [a, b]}, data, data)
            waiting = [Client(s.g.sock) for _ in range(6)]
            for w in waiting:
                w.http.request("POST", INFER, text, headers)
            time.sleep(0.2)
            s.agent.kill()
            for w in waiting:
                r = w.http.getresponse()
                r.read()
                self.assertIn(r.status, (200, 503))
                w.close()
        finally:
            s.close()


class Many(unittest.TestCase):
    def test_many_requests_leave_nothing(self):
        s = Server()
        try:
            self.storm(s, REQUESTS // 4 + 200)
            before = self.held(s)
            self.storm(s, REQUESTS)
            eventually(lambda: self.held(s)["leases"] <= before["leases"])
            after = self.held(s)
            print("# %d requests: %s, then %s" % (REQUESTS, before, after))
            self.assertLessEqual(after["files"], before["files"])
            self.assertLessEqual(after["leases"], before["leases"])
            # What malloc keeps comes and goes; a leak of one byte in ten of a
            # request's 4 KiB would be more.
            for who in ("gateway", "agent"):
                self.assertLess(after[who] - before[who],
                                1024 + REQUESTS * 4 // 10, (before, after))
        finally:
            s.close()

    def held(self, s):
        """Descriptors, KiB of memory, bytes leased."""
        def rss(pid):
            with open("/proc/%d/status" % pid) as f:
                return int(next(x for x in f if "VmRSS" in x).split()[1])
        c = Conn(s.agent).open(flags=CONTROL_ONLY)
        stats = c.query(STATS)
        c.close()
        return {"files": len(os.listdir("/proc/%d/fd" % s.g.proc.pid)),
                "gateway": rss(s.g.proc.pid), "agent": rss(s.agent.proc.pid),
                "leases": stats["leased_bytes"]}

    def storm(self, s, n):
        """n requests of all kinds; some clients go in the middle of one."""
        rng = random.Random(7)
        good, bad = list(GOOD.values()), list(BAD.values())
        clients = [Client(s.g.sock), Client(s.tcp)]
        for i in range(n):
            c = clients[i % 2]
            what = rng.randrange(20)
            if what < 14:
                row = rng.choice(good)
                judge_infer(c.ask("POST", INFER, *made(*row)), "gemm", row[0])
            elif what < 17:
                judge_error(c.ask("POST", INFER, *made(*rng.choice(bad))), 400)
            elif what < 18:
                need(c.ask("GET", rng.choice((
                    "/metrics", "/v2/models/digits", "/v2"))).status == 200)
            else:
                self.leave(s.g.sock, rng)
        for c in clients:
            c.close()

    def leave(self, path, rng):
        text, headers = made(*rng.choice(list(GOOD.values())))
        head = "POST %s HTTP/1.1\r\nHost: localhost\r\n%sContent-Length: " \
            "%d\r\n\r\n" % (INFER, "".join("%s: %s\r\n" % h for h in
                                           headers.items()), len(text))
        data = head.encode() + text
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(path)
            sock.sendall(data[:rng.randrange(len(data) + 1)])


if __name__ == "__main__":
    # A sanitizer keeps what was freed, 256 MiB of it, which is no leak.
    os.environ["ASAN_OPTIONS"] = ":".join(filter(None, (
        os.environ.get("ASAN_OPTIONS"), "quarantine_size_mb=0",
        "thread_local_quarantine_size_kb=0")))
    if not os.path.exists(PROGRAM):
        print("built without the gateway (libmicrohttpd)")
        sys.exit(77)
    unittest.main(verbosity=2, warnings="ignore")
