// SPDX-License-Identifier: MIT
// A route of a dashboard: the calls and fields that it knew from a client over a
// network; only the import is another one.
import { TitanClient } from '@NODE_PACKAGE@/titan';

interface Answer {
	json(body: object): void;
}
type Handler = (req: object, res: Answer) => Promise<void>;

export const routes = new Map<string, Handler>();
const router = {
	get: (path: string, handler: Handler) => routes.set(path, handler),
};

router.get('/api/titan/health', async (req, res) => {
	try {
		const client = new TitanClient();
		await client.connect();
		const info = await client.health();
		await client.disconnect();
		res.json({ ...info });
	} catch (error) {
		res.json({ status: 'unhealthy', error: (error as Error).message });
	}
});

router.get('/api/titan/gpu', async (req, res) => {
	const client = new TitanClient();
	const info = await client.gpuInfo();
	const alive: boolean = await client.ping();

	await client.disconnect();
	res.json({
		alive,
		name: info?.name ?? 'none',
		used: info ? info.total_memory_gb - info.free_memory_gb : 0,
		units: info?.multi_processor_count ?? 0,
		capability: info?.cuda_capability ?? '',
	});
});

router.get('/api/titan/product', async (req, res) => {
	const client = new TitanClient(process.env.PENSTOCK_ENDPOINT);
	const a: number[][] = [[1, 2], [3, 4]];
	const result: number[][] | null = await client.matrixMultiply(a, a);
	const same = await client.request({ op: 'matrix_multiply', a, b: a }, 30000);

	await client.disconnect();
	res.json({ result, same: same.result });
});

// What of Node the route itself uses.
declare const process: { env: Record<string, string | undefined> };
