// SPDX-License-Identifier: MIT
// Agents that die, several endpoints, workers, and processes that end.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { Worker } from 'node:worker_threads';

import { open } from '@NODE_PACKAGE@';
import { ENDPOINT, numbers, openOwn, product, until } from './lib.mjs';

const run = promisify(execFile);
const here = fileURLToPath(new URL('.', import.meta.url));

test('an agent that is killed with 100 promises outstanding', async () => {
	const c = await openOwn(open, 'spawn:?size=256M&threads=1');
	const m = c.zeros([700, 700]);
	const all = Array.from({ length: 100 },
		() => c.matmul(m, m, { out: c.empty([700, 700]) }));
	const settled = Promise.allSettled(all);

	await all[0];
	process.kill(c.agent, 'SIGKILL');
	const results = await settled;
	const codes = new Set(results.filter((r) => r.status === 'rejected')
		.map((r) => r.reason.code));

	assert.deepEqual([...codes], ['ECONNRESET']);
	assert.equal(c.lost, true);
	await assert.rejects(c.matmul(m, m), { code: 'ESTALE' });
	// The next buffer opens a session with a new agent.
	const a = c.from(numbers(4, 4, 1));

	assert.equal(c.lost, false);
	assert.deepEqual((await c.matmul(a, a)).toArray(),
		product(numbers(4, 4, 1), numbers(4, 4, 1)));
	c.close();
});

test('what waits for a slot is lost with the agent, too', async () => {
	const c = await openOwn(open);
	const m = c.zeros([500, 500]), out = c.empty([500, 500]);
	const all = Array.from({ length: 400 }, () => c.matmul(m, m, { out }));
	const settled = Promise.allSettled(all);

	await all[0];
	process.kill(c.agent, 'SIGKILL');
	for (const r of await settled)
		assert.ok(r.status === 'fulfilled' || r.reason.code === 'ECONNRESET',
			r.reason?.code);
	c.close();
	await assert.rejects(c.nop(), /closed/);
});

test('an idle connection does not spin after its agent is lost', async () => {
	const c = await openOwn(open);

	await c.nop();
	process.kill(c.agent, 'SIGKILL');
	await until('the loss', () => c.lost);
	const t0 = process.cpuUsage();

	await new Promise((resolve) => setTimeout(resolve, 300));
	const { user, system } = process.cpuUsage(t0);

	assert.ok(user + system < 150_000, `${user + system} us of 300,000`);
	c.close();
});

test('three connections on three endpoints', async () => {
	const all = await Promise.all([openOwn(open), open(ENDPOINT),
		open(ENDPOINT)]);

	await Promise.all(all.map(async (c, i) => {
		const a = numbers(30, 30, i);

		for (let k = 0; k < 50; k++) {
			assert.deepEqual((await c.matmul(c.from(a), c.from(a))).toArray(),
				product(a, a));
		}
	}));
	const mine = all[0].zeros([2, 2]);

	await assert.rejects(all[1].matmul(mine, mine), /another connection/);
	assert.equal(new Set(await Promise.all(all.map(
		async (c) => (await c.info()).epoch))).size, 3);
	all.forEach((c) => c.close());
});

const worker = `
	const { parentPort, workerData } = require('node:worker_threads');
	const { open } = require(workerData.name);
	(async () => {
		const c = await open(workerData.endpoint);
		const m = c.zeros([600, 600]);
		const first = c.matmul(m, m);
		for (let i = 0; i < 50; i++)
			c.matmul(m, m).catch(() => {});
		await first;
		parentPort.postMessage('under way');
		if (workerData.how === 'exit')
			process.exit(0);
		if (workerData.how === 'throw')
			throw new Error('as it may');
		if (workerData.how === 'opening') {
			open(workerData.endpoint);
			process.exit(0);
		}
	})();`;

for (const how of ['exit', 'throw', 'opening', 'terminate', 'end']) {
	test(`a worker with operations under way: ${how}`, async () => {
		const w = new Worker(worker, { eval: true,
			workerData: { name: `${here}/node_modules/@NODE_PACKAGE@`,
				endpoint: ENDPOINT, how } });
		let error = null;
		const ended = new Promise((resolve) => w.on('exit', resolve));

		w.on('error', (e) => {
			error = e;
		});
		// process.exit() may overtake the message.
		await Promise.race([ended,
			new Promise((resolve) => w.on('message', resolve))]);
		if (how === 'terminate')
			await w.terminate();
		await ended;
		if (how === 'throw')
			assert.match(error.message, /as it may/);
		else
			assert.equal(error, null);
	});
}

const ends = {
	'nothing outstanding, not closed': ['', 0],
	'operations outstanding': ['for (let i = 0; i < 9; i++) ' +
		'c.matmul(m, m).then(() => console.log(i));', 0],
	'process.exit() in the middle':
		['c.matmul(m, m); setImmediate(() => process.exit(3));', 3],
	'an exception': ['c.matmul(m, m); throw new Error("as it may");', 1],
};

for (const [name, [body, code]] of Object.entries(ends)) {
	test(`a process ends: ${name}`, async () => {
		const script = `
			import { open } from '@NODE_PACKAGE@';
			const c = await open('${ENDPOINT}');
			const m = c.zeros([400, 400]);
			await c.nop();
			${body}`;
		const r = await run(process.execPath,
			['--input-type=module', '-e', script],
			{ cwd: here, timeout: 60_000 }).catch((e) => e);

		assert.equal(r.code ?? 0, code, r.stderr);
		if (name === 'operations outstanding')
			assert.equal(r.stdout, '0\n1\n2\n3\n4\n5\n6\n7\n8\n');
	});
}

test('the library is missing', async () => {
	const r = await run(process.execPath, ['-e', "require('@NODE_PACKAGE@')"],
		{ cwd: here, env: { ...process.env,
			PENSTOCK_LIBRARY: '/nowhere/libpenstock.so.0' } })
		.catch((e) => e);

	assert.match(r.stderr, /\/nowhere\/libpenstock\.so\.0 cannot be loaded/);
	assert.match(r.stderr, /PENSTOCK_LIBRARY/);
});
