// POST / {"provider", "callbackUrl"} -> 202 {"requestId"}
import { randomUUID } from 'node:crypto';
import express from 'express';
import { ready, requests } from './pipeline.js';

const queue = requests();
const app = express();

app.disable('x-powered-by');
app.disable('etag');
app.use(express.json());

app.post('/', async (request, response) => {
	const { provider, callbackUrl } = request.body ?? {};
	if (!URL.canParse(provider) || !URL.canParse(callbackUrl)) {
		response.status(422).json({ error: 'provider and callbackUrl must be URLs' });
		return;
	}
	const requestId = randomUUID();
	await queue.add({ provider, callbackUrl }, { jobId: requestId });
	response.status(202).json({ requestId });
});

await queue.isReady();
app.listen(Number(process.env.PORT), '127.0.0.1', ready);
