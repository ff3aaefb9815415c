# SPDX-License-Identifier: MIT
"""penstock-gateway as a daemon: sockets, who may ask, what is refused, slow
clients."""
import base64
import http.client
import json
import os
import resource
import select
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import unittest
import warnings

from agentlib import Agent, eventually
from gatewaylib import PROGRAM, Gateway, Http, free_port

TOKEN = "0123456789abcdef-xyz"


def fails(*args):
    """What it says when it does not start, and its exit status."""
    env = {k: v for k, v in os.environ.items() if k != "PENSTOCK_ENDPOINT"}
    p = subprocess.run([PROGRAM, *args], capture_output=True, text=True,
                       timeout=60, env=env)
    return p.returncode, p.stderr


class Daemon(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.tmp = tempfile.TemporaryDirectory()
        cls.dir = cls.tmp.name
        cls.tokens = os.path.join(cls.dir, "tokens")
        with open(cls.tokens, "w") as f:
            os.fchmod(f.fileno(), 0o640)
            f.write("# who\n" + TOKEN + "\n\nanother-token-of-16\n")
        cls.port = free_port()
        cls.g = Gateway(cls.dir, "--endpoint", "a=unix://" + cls.dir + "/none",
                        # A path need not be UTF-8.
                        "--endpoint", b"b=unix:///none\xff",
                        "--listen", f"127.0.0.1:{cls.port}", "--token-file",
                        cls.tokens, "--host", "box.example")

    @classmethod
    def tearDownClass(cls):
        assert cls.g.stop() == 0, cls.g.output()
        assert not os.path.exists(cls.g.sock)
        cls.tmp.cleanup()

    def tcp(self, **headers):
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            c.request("GET", "/health/live", headers=headers)
            return c.getresponse().status
        finally:
            c.close()

    def test_it_lives_on_a_socket_of_mode_0660(self):
        self.assertEqual(self.g.get("/health/live"), (200, {"live": True}))
        self.assertEqual(os.stat(self.g.sock).st_mode & 0o777, 0o660)

    def test_a_connection_serves_many_requests(self):
        c = Http(self.g.sock)
        for path, status in (("/health/live", 200), ("/nothing", 404)) * 20:
            self.assertEqual(c.ask("GET", path)[0], status)
            self.assertTrue(c.sock)
        c.close()

    def test_it_has_narrowed_itself(self):
        with open(PROGRAM, "rb") as f:
            if b"libseccomp" not in f.read():
                self.skipTest("built without libseccomp, or with a sanitizer")
        with open(f"/proc/{self.g.proc.pid}/status") as f:
            status = f.read()
        self.assertIn("NoNewPrivs:\t1", status)
        self.assertIn("Seccomp:\t2", status)

    def test_head_has_no_body(self):
        status, body = self.g.send("HEAD", "/health/live")
        self.assertEqual((status, body), (200, None))

    def test_tcp_wants_a_token(self):
        self.assertEqual(self.tcp(), 401)
        for bad in ("Bearer", "Bearer " + TOKEN[:-1], "Bearer x" + TOKEN,
                    "Basic " + TOKEN, TOKEN, "Bearer # who"):
            self.assertEqual(self.tcp(Authorization=bad), 401, bad)
        for good in (TOKEN, "another-token-of-16"):
            self.assertEqual(self.tcp(Authorization="Bearer " + good), 200)

    def test_a_host_that_is_not_ours_is_refused(self):
        for host in ("evil.example", "evil.example:80", "localhost.evil",
                     "127.0.0.1.evil", "localhost:80x", "[::1", "", ":80",
                     "localhost:1234567", "box.example.evil"):
            self.assertEqual(self.g.get("/health/live", Host=host)[0], 403,
                             host)
        for host in ("localhost", "LOCALHOST:1", "127.0.0.1:9", "[::1]:80",
                     "box.example", "box.example:8000"):
            self.assertEqual(self.g.get("/health/live", Host=host)[0], 200,
                             host)

    def test_targets_in_absolute_form(self):
        for target, host, status in (
                (b"http://localhost/health/live", b"localhost", b"200"),
                (b"HTTP://box.example:80/health/live", b"localhost", b"200"),
                (b"http://localhost", b"localhost", b"200"),
                (b"http://evil/health/live", b"localhost", b"403"),
                (b"http://localhost/health/live", b"evil", b"403"),
                (b"http:///health/live", b"localhost", b"403"),
                (b"http://localhost/none", b"localhost", b"404")):
            line = self.raw(b"GET " + target + b" HTTP/1.1\r\nHost: " + host +
                            b"\r\n\r\n")
            self.assertEqual(line.split()[1:2], [status], (target, host))

    def test_odd_spellings_of_fields(self):
        head = b"GET /health/live HTTP/1.1\r\n"
        for more, status in (
                (b"host: localhost\r\n", b"200"),
                (b"HOST:localhost\r\n", b"200"),
                (b"Host:   localhost  \r\n", b"200 403"),
                (b"Host: localhost\r\noRIGIN: http://localhost\r\n", b"403"),
                (b"Host: localhost\r\nOrigin:\r\n", b"403"),
                (b"Host: localhost\r\nOrigin : null\r\n", b"400"),
                (b"Host: localhost\r\nOrigin\t: null\r\n", b"400"),
                (b"Host: localhost\r\nContent-Length : 9\r\n", b"400"),
                (b"Host: localhost\r\nTransfer-Encoding : chunked\r\n",
                 b"400"),
                (b"Host: localhost\r\n Origin: null\r\n", b"403 400"),
                (b"Host: localhost\r\nX: y\r\n Origin: null\r\n",
                 b"200 403 400"),
                (b"Host : localhost\r\nHost: evil\r\n", b"403 400"),
                (b"Host: evil\r\nhost: localhost\r\n", b"400"),
                (b"Host: localhost\r\n .evil\r\n", b"403 400"),
                (b"X: y\r\n", b"400 403")):
            line = self.raw(head + more + b"\r\n")
            self.assertTrue(line == b"" or line.split()[1] in status.split(),
                            (more, line))
        self.assertEqual(self.raw(b"GET /health/live HTTP/1.0\r\n\r\n")
                         .split()[1], b"403")

    def test_web_pages_are_refused(self):
        for origin in ("http://localhost", "null", ""):
            status, r = self.g.get("/health/live", Origin=origin)
            self.assertEqual(status, 403)
            self.assertIn("Origin", r["error"])

    def test_no_reply_allows_other_sites(self):
        c = Http(self.g.sock)
        for method in ("GET", "OPTIONS"):
            _, head, _ = c.ask(method, "/health/live", headers={
                "Access-Control-Request-Method": "POST"})
            self.assertFalse([h for h in head if "access-control" in h.lower()])
        c.close()

    def test_methods(self):
        for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE",
                       "CONNECT", "BREW"):
            self.assertEqual(self.g.send(method, "/health/live")[0], 405,
                             method)

    def raw(self, data):
        """The first line of what comes for these bytes, until the end."""
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(20)
            s.connect(self.g.sock)
            try:
                s.sendall(data)
            except BrokenPipeError:
                pass
            try:
                return s.recv(4096).split(b"\r\n")[0]
            except ConnectionResetError:
                return b""

    def test_malformed_heads(self):
        head = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n"
        for more, status in (
                (b"Host: localhost\r\n", b"400"),
                (b"Content-Length: 1\r\nContent-Length: 2\r\n", b"400"),
                (b"Content-Length: -1\r\n", b"400"),
                (b"Content-Length: 99999999999999999999999\r\n", b"400 413"),
                (b"Transfer-Encoding: chunked\r\n", b"411 400"),
                (b"X: a\rOrigin: b\r\n", b"400"),
                (b"X: " + b"x" * 70000 + b"\r\n", b"431 400 413 414")):
            line = self.raw(head + more + b"\r\n")
            self.assertTrue(line == b"" or line.split()[1] in status.split(),
                            (more[:40], line))
        self.assertEqual(self.g.get("/health/live")[0], 200)

    def test_what_follows_a_nul_is_no_part_of_a_token(self):
        for name, status in ((b"", 200), (b"\0", 401)):
            password = base64.b64encode(b"me:" + TOKEN.encode() + name)
            self.assertEqual(self.tcp(
                Authorization="Basic " + password.decode()), status)

    def test_paths_of_an_agent_that_does_not_answer(self):
        self.g.wait_log("agent a does not answer")
        status, r = self.g.get("/health")
        self.assertEqual((status, r["schema"], r["healthy"]), (503, 1, False))
        self.assertEqual([a["name"] for a in r["agents"]], ["a", "b"])
        for a in r["agents"]:
            self.assertFalse(a["up"] or a["healthy"])
            self.assertIsNone(a["age_s"])
            self.assertTrue(a["wrong"][0]["what"] and a["wrong"][0]["remedy"])
        status, r = self.g.get("/api/status")
        self.assertEqual((status, r["agents"][0]["info"]), (200, None))
        status, text = self.g.get("/metrics")
        self.assertEqual(status, 200)
        self.assertIn(b'\npenstock_up{agent="a"} 0\n', text)
        status, text = self.g.get("/")
        self.assertEqual(status, 200)
        self.assertTrue(text.startswith(b"<!DOCTYPE html>"))

    def test_wrong_options(self):
        bad = os.path.join(self.dir, "bad")
        with open(bad, "w") as f:
            os.fchmod(f.fileno(), 0o644)
            f.write(TOKEN)
        one = ["--endpoint", "unix:///none"]
        for args, words in (
                (["--listen", "127.0.0.1:1"], "--token-file"),
                (one + ["--listen", "0.0.0.0:9", "--token-file", self.tokens],
                 "--tls-cert"),
                (one + ["--listen", "localhost:9", "--token-file",
                        self.tokens], "numeric"),
                (one + ["--listen", "127.0.0.1:9", "--token-file", bad],
                 "others"),
                (["--tls-cert", "x"], "go together"),
                (["--endpoint", "a=unix:///x", "--endpoint", "a=unix:///y"],
                 "two agents"),
                (["--connections", "0"], "--connections"), (["--what"], "unknown"),
                (["--operations", "many"], "--operations"),
                (["--bodies", "1K"], "from 1M"),
                (["x"], "unexpected"),
                ([], "PENSTOCK_ENDPOINT"),
                (["--endpoint", "vsock:1:x"], "--endpoint"),
                (["--endpoint", "spawn:"], "of its own"),
                (["--endpoint", "unix://" + "x" * 200], "--endpoint"),
                (one + ["--socket", ""], "a path is missing"),
                (one + ["--socket", self.g.sock], "in use")):
            status, text = fails(*args)
            self.assertNotEqual(status, 0)
            self.assertIn(words, text)

    def test_files_of_tokens_that_are_refused(self):
        for data, words in ((b"", "has no token"), (b"\r\n\n#x", "no token"),
                            (b"x" * 15, "16 to 512"), (b"x" * 513, "16 to 512"),
                            (TOKEN.encode() + b"\n\0\n" + b"y" * 20,
                             "is no text")):
            path = os.path.join(self.dir, "refused")
            with open(path, "wb") as f:
                os.fchmod(f.fileno(), 0o600)
                f.write(data)
            status, text = fails("--endpoint", "unix:///none", "--listen",
                                 "127.0.0.1:9", "--token-file", path)
            self.assertEqual(status, 2)
            self.assertIn(words, text)

    def test_a_dead_socket_file_is_replaced(self):
        with tempfile.TemporaryDirectory() as d:
            g = Gateway(d, "--endpoint", "unix:///none")
            g.proc.kill()
            g.proc.wait()
            g = Gateway(d, "--endpoint", "unix:///none")
            self.assertEqual(g.get("/health/live")[0], 200)
            self.assertEqual(g.stop(), 0)

    def test_the_socket_of_another_gateway_stays(self):
        with tempfile.TemporaryDirectory() as d:
            old = Gateway(d, "--endpoint", "unix:///none")
            os.unlink(old.sock)
            new = Gateway(d, "--endpoint", "unix:///none")
            try:
                self.assertEqual(old.stop(), 0)
                self.assertEqual(new.get("/health/live")[0], 200)
            finally:
                self.assertEqual(new.stop(), 0)
            self.assertFalse(os.path.exists(new.sock))

    def test_of_many_that_start_at_once_one_serves(self):
        with tempfile.TemporaryDirectory() as d:
            path = os.path.join(d, "s")
            with socket.socket(socket.AF_UNIX) as stale:
                stale.bind(path)
            procs = [subprocess.Popen([PROGRAM, "--endpoint", "unix:///none",
                                       "--socket", path],
                                      stderr=subprocess.PIPE, text=True)
                     for _ in range(6)]
            try:
                eventually(lambda: sum(p.poll() is not None
                                       for p in procs) == 5, 60)
                c = Http(path)
                self.assertEqual(c.ask("GET", "/health/live")[0], 200)
                c.close()
            finally:
                for p in procs:
                    p.terminate()
                texts = [p.communicate(timeout=60)[1] for p in procs]
            self.assertEqual(sum("in use" in t for t in texts), 5, texts)

    def test_requests_under_way_end_before_it_does(self):
        with tempfile.TemporaryDirectory() as d:
            g = Gateway(d, "--endpoint", "unix:///none")
            with socket.socket(socket.AF_UNIX) as s:
                s.settimeout(60)
                s.connect(g.sock)
                s.sendall(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n"
                          b"Content-Length: 2\r\n\r\n1")
                # Its head is read by the time another's reply is there.
                self.assertEqual(g.get("/health/live")[0], 200)
                g.proc.terminate()
                eventually(lambda: not os.path.exists(g.sock), 60)
                self.assertIsNone(g.proc.poll())
                s.sendall(b"2")
                self.assertTrue(s.recv(4096).startswith(b"HTTP/1.1 200"))
            self.assertEqual(g.stop(), 0)

    def test_the_service_manager_passes_sockets(self):
        with tempfile.TemporaryDirectory() as d, \
                socket.socket(socket.AF_UNIX) as s:
            path = os.path.join(d, "passed")
            s.bind(path)
            s.listen()
            log = open(os.path.join(d, "log"), "w+")
            p = subprocess.Popen(
                ["sh", "-c", f"exec 3<&{s.fileno()}; LISTEN_PID=$$ "
                 f"LISTEN_FDS=1 exec {PROGRAM} --endpoint unix:///none"],
                pass_fds=[s.fileno()], stderr=log)
            try:
                c = Http(path)
                self.assertEqual(c.ask("GET", "/health/live")[0], 200)
                c.close()
            finally:
                p.terminate()
                self.assertEqual(p.wait(20), 0)
                log.close()

    def test_silent_connections_keep_nobody_out(self):
        self.keeps_serving("--connections", "50")

    def test_nor_do_they_if_few_files_may_be_open(self):
        self.keeps_serving(preexec_fn=lambda: resource.setrlimit(
            resource.RLIMIT_NOFILE, (64, 64)))

    def keeps_serving(self, *args, **kw):
        with tempfile.TemporaryDirectory() as d:
            g = Gateway(d, "--endpoint", "unix:///none", *args, **kw)
            silent = []
            try:
                for _ in range(120):
                    s = socket.socket(socket.AF_UNIX)
                    s.connect(g.sock)
                    s.sendall(b"GET /health/li")
                    silent.append(s)
                for _ in range(20):
                    self.assertEqual(g.get("/health/live")[0], 200)
            finally:
                for s in silent:
                    s.close()
                self.assertEqual(g.stop(), 0)


