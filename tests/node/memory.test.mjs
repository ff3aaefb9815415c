// SPDX-License-Identifier: MIT
// Memory of the region in the hands of a garbage collector.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { MessageChannel } from 'node:worker_threads';

import { Matrix, open } from '@NODE_PACKAGE@';
import { collect, ENDPOINT, numbers, openOwn, product, until } from './lib.mjs';

let c;

before(async () => {
	c = await open(ENDPOINT);
	c.arena = (await c.stats()).arena_bytes;
});
after(() => c.close());

test('close() gives all leases back', async () => {
	const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'penstock-node-'));
	const socket = path.join(dir, 'sock');
	const agent = spawn(process.env.PENSTOCK_AGENT, ['--config', '/dev/null',
		'--region', 'memfd:64M', '--listen',
		`unix:${socket}`], { stdio: 'ignore' });

	try {
		const watcher = await open(`unix://${socket}`, { wait: true });
		const leased = async () => (await watcher.stats()).leased_bytes;

		for (const end of [(m) => m.free(), () => {}]) {
			const other = await open(`unix://${socket}`);
			const all = Array.from({ length: 20 },
				() => other.zeros([256, 1024]));

			assert.ok(await leased() >= 20 << 20);
			const p = other.matmul(all[0], all[1], { transB: true });

			all.forEach(end);
			other.close();
			await assert.rejects(p, { code: 'ECONNRESET' });
			await until('the end of the leases',
				async () => await leased() === 0);
		}
		watcher.close();
	} finally {
		agent.kill('SIGKILL');
		fs.rmSync(dir, { recursive: true });
	}
});

test('free() gives memory back, and says so', async () => {
	const m = c.empty([256, 256]);
	const view = m.data.subarray(3, 9);

	m.free();
	m.free();
	assert.equal(m.data.length, 0);
	assert.equal(view.length, 0);
	await assert.rejects(async () => c.matmulSync(m, m), /freed/);
	await assert.rejects(c.matmul(m, m), /freed/);
});

test('using, or what it calls', () => {
	const m = c.empty([4, 4]);

	m[Symbol.dispose ?? Symbol.for('nodejs.dispose')]();
	assert.equal(m.data.length, 0);
});

test('matrices that nobody has leave no lease', async () => {
	// A function of its own, since the engine may keep what this one had.
	const use = async (n) => {
		for (let i = 0; i < n; i++)
			(await c.alloc([256, 1024])).data[0] = i;
	};

	for (let i = 0; i < 60; i++) {
		await use(16);
		await collect();
	}
	// All of the arena can be had again.
	await collect();
	c.empty([c.arena >> 12, 1024]).free();
});

test('a matrix in use outlives its last reference', async () => {
	const a = numbers(300, 300, 1), b = numbers(300, 300, 2);
	const want = product(a, b);
	const all = [];

	for (let i = 0; i < 40; i++)
		all.push(c.matmul(c.from(a), c.from(b)));
	await collect();
	for (const p of await Promise.all(all))
		assert.deepEqual(p.toArray()[299], want[299]);
});

test('free() under way waits for the agent', async () => {
	const x = c.from(numbers(300, 300, 1)), y = c.from(numbers(300, 300, 2));
	const p = c.matmul(x, y);

	x.free();
	y.free();
	// New buffers must not get memory that the agent still reads.
	for (let i = 0; i < 30; i++)
		c.empty([300, 300]).data.fill(NaN);
	assert.deepEqual((await p).toArray(),
		product(numbers(300, 300, 1), numbers(300, 300, 2)));
	await collect();
});

test('free() of what waits for a slot', async () => {
	const other = await openOwn(open);
	const x = other.from(numbers(8, 8, 1)), out = other.empty([8, 8]);

	process.kill(other.agent, 'SIGSTOP');
	const all = Array.from({ length: 256 }, () => other.nop());

	all.push(other.matmul(x, x, { out }));
	x.free();
	out.free();
	assert.equal(out.data.length, 0);
	// These must not be taken for them.
	const next = [other.zeros([8, 8]), other.zeros([8, 8])];

	process.kill(other.agent, 'SIGCONT');
	await Promise.all(all);
	for (const m of next)
		assert.ok(m.data.every((v) => v === 0));
	other.close();
});

