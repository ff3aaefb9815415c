# SPDX-License-Identifier: MIT
"""oip_clients.py CLIENT PORT TOKEN: a client for Python, as its package has it,
does all that it can at the gateway. Exits 77 if the package is not here."""
import asyncio
import sys

try:
    import numpy as np
except ImportError:
    print("python3-numpy")
    sys.exit(77)

NAME, PORT, TOKEN = sys.argv[1], sys.argv[2], sys.argv[3]
RNG = np.random.default_rng(1)
A = RNG.integers(-9, 9, (5, 7)).astype("f4")
B = RNG.integers(-9, 9, (7, 3)).astype("f4")
ROWS = RNG.random((4, 64)).astype("f4")


def more():
    """Of each call: Triton's client writes into the headers that it is given."""
    return {"headers": {"Authorization": "Bearer " + TOKEN}}


def need(package):
    print("pip install " + package)
    sys.exit(77)


def triton_inputs(http, binary, dtype="FP32", a=A, b=B):
    ins = [http.InferInput("A", list(a.shape), dtype),
           http.InferInput("B", list(b.shape), dtype)]
    for i, x in zip(ins, (a, b)):
        i.set_data_from_numpy(x, binary_data=binary)
    return ins


def wants(http):
    yield None
    for binary in (False, True):
        yield [http.InferRequestedOutput("C", binary_data=binary)]


def triton():
    try:
        import tritonclient.http as http
        from tritonclient.utils import InferenceServerException
    except ImportError:
        need("tritonclient[http]")
    with http.InferenceServerClient("127.0.0.1:" + PORT, concurrency=4) as c:
        assert c.is_server_live(**more()) and c.is_server_ready(**more())
        assert c.is_model_ready("gemm", **more())
        assert c.is_model_ready("digits", "1", **more())
        assert not c.is_model_ready("nobody", **more())
        assert c.get_server_metadata(**more())["name"]
        m = c.get_model_metadata("digits", **more())
        names = {m["name"] for m in c.get_model_repository_index(**more())}
        assert names == {"gemm", "digits"}, names
        for binary in (False, True):
            for outputs in wants(http):
                r = c.infer("gemm", triton_inputs(http, binary),
                            outputs=outputs, request_id="x7",
                            priority=1, timeout=1000000, **more())
                np.testing.assert_array_equal(r.as_numpy("C"), A @ B)
                assert r.get_response()["id"] == "x7"
        for dtype, np_type in (("FP16", "f2"), ("FP64", "f8")):
            r = c.infer("gemm", triton_inputs(
                http, True, dtype, A.astype(np_type), B.astype(np_type)),
                model_version="1", **more())
            np.testing.assert_array_equal(r.as_numpy("C"), A @ B)
        i = http.InferInput(m["inputs"][0]["name"], [4, 64], "FP32")
        i.set_data_from_numpy(ROWS)
        y = c.infer("digits", [i], **more()).as_numpy(m["outputs"][0]["name"])
        np.testing.assert_allclose(y.sum(1), 1, rtol=1e-5)
        later = [c.async_infer("gemm", triton_inputs(http, k % 2 == 0), **more())
                 for k in range(20)]
        for r in later:
            np.testing.assert_array_equal(r.get_result().as_numpy("C"), A @ B)
        config = c.get_model_config("gemm", **more())
        assert config["name"] == "gemm" and config["max_batch_size"] == 0
        for call in (
                lambda: c.infer("nobody", triton_inputs(http, True), **more()),
                lambda: c.infer("gemm", triton_inputs(http, True)[:1], **more()),
                lambda: c.infer("gemm", triton_inputs(http, True),
                                request_compression_algorithm="gzip", **more()),
                lambda: c.register_system_shared_memory("x", "/x", 64, **more()),
                lambda: c.get_inference_statistics("gemm", **more()),
                lambda: c.load_model("digits", **more()),
                lambda: c.unload_model("digits", **more()),
                lambda: c.get_server_metadata()):
            try:
                call()
            except InferenceServerException as e:
                assert len(e.message().split()) > 3, e
                assert "exception occurred in the client" not in e.message()
            else:
                raise AssertionError("it was not refused")


async def aio():
    try:
        import tritonclient.http.aio as http
    except ImportError:
        need("tritonclient[http]")
    async with http.InferenceServerClient("127.0.0.1:" + PORT) as c:
        assert await c.is_server_ready(**more())
        assert (await c.get_model_metadata("gemm", **more()))["name"] == "gemm"
        for r in await asyncio.gather(*(
                c.infer("gemm", triton_inputs(http, k % 2 == 0), **more())
                for k in range(16))):
            np.testing.assert_array_equal(r.as_numpy("C"), A @ B)


def openapi():
    try:
        import httpx
        from open_inference.openapi.client import (InferenceRequest,
                                                   OpenInferenceClient)
        from open_inference.openapi.types import RequestInput, TensorData
    except ImportError:
        need("open-inference-openapi")
    c = OpenInferenceClient(base_url="http://127.0.0.1:" + PORT,
                            httpx_client=httpx.Client(**more()))
    c.check_server_liveness()
    c.check_server_readiness()
    c.check_model_readiness("gemm")
    c.check_model_version_readiness("gemm", "1")
    assert c.read_server_metadata().name
    m = c.read_model_metadata("digits")
    assert m.inputs[0].shape == [-1, 64], m
    r = c.model_infer("gemm", request=InferenceRequest(inputs=[
        RequestInput(name=n, shape=list(x.shape), datatype="FP32",
                     data=TensorData.parse_obj(x.tolist()))
        for n, x in (("A", A), ("B", B))]))
    got = np.array(r.outputs[0].data.dict()["__root__"]).reshape(5, 3)
    np.testing.assert_array_equal(got, A @ B)


if NAME == "triton":
    triton()
    print("tritonclient.http does all that it can")
elif NAME == "triton_aio":
    asyncio.run(aio())
    print("tritonclient.http.aio does")
else:
    openapi()
    print("open-inference-openapi does")
