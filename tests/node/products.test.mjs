// SPDX-License-Identifier: MIT
// Products, models and what is said about wrong operands.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { after, before, test } from 'node:test';
import vm from 'node:vm';

import { Matrix, open, PenstockError, version } from '@NODE_PACKAGE@';
import { ENDPOINT, numbers, openOwn, product, transposed, until } from './lib.mjs';

const data = (name) => `${process.env.PST_TOP_SRCDIR}/tests/data/${name}`;
let c;

before(async () => {
	c = await open(ENDPOINT);
});
after(() => c.close());

test('import and require give the same classes', () => {
	const required = createRequire(import.meta.url)('@NODE_PACKAGE@');

	assert.equal(required.Matrix, Matrix);
	assert.equal(required.open, open);
	assert.match(version, /^\d+\.\d+\.\d+$/);
});

for (const dtype of ['f32', 'f64', 'i8']) {
	test(`products of ${dtype}, in the region and elsewhere`, async () => {
		const a = numbers(5, 7, 1), b = numbers(7, 3, 2);
		const want = product(a, b);
		const x = c.from(a, { dtype }), y = c.from(b, { dtype });
		const typed = (rows) => ({ data: new x.data.constructor(rows.flat()),
			shape: [rows.length, rows[0].length] });

		assert.deepEqual((await c.matmul(x, y)).toArray(), want);
		assert.deepEqual(c.matmulSync(x, y).toArray(), want);
		assert.deepEqual((await c.matmul(typed(a), typed(b))).toArray(), want);
		assert.deepEqual((await c.matmul(x, typed(b))).toArray(), want);
		assert.deepEqual((await c.matmul(a, b, { dtype })).toArray(), want);
	});
}

test('f16 and bf16 are bits', async () => {
	const one = { f16: 0x3c00, bf16: 0x3f80 };
	const six = { f16: 0x4600, bf16: 0x40c0 };

	for (const dtype of ['f16', 'bf16']) {
		const m = c.empty([6, 6], dtype);

		m.data.fill(one[dtype]);
		const p = await c.matmul(m, m);

		assert.equal(p.dtype, dtype);
		assert.ok(p.data.every((bits) => bits === six[dtype]));
	}
});

test('transposes, factors, bias, functions and out', async () => {
	const a = numbers(4, 6, 3), b = numbers(6, 5, 4);
	const x = c.from(transposed(a)), y = c.from(transposed(b));
	const out = c.zeros([4, 5]);
	const bias = Float32Array.of(1, -2, 3, -4, 5);

	out.data.fill(2);
	const p = await c.matmul(x, y, { out, transA: true, transB: true, alpha: 3,
		beta: 0.5, bias, act: 'relu' });

	assert.equal(p, out);
	assert.deepEqual(out.toArray(), product(a, b).map((row) =>
		row.map((v, j) => Math.max(0, 3 * v + 1 + bias[j]))));
	const there = new Matrix(new Float32Array(20), [4, 5]);

	assert.equal(await c.matmul(x, y, { out: there, transA: true,
		transB: true }), there);
	assert.deepEqual(there.toArray(), product(a, b));
});

test('matrices larger than the arena', async () => {
	// 3 x 25 MB through 64 MiB; the last column of b is not 0.
	const n = 2500;
	const a = new Float32Array(n * n).fill(1), b = new Float32Array(n * n);

	for (let i = 0; i < n; i++)
		b[i * n + n - 1] = i % 3;
	const { data: p } = await c.matmul({ data: a, shape: [n, n] },
		{ data: b, shape: [n, n] });
	const sum = b.reduce((s, v) => s + v, 0);

	for (let i = 0; i < n; i++) {
		assert.equal(p[i * n], 0);
		assert.equal(p[i * n + n - 1], sum);
	}
});