test('close() with freed matrices that wait ends the session', async () => {
	const descriptors = () => fs.readdirSync('/proc/self/fd').length;

	await collect();
	const before = descriptors();

	for (const abort of [true, false]) {
		const other = await openOwn(open);
		const x = other.zeros([8, 8]);
		const controller = new AbortController();

		process.kill(other.agent, 'SIGSTOP');
		const all = Array.from({ length: 256 }, () => other.nop());

		all.push(other.matmul(x, x, { signal: controller.signal }));
		x.free();
		const settled = Promise.allSettled(all);

		if (abort)
			controller.abort();
		other.close();
		await settled;
	}
	await until('the end of the sessions', async () => {
		await collect();
		return descriptors() <= before;
	});
});

test('arrays of a region that is closed under a call', async () => {
	const n = 1200, other = await open(ENDPOINT);
	const m = other.zeros([n, n]);
	const x = { data: m.data, shape: [n, n] };

	m.data.fill(1);
	const p = c.matmul(x, x);

	m.free();
	other.close();
	// No SIGSEGV: the region stays as long as the call.
	assert.ok((await p).data.every((v) => v === n));
});

test('clones are copies, the matrix stays', async () => {
	const m = c.from(numbers(8, 8, 1));
	const { port1, port2 } = new MessageChannel();
	let copy;

	try {
		copy = structuredClone(m.data.buffer,
			{ transfer: [m.data.buffer] });
	} catch (e) {
		// Later versions of Node refuse it.
		assert.equal(e.name, 'DataCloneError');
	}
	const got = new Promise((resolve) => port2.once('message', resolve));

	port1.postMessage(m.data);
	(await got)[0] = 100;
	port1.close();
	if (copy)
		new Float32Array(copy)[0] = 100;
	assert.deepEqual(m.toArray(), numbers(8, 8, 1));
});

test('a buffer that was moved is refused and stays until collected',
	{ skip: typeof ArrayBuffer.prototype.transfer !== 'function' &&
		'this Node has no ArrayBuffer.prototype.transfer()' }, async () => {
		const other = await open(ENDPOINT);
		let m = other.from(numbers(8, 8, 2));

		// Another thread would read it after it is gone.
		assert.throws(() => m.data.buffer.transfer(), TypeError);
		assert.throws(() => m.data.buffer.transferToFixedLength(1), TypeError);
		assert.deepEqual(m.toArray(), numbers(8, 8, 2));
		let moved = ArrayBuffer.prototype.transfer.call(m.data.buffer);

		assert.throws(() => m.free(), { code: 'EBUSY' });
		m = other.from(numbers(8, 8, 3));
		moved = ArrayBuffer.prototype.transfer.call(m.data.buffer);
		other.close();
		// No SIGSEGV: the region is still there.
		assert.equal(new Float32Array(moved)[0], numbers(8, 8, 3)[0][0]);
		moved = null;
		await collect();
	});

test('close() leaves nothing to read', async () => {
	const other = await open(ENDPOINT);
	const m = other.from(numbers(8, 8, 2));
	const { buffer } = m.data;
	const held = other.nop();

	other.close();
	other.close();
	assert.equal(buffer.byteLength, 0);
	assert.equal(m.data[0], undefined);
	m.free();
	await assert.rejects(held, { code: 'ECONNRESET' });
	await assert.rejects(other.info(), /closed/);
	await assert.rejects(async () => other.empty([1, 1]), /closed/);
	assert.throws(() => other.lost, /closed/);
	await assert.rejects(c.matmul(m, m), /another connection/);
});

test('connections that nobody has end their sessions', async () => {
	const descriptors = () => fs.readdirSync('/proc/self/fd').length;
	const forget = async () => (await open(ENDPOINT)).empty([16, 16]).rows;

	await collect();
	const before = descriptors();

	for (let i = 0; i < 4; i++)
		await forget();
	const each = (descriptors() - before) / 4;

	assert.ok(each >= 1);
	// The engine may keep the last one on its stack.
	await until('the end of forgotten sessions', async () => {
		await collect();
		return descriptors() <= before + each;
	});
});

test('elements of a matrix are those of its constructor', () => {
	const m = new Matrix(Float64Array.of(1, 2, 3), 3);

	assert.deepEqual(m.toArray(), [[1, 2, 3]]);
	assert.equal(m.dtype, 'f64');
	assert.equal(m.inRegion, false);
});
