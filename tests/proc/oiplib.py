# SPDX-License-Identifier: MIT
"""The Open Inference Protocol from its specification: tensors, requests, and a
judge of replies that raises Wrong with a sentence.

Sources: inference_rest.md and open_inference_rest.yaml of the protocol, and its
extension for binary tensor data.
"""
import http.client
import json
import os
import struct
import subprocess
import tempfile

from agentlib import Agent
from gatewaylib import BUILD, HANG_S, Gateway, Http, free_port

# The protocol's name: how struct has an element.
TYPES = {"BOOL": "?", "UINT8": "B", "UINT16": "H", "UINT32": "I",
         "UINT64": "Q", "INT8": "b", "INT16": "h", "INT32": "i",
         "INT64": "q", "FP16": "e", "FP32": "f", "FP64": "d", "BF16": "H"}
LENGTH = "Inference-Header-Content-Length"


class Wrong(Exception):
    """What a reply has that the protocol does not allow."""


def need(condition, *what):
    if not condition:
        raise Wrong(" ".join(str(w) for w in what))


def count(shape):
    n = 1
    for d in shape:
        n *= d
    return n


def pack(datatype, values):
    """The bytes of a tensor: little-endian, no gaps."""
    if datatype == "BF16":
        values = [struct.unpack("<I", struct.pack("<f", v))[0]
                  for v in values]
        values = [(v + 0x7fff + (v >> 16 & 1)) >> 16 for v in values]
    return struct.pack("<%d%s" % (len(values), TYPES[datatype]), *values)


def unpack(datatype, data):
    n = len(data) // struct.calcsize("<" + TYPES[datatype])
    values = list(struct.unpack("<%d%s" % (n, TYPES[datatype]), data))
    if datatype == "BF16":
        values = [struct.unpack("<f", struct.pack("<I", v << 16))[0]
                  for v in values]
    return values


def flat(data, shape):
    """The elements of JSON data, flat or nested as shape says."""
    need(isinstance(data, list), "data is no array:", data)
    if not any(isinstance(d, list) for d in data):
        return data
    level = [data]
    for d in shape:
        need(all(isinstance(a, list) and len(a) == d for a in level),
             "nested data is not of shape", shape)
        level = [x for a in level for x in a]
    need(not any(isinstance(x, list) for x in level), "data is too deep")
    return level


def tensor(name, datatype, shape, values, binary=False, **parameters):
    """(the object of a request's input, the bytes that follow the JSON)"""
    t = {"name": name, "datatype": datatype, "shape": shape}
    data = b""
    if binary:
        data = pack(datatype, values)
        parameters["binary_data_size"] = len(data)
    else:
        t["data"] = values
    if parameters:
        t["parameters"] = parameters
    return t, data


def body(request, *binary):
    """(body, headers) of a request, the JSON and what follows it."""
    text = json.dumps(request).encode()
    if not binary:
        return text, {"Content-Type": "application/json"}
    return b"".join((text,) + binary), {
        "Content-Type": "application/octet-stream", LENGTH: str(len(text))}


class Reply:
    def __init__(self, status, headers, data):
        self.status, self.data = status, data
        self.headers = {k.lower(): v for k, v in headers}

    def get(self, name):
        return self.headers.get(name.lower())

    def json(self):
        """The body as one JSON value, in which no number is NaN or infinite."""
        def refuse(what):
            raise Wrong("JSON has no " + what)
        try:
            return json.loads(self.data, parse_constant=refuse)
        except ValueError as e:
            raise Wrong("no JSON: %s: %r" % (e, self.data[:200]))


class Client:
    """A connection that is kept: of a Unix socket's path, or (port, token)."""

    def __init__(self, where):
        self.more = {}
        if isinstance(where, str):
            self.http = Http(where)
        else:
            self.http = http.client.HTTPConnection("127.0.0.1", where[0],
                                                   timeout=HANG_S)
            self.more = {"Authorization": "Bearer " + where[1]}

    def ask(self, method, path, data=None, headers=None):
        self.http.request(method, path, data, {**(headers or {}), **self.more})
        r = self.http.getresponse()
        return Reply(r.status, r.getheaders(), r.read())

    def infer(self, model, request, *binary, version=""):
        data, headers = body(request, *binary)
        return self.ask("POST", "/v2/models/%s%s/infer" % (model, version),
                        data, headers)

    def close(self):
        self.http.close()


# ---- The judge ----

def judge_type(r, media="application/json"):
    need(r.get("Content-Type") == media, "Content-Type is",
         r.get("Content-Type"))
    need(r.get("Content-Length") == str(len(r.data)), "Content-Length is",
         r.get("Content-Length"), "of", len(r.data))


def judge_json(r):
    need(r.status == 200, "status", r.status, r.data[:200])
    judge_type(r)
    return r.json()


def judge_error(r, *statuses):
    """An error with a sentence and one of these statuses."""
    need(r.status in statuses, "status", r.status, "not", statuses,
         r.data[:200])
    judge_type(r)
    need(r.get(LENGTH) is None, "an error has binary data")
    e = r.json()
    need(isinstance(e, dict) and isinstance(e.get("error"), str),
         "no error in", e)
    need(len(e["error"].split()) >= 3, "no sentence:", e["error"])
    return e["error"]


def judge_strings(o, *names):
    need(isinstance(o, dict), "no object:", o)
    for n in names:
        need(isinstance(o.get(n), str) and o[n], n, "is no string in", o)


def judge_server(r):
    o = judge_json(r)
    judge_strings(o, "name", "version")
    need(isinstance(o.get("extensions"), list), "no extensions in", o)
    need(all(isinstance(e, str) for e in o["extensions"]), o["extensions"])
    return o


