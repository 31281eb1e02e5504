// Asks the provider, hands what it said to the responder.
import http from 'node:http';
import axios from 'axios';
import { concurrency, ready, requests, responses } from './pipeline.js';

const incoming = requests();
const outgoing = responses();
const client = axios.create({
	httpAgent: new http.Agent({ keepAlive: true, maxSockets: concurrency }),
	timeout: 600_000,
	proxy: false,
});

incoming.process(concurrency, async (job) => {
	const { provider, callbackUrl } = job.data;
	const { data } = await client.get(provider);
	await outgoing.add({ callbackUrl, data }, { jobId: job.id });
});

await Promise.all([incoming.isReady(), outgoing.isReady()]);
ready();
