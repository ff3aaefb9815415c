// SPDX-License-Identifier: MIT
// The types of results follow those of operands; what must not compile does not.
import penstock, { Connection, Matrix, open, PenstockError } from '@NODE_PACKAGE@';

export async function use(): Promise<void> {
	const c: Connection = await open('spawn:', { timeout: 1000, wait: true });
	const a: Matrix<'f32'> = c.empty([4, 4]);
	const i = c.zeros([4, 4], 'i8');
	const half = c.zeros([4, 4], 'f16');
	const floats: Float32Array = (await c.matmul(a, a)).data;
	const whole: Int32Array = (await c.matmul(i, i)).data;
	const wide: Float32Array =
		(await c.matmul(half, half, { dtypeOut: 'f32' })).data;
	const copy: Float64Array =
		c.from({ data: new Float64Array(4), shape: [2, 2] }).data;
	const rows: number[][] = c.matmulSync(a, a, { out: a }).toArray();
	const there = await c.matmul([[1, 2]], [[3], [4]], { act: 'relu' });
	const typed = await c.matmul({ data: new Float64Array(4), shape: [2, 2] },
		{ data: new Float64Array(4), shape: [2, 2] }, { transA: true });
	const doubles: Float64Array = typed.data;

	try {
		using scratch = c.empty(16);
		await (await c.model('digits')).infer(scratch, { out: a });
	} catch (e) {
		if (e instanceof PenstockError)
			console.log(e.code, e.errno);
	}
	const net = await c.model('net');
	const { y } = await net.run({ x: new BigInt64Array(4), scale: 2,
		rows: [[1, 2], [3, 4]], half: { data: new Uint16Array(2), shape: [2] } },
		{ outputs: ['y'], out: { y: a.data }, timeout: 100 });

	if (y?.dtype === 'i64')
		console.log(y.shape, net.signature?.inputs[0]?.shape);
	// @ts-expect-error text is no tensor
	await net.run({ x: 'text' });
	const version: string = penstock.version;
	await c.matmul(half, half, { bias: new Uint16Array(4) });
	await c.matmul(half, half, { dtypeOut: 'f32', bias: new Float32Array(4) });
	await c.matmul(a, a, { bias: c.empty(4), beta: 1, out: a });
	await c.matmul([[1]], [[2]], { bias: Float32Array.of(3) });
	// @ts-expect-error bias has the type of the product
	await c.matmul(a, a, { bias: new Int32Array(4) });
	// @ts-expect-error open() makes connections
	new Connection();
	// @ts-expect-error f8 is no type of elements
	c.empty([1, 1], 'f8');
	// @ts-expect-error a and b have one type
	await c.matmul(a, i);
	// @ts-expect-error tanh is no function of the epilogue
	await c.matmul(a, a, { act: 'tanh' });
	// @ts-expect-error what is in the region only
	c.matmulSync([[1]], [[1]]);
	console.log(version, floats, whole, wide, copy, rows, there, doubles, (await c.info()).gpu?.name);
	c.close();
}

declare const console: { log(...args: unknown[]): void };
