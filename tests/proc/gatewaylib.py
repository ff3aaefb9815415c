# SPDX-License-Identifier: MIT
"""A gateway before agents of the tests, and clients of it."""
import http.client
import json
import os
import signal
import socket
import subprocess
import tempfile
import time

from agentlib import HANG_S, eventually

BUILD = os.environ.get("PST_TOP_BUILDDIR", "build")
PROGRAM = os.path.join(BUILD, "host-client", "gateway", "penstock-gateway")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Http(http.client.HTTPConnection):
    """HTTP over a Unix socket; kept open between requests."""

    def __init__(self, path):
        super().__init__("localhost", timeout=HANG_S)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)

    def ask(self, method, path, body=None, headers=None):
        """(status, headers, body)"""
        self.request(method, path, body, headers or {})
        r = self.getresponse()
        return r.status, r.headers, r.read()


class Gateway:
    """A running penstock-gateway; endpoints are NAME=URI."""

    def __init__(self, directory, *args, socket=True, **kw):
        self.sock = os.path.join(directory, "gateway.sock")
        self.log = tempfile.TemporaryFile(mode="w+", errors="replace")
        where = ["--socket", self.sock] if socket else []
        self.proc = subprocess.Popen([PROGRAM, *where, *args],
                                     stderr=self.log,
                                     stdin=subprocess.DEVNULL,
                                     stdout=subprocess.DEVNULL, **kw)
        deadline = time.monotonic() + HANG_S
        while "listens on" not in self.output():
            if self.proc.poll() is not None:
                raise RuntimeError("gateway ended: " + self.output())
            assert time.monotonic() < deadline, self.output()
            time.sleep(0.005)

    def output(self):
        self.log.seek(0)
        return self.log.read()

    def get(self, path, **headers):
        """(status, JSON or text) of a connection of its own."""
        return self.send("GET", path, headers=headers)

    def send(self, method, path, body=None, headers=None):
        c = Http(self.sock)
        try:
            status, head, data = c.ask(method, path, body, headers)
        finally:
            c.close()
        if head.get("Content-Type", "").startswith("application/json"):
            return status, json.loads(data) if data else None
        return status, data

    def wait_log(self, words):
        eventually(lambda: words in self.output())

    def stop(self):
        """SIGTERM; returns the exit status."""
        if self.proc.poll() is None:
            self.proc.send_signal(signal.SIGTERM)
        try:
            return self.proc.wait(HANG_S)
        except subprocess.TimeoutExpired:
            self.proc.kill()
            self.proc.wait()
            return None
