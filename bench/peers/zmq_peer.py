#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The ZeroMQ peer: a Python worker with a REP socket, numpy, and either JSON
lists or raw buffers in its messages.

zmq_peer.py worker json|raw SOCKET
zmq_peer.py client json|raw SOCKET latency|bandwidth|gemm SIZE SECONDS
"""
import statistics
import sys
import time

import numpy
import zmq


def worker(sock, encoding):
    while True:
        if encoding == "json":
            request = sock.recv_json()
            if "a" in request:
                a = numpy.array(request["a"], dtype=numpy.float32)
                b = numpy.array(request["b"], dtype=numpy.float32)
                sock.send_json({"result": (a @ b).tolist()})
            else:
                sock.send_json({"data": request["data"][:request["back"]]})
            continue
        parts = sock.recv_multipart(copy=False)
        n = int(bytes(parts[0].buffer))
        if len(parts) == 3:
            a = numpy.frombuffer(parts[1].buffer, numpy.float32)
            b = numpy.frombuffer(parts[2].buffer, numpy.float32)
            c = a.reshape(n, n) @ b.reshape(n, n)
            sock.send(c, copy=False)
        else:
            sock.send(parts[1].bytes[:n])


def make_call(sock, encoding, test, size):
    rng = numpy.random.default_rng(1)
    if test == "gemm":
        a = rng.random((size, size), dtype=numpy.float32)
        b = rng.random((size, size), dtype=numpy.float32)

        def gemm_json():
            sock.send_json({"a": a.tolist(), "b": b.tolist()})
            return numpy.array(sock.recv_json()["result"],
                               dtype=numpy.float32)

        def gemm_raw():
            sock.send_multipart([b"%d" % size, a, b], copy=False)
            return numpy.frombuffer(sock.recv(copy=False).buffer,
                                    numpy.float32).reshape(size, size)

        call = gemm_json if encoding == "json" else gemm_raw
        if not numpy.allclose(call(), a @ b, rtol=1e-3):
            sys.exit("the worker's product is wrong")
        return call
    # One way: the answer is short.
    back = size if test == "latency" else 8
    values = rng.random(max(size // 4, 1), dtype=numpy.float32)

    def echo_json():
        sock.send_json({"data": values.tolist(), "back": back // 4})
        return sock.recv_json()

    def echo_raw():
        sock.send_multipart([b"%d" % back, values], copy=False)
        return sock.recv()

    return echo_json if encoding == "json" else echo_raw


def client(sock, encoding, test, size, seconds):
    call = make_call(sock, encoding, test, size)
    call()
    times = []
    begin = time.perf_counter()
    while len(times) < 3 or time.perf_counter() - begin < seconds:
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    median = statistics.median(times)
    if test == "bandwidth":
        print("%.6g %d" % (size / median / 1e9, len(times)))
    else:
        print("%.6g %d" % (median * 1e6, len(times)))


def main():
    role, encoding, path = sys.argv[1:4]
    context = zmq.Context()
    if role == "worker":
        sock = context.socket(zmq.REP)
        sock.bind("ipc://" + path)
        worker(sock, encoding)
    else:
        sock = context.socket(zmq.REQ)
        sock.connect("ipc://" + path)
        client(sock, encoding, sys.argv[4], int(sys.argv[5]),
               float(sys.argv[6]))
        context.destroy(linger=0)


main()
