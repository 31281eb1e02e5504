// Delivers what the provider said to the callback.
import http from 'node:http';
import axios from 'axios';
import { concurrency, ready, responses } from './pipeline.js';

const incoming = responses();
const client = axios.create({
	httpAgent: new http.Agent({ keepAlive: true, maxSockets: concurrency }),
	timeout: 30_000,
	maxRedirects: 0,
	proxy: false,
});

incoming.process(concurrency, async (job) => {
	const { callbackUrl, data } = job.data;
	await client.post(callbackUrl, { requestId: job.id, data });
});

await incoming.isReady();
ready();
