// SPDX-License-Identifier: MIT
// TitanClient: the methods and fields that a dashboard calls.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { after, before, test } from 'node:test';

import { open } from '@NODE_PACKAGE@';
import { TitanClient } from '@NODE_PACKAGE@/titan';
import { agents, ENDPOINT, numbers, product, until } from './lib.mjs';

let client;

before(() => {
	client = new TitanClient(ENDPOINT);
});
after(() => client.disconnect());

test('require gives the same class', () => {
	assert.equal(createRequire(import.meta.url)('@NODE_PACKAGE@/titan')
		.TitanClient, TitanClient);
});

test('ping, gpuInfo and health of an agent without a GPU', async () => {
	assert.equal(await client.ping(), true);
	assert.equal(await client.gpuInfo(), null);
	assert.deepEqual(await client.health(), { status: 'healthy',
		gpu_available: false, memory_allocated_gb: 0, memory_cached_gb: 0 });
	assert.match((await client.request({ op: 'ping' })).gpu, /^cpu/);
});

test('products, many at once', async () => {
	const a = numbers(17, 5, 1), b = numbers(5, 9, 2);

	assert.deepEqual(await client.matrixMultiply(a, b), product(a, b));
	const all = await Promise.all(Array.from({ length: 50 }, (_, i) =>
		client.matrixMultiply(numbers(20, 20, i), numbers(20, 20, 2))));

	all.forEach((p, i) => assert.deepEqual(p,
		product(numbers(20, 20, i), numbers(20, 20, 2))));
});

test('what is wrong is in error', async () => {
	const wrong = [
		[{ op: 'fly' }, 'Unknown operation: fly'],
		[{ op: 'matrix_multiply', a: [[1]] }, "Missing 'a' or 'b' matrix"],
		[{ op: 'matrix_multiply', a: 1, b: [[1]] }, 'a must be a list'],
		[{ op: 'matrix_multiply', a: [[1]], b: [] }, 'b cannot be empty'],
		[{ op: 'matrix_multiply', a: [1], b: [[1]] }, 'a must be 2D'],
		[{ op: 'matrix_multiply', a: Array(10001).fill([1]), b: [[1]] },
			'a exceeds max rows (10000)'],
		[{ op: 'matrix_multiply', a: [[1, 2], [3]], b: [[1], [2]] },
			'a has rows of different lengths'],
		[{ op: 'inference', model: 'none', input: [1] }, /none/],
		[{ op: 'inference' }, /Missing/],
	];

	for (const [req, error] of wrong) {
		const res = await client.request(req);

		if (error instanceof RegExp)
			assert.match(res.error, error);
		else
			assert.equal(res.error, error);
	}
	const { error } = console;

	console.error = () => {};
	try {
		assert.equal(await client.matrixMultiply([[1, 2]], [[1, 2]]), null);
	} finally {
		console.error = error;
	}
});

test('inference', async () => {
	const c = await open(ENDPOINT);

	c.close();
	await client.connect();
	const res = await client.request({ op: 'inference', model: 'digits',
		input: numbers(1, 64, 1)[0] });

	assert.match(res.error, /digits/);
});

test('the agent dies, and the next request has a new one', async () => {
	const own = new TitanClient(ENDPOINT);
	const before = agents();

	await own.matrixMultiply([[1]], [[2]]);
	const [agent] = [...agents()].filter((pid) => !before.has(pid));

	process.kill(agent, 'SIGKILL');
	await until('an answer of a new agent', async () => {
		const res = await own.request({ op: 'matrix_multiply', a: [[3]],
			b: [[4]] });

		return res.result?.[0][0] === 12;
	});
	await own.disconnect();
	assert.equal(await own.ping(), true);
	await own.disconnect();
});

test('shapes that fill the arena one after the other', async () => {
	const ones = (n) => Array.from({ length: n }, () => Array(n).fill(1));

	for (const n of [2000, 1900]) {
		const res = await client.request({ op: 'matrix_multiply', a: ones(n),
			b: ones(n) });

		assert.equal(res.error, undefined);
		assert.equal(res.result[n - 1][n - 1], n);
	}
});

test('an agent that stands still does not hold a request', async () => {
	const own = new TitanClient(ENDPOINT);
	const before = agents();

	// Matrices of this shape are at hand from now on.
	await own.matrixMultiply([[1]], [[2]]);
	const [agent] = [...agents()].filter((pid) => !before.has(pid));

	process.kill(agent, 'SIGSTOP');
	const res = await own.request({ op: 'matrix_multiply', a: [[1]],
		b: [[1]] }, 100);

	assert.match(res.error, /timeout/);
	process.kill(agent, 'SIGCONT');
	assert.deepEqual(await own.matrixMultiply([[3]], [[4]]), [[12]]);
	await own.disconnect();
});

test('disconnect() in the middle', async () => {
	const own = new TitanClient(ENDPOINT);
	const before = agents().size;
	const connecting = own.connect();

	await own.disconnect();
	await assert.rejects(connecting, { code: 'ECONNRESET' });
	await until('the end of the agent', () => agents().size === before);
	await own.connect();
	const asked = own.request({ op: 'ping' });

	await own.disconnect();
	await assert.rejects(asked, { name: 'PenstockError' });
});

test('no agent', async () => {
	const nobody = new TitanClient('vsock-uds:///nowhere/socket:5555?region=/nowhere');

	assert.equal(await nobody.ping(), false);
	assert.equal(await nobody.gpuInfo(), null);
	await assert.rejects(nobody.health(), /nowhere/);
	assert.throws(() => new TitanClient('tcp://192.168.122.10:5555'),
		/address on a network/);
});
