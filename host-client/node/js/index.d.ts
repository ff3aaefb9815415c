// SPDX-License-Identifier: MIT
/// <reference lib="esnext.disposable" />

/** Element types: IEEE 754 binary32, binary64 and binary16, the upper half of a
 * binary32, and signed integers of 8 and 32 bits. */
export type DType = 'f32' | 'f64' | 'f16' | 'bf16' | 'i8' | 'i32';

export interface Elements {
	f32: Float32Array;
	f64: Float64Array;
	/** The bits of each element. */
	f16: Uint16Array;
	/** The bits of each element. */
	bf16: Uint16Array;
	i8: Int8Array;
	i32: Int32Array;
}

/** Element type of a product: f32 for f32, i32 for i8, and so on. */
export type ProductOf<D extends DType> = D extends 'i8' ? 'i32' : D;

/** D, which only other arguments decide. */
export type Same<D extends DType> = [D][D extends unknown ? 0 : never];

/** [rows, columns]; a number n means [1, n]. */
export type Shape = readonly [rows: number, columns: number] | number;

/** A failure of the library. */
export class PenstockError extends Error {
	/** Negative, as of errno. */
	readonly errno: number;
	/** Such as ECONNRESET; penstock(3) says what each means. */
	readonly code: string;
}

/**
 * A matrix, row by row. Those of Connection.empty(), zeros(), from() and alloc()
 * lie in the region, where the agent uses them in place: give them back with
 * free() or `using`; what nobody has any more is given back when it is collected.
 * Others lie in memory of JavaScript and are copied by each call.
 */
export class Matrix<D extends DType = DType> {
	/** @throws RangeError if data has not rows x columns elements. */
	constructor(data: Elements[D], shape: Shape, dtype?: D);
	/** The elements; none after free(), and after close() of the connection. It
	 * is memory that the guest could still change: whoever decides something by
	 * a result takes a copy first. */
	readonly data: Elements[D];
	readonly shape: readonly [rows: number, columns: number];
	readonly rows: number;
	readonly columns: number;
	readonly dtype: D;
	readonly inRegion: boolean;
	toArray(): number[][];
	/** Gives memory of the region back. It waits for operations under way. */
	free(): void;
	[Symbol.dispose](): void;
}

/** Elements in memory of JavaScript, row by row. */
export interface Foreign<T> {
	data: T;
	shape: Shape;
}

/** What a call takes as a matrix: rows of numbers are elements of f32, or of the
 * call's dtype. */
export type Operand<D extends DType = DType> =
	| Matrix<D>
	| number[][]
	| (Foreign<Elements[D]> & { dtype?: D });
export type F32Operand = Matrix<'f32'> | number[][] | Foreign<Float32Array>;
export type F64Operand = Matrix<'f64'> | Foreign<Float64Array>;
export type I8Operand = Matrix<'i8'> | Foreign<Int8Array>;

export interface OpenOptions {
	/** Milliseconds to connect, and of each request to the agent; 5000. */
	timeout?: number;
	/** Wait, up to timeout, for an agent that is about to come. */
	wait?: boolean;
	/** Of this client in the agent's statistics. */
	name?: string;
	signal?: AbortSignal;
}

export interface CallOptions {
	/** Cancels the operation; it rejects with the signal's reason once the agent
	 * has let go of its matrices. Calls with matrices that are not in the region
	 * cannot be cancelled once they have begun. */
	signal?: AbortSignal;
}

export interface MatmulOptions<O extends DType = DType> extends CallOptions {
	/** Where the product goes; a new matrix if it is not given. It lies in the
	 * region if all operands do. */
	out?: Matrix<O>;
	/** Type of a new matrix. */
	dtypeOut?: O;
	transA?: boolean;
	transB?: boolean;
	/** act(alpha A B + beta out + bias) */
	alpha?: number;
	beta?: number;
	/** One number a column, added to every row; of the product's type. */
	bias?: Matrix<O> | Elements[O];
	act?: 'none' | 'relu' | 'gelu_tanh' | 'gelu';
	/** How a product of f32 may be computed. */
	compute?: 'default' | 'tf32' | 'f16';
	/** Milliseconds that matmulSync(), or a call with other memory, waits. */
	timeout?: number;
}

