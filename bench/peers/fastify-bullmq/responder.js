// Delivers what the provider said to the callback.
import { Agent, request } from 'undici';
import { concurrency, ready, work } from './pipeline.js';

const dispatcher = new Agent({ connections: concurrency, bodyTimeout: 30_000 });
const headers = { 'content-type': 'application/json' };

const worker = work('responses', async (job) => {
	const { callbackUrl, data } = job.data;
	const { statusCode, body } = await request(callbackUrl, {
		dispatcher,
		method: 'POST',
		headers,
		body: JSON.stringify({ requestId: job.id, data }),
	});
	await body.dump();
	if (statusCode < 200 || statusCode > 299)
		throw new Error(`callback answered ${statusCode}`);
});

await worker.waitUntilReady();
ready();
