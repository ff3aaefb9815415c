// SPDX-License-Identifier: MIT
// What the tests of the Node package share.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import v8 from 'node:v8';
import vm from 'node:vm';

export const ENDPOINT = 'spawn:?size=64M&threads=1';
// A quiet run sees the loss within milliseconds.
const PATIENCE_MS = 30_000;

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

export async function until(what, condition) {
	const end = Date.now() + PATIENCE_MS;

	while (!await condition()) {
		assert.ok(Date.now() < end, `${what} does not come`);
		await sleep(2);
	}
}

/** The agents that this process has started. */
export function agents() {
	const ret = new Set();

	for (const pid of fs.readdirSync('/proc').filter((s) => /^\d+$/.test(s))) {
		try {
			const stat = fs.readFileSync(`/proc/${pid}/stat`, 'utf8');
			const [state, parent] =
				stat.slice(stat.lastIndexOf(')') + 2).split(' ');

			if (Number(parent) === process.pid && state !== 'Z')
				ret.add(Number(pid));
		} catch {
			// It has ended.
		}
	}
	return ret;
}

/** A connection to an agent of its own, whose pid is c.agent. */
export async function openOwn(open, endpoint = ENDPOINT) {
	const before = agents();
	const c = await open(endpoint);

	[c.agent] = [...agents()].filter((pid) => !before.has(pid));
	assert.ok(c.agent > 0);
	return c;
}

/** Small whole numbers, so that every type holds sums of their products. */
export function numbers(rows, columns, seed) {
	return Array.from({ length: rows }, (_, i) =>
		Array.from({ length: columns }, (_, j) =>
			(i * 7 + j * 3 + seed * 5) % 9 - 4));
}

/** The product of rows of numbers, in double precision. */
export function product(a, b) {
	return a.map((row) => b[0].map((_, j) =>
		row.reduce((sum, x, k) => sum + x * b[k][j], 0)));
}

export const transposed = (a) => a[0].map((_, j) => a.map((row) => row[j]));

// Node 18 takes --expose-gc in no environment variable.
v8.setFlagsFromString('--expose-gc');
const gc = vm.runInNewContext('gc');

/** Collects what nobody has. */
export async function collect() {
	for (let i = 0; i < 4; i++) {
		gc();
		await new Promise((resolve) => setImmediate(resolve));
	}
}
