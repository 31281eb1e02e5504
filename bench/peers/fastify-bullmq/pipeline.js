// What the three processes share: where Redis is, the two queues, how often and when to try again.
import { writeSync } from 'node:fs';
import { Queue, Worker } from 'bullmq';
import { Redis } from 'ioredis';

export const concurrency = Number(process.env.CONCURRENCY ?? 128);

// A worker blocks on its connection and must wait for Redis for ever (BullMQ insists on null).
const connection = () => new Redis({
	path: process.env.REDIS_SOCKET,
	maxRetriesPerRequest: null,
	enableAutoPipelining: process.env.AUTO_PIPELINING === '1',
});
const jobs = (attempts) => ({
	attempts,
	backoff: { type: 'exponential', delay: 5000 },
	removeOnComplete: true,
});
const queue = (name, attempts) =>
	new Queue(name, { connection: connection(), defaultJobOptions: jobs(attempts) });

export const requests = () => queue('requests', 7);
export const responses = () => queue('responses', 10);
export const work = (name, handler) =>
	new Worker(name, handler, { connection: connection(), concurrency });

// Told on a descriptor, as the product's services do, so that nobody has to guess when to begin.
export const ready = () => writeSync(Number(process.env.READY_FD ?? 1), 'READY\n');
