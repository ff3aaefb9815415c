// SPDX-License-Identifier: MIT
// TitanClient: requests with the names of fields that dashboards know, answered
// from shared memory instead of a socket with JSON.
'use strict';

const { open, PenstockError } = require('./index.cjs');

// What one request may hold.
const MAX_SIDE = 10000;
const MAX_ELEMENTS = 100_000_000;
const ECONNRESET = -104;
// Bytes of matrices that are kept for the next request.
const KEPT_BYTES = 64 << 20;

/** A sentence if x is no matrix, else null. */
function wrong(x, name) {
	if (!Array.isArray(x))
		return `${name} must be a list`;
	if (x.length === 0)
		return `${name} cannot be empty`;
	if (x.length > MAX_SIDE)
		return `${name} exceeds max rows (${MAX_SIDE})`;
	if (!Array.isArray(x[0]) || x[0].length === 0)
		return `${name} must be 2D`;
	if (x[0].length > MAX_SIDE)
		return `${name} exceeds max columns (${MAX_SIDE})`;
	if (x.length * x[0].length > MAX_ELEMENTS)
		return `${name} exceeds max elements (${MAX_ELEMENTS})`;
	return null;
}

/** Matrices of the region that wait for the next request of their shape. */
class Shelf {
	#byShape = new Map();
	#bytes = 0;

	async take(connection, shape) {
		const kept = this.#byShape.get(shape.join());
		const m = kept?.pop();

		if (m === undefined)
			return this.#make(connection, shape);
		this.#bytes -= m.data.byteLength;
		return m;
	}