export interface InferOptions extends CallOptions {
	out?: Matrix<'f32'>;
	timeout?: number;
}

/** Element types of a model's tensors, with the class of their arrays: i64 are
 * BigInt64Array, bool are bytes of 0 and 1, f16 and bf16 the bits of each. */
export interface TensorElements {
	f32: Float32Array;
	f64: Float64Array;
	f16: Uint16Array;
	bf16: Uint16Array;
	i8: Int8Array;
	i16: Int16Array;
	i32: Int32Array;
	i64: BigInt64Array;
	u8: Uint8Array;
	u16: Uint16Array;
	u32: Uint32Array;
	u64: BigUint64Array;
	bool: Uint8Array;
}
export type TensorDType = keyof TensorElements;

/** A tensor, row by row. */
export interface Tensor<D extends TensorDType = TensorDType> {
	data: TensorElements[D];
	shape: number[];
	dtype: D;
}

export type Numbers = readonly (number | bigint | boolean | Numbers)[];

/** What an input may be: a typed array, whose shape follows from the model if it
 * has at most one dimension of any size; data with its shape, such as an output
 * or a Matrix; rows of numbers; a number. */
export type TensorInput =
	| TensorElements[TensorDType]
	| { readonly data: TensorElements[TensorDType];
		readonly shape: readonly number[] }
	| Numbers | number | bigint | boolean;

/** A tensor that a model takes or gives. A dimension of any size is its name,
 * or null. */
export interface TensorSpec {
	readonly name: string;
	readonly dtype: TensorDType;
	readonly shape: readonly (number | string | null)[];
}

export interface RunOptions {
	/** The outputs that are wanted; all of them by default. */
	outputs?: readonly string[];
	/** Memory for outputs, by name: of a matrix in the region, so that the next
	 * call finds it there. Others are new arrays. */
	out?: Readonly<Record<string, TensorElements[TensorDType]>>;
	/** Milliseconds, after which the agent ends the run. */
	timeout?: number;
	/** Is looked at before the run begins. */
	signal?: AbortSignal;
}

/** A network that the agent has loaded (penstock-models(7)). */
export class Model {
	private constructor();
	readonly name: string;
	/** What it takes and gives; null where the agent is older. */
	readonly signature: {
		readonly inputs: readonly TensorSpec[];
		readonly outputs: readonly TensorSpec[];
	} | null;
	/** "onnx" or "safetensors". */
	readonly format: string;
	/** What computes it: "cpu", "cuda". */
	readonly provider: string;
	readonly runtime: string;
	/**
	 * Runs the model on its named inputs, in a thread of Node's pool. Arrays of
	 * the region are used in place; no array may be transferred or changed
	 * before the result is there.
	 *
	 * @throws TypeError, RangeError for tensors that are missing or of another
	 * type or shape; PenstockError for what the agent says, EMSGSIZE if an
	 * output does not fit the memory of out.
	 */
	run(inputs: Readonly<Record<string, TensorInput>>,
		options?: RunOptions): Promise<Record<string, Tensor>>;
	/** Elements of an input row; 0 for ONNX. */
	readonly inputs: number;
	/** Elements of an output row. */
	readonly outputs: number;
	/** Rows of one operation. */
	readonly maxBatch: number;
	readonly layers: number;
	readonly bytes: number;
	/** Runs the model on rows of f32. */
	infer(rows: Operand<'f32'>, options?: InferOptions): Promise<Matrix<'f32'>>;
}

/** What the agent has of a GPU. */
export interface GPU {
	name: string;
	total_memory_gb: number;
	free_memory_gb: number;
	multi_processor_count: number;
	cuda_capability: string;
	[key: string]: unknown;
}

/** The agent's description of itself (penstock(1), info). */
export interface Info {
	version: string;
	protocol: number;
	gpu: GPU | null;
	backend: { name: string; describe: string; [key: string]: unknown };
	[key: string]: unknown;
}

export interface Health {
	healthy: boolean;
	reasons?: string[];
	[key: string]: unknown;
}

