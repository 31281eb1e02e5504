/*
 * ledger: the account of every request, by its number.
 *
 *   new -> posted -> accepted            + any number of fetches and deliveries
 *                 -> refused             (answered, and not with a 202)
 *                 -> unknown             (the connection died: it may have been accepted)
 *
 * A delivery may come before the 202 was read. A number travels in the provider's URL and comes
 * back inside the data; the requestId of the 202 and the one of the callback must agree on it,
 * else an answer went to the wrong request and `wrong` counts it.
 */
#ifndef LOAD_LEDGER_H
#define LOAD_LEDGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ID_MAX 40 /* bytes of a requestId, without NUL; a UUID has 36 */

enum outcome {
	OUTCOME_NEW,
	OUTCOME_POSTED,
	OUTCOME_ACCEPTED,
	OUTCOME_REFUSED,
	OUTCOME_UNKNOWN,
};

struct entry {
	uint64_t begun_ns; /* when it was posted; under a fixed rate, when it should have been */
	uint64_t delivered_ns; /* the first callback */
	uint64_t late_ns;      /* posted after begun_ns by */
	char id[ID_MAX];
	uint8_t id_len;
	uint8_t outcome;
	uint16_t fetches, deliveries;
};

struct ledger {
	struct entry *entries;
	uint32_t size;
	uint32_t posted, accepted, refused, unknown; /* posted counts all that were begun */
	uint32_t delivered;                          /* requests with a callback */
	uint32_t accepted_delivered;                 /* of them, those that were answered 202 */
	uint32_t duplicates;                         /* callbacks beyond the first */
	uint32_t refetches;                          /* provider calls beyond the first */
	uint32_t wrong; /* callbacks with changed data or another's id, bad exchanges */
	uint64_t first_post_ns, last_answer_ns, last_delivery_ns;
	uint64_t tenth_ns, nine_tenths_ns; /* when so many had been delivered: the steady middle */
};

void ledger_init(struct ledger *ledger, uint32_t size);
void ledger_fini(struct ledger *ledger);

void ledger_posted(struct ledger *ledger, uint32_t number, uint64_t begun_ns, uint64_t now_ns);
void ledger_accepted(
	struct ledger *ledger, uint32_t number, const char *id, size_t id_len, uint64_t now_ns);
void ledger_refused(struct ledger *ledger, uint32_t number, uint64_t now_ns);
void ledger_unknown(struct ledger *ledger, uint32_t number);
void ledger_fetched(struct ledger *ledger, uint32_t number);
void ledger_delivered(
	struct ledger *ledger, uint32_t number, const char *id, size_t id_len, uint64_t now_ns);
void ledger_wrong(struct ledger *ledger, const char *what);

/* Every request has had its answer, or will never have one. */
bool ledger_answered(const struct ledger *ledger);
/* ... and every accepted one its callback. */
bool ledger_complete(const struct ledger *ledger);
uint32_t ledger_lost(const struct ledger *ledger);

struct spread {
	double p50_ms, p99_ms, p999_ms, max_ms;
};
/* From begun to delivered, of all that were delivered. */
struct spread ledger_latency(const struct ledger *ledger);
/* From begun to posted: what the load program itself, or a lack of connections, held back. */
struct spread ledger_lateness(const struct ledger *ledger);

#endif
