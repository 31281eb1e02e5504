// POST / {"provider", "callbackUrl"} -> 202 {"requestId"}
import { randomUUID } from 'node:crypto';
import Fastify from 'fastify';
import { ready, requests } from './pipeline.js';

const queue = requests();
const app = Fastify();

const schema = {
	body: {
		type: 'object',
		required: ['provider', 'callbackUrl'],
		properties: {
			provider: { type: 'string', format: 'uri' },
			callbackUrl: { type: 'string', format: 'uri' },
		},
	},
	response: { 202: { type: 'object', properties: { requestId: { type: 'string' } } } },
};

app.post('/', { schema }, async (request, reply) => {
	const { provider, callbackUrl } = request.body;
	const requestId = randomUUID();
	await queue.add('request', { provider, callbackUrl }, { jobId: requestId });
	reply.code(202);
	return { requestId };
});

await queue.waitUntilReady();
await app.listen({ port: Number(process.env.PORT), host: '127.0.0.1' });
ready();