test('more operations than the agent has slots for', async () => {
	const x = c.from(numbers(8, 8, 5)), y = c.from(numbers(8, 8, 6));
	const want = product(numbers(8, 8, 5), numbers(8, 8, 6));
	const outs = Array.from({ length: 700 }, () => c.empty([8, 8]));
	const all = outs.map((out) => c.matmul(x, y, { out }));

	assert.equal(c.outstanding, 700);
	for (const p of await Promise.all(all))
		assert.deepEqual(p.toArray(), want);
	assert.equal(c.outstanding, 0);
	outs.forEach((m) => m.free());
});

test('an operation that is aborted, queued and under way', async () => {
	const big = c.zeros([1200, 1200]), out = c.empty([1200, 1200]);
	const reason = new Error('enough');
	const controllers = Array.from({ length: 300 },
		() => new AbortController());
	const all = controllers.map(({ signal }) => c.matmul(big, big,
		{ out, signal }));
	const settled = Promise.allSettled(all);

	controllers.forEach((a) => a.abort(reason));
	const results = await settled;
	const aborted = results.filter((r) => r.reason === reason);

	// The first ones may have been done; those beyond 256 were not begun.
	assert.ok(aborted.length >= 44, `${aborted.length} were aborted`);
	assert.ok(results.every((r) => r.status === 'fulfilled' ||
		r.reason === reason));
	await assert.rejects(c.matmul(big, big,
		{ signal: AbortSignal.abort(reason) }), reason);
	await assert.rejects(c.nop({ signal: AbortSignal.abort(reason) }), reason);
	big.free();
	out.free();
	assert.equal(c.outstanding, 0);
});

test('what is no signal and no number harms no other operation', async () => {
	const m = c.from(numbers(4, 4, 1));
	const others = Array.from({ length: 9 }, () => c.nop());

	for (const signal of [new AbortController(), {}, 'text', 7]) {
		await assert.rejects(c.nop({ signal }), /signal is an AbortSignal/);
		await assert.rejects(c.matmul(m, m, { signal }), /AbortSignal/);
		await assert.rejects(c.matmul([[1]], [[1]], { signal }), /AbortSignal/);
	}
	for (const alpha of [1n, '2', {}, null, Symbol('s')])
		await assert.rejects(c.matmul(m, m, { alpha }), /alpha is a number/);
	await Promise.all(others);
	assert.equal(c.outstanding, 0);
});

test('a matrix that is spoilt while it waits harms no other', async () => {
	const other = await openOwn(open);
	const m = other.from(numbers(4, 4, 1));

	process.kill(other.agent, 'SIGSTOP');
	const all = Array.from({ length: 256 }, () => other.nop());
	const spoilt = assert.rejects(other.matmul(m, m), TypeError);
	const last = other.nop();

	m.data = undefined;
	process.kill(other.agent, 'SIGCONT');
	await Promise.all([...all, spoilt, last]);
	assert.equal(other.outstanding, 0);
	other.close();
});

test('arrays of another realm', async () => {
	const data = vm.runInNewContext('Float64Array.of(1, 2, 3, 4)');
	const p = await c.matmul({ data, shape: [2, 2] }, { data, shape: [2, 2] });

	assert.deepEqual(p.toArray(), [[7, 10], [15, 22]]);
});

test('a failure has its own sentence', async () => {
	const x = new Matrix(new Float32Array(4), [2, 2]);
	const all = Array.from({ length: 300 }, () => c.nop());

	structuredClone(x.data.buffer, { transfer: [x.data.buffer] });
	await assert.rejects(c.matmul(x, x), (e) => e.code === 'EFAULT' &&
		!/queue/.test(e.message));
	await Promise.all(all);
});

