/*
 * What the counts in Redis say, beside what the doctor has found.
 */
#include "queue_tally.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "pipeline/mem.h"

#define OWNER_PREFIX "live:"
#define OWNER_ARGS   3 /* name, count as it was, as it should be */

static const char *const names[TALLY_COMPARED] = { "live", "f", "d", "bytes", "dead", "kept" };

struct tally_owner {
	char name[PL_KEY_NAME_MAX + 1];
	int64_t before, found;
	UT_hash_handle hh;
};

bool tally_read(const redisReply *reply, size_t from, int64_t out[TALLY_COUNTS])
{
	if (reply->elements != from + TALLY_COUNTS)
		return false;
	for (size_t i = 0; i < TALLY_COUNTS; i++) {
		if (reply->element[from + i]->type != REDIS_REPLY_INTEGER)
			return false;
		out[i] = reply->element[from + i]->integer;
	}
	return true;
}

void tally_fini(struct tally *tally)
{
	struct tally_owner *owner, *next;

	HASH_ITER(hh, tally->owners, owner, next)
	{
		HASH_DEL(tally->owners, owner);
		free(owner);
	}
}

void tally_begin(struct tally *tally, const int64_t counts[TALLY_COUNTS])
{
	tally_fini(tally);
	*tally = (struct tally) { .owners = NULL };
	memcpy(tally->before, counts, sizeof(tally->before));
}

/* As keys have them: printable, and no more than so long. */
static bool is_name(const char *text)
{
	size_t len = 0;

	while (text[len] > ' ' && text[len] <= '~')
		len++;
	return len > 0 && len <= PL_KEY_NAME_MAX && text[len] == '\0';
}

/* NULL: no name of ours, or one too many. */
static struct tally_owner *owner_of(struct tally *tally, const char *name)
{
	struct tally_owner *owner = NULL;

	if (!is_name(name))
		return NULL;
	HASH_FIND_STR(tally->owners, name, owner);
	if (owner == NULL && tally->owners_count < TALLY_OWNERS_MAX) {
		owner = pl_calloc(1, sizeof(*owner));
		snprintf(owner->name, sizeof(owner->name), "%s", name);
		HASH_ADD_STR(tally->owners, name, owner);
		tally->owners_count++;
	}
	return owner;
}

void tally_owner_counted(struct tally *tally, const char *name, int64_t count)
{
	struct tally_owner *owner = owner_of(tally, name);

	if (owner != NULL)
		owner->before = count;
}

void tally_owner_found(struct tally *tally, const char *name)
{
	struct tally_owner *owner = owner_of(tally, name);

	if (owner != NULL)
		owner->found++;
}

/* The next one whose count is wrong. */
static const struct tally_owner *owner_wrong(const struct tally_owner *from)
{
	while (from != NULL && from->before == from->found)
		from = from->hh.next;
	return from;
}

bool tally_differs(const struct tally *tally)
{
	return memcmp(tally->before, tally->found, sizeof(tally->found)) != 0 ||
	       owner_wrong(tally->owners) != NULL;
}

void tally_args(const struct tally *tally, bool writes, struct args *args)
{
	size_t told = 0;

	args_begin(args, 2 + TALLY_COUNTS + TALLY_COMPARED + OWNER_ARGS * TALLY_TOLD_MAX);
	args_text(args, "count");
	args_text(args, writes ? "1" : "0");
	for (int i = 0; i < TALLY_COUNTS; i++)
		args_signed(args, tally->before[i]);
	for (int i = 0; i < TALLY_COMPARED; i++)
		args_signed(args, tally->found[i]);
	for (const struct tally_owner *owner = owner_wrong(tally->owners);
		owner != NULL && told < TALLY_TOLD_MAX;
		owner = owner_wrong(owner->hh.next), told++) {
		args_text(args, owner->name);
		args_signed(args, owner->before);
		args_signed(args, owner->found);
	}
}

static void tell(
	const struct pl_doctor_options *options, const char *name, int64_t counted, int64_t found)
{
	const struct pl_doctor_count count = { .name = name, .counted = counted, .found = found };

	options->on_count(options->arg, &count);
}

void tally_tell(const struct tally *tally, const struct pl_doctor_options *options)
{
	char name[sizeof(OWNER_PREFIX) + PL_KEY_NAME_MAX];
	size_t told = 0;

	for (int i = 0; i < TALLY_COMPARED; i++)
		if (tally->before[i] != tally->found[i])
			tell(options, names[i], tally->before[i], tally->found[i]);
	for (const struct tally_owner *owner = owner_wrong(tally->owners);
		owner != NULL && told < TALLY_TOLD_MAX;
		owner = owner_wrong(owner->hh.next), told++) {
		snprintf(name, sizeof(name), OWNER_PREFIX "%s", owner->name);
		tell(options, name, owner->before, owner->found);
	}
}
