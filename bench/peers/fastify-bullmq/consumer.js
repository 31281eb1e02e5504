// Asks the provider, hands what it said to the responder.
import { Agent, request } from 'undici';
import { concurrency, ready, responses, work } from './pipeline.js';

const outgoing = responses();
const dispatcher = new Agent({ connections: concurrency, bodyTimeout: 600_000 });

const worker = work('requests', async (job) => {
	const { provider, callbackUrl } = job.data;
	const { statusCode, body } = await request(provider, { dispatcher });
	if (statusCode < 200 || statusCode > 299) {
		await body.dump();
		throw new Error(`provider answered ${statusCode}`);
	}
	const data = await body.json();
	await outgoing.add('response', { callbackUrl, data }, { jobId: job.id });
});

await Promise.all([worker.waitUntilReady(), outgoing.waitUntilReady()]);
ready();
