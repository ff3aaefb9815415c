// SPDX-License-Identifier: MIT
// What Node adds to a call of C, and what rows of numbers cost beside ZeroMQ with
// JSON and numpy (what this link replaces). Medians of rounds in turn.
//
//	make bench/node/events && node ../bench/node/compare.mjs [JSON-FILE]
//
// in the build folder, on a quiet machine. The ZeroMQ rows want the package zeromq
// of npm in $NODE_PATH or the folder, and pyzmq; a line says where they lack.
import { execFileSync, spawn } from 'node:child_process';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import os from 'node:os';
import path from 'node:path';

process.env.PENSTOCK_LIBRARY ??= path.resolve(
	'host-client/.libs/libpenstock.so.0');
process.env.PENSTOCK_AGENT ??= path.resolve('guest-agent/penstock-agent');

const require = createRequire(path.join(process.cwd(), 'x.js'));
const { open } = require(path.resolve('host-client/node/package'));
const { TitanClient } = require(path.resolve('host-client/node/package/titan.cjs'));
const SRC = path.resolve(import.meta.dirname ?? path.dirname(new URL(
	import.meta.url).pathname), '../..');
const ENDPOINT = 'spawn:?size=64M&threads=1';
const ROUNDS = 5, COUNT = 20_000;

process.env.PENSTOCK_ENDPOINT = ENDPOINT;

const median = (list) => [...list].sort((a, b) => a - b)[list.length >> 1];
const now = () => Number(process.hrtime.bigint());

function inC(outstanding) {
	return Number(execFileSync('bench/node/events', [outstanding, COUNT]));
}

async function inNode(outstanding) {
	const c = await open(ENDPOINT);
	const [a, b, out] = Array.from({ length: 3 }, () => c.zeros([16, 16]));
	const once = outstanding
		? () => Promise.all(Array.from({ length: outstanding },
			() => c.matmul(a, b, { out })))
		: () => c.matmulSync(a, b, { out });
	const each = outstanding || 1;
	let t0 = 0;

	for (let i = 0; i < COUNT * 1.1; i += each) {
		if (!t0 && i >= COUNT / 10)
			t0 = now();
		if (outstanding)
			await once();
		else
			once();
	}
	const ns = (now() - t0) / COUNT;

	c.close();
	return ns;
}

const rows = [];

for (const outstanding of [0, 1, 16, 64]) {
	const c = [], node = [];

	for (let i = 0; i < ROUNDS; i++) {
		c.push(inC(outstanding));
		node.push(await inNode(outstanding));
	}
	rows.push({ row: outstanding ? `promises, ${outstanding} outstanding`
		: 'matmulSync', c_us: median(c) / 1e3, node_us: median(node) / 1e3,
	added_us: (median(node) - median(c)) / 1e3,
	bound_us: outstanding ? 5 : 3 });
}

function random(n) {
	return Array.from({ length: n }, () =>
		Array.from({ length: n }, () => Math.random()));
}

async function timed(f, times) {
	const list = [];

	await f();
	for (let i = 0; i < times; i++) {
		const t0 = now();

		await f();
		list.push(now() - t0);
	}
	return median(list);
}

let zmq;
try {
	zmq = require('zeromq');
} catch {
	console.log('no ZeroMQ rows: there is no package zeromq of npm');
}
if (zmq) {
	const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'penstock-zmq-'));
	const socket = path.join(dir, 'sock');
	const worker = spawn('/usr/bin/python3', [`${SRC}/bench/peers/zmq_peer.py`,
		'worker', 'json', socket], { stdio: 'inherit',
		env: { ...process.env, OPENBLAS_NUM_THREADS: '1' } });
	// A worker that lacks pyzmq has ended by then.
	const request = new zmq.Request({ receiveTimeout: 60_000 });
	const client = new TitanClient(ENDPOINT);

	try {
		request.connect(`ipc://${socket}`);
		for (const n of [256, 512]) {
			const a = random(n), b = random(n), there = [], here = [];

			for (let i = 0; i < ROUNDS; i++) {
				there.push(await timed(async () => {
					await request.send(JSON.stringify({ a, b }));
					const [answer] = await request.receive();
					return JSON.parse(answer.toString()).result;
				}, 3));
				here.push(await timed(() => client.matrixMultiply(a, b), 10));
			}
			rows.push({ row: `number[][], n = ${n}`,
				zmq_ms: median(there) / 1e6, node_ms: median(here) / 1e6,
				ratio: median(there) / median(here),
				bound: n === 256 ? 15 : 25 });
		}
	} catch (e) {
		console.log(`no ZeroMQ rows: ${e.message}; is pyzmq there?`);
	} finally {
		request.close();
		await client.disconnect();
		worker.kill('SIGKILL');
		fs.rmSync(dir, { recursive: true });
	}
}
console.table(rows);
if (process.argv[2])
	fs.writeFileSync(process.argv[2], `${JSON.stringify(rows, null, '\t')}\n`);