	/** Where there is no room, matrices of other shapes make it. */
	async #make(connection, shape) {
		try {
			return await connection.alloc(shape);
		} catch (e) {
			if (this.#bytes === 0 ||
			    (e.code !== 'ENOSPC' && e.code !== 'EMSGSIZE'))
				throw e;
		}
		this.clear();
		return connection.alloc(shape);
	}

	put(m) {
		const key = m.shape.join();

		if (this.#bytes + m.data.byteLength > KEPT_BYTES) {
			m.free();
			return;
		}
		this.#bytes += m.data.byteLength;
		if (this.#byShape.has(key))
			this.#byShape.get(key).push(m);
		else
			this.#byShape.set(key, [m]);
	}

	clear() {
		for (const kept of this.#byShape.values())
			for (const m of kept)
				m.free();
		this.#byShape.clear();
		this.#bytes = 0;
	}
}

/** Copies rows into a matrix of the region. A sentence if they are ragged. */
function fill(m, rows, name) {
	const { data } = m;
	const [, columns] = m.shape;
	let at = 0;

	for (let i = 0; i < rows.length; i++) {
		const row = rows[i];

		if (!Array.isArray(row) || row.length !== columns)
			return `${name} has rows of different lengths`;
		for (let j = 0; j < columns; j++)
			data[at++] = row[j];
	}
	return null;
}

/** Rows of a matrix as numbers; see Array.from(), which is slower. */
function rowsOf(m) {
	const { data } = m;
	const [rows, columns] = m.shape;
	const ret = new Array(rows);

	for (let i = 0, at = 0; i < rows; i++) {
		const row = new Array(columns);

		for (let j = 0; j < columns; j++)
			row[j] = data[at++];
		ret[i] = row;
	}
	return ret;
}

/** What answer gives, or the signal's reason if that comes first: an operation
 * that is cancelled ends only when the agent lets go of its matrices, which one
 * that was stopped does not. */
async function within(signal, answer) {
	let expire;
	const expired = new Promise((_, reject) => {
		expire = () => reject(signal.reason);
		signal.addEventListener('abort', expire);
	});

	try {
		return await Promise.race([answer, expired]);
	} finally {
		signal.removeEventListener('abort', expire);
	}
}

class TitanClient {
	#endpoint;
	#connection = null;
	#opening = null;
	#shelf = new Shelf();

	constructor(endpoint) {
		if (endpoint !== undefined && /^tcp:/.test(endpoint)) {
			throw new TypeError(`${endpoint} is an address on a network; ` +
				'an endpoint of this client is a URI such as ' +
				'vsock://7:5555?region=/dev/hugepages/penstock-gpu0 or the ' +
				'name of one (penstock(1), ENDPOINTS)');
		}
		this.#endpoint = endpoint;
	}

	async connect() {
		await this.#connected();
	}

	async #connected() {
		if (this.#connection && !this.#connection.closed)
			return this.#connection;
		const opening = this.#opening ??=
			open(this.#endpoint, { name: 'titan' });
		let c = null;

		try {
			c = await opening;
		} finally {
			if (this.#opening === opening) {
				this.#opening = null;
				this.#connection = c;
			}
		}
		if (this.#connection !== c)
			throw new PenstockError(ECONNRESET, 'the client was disconnected');
		return c;
	}

	async disconnect() {
		this.#opening?.then((c) => c.close(), () => {});
		this.#opening = null;
		this.#shelf.clear();
		this.#connection?.close();
		this.#connection = null;
	}

	async #live() {
		const c = await this.#connected();

		// Matrices of a lost session are of no use.
		if (!c.closed && c.lost)
			this.#shelf.clear();
		return c;
	}

	async request(req, timeout = 30000) {
		const signal = AbortSignal.timeout(timeout);

		try {
			return await within(signal, this.#answer(req, signal));
		} catch (e) {
			if (e.name !== 'PenstockError' && e.name !== 'TimeoutError' &&
			    !(e instanceof RangeError))
				throw e;
			// Without an agent there is nobody to answer.
			if (this.#connection === null)
				throw e;
			return { error: e.message };
		}
	}

	async #answer(req, signal) {
		switch (req?.op) {
		case 'ping':
			return this.#ping();
		case 'matrix_multiply':
			return this.#multiply(req, signal);
		case 'gpu_info':
			return this.#gpuInfo();
		case 'health':
			return this.#health();
		case 'inference':
			return this.#inference(req, signal);
		default:
			return { error: `Unknown operation: ${req?.op}` };
		}
	}

	async #ping() {
		const c = await this.#live();
		const info = await c.info();

		return { status: 'ok', gpu: info.gpu?.name ?? info.backend.describe };
	}

	async #gpuInfo() {
		const c = await this.#live();
		const { gpu } = await c.info();

		if (!gpu)
			return { error: 'the agent computes on its CPU' };
		return {
			name: gpu.name,
			total_memory_gb: gpu.total_memory_gb,
			free_memory_gb: gpu.free_memory_gb,
			multi_processor_count: gpu.multi_processor_count,
			cuda_capability: gpu.cuda_capability,
		};
	}

	async #health() {
		const c = await this.#live();
		const [health, info] = await Promise.all([c.health(), c.info()]);
		const { gpu } = info;

		return {
			status: health.healthy ? 'healthy' : 'unhealthy',
			...(health.healthy ? {} : { reasons: health.reasons }),
			gpu_available: gpu != null,
			memory_allocated_gb: gpu
				? gpu.total_memory_gb - gpu.free_memory_gb : 0,
			memory_cached_gb: 0,
		};
	}

	async #multiply({ a, b }, signal) {
		if (a === undefined || b === undefined)
			return { error: "Missing 'a' or 'b' matrix" };
		const error = wrong(a, 'a') ?? wrong(b, 'b');

		if (error)
			return { error };
		if (a[0].length !== b.length) {
			return { error: `Matrix operation failed: a has ` +
				`${a[0].length} columns, b has ${b.length} rows` };
		}
		const c = await this.#live();
		const taken = [];
		const take = async (rows, columns) => {
			taken.push(await this.#shelf.take(c, [rows, columns]));
			return taken.at(-1);
		};

		try {
			const x = await take(a.length, a[0].length);
			const y = await take(b.length, b[0].length);
			const out = await take(a.length, b[0].length);
			const ragged = fill(x, a, 'a') ?? fill(y, b, 'b');

			if (ragged)
				return { error: ragged };
			await c.matmul(x, y, { out, signal });
			return { result: rowsOf(out) };
		} finally {
			// After a failure the agent may still use them.
			for (const m of taken) {
				if (c.closed || c.lost)
					m.free();
				else
					this.#shelf.put(m);
			}
		}
	}

	async #inference({ model, input }, signal) {
		if (typeof model !== 'string' || !Array.isArray(input))
			return { error: "Missing 'model' or 'input'" };
		const c = await this.#live();
		const rows = Array.isArray(input[0]) ? input : [input];
		const net = await c.model(model);
		const out = await net.infer(rows, { signal });

		return { output: out.toArray(), model };
	}

	async ping() {
		try {
			return (await this.request({ op: 'ping' })).status === 'ok';
		} catch {
			return false;
		}
	}

	async gpuInfo() {
		try {
			const res = await this.request({ op: 'gpu_info' });

			return res.error ? null : res;
		} catch {
			return null;
		}
	}

	async health() {
		return this.request({ op: 'health' });
	}

	async matrixMultiply(a, b) {
		const res = await this.request({ op: 'matrix_multiply', a, b });

		if (res.error) {
			console.error('Matrix multiply error:', res.error);
			return null;
		}
		return res.result;
	}
}

module.exports = { TitanClient };
