// SPDX-License-Identifier: MIT
// The package's classes, over the addon. index.d.ts describes them.
'use strict';

const native = require(
	`./prebuilds/${process.platform}-${process.arch}/penstock.node`);

const tensors = require('./tensors.cjs');

/** The library of the installation that this package is part of, if it is. */
function installed() {
	try {
		return require('./installed.json').library;
	} catch {
		return null;
	}
}

const version = native.load(process.env.PENSTOCK_LIBRARY || installed());

if (typeof version === 'number')
	throw Object.assign(new Error(native.text()), { code: 'ERR_DLOPEN_FAILED' });

const { shared } = native;

// The places of arguments in shared; the same names are in addon.h.
const DTYPE = 0, ORDER = 1, TRANSA = 2, TRANSB = 3, M = 4, N = 5, K = 6;
const LDA = 7, LDB = 8, LDC = 9, ALPHA = 10, BETA = 11, DTYPE_C = 12;
const COMPUTE = 13, ACT = 14, BATCH = 15, STRIDE_A = 16, STRIDE_B = 17;
const STRIDE_C = 18, A = 19, B = 21, C = 23, BIAS = 25, TIMEOUT = 27;
const DONE = 32;

const ERRNO = {
	1: 'EPERM', 2: 'ENOENT', 4: 'EINTR', 5: 'EIO', 9: 'EBADF', 11: 'EAGAIN',
	12: 'ENOMEM', 13: 'EACCES', 14: 'EFAULT', 16: 'EBUSY', 19: 'ENODEV',
	22: 'EINVAL', 23: 'ENFILE', 24: 'EMFILE', 28: 'ENOSPC', 61: 'ENODATA',
	71: 'EPROTO', 75: 'EOVERFLOW', 90: 'EMSGSIZE', 93: 'EPROTONOSUPPORT',
	95: 'EOPNOTSUPP', 104: 'ECONNRESET', 110: 'ETIMEDOUT',
	111: 'ECONNREFUSED', 116: 'ESTALE', 125: 'ECANCELED',
};

const EBADF = -9, EAGAIN = -11, EFAULT = -14, ENOSPC = -28, ECONNRESET = -104;
const EMSGSIZE = -90, ECANCELED = -125, ESTALE = -116, EPROTO = -71;
const EOPNOTSUPP = -95;

/** The element types: number on the wire, class of their arrays, natural type
 * of a product. */
const DTYPES = {
	f32: { id: 1, Array: Float32Array, product: 'f32' },
	f64: { id: 2, Array: Float64Array, product: 'f64' },
	f16: { id: 3, Array: Uint16Array, product: 'f16' },
	bf16: { id: 4, Array: Uint16Array, product: 'bf16' },
	i8: { id: 5, Array: Int8Array, product: 'i32' },
	i32: { id: 6, Array: Int32Array, product: 'i32' },
};
const ACTS = { none: 0, relu: 1, gelu_tanh: 2, gelu: 3 };
const COMPUTES = { default: 0, tf32: 1, f16: 2 };

class PenstockError extends Error {
	constructor(errno, text) {
		super(text || native.phrase(errno));
		this.name = 'PenstockError';
		this.errno = errno;
		this.code = ERRNO[-errno] ?? `E${-errno}`;
	}
}

function fail(rc) {
	return new PenstockError(rc, native.text());
}

/** Returns rc, or throws what it means. */
function check(rc) {
	if (rc < 0)
		throw fail(rc);
	return rc;
}

/** A promise of what f(..., callback) calls back with. */
function promised(f, ...args) {
	return new Promise((resolve, reject) => {
		const rc = f(...args, (status, text, value) => {
			if (status < 0)
				reject(new PenstockError(status, text));
			else
				resolve(value);
		});

		if (rc < 0)
			reject(fail(rc));
	});
}

const tick = () => new Promise((resolve) => setImmediate(resolve));

function oneOf(table, key, what) {
	if (!Object.hasOwn(table, key)) {
		throw new TypeError(`${what} ${JSON.stringify(key)} is unknown; ` +
			`it is one of ${Object.keys(table).join(', ')}`);
	}
	return table[key];
}