/**
 * A connection to an agent, of this thread: a worker opens its own. Operations
 * of one connection run in order. More than the agent has slots for (256) wait
 * here.
 *
 * An agent that is lost rejects what is outstanding with ECONNRESET; matrices of
 * the region are stale then (ESTALE), and empty() opens a new session.
 *
 * A process ends by itself when nothing is outstanding, also without close().
 */
export class Connection {
	private constructor();
	readonly closed: boolean;
	/** Whether the agent was lost. */
	readonly lost: boolean;
	/** Calls that have not ended. */
	readonly outstanding: number;
	/** Ends the session. Matrices in the region have no elements any more. */
	close(): void;
	[Symbol.dispose](): void;

	/** A matrix in the region, contents undefined. @throws PenstockError ENOSPC
	 * (no room now), EMSGSIZE (more than a session may have). */
	empty<D extends DType = 'f32'>(shape: Shape, dtype?: D): Matrix<D>;
	zeros<D extends DType = 'f32'>(shape: Shape, dtype?: D): Matrix<D>;
	/** A copy in the region. */
	from<D extends DType>(x: Matrix<D>): Matrix<D>;
	from<D extends DType>(x: Operand<D>, options: { dtype: D }): Matrix<D>;
	from(x: F32Operand): Matrix<'f32'>;
	from(x: F64Operand): Matrix<'f64'>;
	from(x: I8Operand): Matrix<'i8'>;
	/** As empty(), but lets collected matrices give back their memory where
	 * there is no room. */
	alloc<D extends DType = 'f32'>(shape: Shape, dtype?: D): Promise<Matrix<D>>;

	/**
	 * The product of a and b. Matrices in the region are used in place; they
	 * must not be changed before it is there. dtype: type of rows of numbers, and
	 * of elements whose array does not tell. Others are copied, of any size, in
	 * a thread of Node's pool; their memory must be neither transferred nor
	 * resized before the product is there.
	 *
	 * @throws RangeError, TypeError for operands that have no product;
	 * PenstockError for what the agent or library says.
	 */
	matmul<D extends DType, O extends DType = ProductOf<D>>(a: Matrix<D>,
		b: Matrix<Same<D>>, options?: MatmulOptions<O>): Promise<Matrix<O>>;
	matmul<D extends DType, O extends DType = ProductOf<D>>(a: Operand<D>,
		b: Operand<D>,
		options: MatmulOptions<O> & { dtype: D }): Promise<Matrix<O>>;
	matmul(a: F32Operand, b: F32Operand,
		options?: MatmulOptions<'f32'>): Promise<Matrix<'f32'>>;
	matmul(a: F64Operand, b: F64Operand,
		options?: MatmulOptions<'f64'>): Promise<Matrix<'f64'>>;
	matmul(a: I8Operand, b: I8Operand,
		options?: MatmulOptions<'i32'>): Promise<Matrix<'i32'>>;
	/** As matmul(), but blocks this thread: for small matrices of the region. */
	matmulSync<D extends DType, O extends DType = ProductOf<D>>(a: Matrix<D>,
		b: Matrix<Same<D>>, options?: MatmulOptions<O>): Matrix<O>;
	/** Does nothing: measures the way to the agent and back. */
	nop(options?: CallOptions): Promise<void>;

	/** Loads a file (penstock-models(7)), ONNX or safetensors, under a name, for
	 * all clients. */
	loadModel(name: string, file: string,
		options?: { timeout?: number }): Promise<Model>;
	model(name: string): Promise<Model>;
	unloadModel(name: string): Promise<void>;
	models(): Promise<Record<string, unknown>[]>;

	info(): Promise<Info>;
	health(): Promise<Health>;
	stats(): Promise<Record<string, unknown>>;
	/** Milliseconds of a message and its echo. */
	ping(): Promise<number>;
}

/**
 * Connects to an agent. endpoint is a URI or a name (penstock(1), ENDPOINTS);
 * without one it is $PENSTOCK_ENDPOINT.
 *
 * @throws PenstockError such as ECONNREFUSED (no agent), ENOENT, EACCES.
 */
export function open(endpoint?: string | null,
	options?: OpenOptions): Promise<Connection>;

/** The version of libpenstock. */
export const version: string;