def judge_metadata(r, name):
    o = judge_json(r)
    judge_strings(o, "name", "platform")
    need(o["name"] == name, "the model is", o["name"])
    need("_" in o["platform"], "platform is no PROJECT_FORMAT:", o["platform"])
    need(all(isinstance(v, str) for v in o.get("versions", [])), "versions")
    for t in o.get("inputs", []) + o.get("outputs", []):
        judge_strings(t, "name", "datatype")
        need(t["datatype"] in TYPES, "datatype", t["datatype"])
        need(isinstance(t.get("shape"), list), "no shape in", t)
        need(all(type(d) is int and d >= -1 for d in t["shape"]), t["shape"])
    return o


def judge_elements(datatype, values):
    for v in values:
        if datatype == "BOOL":
            need(type(v) is bool, v, "is no BOOL")
        elif datatype[0] in "IU":
            need(type(v) is int, v, "is no integer")
            try:
                pack(datatype, [v])
            except struct.error:
                raise Wrong("%d is no %s" % (v, datatype))
        else:
            need(type(v) in (int, float), v, "is no number")


def judge_output(o, binary):
    """A response_output; binary: its bytes, None for one in JSON."""
    judge_strings(o, "name", "datatype")
    need(o["datatype"] in TYPES, "datatype", o["datatype"])
    need(isinstance(o.get("shape"), list) and
         all(type(d) is int and d >= 0 for d in o["shape"]), "shape of", o)
    if binary is None:
        need("data" in o, "no data in", o["name"])
        values = flat(o["data"], o["shape"])
        judge_elements(o["datatype"], values)
        # As the type has it: a text may have fewer digits than a double.
        values = unpack(o["datatype"], pack(o["datatype"], values))
    else:
        need("data" not in o, "data twice in", o["name"])
        need(len(binary) == len(pack(o["datatype"], [0])) * count(o["shape"]),
             len(binary), "bytes are not of", o["shape"], o["datatype"])
        values = unpack(o["datatype"], binary)
    need(len(values) == count(o["shape"]), len(values), "elements are not of",
         o["shape"])
    return o["datatype"], o["shape"], values


def judge_infer(r, model, request):
    """Name: (datatype, shape, values) of the outputs of a good reply."""
    need(r.status == 200, "status", r.status, r.data[:300])
    n = r.get(LENGTH)
    judge_type(r, "application/json" if n is None
               else "application/octet-stream")
    need(n is None or (n.isdigit() and 0 < int(n) <= len(r.data)),
         LENGTH, "is", n)
    at = len(r.data) if n is None else int(n)
    o = Reply(200, [], r.data[:at]).json()
    judge_strings(o, "model_name")
    need(o["model_name"] == model, "model_name is", o["model_name"])
    need(isinstance(o.get("model_version", ""), str), "model_version")
    need(("id" in o) == ("id" in request) and o.get("id") == request.get("id"),
         "id is", o.get("id"), "not", request.get("id"))
    need(isinstance(o.get("outputs"), list), "no outputs in", o)
    got = {}
    for t in o["outputs"]:
        need(isinstance(t, dict), "an output is", t)
        size = t.get("parameters", {}).get("binary_data_size")
        data = None
        if size is not None:
            need(n is not None, "binary data without", LENGTH)
            need(type(size) is int and 0 <= size <= len(r.data) - at,
                 "binary_data_size is", size)
            data = r.data[at:at + size]
            at += size
        got[t.get("name")] = judge_output(t, data)
    need(len(got) == len(o["outputs"]), "an output comes twice")
    need(at == len(r.data), "bytes behind the last output")
    wanted = [t["name"] for t in request.get("outputs", [])]
    need(not wanted or wanted == list(got), "outputs", list(got), "not",
         wanted)
    says = {t["name"]: t.get("parameters", {}).get("binary_data")
            for t in request.get("outputs", [])}
    default = request.get("parameters", {}).get("binary_data_output", False)
    for t in o["outputs"]:
        wish = says.get(t["name"])
        wish = default if wish is None else wish
        need(wish == ("binary_data_size" in t.get("parameters", {})),
             t["name"], "is binary or not, against the wish")
    return got


# ---- What is judged ----

PENSTOCK = os.path.join(BUILD, "host-client", "penstock")
DATA = os.path.join(os.environ.get("PST_TOP_SRCDIR", "."), "tests", "data")
TOKEN = "0123456789abcdef-xyz"


class Server:
    """An agent with models, and a gateway before it."""

    def __init__(self, *args):
        self.tmp = tempfile.TemporaryDirectory()
        self.dir = self.tmp.name
        self.agent = Agent(self.dir, "--backend", "cpu", "--threads", "1")
        self.endpoint = "unix://%s?region=%s" % (self.agent.sock,
                                                 self.agent.region)
        self.load("digits", os.path.join(DATA, "digits.safetensors"))
        tokens = os.path.join(self.dir, "tokens")
        with open(tokens, "w") as f:
            os.fchmod(f.fileno(), 0o600)
            f.write(TOKEN + "\nanother-token-of-16\n")
        port = free_port()
        self.tcp = (port, TOKEN)
        self.g = Gateway(self.dir, "--endpoint", "card=" + self.endpoint,
                         "--listen", "127.0.0.1:%d" % port, "--token-file",
                         tokens, *args)
        self.g.wait_log("card answers")

    def load(self, name, path):
        p = subprocess.run([PENSTOCK, "-e", self.endpoint, "model", "load",
                            name, path], capture_output=True, text=True)
        if p.returncode:
            raise RuntimeError(p.stderr)

    def close(self):
        status = self.g.stop()
        self.agent.kill()
        self.tmp.cleanup()
        assert status == 0, self.g.output()