/** The name of a typed array's class, of any realm. */
function classOf(data) {
	return ArrayBuffer.isView(data) ? data[Symbol.toStringTag] : undefined;
}

function dtypeOf(data) {
	const name = classOf(data);

	for (const dtype of ['f32', 'f64', 'i8', 'i32'])
		if (name === DTYPES[dtype].Array.name)
			return dtype;
	throw new TypeError('the elements are a Float32Array, Float64Array, ' +
		'Int8Array or Int32Array, or their dtype is given');
}

/** x, or otherwise if it is not given. Anything else would throw where it is
 * copied for the addon. */
function numberOr(x, otherwise, what) {
	if (x !== undefined && typeof x !== 'number')
		throw new TypeError(`${what} is a number`);
	return x ?? otherwise;
}

/** x, a string that C takes whole. */
function text(x, what) {
	if (typeof x !== 'string' || x.includes('\0'))
		throw new TypeError(`${what} is a string without NUL`);
	return x;
}

/** x, which may be left out. An AbortController is an easy mistake. */
function checkSignal(x) {
	if (x !== undefined && x !== null &&
	    !(typeof x.aborted === 'boolean' &&
	      typeof x.addEventListener === 'function'))
		throw new TypeError('signal is an AbortSignal');
	return x;
}

function checkShape(shape) {
	const list = typeof shape === 'number' ? [1, shape] : Array.from(shape);

	if (list.length === 1)
		list.unshift(1);
	if (list.length !== 2 ||
	    !list.every((n) => Number.isSafeInteger(n) && n >= 1))
		throw new RangeError('a shape is [rows, columns], each at least 1');
	return list;
}

/** Memory of the region that were moved to another thread would be read there
 * after it is gone. */
function refuseTransfer() {
	throw new TypeError('memory of the region cannot be transferred; ' +
		'slice() copies it');
}

const IMMOVABLE = {};

for (const name of ['transfer', 'transferToFixedLength'])
	if (typeof ArrayBuffer.prototype[name] === 'function')
		IMMOVABLE[name] = { value: refuseTransfer };

/** A matrix, row by row, in the region or in memory of JavaScript. */
class Matrix {
	#conn;
	#number;

	constructor(data, shape, dtype = dtypeOf(data), conn = null,
		number = -1) {
		this.shape = Object.freeze(checkShape(shape));
		const { Array: Type } = oneOf(DTYPES, dtype, 'the dtype');

		if (classOf(data) !== Type.name) {
			throw new TypeError(`elements of ${dtype} are a ` +
				`${Type.name}`);
		}
		if (data.length !== this.shape[0] * this.shape[1]) {
			throw new RangeError(`${data.length} elements are no ` +
				`${this.shape.join(' x ')} matrix`);
		}
		this.data = data;
		this.dtype = dtype;
		this.#conn = conn;
		this.#number = number;
	}

	/** Whether the elements lie in the region: calls use them in place. */
	get inRegion() {
		return this.#conn !== null;
	}

	get rows() {
		return this.shape[0];
	}

	get columns() {
		return this.shape[1];
	}

	toArray() {
		const [rows, columns] = this.shape;
		const ret = new Array(rows);

		for (let i = 0; i < rows; i++)
			ret[i] = Array.from(this.data.subarray(i * columns,
				(i + 1) * columns));
		return ret;
	}

	/** Gives memory of the region back; data has no elements then. */
	free() {
		if (this.#number >= 0) {
			const rc = this.#conn._free(this.#number);

			this.#number = -1;
			check(rc);
		}
	}

