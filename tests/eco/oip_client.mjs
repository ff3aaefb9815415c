// SPDX-License-Identifier: MIT
// oip_client.mjs URL TOKEN: products at the gateway by Node's fetch.
import assert from "node:assert";

const [url, token] = process.argv.slice(2);
const infer = `${url}/v2/models/gemm/infer`;
const headers = { Authorization: `Bearer ${token}` };
const input = (name, shape, data) => ({ name, shape, datatype: "FP32", data });

const server = await (await fetch(`${url}/v2`, { headers })).json();
assert.ok(server.name && server.extensions.length);

// JSON, as many at once as a client may.
await Promise.all(Array.from({ length: 16 }, async (_, i) => {
	const r = await fetch(infer, { method: "POST",
		headers: { ...headers, "Content-Type": "application/json" },
		body: JSON.stringify({ id: `${i}`, inputs: [
			input("A", [1, 2], [i, 2]), input("B", [2, 1], [[3], [4]])] }) });
	const reply = await r.json();
	assert.equal(r.status, 200, reply.error);
	assert.equal(reply.id, `${i}`);
	assert.deepEqual(reply.outputs[0].data.flat(), [3 * i + 8]);
}));

// Bytes both ways.
const n = 64;
const bytes = (name) => ({ name, shape: [n, n], datatype: "FP32",
	parameters: { binary_data_size: 4 * n * n } });
const head = new TextEncoder().encode(JSON.stringify({ inputs: [bytes("A"),
	bytes("B")], parameters: { binary_data_output: true } }));
const body = new Uint8Array(head.length + 8 * n * n);
body.set(head);
body.set(new Uint8Array(new Float32Array(2 * n * n).fill(1).buffer), head.length);
const r = await fetch(infer, { method: "POST", body, headers: { ...headers,
	"Content-Type": "application/octet-stream",
	"Inference-Header-Content-Length": `${head.length}` } });
assert.equal(r.status, 200);
const reply = await r.arrayBuffer();
const at = Number(r.headers.get("inference-header-content-length"));
const c = new Float32Array(reply.slice(at));
assert.equal(c.length, n * n);
assert.ok(c.every((x) => x === n));

const bad = await fetch(infer, { method: "POST", headers, body: "text" });
assert.equal(bad.status, 415);
assert.ok((await bad.json()).error);