class Tls(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if not shutil.which("openssl"):
            raise unittest.SkipTest("no openssl")
        cls.tmp = tempfile.TemporaryDirectory()
        for name in ("one", "two"):
            subprocess.run(
                ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                 "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                 "-subj", "/CN=localhost", "-addext",
                 "subjectAltName=IP:127.0.0.1", "-keyout", cls.path(name, "key"),
                 "-out", cls.path(name, "cert")], check=True,
                capture_output=True)
        with open(cls.path("", "tokens"), "w") as f:
            os.fchmod(f.fileno(), 0o600)
            f.write(TOKEN)

    @classmethod
    def tearDownClass(cls):
        cls.tmp.cleanup()

    @classmethod
    def path(cls, name, kind):
        return os.path.join(cls.tmp.name, name + kind)

    def options(self, port, cert, key):
        return ["--endpoint", "unix:///none", "--listen", f"127.0.0.1:{port}",
                "--token-file", self.path("", "tokens"), "--tls-cert", cert,
                "--tls-key", key]

    def test_tcp_is_tls_then(self):
        port = free_port()
        # Links, as those of a store of secrets, are followed.
        link = self.path("", "link")
        os.symlink(self.path("", "tokens"), link)
        args = self.options(port, self.path("one", "cert"),
                            self.path("one", "key"))
        args[args.index("--token-file") + 1] = link
        g = Gateway(self.tmp.name, *args)
        try:
            def ask(context, token=TOKEN):
                c = http.client.HTTPSConnection("127.0.0.1", port, timeout=60,
                                                context=context)
                try:
                    c.request("GET", "/health/live", headers={
                        "Authorization": "Bearer " + token})
                    return c.getresponse().status
                finally:
                    c.close()
            good = ssl.create_default_context(cafile=self.path("one", "cert"))
            self.assertEqual(ask(good), 200)
            self.assertEqual(ask(good, TOKEN + "x"), 401)
            with self.assertRaises(ssl.SSLError):
                ask(ssl.create_default_context())
            old = ssl.create_default_context(cafile=self.path("one", "cert"))
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                old.minimum_version = ssl.TLSVersion.TLSv1
                old.maximum_version = ssl.TLSVersion.TLSv1_1
            with self.assertRaises((OSError, ValueError)):
                ask(old)
            # Who speaks no TLS, or nothing after a greeting, holds up nobody.
            with socket.create_connection(("127.0.0.1", port)) as plain, \
                    socket.create_connection(("127.0.0.1", port)) as half:
                plain.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
                half.sendall(b"\x16\x03\x01\x02\x00\x01")
                self.assertEqual(ask(good), 200)
                plain.settimeout(60)
                self.assertNotIn(b"200", plain.recv(4096))
        finally:
            self.assertEqual(g.stop(), 0, g.output())

    def test_certificates_that_cannot_be(self):
        cert, key = self.path("one", "cert"), self.path("one", "key")
        open_key = self.path("", "open")
        with open(key) as f, open(open_key, "w") as to:
            to.write(f.read())
        os.chmod(open_key, 0o644)
        for pair, words in (
                ((cert, self.path("two", "key")), "is the certificate good"),
                ((key, key), "is the certificate good"),
                (("/dev/null", key), "is the certificate good"),
                (("/none", key), "cannot read /none"),
                ((cert, open_key), "others can read it"),
                ((cert, "credential:key"), "LoadCredential"),
                ((cert, "credential:../key"), "LoadCredential")):
            status, text = fails(*self.options(free_port(), *pair))
            self.assertIn(status, (1, 2))
            self.assertIn(words, text)