	/** The buffer's number if it lies in conn's region, else -1. */
	static numberIn(conn, m) {
		if (m.#conn === null)
			return -1;
		if (m.#conn !== conn)
			throw new TypeError('the matrix belongs to another connection');
		if (m.#number < 0)
			throw new TypeError('the matrix was freed');
		return m.#number;
	}
}
Matrix.prototype[Symbol.dispose ?? Symbol.for('nodejs.dispose')] =
	Matrix.prototype.free;

/** Rows of numbers as one array. */
function flatten(rows, Type) {
	const columns = rows[0]?.length;

	if (!(columns >= 1))
		throw new RangeError('a matrix has at least one row and one column');
	const flat = new Type(rows.length * columns);

	for (let i = 0, at = 0; i < rows.length; i++) {
		const row = rows[i];

		if (row.length !== columns) {
			throw new RangeError(`row ${i} has ${row.length} elements, ` +
				`row 0 has ${columns}`);
		}
		for (let j = 0; j < columns; j++)
			flat[at++] = row[j];
	}
	return flat;
}

function asMatrix(x, dtype = 'f32') {
	if (x instanceof Matrix)
		return x;
	if (Array.isArray(x)) {
		const { Array: Type } = oneOf(DTYPES, dtype, 'the dtype');

		return new Matrix(flatten(x, Type),
			[x.length, x[0].length], dtype);
	}
	if (x && typeof x === 'object' && x.data && x.shape)
		return new Matrix(x.data, x.shape, x.dtype);
	throw new TypeError('an operand is a Matrix, rows of numbers, or ' +
		'{data, shape}');
}

/** A network that the agent has loaded. */
class Model {
	#conn;
	#raw;

	#about;

	constructor(conn, raw, about = null) {
		const view = new DataView(raw);
		const name = Buffer.from(raw, 48, 64);

		this.#conn = conn;
		this.#raw = raw;
		this.#about = about;
		this.signature = about && Object.freeze({
			inputs: tensors.signature(about.inputs),
			outputs: tensors.signature(about.outputs),
		});
		this.format = about?.format ?? 'safetensors';
		this.provider = about?.provider ?? '';
		this.runtime = about?.runtime ?? '';
		this.name = name.toString('utf8', 0, name.indexOf(0));
		this.inputs = view.getUint32(24, true);
		this.outputs = view.getUint32(28, true);
		this.maxBatch = view.getUint32(32, true);
		this.layers = view.getUint32(36, true);
		this.bytes = Number(view.getBigUint64(16, true));
	}

	/** Runs the model on rows; see Connection.infer(). */
	async infer(rows, options = {}) {
		const m = asMatrix(rows);

		if (m.dtype !== 'f32' || m.columns !== this.inputs) {
			throw new RangeError(`the model ${this.name} takes rows of ` +
				`${this.inputs} f32, not of ${m.columns} ${m.dtype}`);
		}
		return this.#conn._infer(this.#raw, m, this.outputs, options);
	}

	/** Runs the model on named tensors. */
	async run(inputs, options = {}) {
		const about = this.#about;

		if (!about) {
			throw new PenstockError(EOPNOTSUPP,
				'the agent is older than models with named tensors');
		}
		const ins = tensors.inputs(about, this.name, inputs);
		const outs = tensors.outputs(about, this.name, options.outputs,
			options.out);

		return tensors.results(about, outs,
			await this.#conn._run(about, ins, outs, options), options.out);
	}
}

/** An operation that was submitted, or waits for a slot. */
class Pending {
	constructor(start, resolve, reject, value, keep) {
		this.start = start;
		this.resolve = resolve;
		this.reject = reject;
		this.value = value;
		// Matrices whose memory the agent uses stay reachable.
		this.keep = keep;
		this.signal = undefined;
		this.abort = undefined;
		// Whether its buffers know that it waits.
		this.queued = false;
	}

	settle() {
		this.signal?.removeEventListener('abort', this.abort);
		this.keep = undefined;
	}
}

/** A connection to an agent; see open(). */
class Connection {
	#handle = null;
	#slots = [];   // Pending by slot
	#free = [];    // slots that are not used
	#queue = [];   // Pending that found no slot
	#closed = false;

	static async open(endpoint, options = {}) {
		const c = new Connection();
		const weak = new WeakRef(c);
		const signal = checkSignal(options.signal);
		const flags = options.wait ? 4 : 0;

		if (endpoint !== undefined && endpoint !== null)
			text(endpoint, 'the endpoint');
		signal?.throwIfAborted();
		const handle = await promised(native.open, endpoint ?? null,
			options.timeout ?? 0, flags, options.name ?? null,
			// Operations under way keep the connection by themselves.
			(n) => weak.deref()?._deliver(n));

		if (signal?.aborted) {
			native.close(handle);
			throw signal.reason;
		}
		c.#handle = handle;
		return c;
	}

	#live() {
		if (this.#closed)
			throw new PenstockError(EBADF, 'the connection is closed');
		return this.#handle;
	}

	get closed() {
		return this.#closed;
	}

	/** Whether the agent was lost; the next call opens a new session. */
	get lost() {
		return native.check(this.#live()) === ESTALE;
	}

	/** Operations that are submitted or wait for a slot. */
	get outstanding() {
		return active.get(this) ?? 0;
	}

	/** Ends the session. Arrays in the region have no elements any more; what
	 * is outstanding is rejected with ECONNRESET. */
	close() {
		if (this.#closed)
			return;
		this.#closed = true;
		native.close(this.#handle);
		this.#handle = null;
		const all = this.#slots.filter(Boolean).concat(this.#queue);

		this.#slots = [];
		this.#queue = [];
		for (const p of all) {
			this.#end(p);
			p.reject(new PenstockError(ECONNRESET,
				'the connection was closed'));
		}
	}

	// ---- Memory

	/** A matrix in the region; its contents are undefined. */
	empty(shape, dtype = 'f32') {
		const list = checkShape(shape);
		const { Array: Type } = oneOf(DTYPES, dtype, 'the dtype');
		const n = list[0] * list[1];
		const memory = native.alloc(this.#live(),
			n * Type.BYTES_PER_ELEMENT);

		if (typeof memory === 'number')
			throw fail(memory);
		Object.defineProperties(memory, IMMOVABLE);
		return new Matrix(new Type(memory, 0, n), list, dtype, this,
			shared[0]);
	}

	zeros(shape, dtype = 'f32') {
		const m = this.empty(shape, dtype);

		m.data.fill(0);
		return m;
	}

	/** A copy in the region of rows, a typed array with its shape, or a
	 * matrix. */
	from(x, options = {}) {
		const m = asMatrix(x, options.dtype);
		const ret = this.empty(m.shape, m.dtype);

		ret.data.set(m.data);
		return ret;
	}

	/** As empty(), but where there is no room, waits for memory of matrices
	 * that nobody has any more, and tries once again. */
	async alloc(shape, dtype = 'f32') {
		return this.#tryEmpty(shape, dtype) ??
			await this.#emptyLater(shape, dtype);
	}

	/** As empty(); null where there is no room. */
	#tryEmpty(shape, dtype) {
		try {
			return this.empty(shape, dtype);
		} catch (e) {
			if (e.errno === ENOSPC || e.errno === EMSGSIZE)
				return null;
			throw e;
		}
	}

	async #emptyLater(shape, dtype) {
		await tick();
		await tick();
		return this.empty(shape, dtype);
	}

	_free(number) {
		return this.#closed ? 0 : native.free(this.#handle, number);
	}

	// ---- Products

	/** Writes a product into the shared arguments. */
	#arguments(g) {
		shared[DTYPE] = g.type.id;
		shared[ORDER] = 0;
		shared[TRANSA] = g.transA;
		shared[TRANSB] = g.transB;
		shared[M] = g.m;
		shared[N] = g.n;
		shared[K] = g.k;
		shared[LDA] = 0;
		shared[LDB] = 0;
		shared[LDC] = 0;
		shared[ALPHA] = g.alpha;
		shared[BETA] = g.beta;
		shared[DTYPE_C] = g.typeOut;
		shared[COMPUTE] = g.compute;
		shared[ACT] = g.act;
		shared[BATCH] = 0;
		shared[STRIDE_A] = 0;
		shared[STRIDE_B] = 0;
		shared[STRIDE_C] = 0;
		shared[A] = g.numberA;
		shared[A + 1] = g.a.data.byteOffset;
		shared[B] = g.numberB;
		shared[B + 1] = g.b.data.byteOffset;
		shared[C] = g.numberC;
		shared[C + 1] = g.out === undefined ? 0 : g.out.data.byteOffset;
		shared[BIAS] = g.numberBias;
		shared[BIAS + 1] = g.bias === undefined ? 0 : g.bias.data.byteOffset;
		shared[TIMEOUT] = g.timeout;
	}

	/** The product as numbers, checked; out is made by the caller. */
	#product(x, y, options) {
		checkSignal(options.signal);
		const a = asMatrix(x, options.dtype);
		const b = asMatrix(y, options.dtype);
		const transA = options.transA ? 1 : 0;
		const transB = options.transB ? 1 : 0;
		const m = a.shape[transA], k = a.shape[1 - transA];
		const n = b.shape[1 - transB];

		if (a.dtype !== b.dtype) {
			throw new TypeError(`a has elements of ${a.dtype}, ` +
				`b of ${b.dtype}`);
		}
		if (b.shape[transB] !== k) {
			throw new RangeError(`${m} x ${k} and ` +
				`${b.shape[transB]} x ${n} have no product`);
		}
		const type = DTYPES[a.dtype];
		const { out } = options;
		const dtypeOut = out?.dtype ?? options.dtypeOut ?? type.product;
		const bias = options.bias === undefined ? undefined
			: options.bias instanceof Matrix ? options.bias
			: new Matrix(options.bias, [1, options.bias.length],
				dtypeOut);

		if (out && !(out instanceof Matrix))
			throw new TypeError('out is a Matrix');
		if (out && (out.rows !== m || out.columns !== n)) {
			throw new RangeError(`the product is ${m} x ${n}, out is ` +
				`${out.rows} x ${out.columns}`);
		}
		if (bias && bias.dtype !== dtypeOut) {
			throw new TypeError(`the product has elements of ` +
				`${dtypeOut}, bias of ${bias.dtype}`);
		}
		if (bias && (bias.rows !== 1 || bias.columns !== n))
			throw new RangeError(`bias has ${n} elements`);
		return {
			a, b, out, bias, m, n, k, transA, transB, type, dtypeOut,
			typeOut: oneOf(DTYPES, dtypeOut, 'the dtype of the product').id,
			numberA: Matrix.numberIn(this, a),
			numberB: Matrix.numberIn(this, b),
			numberC: out ? Matrix.numberIn(this, out) : -1,
			numberBias: bias ? Matrix.numberIn(this, bias) : -1,
			alpha: numberOr(options.alpha, 1, 'alpha'),
			beta: numberOr(options.beta, 0, 'beta'),
			act: oneOf(ACTS, options.act ?? 'none', 'the function'),
			compute: oneOf(COMPUTES, options.compute ?? 'default',
				'the way to compute'),
			timeout: numberOr(options.timeout, 0, 'timeout'),
		};
	}

	static #inPlace(g) {
		return g.numberA >= 0 && g.numberB >= 0 &&
			(g.out === undefined || g.numberC >= 0) &&
			(g.bias === undefined || g.numberBias >= 0);
	}

	/** The product of a and b, as a promise of its matrix. */
	async matmul(a, b, options = {}) {
		const handle = this.#live();
		const g = this.#product(a, b, options);

		if (Connection.#inPlace(g)) {
			if (g.out === undefined) {
				const shape = [g.m, g.n];

				g.out = this.#tryEmpty(shape, g.dtypeOut);
				if (g.out === null) {
					g.out = await this.#emptyLater(shape, g.dtypeOut);
					// They may have been freed meanwhile.
					Matrix.numberIn(this, g.a);
					Matrix.numberIn(this, g.b);
					if (g.bias)
						Matrix.numberIn(this, g.bias);
				}
				g.numberC = Matrix.numberIn(this, g.out);
			}
			return this.#submit((slot) => {
				this.#arguments(g);
				return native.gemm(this.#handle, slot);
			}, g.out, g, options.signal);
		}
		options.signal?.throwIfAborted();
		g.out ??= new Matrix(new DTYPES[g.dtypeOut].Array(g.m * g.n),
			[g.m, g.n], g.dtypeOut);
		this.#arguments(g);
		const away = (m, number) => m && number < 0 ? m.data : undefined;

		this.#keep(1);
		try {
			await promised(native.gemmAny, handle, away(g.a, g.numberA),
				away(g.b, g.numberB), away(g.out, g.numberC),
				away(g.bias, g.numberBias));
		} finally {
			this.#keep(-1);
		}
		return g.out;
	}

	/** As matmul(), for small products of matrices in the region: waits here
	 * for the result, which is out. */
	matmulSync(a, b, options = {}) {
		const handle = this.#live();
		const g = this.#product(a, b, options);

		if (!Connection.#inPlace(g)) {
			throw new TypeError('matmulSync() takes matrices in the region; ' +
				'matmul() takes others');
		}
		if (g.out === undefined) {
			g.out = this.empty([g.m, g.n], g.dtypeOut);
			g.numberC = Matrix.numberIn(this, g.out);
		}
		this.#arguments(g);
		check(native.gemm(handle, -1));
		return g.out;
	}

	// ---- Operations that complete later

	#keep(n) {
		const now = (active.get(this) ?? 0) + n;

		if (now > 0)
			active.set(this, now);
		else
			active.delete(this);
	}

