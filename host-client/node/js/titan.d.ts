// SPDX-License-Identifier: MIT

export interface TitanRequest {
	op: string;
	[key: string]: any;
}

/** What came of a request: its fields, or a sentence in error. */
export interface TitanResponse {
	status?: string;
	error?: string;
	[key: string]: any;
}

export interface GPUInfo {
	name: string;
	/** 10^9 bytes. */
	total_memory_gb: number;
	/** 10^9 bytes. */
	free_memory_gb: number;
	multi_processor_count: number;
	/** Such as "5.2". */
	cuda_capability: string;
}

/**
 * A client for dashboards: answers come as plain objects. It opens its
 * connection at the first request, and again after the agent was lost.
 */
export class TitanClient {
	/** endpoint: as of open(). @throws TypeError for tcp: addresses. */
	constructor(endpoint?: string);
	connect(): Promise<void>;
	disconnect(): Promise<void>;
	/**
	 * op: ping, gpu_info, health, matrix_multiply {a, b} or
	 * inference {model, input}. timeout: milliseconds. Rejects when there is no
	 * agent; every other failure is in the answer's error.
	 */
	request(req: TitanRequest, timeout?: number): Promise<TitanResponse>;
	/** Whether an agent answers. */
	ping(): Promise<boolean>;
	/** null: the agent has no GPU, or there is none. */
	gpuInfo(): Promise<GPUInfo | null>;
	health(): Promise<TitanResponse>;
	/** The product of a and b, of f32; null after an error, which is printed. */
	matrixMultiply(a: number[][], b: number[][]): Promise<number[][] | null>;
}
