/*
 * doctor: looks through everything in Redis for what nothing will ever move.
 *
 *   counts -> all records -> look at each -> all lanes, entry by entry -> hosts -> check what was
 *     ^                                                                            in no lane
 *     '-- once more, when something moved meanwhile and rests now <-- counts <---------'
 *
 * A live request stands in a lane, is delayed, held, paused or waits for another. One that does
 * none of it is lost: a damaged Redis, a hand that slipped, a mistake of ours. No worker finds it.
 * Loop     the queue's; works while the services do, a small call at a time.
 * Memory   40 bytes for each record there is, 300 for each lane and each host.
 * Races    what is lost is found by one script that looks everywhere at once; the pages before it
 *          only say where it must look. Counts are compared, and written, only if none of them has
 *          changed from the beginning of a round to its end. What a host counts is compared, and
 *          written, by one script with all that workers hold.
 */
#ifndef PIPELINE_DOCTOR_H
#define PIPELINE_DOCTOR_H

#include "pipeline/queue.h"

#define PL_DOCTOR_RESTS   8   /* looks whether the counts have come to rest, after each round */
#define PL_DOCTOR_WAIT_MS 250 /* before each of them */
#define PL_DOCTOR_ROUNDS  5   /* of everything */

struct pl_doctor_lost {
	const char *id;
	enum pl_state state;
};
struct pl_doctor_lane { /* one that has requests and that no worker would serve */
	enum pl_stage stage;
	enum pl_priority priority;
	const char *lane;
};
struct pl_doctor_host { /* one that counts more or fewer requests in flight than workers hold */
	enum pl_stage stage;
	const char *lane;
	int64_t counted, found;
};
struct pl_doctor_count { /* one that says something else than what stands */
	const char *name;
	int64_t counted, found;
};
struct pl_doctor_summary {
	uint64_t records, live;
	bool compared; /* false: requests moved all the time, so the counts could not be compared */
	bool hosts_compared; /* false: more was held than one call looks through */
};

struct pl_doctor_options {
	bool repairs; /* puts right what it tells */
	void (*on_lost)(void *arg, const struct pl_doctor_lost *lost);
	void (*on_lane)(void *arg, const struct pl_doctor_lane *lane);
	void (*on_host)(void *arg, const struct pl_doctor_host *host);
	void (*on_count)(void *arg, const struct pl_doctor_count *count);
	/* Comes once, last. PL_ECONFLICT: Redis holds another layout. why: a sentence, "" for none;
	 * summary is NULL unless err is PL_OK. */
	void (*on_done)(void *arg, enum pl_err err, const char *why,
		const struct pl_doctor_summary *summary);
	void *arg;
};
/* options is copied; the queue must be ready, and closed only after on_done. */
void pl_queue_doctor(struct pl_queue *queue, const struct pl_doctor_options *options);

#endif
