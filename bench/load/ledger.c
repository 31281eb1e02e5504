#include "ledger.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "loop.h"

#define COMPLAINTS_MAX 5 /* lines on stderr; the rest is only counted */

void ledger_init(struct ledger *ledger, uint32_t size)
{
	*ledger = (struct ledger) { .entries = allocate(size, sizeof *ledger->entries),
		.size = size };
}

void ledger_fini(struct ledger *ledger)
{
	free(ledger->entries);
}

void ledger_wrong(struct ledger *ledger, const char *what)
{
	if (ledger->wrong++ < COMPLAINTS_MAX)
		fprintf(stderr, "fetchback-load: wrong: %s\n", what);
}

/* The first to name an id (202 or callback) sets it, the other must agree. */
static bool agree_on_id(struct entry *entry, const char *id, size_t id_len)
{
	if (id_len == 0 || id_len > ID_MAX)
		return false;
	if (entry->id_len == 0) {
		memcpy(entry->id, id, id_len);
		entry->id_len = (uint8_t)id_len;
		return true;
	}
	return entry->id_len == id_len && memcmp(entry->id, id, id_len) == 0;
}

void ledger_posted(struct ledger *ledger, uint32_t number, uint64_t begun_ns, uint64_t now_ns)
{
	struct entry *entry = &ledger->entries[number];

	if (ledger->posted++ == 0)
		ledger->first_post_ns = begun_ns;
	entry->outcome = OUTCOME_POSTED;
	entry->begun_ns = begun_ns;
	entry->late_ns = now_ns > begun_ns ? now_ns - begun_ns : 0;
}

void ledger_accepted(
	struct ledger *ledger, uint32_t number, const char *id, size_t id_len, uint64_t now_ns)
{
	struct entry *entry = &ledger->entries[number];

	entry->outcome = OUTCOME_ACCEPTED;
	ledger->accepted++;
	ledger->last_answer_ns = now_ns;
	if (entry->deliveries > 0)
		ledger->accepted_delivered++;
	if (!agree_on_id(entry, id, id_len))
		ledger_wrong(ledger, "the 202 has another requestId than the callback had");
}

void ledger_refused(struct ledger *ledger, uint32_t number, uint64_t now_ns)
{
	ledger->entries[number].outcome = OUTCOME_REFUSED;
	ledger->refused++;
	ledger->last_answer_ns = now_ns;
}

void ledger_unknown(struct ledger *ledger, uint32_t number)
{
	ledger->entries[number].outcome = OUTCOME_UNKNOWN;
	ledger->unknown++;
}

void ledger_fetched(struct ledger *ledger, uint32_t number)
{
	if (ledger->entries[number].fetches++ > 0)
		ledger->refetches++;
}

void ledger_delivered(
	struct ledger *ledger, uint32_t number, const char *id, size_t id_len, uint64_t now_ns)
{
	struct entry *entry = &ledger->entries[number];

	if (!agree_on_id(entry, id, id_len)) {
		ledger_wrong(ledger, "the callback has another requestId than the 202 had");
		return;
	}
	if (entry->deliveries++ > 0) {
		ledger->duplicates++;
		return;
	}
	entry->delivered_ns = now_ns;
	ledger->last_delivery_ns = now_ns;
	ledger->delivered++;
	if (entry->outcome == OUTCOME_ACCEPTED)
		ledger->accepted_delivered++;
	if (ledger->delivered == ledger->size / 10)
		ledger->tenth_ns = now_ns;
	if (ledger->delivered == ledger->size - ledger->size / 10)
		ledger->nine_tenths_ns = now_ns;
}

bool ledger_answered(const struct ledger *ledger)
{
	return ledger->accepted + ledger->refused + ledger->unknown == ledger->size;
}

bool ledger_complete(const struct ledger *ledger)
{
	return ledger_answered(ledger) && ledger->accepted_delivered == ledger->accepted;
}

uint32_t ledger_lost(const struct ledger *ledger)
{
	return ledger->accepted - ledger->accepted_delivered;
}

static int compare(const void *a, const void *b)
{
	const uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;

	return (left > right) - (left < right);
}

static double at_ms(const uint64_t *sorted, size_t count, double part)
{
	size_t index = (size_t)((double)count * part);

	return (double)sorted[index < count ? index : count - 1] / (double)NS_PER_MS;
}

static struct spread spread_of(uint64_t *values, size_t count)
{
	if (count == 0)
		return (struct spread) { 0 };
	qsort(values, count, sizeof *values, compare);
	return (struct spread) { .p50_ms = at_ms(values, count, 0.5),
		.p99_ms = at_ms(values, count, 0.99),
		.p999_ms = at_ms(values, count, 0.999),
		.max_ms = at_ms(values, count, 1) };
}

struct spread ledger_latency(const struct ledger *ledger)
{
	uint64_t *values = allocate(ledger->size, sizeof *values);
	size_t count = 0;

	for (uint32_t i = 0; i < ledger->size; i++)
		if (ledger->entries[i].deliveries > 0)
			values[count++] =
				ledger->entries[i].delivered_ns - ledger->entries[i].begun_ns;
	struct spread spread = spread_of(values, count);
	free(values);
	return spread;
}

struct spread ledger_lateness(const struct ledger *ledger)
{
	uint64_t *values = allocate(ledger->size, sizeof *values);
	size_t count = 0;

	for (uint32_t i = 0; i < ledger->size; i++)
		if (ledger->entries[i].outcome != OUTCOME_NEW)
			values[count++] = ledger->entries[i].late_ns;
	struct spread spread = spread_of(values, count);
	free(values);
	return spread;
}