	#end(pending) {
		pending.settle();
		this.#keep(-1);
	}

	#submit(start, value, keep, signal) {
		return new Promise((resolve, reject) => {
			checkSignal(signal);
			if (signal?.aborted) {
				reject(signal.reason);
				return;
			}
			const p = new Pending(start, resolve, reject, value, keep);

			this.#keep(1);
			if (this.#queue.length > 0) {
				this.#queue.push(p);
				this.#queued(p, true);
			} else {
				this.#start(p);
			}
			if (signal && p.keep !== undefined) {
				p.signal = signal;
				p.abort = () => this.#abort(p);
				signal.addEventListener('abort', p.abort);
			}
		});
	}

	/** Buffers that are freed keep their memory while p waits. */
	#queued(p, now) {
		if (p.queued === now || !p.keep)
			return;
		p.queued = now;
		for (const number of [p.keep.numberA, p.keep.numberB,
			p.keep.numberC, p.keep.numberBias])
			if (number >= 0)
				native.queued(this.#handle, number, now ? 1 : -1);
	}

	/** Submits; false where all slots of the agent are taken. */
	#start(p) {
		const slot = this.#free.pop() ?? this.#slots.length;
		let rc, error;

		try {
			rc = p.start(slot);
		} catch (e) {
			// Somebody has changed a matrix that waited.
			rc = EFAULT;
			error = e;
		}
		if (rc >= 0) {
			this.#slots[slot] = p;
			this.#queued(p, false);
			return true;
		}
		this.#slots[slot] ??= undefined;
		this.#free.push(slot);
		if (rc === EAGAIN) {
			native.text();
			this.#queue.unshift(p);
			this.#queued(p, true);
			return false;
		}
		// What waited was outstanding when the agent was lost.
		if (rc === ESTALE && p.queued) {
			native.text();
			error = new PenstockError(ECONNRESET);
		}
		this.#queued(p, false);
		this.#end(p);
		p.reject(error ?? fail(rc));
		return true;
	}

	#abort(p) {
		const slot = this.#slots.indexOf(p);
		const place = this.#queue.indexOf(p);

		if (slot >= 0) {
			if (native.cancel(this.#handle, slot) < 0)
				native.text();
		} else if (place >= 0) {
			this.#queue.splice(place, 1);
			this.#queued(p, false);
			this.#end(p);
			p.reject(p.signal.reason);
		}
	}

	/** n completions are in the shared numbers. */
	_deliver(n) {
		for (let i = 0; i < n; i++) {
			const at = DONE + 4 * i;
			const slot = shared[at];
			const p = this.#slots[slot];

			this.#slots[slot] = undefined;
			if (p !== undefined)
				this.#complete(p, slot, shared[at + 1]);
			this.#free.push(slot);
		}
		while (this.#queue.length > 0 && !this.#closed &&
		       this.#start(this.#queue.shift()))
			;
	}

	#complete(p, slot, status) {
		const { signal } = p;

		this.#end(p);
		if (status === 0) {
			p.resolve(p.value);
		} else if (status === ECANCELED && signal?.aborted) {
			p.reject(signal.reason);
		} else if (status === ECANCELED || status === ECONNRESET ||
			   status === ESTALE || status === EPROTO) {
			p.reject(new PenstockError(status));
		} else {
			// The agent knows the sentence.
			promised(native.failure, this.#handle, slot).then(
				(text) => p.reject(new PenstockError(status, text)),
				() => p.reject(new PenstockError(status)));
		}
	}

	/** An operation that does nothing: the way to the agent and back. */
	async nop(options = {}) {
		this.#live();
		return this.#submit((slot) => native.nop(this.#handle, slot),
			undefined, null, options.signal);
	}

	// ---- Models

	/** Loads a model file under a name. */
	async loadModel(name, file, options = {}) {
		shared[TIMEOUT] = numberOr(options.timeout, 0, 'timeout');
		await this.#busy(native.model, 1, text(name, 'a name'),
			text(String(file), 'a file'));
		return this.model(name);
	}

	/** The model that is loaded under a name. */
	async model(name) {
		try {
			const about = await this.#busy(native.describe,
				text(name, 'a name'));

			// Of rows and layers only the other frame tells.
			return new Model(this, about.format === 'onnx' ? about.raw
				: await this.#busy(native.model, 0, name, null), about);
		} catch (e) {
			// An older agent has models of rows only.
			if (e.errno !== EOPNOTSUPP)
				throw e;
		}
		return new Model(this, await this.#busy(native.model, 0, name, null));
	}

	async _run(about, ins, outs, options) {
		options.signal?.throwIfAborted();
		shared[TIMEOUT] = numberOr(options.timeout, 0, 'timeout');
		return this.#busy(native.run, about, ins, outs);
	}

	async unloadModel(name) {
		await this.#busy(native.model, 2, text(name, 'a name'), null);
	}

	async models() {
		return JSON.parse(await this.#busy(native.model, 3, null, null))
			.models;
	}

	async _infer(raw, rows, outputs, options) {
		this.#live();
		const { out } = options;
		const { signal } = options;
		const timeout = numberOr(options.timeout, 0, 'timeout');
		const numberA = Matrix.numberIn(this, rows);
		const shape = [rows.rows, outputs];

		if (out && !(out instanceof Matrix && out.dtype === 'f32' &&
		    out.rows === shape[0] && out.columns === shape[1]))
			throw new RangeError(`out is a ${shape.join(' x ')} matrix of f32`);
		let result = out;
		let numberC = out ? Matrix.numberIn(this, out) : -1;

		if (numberA >= 0 && (numberC >= 0 || !out)) {
			if (!out) {
				result = this.#tryEmpty(shape, 'f32');
				if (result === null) {
					result = await this.#emptyLater(shape, 'f32');
					Matrix.numberIn(this, rows);
				}
				numberC = Matrix.numberIn(this, result);
			}
			return this.#submit((slot) => {
				shared[M] = rows.rows;
				shared[A] = numberA;
				shared[A + 1] = rows.data.byteOffset;
				shared[C] = numberC;
				shared[C + 1] = result.data.byteOffset;
				return native.infer(this.#handle, slot, raw);
			}, result, { rows, result, numberA, numberC }, signal);
		}
		result ??= new Matrix(new Float32Array(shape[0] * shape[1]), shape);
		shared[A] = numberA;
		shared[C] = numberC;
		shared[B] = shared[BIAS] = -1;
		shared[TIMEOUT] = timeout;
		await this.#busy(native.inferAny, raw, rows.data, result.data,
			rows.rows);
		return result;
	}

	// ---- Questions

	/** A call in a thread of the pool. */
	async #busy(f, ...args) {
		const handle = this.#live();

		this.#keep(1);
		try {
			return await promised(f, handle, ...args);
		} finally {
			this.#keep(-1);
		}
	}

	async info() {
		return JSON.parse(await this.#busy(native.query, 0));
	}

	async health() {
		return JSON.parse(await this.#busy(native.query, 1));
	}

	async stats() {
		return JSON.parse(await this.#busy(native.query, 2));
	}

	/** Milliseconds of a message to the agent and its echo. */
	async ping() {
		return await this.#busy(native.ping) / 1e6;
	}
}
Connection.prototype[Symbol.dispose ?? Symbol.for('nodejs.dispose')] =
	Connection.prototype.close;

/** Connections with calls under way, which nobody else may hold. */
const active = new Map();

module.exports = {
	open: Connection.open,
	Connection,
	Matrix,
	Model,
	PenstockError,
	version,
};
