/*
 * queue_tally: what the counts in Redis say, beside what the doctor has found.
 *
 *   begin (counts) -> owner_counted, each -> live, ready, finished … -> compare
 *
 * Memory   100 bytes for each owner of requests, TALLY_OWNERS_MAX at most: of more, those that come
 *          last are not compared.
 */
#ifndef PIPELINE_QUEUE_TALLY_H
#define PIPELINE_QUEUE_TALLY_H

#include "pipeline/doctor.h"
#include "pipeline/keys.h"
#include "queue_private.h"

#define TALLY_OWNERS_MAX (2 * PL_KEYS_MAX) /* of today and of before */
#define TALLY_TOLD_MAX   250               /* owners whose count is wrong, told at once */

enum {
	TALLY_LIVE,
	TALLY_READY_FETCH,
	TALLY_READY_DELIVER,
	TALLY_BYTES,
	TALLY_DEAD,
	TALLY_KEPT,
	TALLY_COMPARED,
	TALLY_TRIMMED = TALLY_COMPARED,
	TALLY_COUNTS
};

struct tally {
	int64_t before[TALLY_COUNTS]; /* as they stood when the round began */
	int64_t found[TALLY_COMPARED];
	struct tally_owner *owners;
	unsigned owners_count;
};

/* TALLY_COUNTS numbers of an answer, from there on; false: it has another form. */
PL_MUST_CHECK bool tally_read(const redisReply *reply, size_t from, int64_t out[TALLY_COUNTS]);

/* Everything anew, with the counts as they are now. */
void tally_begin(struct tally *tally, const int64_t counts[TALLY_COUNTS]);
void tally_fini(struct tally *tally);

void tally_owner_counted(struct tally *tally, const char *name, int64_t count);
/* A live request of this owner; "" for nobody's. */
void tally_owner_found(struct tally *tally, const char *name);

bool tally_differs(const struct tally *tally);
/* The question whether all is still as it was: what differs is then written, if it is to be. */
void tally_args(const struct tally *tally, bool writes, struct args *args);
void tally_tell(const struct tally *tally, const struct pl_doctor_options *options);

#endif