test('models', async () => {
	const net = await c.loadModel('digits', data('digits.safetensors'));
	const rows = numbers(9, net.inputs, 1);

	assert.equal(net.name, 'digits');
	assert.equal(net.inputs, 64);
	assert.equal(net.outputs, 10);
	assert.deepEqual((await c.models()).map((m) => m.name), ['digits']);
	const there = await net.infer(rows);
	const here = await (await c.model('digits')).infer(c.from(rows));

	assert.ok(here.inRegion && !there.inRegion);
	assert.deepEqual(here.toArray(), there.toArray());
	assert.ok(there.data.some((v) => v !== 0));
	await assert.rejects(net.infer([[1, 2]]), RangeError);
	await c.unloadModel('digits');
	await assert.rejects(net.infer(rows), { code: 'ENOENT' });
	await assert.rejects(net.infer(c.from(rows)), { code: 'ENOENT' });
	await assert.rejects(c.loadModel('x', '/nowhere/at.all'),
		(e) => e instanceof PenstockError && e.code === 'ENOENT' &&
			/nowhere/.test(e.message));
});

test('wrong operands are named', async () => {
	const m = c.zeros([2, 3]);
	const wrong = [
		[() => c.empty([0, 1]), /at least 1/],
		[() => c.empty([1, 2, 3]), /\[rows, columns\]/],
		[() => c.empty([2.5, 1]), /at least 1/],
		[() => c.empty([1, 1], 'f8'), /f8.*f32, f64/],
		[() => c.empty([1e9, 1e9]), /./],
		[() => c.from([[1, 2], [3]]), /row 1 has 1 elements, row 0 has 2/],
		[() => c.from([]), /at least one row/],
		[() => c.from('text'), /an operand is/],
		[() => new Matrix(new Float32Array(5), [2, 3]), /5 elements/],
		[() => c.matmul(m, m), /2 x 3 and 2 x 3 have no product/],
		[() => c.matmul(m, c.zeros([3, 2], 'f64')), /f32.*f64/],
		[() => c.matmul(m, m, { transB: true, out: c.zeros([3, 3]) }),
			/the product is 2 x 2, out is 3 x 3/],
		[() => c.matmul(m, m, { transB: true, bias: new Float32Array(3) }),
			/bias has 2/],
		[() => c.matmul(m, m, { transB: true, bias: [1, 2] }),
			/f32 are a Float32Array/],
		[() => c.matmul(m, m, { transB: true, bias: new Int32Array(2) }),
			/f32 are a Float32Array/],
		[() => c.matmul(m, m, { transB: true, bias: c.zeros(2, 'i32') }),
			/elements of f32, bias of i32/],
		[() => new Matrix(new Int32Array(4), [2, 2], 'f32'), /Float32Array/],
		[() => new Matrix([1, 2], 2, 'f64'), /Float64Array/],
		[() => open({ timeout: 5 }), /the endpoint is a string/],
		[() => c.matmul(m, m, { transB: true, act: 'tanh' }), /tanh.*relu/],
		[() => c.matmulSync([[1]], [[1]]), /in the region/],
		[() => c.matmul(m, m, { transB: true, out: m }), /out is 2 x 3/],
		[() => open('spawn:\0?size=1'), /without NUL/],
		[() => c.model('a\0b'), /without NUL/],
		[() => c.loadModel('a', '/nowhere\0x'), /without NUL/],
		[() => open('tcp://192.168.122.10:5555'), /tcp/],
		[() => open('vsock-uds:///nowhere/socket:5555?region=/nowhere'), /nowhere/],
	];

	for (const [call, words] of wrong)
		await assert.rejects(async () => call(), words);
	const square = c.zeros([3, 3]);

	await assert.rejects(c.matmul(square, square, { out: square }),
		{ code: 'EINVAL' });
});

test('what the agent says about itself', async () => {
	const info = await c.info();

	assert.equal(info.gpu, null);
	assert.equal(info.backend.name, 'cpu');
	assert.equal((await c.health()).healthy, true);
	assert.ok((await c.stats()).ops > 0);
	assert.ok(await c.ping() > 0);
	await c.nop();
	await until('the end of all calls', () => c.outstanding === 0);
});
