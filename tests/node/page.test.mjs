// SPDX-License-Identifier: MIT
// The gateway's page shows an agent whose answers are not what they should be.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import vm from "node:vm";

const page = readFileSync(process.env.PST_TOP_SRCDIR +
	"/host-client/gateway/pages/page.html", "utf8");
const script = page.split("<script>")[1].split("</script>")[0];

// A document that takes everything: what is shown is Chromium's to test.
function anything() {
	const known = new Map();
	return new Proxy(function () {}, {
		get(_, k) {
			if (k === Symbol.toPrimitive)
				return () => "";
			if (!known.has(k))
				known.set(k, anything());
			return known.get(k);
		},
		set: (_, k, v) => { known.set(k, v); return true; },
		apply: anything,
	});
}

const wrong = [null, 1, "x", true, [], [null], {}, { a: null }, [[]], -1e308];

test("an agent may say what it likes, and the others are shown", () => {
	const around = vm.createContext({
		document: anything(), location: {}, setInterval() {},
		setTimeout() {}, clearTimeout() {},
		fetch: () => new Promise(() => {}),
		AbortController: class { signal = null; },
	});
	vm.runInContext(script, around);
	const show = vm.runInContext("show", around);
	for (const w of wrong) {
		for (const stats of [w, { operations: w }, { operations: { GEMM: w } },
			{ operations: { GEMM: { results: w, queue: w, compute: w } } },
			{ operations: { GEMM: { queue: { buckets: w } } } },
			{ clients: w }, { clients: [w] }, { uptime_ns: w, arena_bytes: w }])
			for (const info of [w, { models: [w] }, { rates: { f32: w } },
				{ gpu: w, backend: w, read_gbps: w }])
				assert.equal(show({ name: "a", up: true, healthy: false,
					age_s: 0, wrong: [], info, stats, health: { gpu: w,
						notes: [w], uptime_s: w } }, 0), "a not well");
		show({ name: "a", up: true, age_s: 0, wrong: [], info: {}, stats: {},
			health: { gpu: { power_w: w, utilisation_pct: w, memory_total: w,
				memory_free: w } } }, 0);
	}
});