class Limits(unittest.TestCase):
    def test_operations_of_a_client_are_counted(self):
        body = json.dumps({"inputs": [
            {"name": n, "datatype": "FP32", "shape": [1, 1], "data": [2]}
            for n in "AB"]})
        path = "/v2/models/gemm/infer"

        def ask(c):
            c.request("POST", path, body, {"Content-Type": "application/json"})
            return c

        with tempfile.TemporaryDirectory() as d:
            a = Agent(d)
            g = None
            try:
                g = Gateway(d, "--operations", "1", "--endpoint",
                            f"unix://{d}/sock?region={d}/region")
                eventually(lambda: g.send("POST", path, body, {
                    "Content-Type": "application/json"})[0] == 200, 60)
                # While the agent rests, the first of two stays under way.
                a.proc.send_signal(signal.SIGSTOP)
                clients = [ask(Http(g.sock)) for _ in range(2)]
                which = [c.sock for c in clients]
                first = select.select(which, [], [], 60)[0]
                self.assertEqual(len(first), 1)
                r = clients.pop(which.index(first[0])).getresponse()
                self.assertEqual(r.status, 429)
                self.assertEqual(r.headers["Retry-After"], "1")
                self.assertIn("operations", json.loads(r.read())["error"])
                a.proc.send_signal(signal.SIGCONT)
                self.assertEqual(clients[0].getresponse().status, 200)
            finally:
                a.proc.send_signal(signal.SIGCONT)
                if g:
                    self.assertEqual(g.stop(), 0, g.output())
                a.kill()


class Watching(unittest.TestCase):
    def test_an_agent_comes_and_goes(self):
        with tempfile.TemporaryDirectory() as d:
            g = Gateway(d, "--endpoint", f"card=unix://{d}/sock?region={d}"
                        "/region")
            try:
                g.wait_log("agent card does not answer")
                for n in range(1, 3):
                    a = Agent(d)
                    try:
                        eventually(lambda: g.output().count(
                            "card answers") >= n, 60)
                    finally:
                        a.kill()
                    eventually(lambda: g.output().count(
                        "does not answer") > n, 60)
            finally:
                self.assertEqual(g.stop(), 0, g.output())


if __name__ == "__main__":
    if not os.path.exists(PROGRAM):
        print("built without the gateway (libmicrohttpd)")
        sys.exit(77)
    unittest.main(verbosity=2, warnings="ignore")
