// SPDX-License-Identifier: MIT
// Models with named tensors: types, shapes, memory of the region, refusals.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';

import { open } from '@NODE_PACKAGE@';
import { ENDPOINT } from './lib.mjs';

// ---- ONNX files, in the form of onnx.proto

const varint = (n) => n < 128 ? [n] : [n & 127 | 128, ...varint(n >>> 7)];
const int = (field, n) => [...varint(field << 3), ...varint(n)];
const bytes = (field, b) => [...varint(field << 3 | 2), ...varint(b.length), ...b];
const text = (field, s) => bytes(field, [...Buffer.from(s)]);
const node = (op, ins, outs) => bytes(1, [...ins.flatMap((s) => text(1, s)),
	...outs.flatMap((s) => text(2, s)), ...text(4, op)]);
const dim = (d) => bytes(1, typeof d === 'number' ? int(1, d) : text(2, d));
const value = (field, name, elem, shape) => bytes(field, [...text(1, name),
	...bytes(2, bytes(1, [...int(1, elem),
		...bytes(2, shape.flatMap(dim))]))]);

function model(graph) {
	return Buffer.from([...int(1, 8), ...bytes(7, [...graph.flat(),
		...text(2, 'g')]), ...bytes(8, [...text(1, ''), ...int(2, 13)])]);
}

const FLOAT = 1;
const sum = model([node('Add', ['x', 'state'], ['y']),
	node('Identity', ['y'], ['next']),
	value(11, 'x', FLOAT, ['n', 4]), value(11, 'state', FLOAT, ['n', 4]),
	value(12, 'y', FLOAT, ['n', 4]), value(12, 'next', FLOAT, ['n', 4])]);
const identity = (elem) => model([node('Identity', ['x'], ['y']),
	value(11, 'x', elem, ['n']), value(12, 'y', elem, ['n'])]);

const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'penstock-'));
const c = await open(ENDPOINT);
let number = 0;

async function load(data) {
	const file = path.join(dir, `${++number}.onnx`);

	fs.writeFileSync(file, data);
	return c.loadModel(`m${number}`, file);
}

let why = false;

await load(sum).catch((e) => {
	if (!/not installed/.test(e.message))
		throw e;
	why = 'ONNX Runtime is not installed';
});

const test_ = (name, f) => test(name, { skip: why }, f);

test_('a model says what it takes and gives', async () => {
	const m = await c.model('m1');

	assert.equal(m.format, 'onnx');
	assert.match(m.runtime, /ONNX Runtime/);
	assert.deepEqual(m.signature.inputs[0],
		{ name: 'x', dtype: 'f32', shape: ['n', 4] });
	assert.deepEqual(m.signature.outputs.map((t) => t.name), ['y', 'next']);
	await assert.rejects(c.model('none'), { code: 'ENOENT' });
});

test_('each type of element comes back as it went', async () => {
	const types = [[1, Float32Array], [11, Float64Array], [10, Uint16Array],
		[3, Int8Array], [5, Int16Array], [6, Int32Array], [7, BigInt64Array],
		[2, Uint8Array], [4, Uint16Array], [12, Uint32Array],
		[13, BigUint64Array], [9, Uint8Array]];

	for (const [elem, Type] of types) {
		const m = await load(identity(elem));
		const big = Type === BigInt64Array || Type === BigUint64Array;
		const x = Type.from([1, 0, 1], big ? BigInt : Number);

		if (Type === BigInt64Array)
			x[0] = -(2n ** 63n);
		const { y } = await m.run({ x });

		assert.ok(y.data instanceof Type, `${elem}`);
		assert.deepEqual(y.data, x);
		assert.deepEqual(y.shape, [3]);
		assert.equal(y.dtype, m.signature.inputs[0].dtype);
		await c.unloadModel(m.name);
	}
});

test_('rows, numbers, matrices and outputs are inputs', async () => {
	const m = await c.model('m1');
	const first = await m.run({ x: [[1, 2, 3, 4]], state: new Float32Array(4) });

	assert.deepEqual([...first.y.data], [1, 2, 3, 4]);
	const next = await m.run({ x: c.from([[1, 1, 1, 1]]), state: first.next },
		{ outputs: ['next'] });

	assert.deepEqual(Object.keys(next), ['next']);
	assert.deepEqual([...next.next.data], [2, 3, 4, 5]);
	const one = await load(identity(7));

	assert.deepEqual((await one.run({ x: [5n, 6] })).y.data,
		BigInt64Array.of(5n, 6n));
	assert.deepEqual((await one.run({ x: [] })).y.shape, [0]);
});

test_('state stays in the region from call to call', async () => {
	const m = await c.model('m1');
	const x = c.from([[1, 1, 1, 1]]);
	let state = c.zeros([1, 4]), next = c.empty([1, 4]);

	for (let i = 0; i < 20; i++) {
		const { next: got } = await m.run({ x, state }, {
			outputs: ['next'], out: { next: next.data } });

		assert.equal(got.data.buffer, next.data.buffer);
		[state, next] = [next, state];
	}
	assert.deepEqual([...state.data], [20, 20, 20, 20]);
});

test_('many runs at a time', async () => {
	const m = await c.model('m1');

	await Promise.all(Array.from({ length: 40 }, async (_, i) => {
		const { y } = await m.run({ x: [[i, i, i, i]], state: [[1, 1, 1, 1]] });

		assert.equal(y.data[0], i + 1);
	}));
	assert.equal(c.outstanding, 0);
});

test_('what is wrong is said', async () => {
	const m = await c.model('m1');
	const state = new Float32Array(4), x = state;
	const wrong = (inputs, options, what) =>
		assert.rejects(m.run(inputs, options), what);

	await wrong({ x }, {}, /state is missing/);
	await wrong({ x, state, z: x }, {}, /no input "z"; it has x, state/);
	await wrong({ x: new Float64Array(4), state }, {}, /Float32Array/);
	await wrong({ x: new Float32Array(3), state }, {}, RangeError);
	await wrong({ x: [[1, 2], [3]], state }, {}, RangeError);
	await wrong({ x, state }, { outputs: ['z'] }, /no output "z"/);
	await wrong({ x, state }, { out: { y: new Int8Array(16) } }, TypeError);
	await wrong(null, {}, TypeError);
	await wrong({ x: [[1, 2, 3, 4], [1, 2, 3, 4]], state }, {},
		{ code: 'EINVAL' });
	await wrong({ x, state }, { out: { y: new Float32Array(3) } },
		{ code: 'EMSGSIZE' });
	await wrong({ x, state }, { signal: AbortSignal.abort() },
		{ name: 'AbortError' });
	assert.equal((await m.run({ x, state })).y.data.length, 4);
});

after(() => {
	c.close();
	fs.rmSync(dir, { recursive: true });
});
