// What the three processes share: where Redis is, the two queues, how often and when to try again.
import { writeSync } from 'node:fs';
import Bull from 'bull';

export const concurrency = Number(process.env.CONCURRENCY ?? 128);

const redis = { path: process.env.REDIS_SOCKET };
const jobs = (attempts) => ({
	attempts,
	backoff: { type: 'exponential', delay: 5000 },
	removeOnComplete: true,
});

export const requests = () => new Bull('requests', { redis, defaultJobOptions: jobs(7) });
export const responses = () => new Bull('responses', { redis, defaultJobOptions: jobs(10) });

// Told on a descriptor, as the product's services do, so that nobody has to guess when to begin.
export const ready = () => writeSync(Number(process.env.READY_FD ?? 1), 'READY\n');
