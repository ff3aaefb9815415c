// SPDX-License-Identifier: MIT
// Tensors of a model's call, from what JavaScript has: pure functions.
'use strict';

/** The element types by their number on the wire, with the classes of their
 * arrays, the first of which is that of results. */
const TYPES = {
	1: { name: 'f32', classes: [Float32Array] },
	2: { name: 'f64', classes: [Float64Array] },
	3: { name: 'f16', classes: [Uint16Array] },
	4: { name: 'bf16', classes: [Uint16Array] },
	5: { name: 'i8', classes: [Int8Array] },
	6: { name: 'i32', classes: [Int32Array] },
	7: { name: 'i64', classes: [BigInt64Array] },
	8: { name: 'u8', classes: [Uint8Array, Uint8ClampedArray] },
	9: { name: 'bool', classes: [Uint8Array] },
	10: { name: 'i16', classes: [Int16Array] },
	11: { name: 'u16', classes: [Uint16Array] },
	12: { name: 'u32', classes: [Uint32Array] },
	13: { name: 'u64', classes: [BigUint64Array] },
};

if (typeof globalThis.Float16Array === 'function')
	TYPES[3].classes.push(globalThis.Float16Array);

const dims = (shape) => `[${shape.join(', ')}]`;

/** A description of the addon as a user reads it. */
function signature(list) {
	return Object.freeze(list.map((t) => Object.freeze({
		name: t.name,
		dtype: TYPES[t.dtype].name,
		shape: Object.freeze(t.shape.map((n, i) =>
			n >= 0 ? n : t.symbols[i] || null)),
	})));
}

/** The shape of n elements where the caller gives none. */
function guess(t, n) {
	const free = t.shape.filter((d) => d < 0).length;
	const known = t.shape.reduce((p, d) => d < 0 ? p : p * d, 1);

	if (free > 1) {
		throw new TypeError(`${t.name} has several dimensions of any size: ` +
			'give {data, shape}');
	}
	return t.shape.map((d) => d < 0 ? n / known : d);
}

/** Rows of rows of numbers as [elements, shape]. */
function flatten(t, x) {
	const shape = [];
	const flat = [];

	for (let level = x; Array.isArray(level); level = level[0])
		shape.push(level.length);
	const add = (level, depth) => {
		if (depth === shape.length) {
			flat.push(level);
			return;
		}
		if (!Array.isArray(level) || level.length !== shape[depth])
			throw new RangeError(`the rows of ${t.name} differ in length`);
		for (const item of level)
			add(item, depth + 1);
	};
	add(x, 0);
	return [flat, shape];
}

/** Numbers as an array of the input's type. */
function convert(t, numbers) {
	const { name, classes: [Type] } = TYPES[t.dtype];

	if (name === 'f16' || name === 'bf16') {
		throw new TypeError(`${t.name} takes a Uint16Array, the bits of ` +
			`each ${name}`);
	}
	if (Type === BigInt64Array || Type === BigUint64Array)
		return Type.from(numbers, BigInt);
	return Type.from(numbers, Number);
}

/** One input as {data, shape}. */
function input(t, x) {
	const { name, classes } = TYPES[t.dtype];
	let data, shape;

	if (typeof x === 'number' || typeof x === 'bigint' ||
	    typeof x === 'boolean') {
		data = convert(t, [x]);
	} else if (Array.isArray(x)) {
		const [flat, of] = flatten(t, x);

		data = convert(t, flat);
		shape = of;
	} else if (ArrayBuffer.isView(x)) {
		data = x;
	} else if (x && typeof x === 'object' && ArrayBuffer.isView(x.data)) {
		({ data, shape } = x);
	} else {
		throw new TypeError(`${t.name} is a typed array, {data, shape}, ` +
			'numbers or one number');
	}
	if (!classes.some((c) => c.name === data[Symbol.toStringTag])) {
		throw new TypeError(`${t.name} has elements of ${name}: a ` +
			`${classes[0].name}, not a ${data[Symbol.toStringTag]}`);
	}
	shape = Array.from(shape ?? guess(t, data.length));
	if (!shape.every((n) => Number.isSafeInteger(n) && n >= 0) ||
	    shape.reduce((p, n) => p * n, 1) !== data.length) {
		throw new RangeError(`${data.length} elements of ${t.name} are no ` +
			`tensor of ${dims(shape)}`);
	}
	return { data, shape };
}

const bytes = (data) =>
	new Uint8Array(data.buffer, data.byteOffset, data.byteLength);

function find(list, name, what, model) {
	const index = list.findIndex((t) => t.name === name);

	if (index < 0) {
		throw new TypeError(`model ${model} has no ${what} ` +
			`${JSON.stringify(name)}; it has ` +
			list.map((t) => t.name).join(', '));
	}
	return index;
}

/** What the addon takes of all inputs. */
function inputs(about, model, feed) {
	if (feed === null || typeof feed !== 'object' || ArrayBuffer.isView(feed))
		throw new TypeError('inputs are an object: {name: tensor}');
	for (const t of about.inputs)
		if (feed[t.name] === undefined)
			throw new TypeError(`the input ${t.name} is missing`);
	return Object.keys(feed).flatMap((name) => {
		const index = find(about.inputs, name, 'input', model);
		const { data, shape } = input(about.inputs[index], feed[name]);

		return [index, about.inputs[index].dtype, shape, bytes(data)];
	});
}

/** What the addon takes of the outputs that are wanted: all, or those of
 * names; out has memory for some. */
function outputs(about, model, names, out = {}) {
	for (const name of Object.keys(out))
		find(about.outputs, name, 'output', model);
	return (names ?? about.outputs.map((t) => t.name)).flatMap((name) => {
		const index = find(about.outputs, name, 'output', model);
		const t = about.outputs[index];
		const { classes } = TYPES[t.dtype];
		const data = out[name];

		if (data !== undefined && !(ArrayBuffer.isView(data) &&
		    classes.some((c) => c.name === data[Symbol.toStringTag])))
			throw new TypeError(`the memory for ${name} is a ` +
				classes[0].name);
		return [index, data && bytes(data)];
	});
}

/** The addon's answer as {name: {data, shape, dtype}}. */
function results(about, wanted, answer, out = {}) {
	const ret = {};

	for (let i = 0; 2 * i < wanted.length; i++) {
		const { name } = about.outputs[wanted[2 * i]];
		const [dtype, shape, memory] = answer.slice(3 * i, 3 * i + 3);
		const n = shape.reduce((p, d) => p * d, 1);
		const data = memory ? new TYPES[dtype].classes[0](memory)
			: out[name].subarray(0, n);

		ret[name] = { data, shape, dtype: TYPES[dtype].name };
	}
	return ret;
}

module.exports = { signature, inputs, outputs, results };
