/*
 * The doctor: a chain of small calls, one at a time. step() alone decides what comes next.
 */
#include "pipeline/doctor.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pipeline/mem.h"
#include "pipeline/text.h"
#include "pipeline/uuid.h"
#include "queue_private.h"
#include "queue_tally.h"

#define LOOK_MAX    50 /* records a call: 16 KiB each for most, so a millisecond or two */
#define CHECK_MAX   8  /* each may look through two ends of a lane */
#define HOSTS_MAX   64 /* hosts a call; each call looks through what workers hold */
#define CURSOR_SIZE 24
#define WHY_SIZE    160
#define LANE_FIELDS 3

struct entry {
	char id[PL_UUID_SIZE];
	bool suspect; /* live, and not seen anywhere yet */
};
struct lane {
	char queue[2], priority[2]; /* a letter each; of a host: no priority */
	char name[PL_LANE_MAX];
};
struct lanes {
	struct lane *items;
	size_t count, room;
};

enum phase { BEGIN, OWNERS, RECORDS, LOOK, LANES, LANE, OFFER, HOSTS, CHECK, COUNT, WAIT, REST };

struct doctor {
	struct pl_queue *queue;
	struct pl_doctor_options options;
	enum phase phase;
	unsigned round, rests; /* from 0 */
	char cursor[CURSOR_SIZE];
	struct entry *entries;
	size_t entries_count, entries_room;
	struct lanes lanes, hosts;
	size_t at;       /* in entries, lanes or hosts */
	size_t asked;    /* entries or hosts that the call under way is about, from `at` on */
	unsigned stages; /* asked for hosts that are held and have no hash: before all others */
	const char *hosts_queue; /* that the call under way is about */
	uint64_t passed;         /* of the lane at `at`, from its tail */
	bool offers;             /* the lane at `at` is not served */
	bool repaired;           /* in this round, so the counts have moved */
	struct tally tally;
	struct pl_doctor_summary summary;
	uv_timer_t timer;
	enum pl_err err;
	char why[WHY_SIZE];
};

static void step(struct doctor *doctor);

/* ---- the end ---- */

static void on_closed(uv_handle_t *handle)
{
	struct doctor *doctor = handle->data;
	bool good = doctor->err == PL_OK;

	doctor->options.on_done(
		doctor->options.arg, doctor->err, doctor->why, good ? &doctor->summary : NULL);
	free(doctor->entries);
	free(doctor->lanes.items);
	free(doctor->hosts.items);
	tally_fini(&doctor->tally);
	free(doctor);
}

static void finish(struct doctor *doctor, enum pl_err err, const char *why)
{
	doctor->err = err;
	snprintf(doctor->why, sizeof(doctor->why), "%s", why);
	uv_close((uv_handle_t *)&doctor->timer, on_closed);
}

/* ---- what is kept ---- */

static int entries_compare(const void *a, const void *b)
{
	return memcmp(a, b, PL_UUID_SIZE);
}

static int lanes_compare(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct lane));
}

/* SCAN may bring a key twice. Returns how many are left. */
static size_t unique(
	void *items, size_t count, size_t size, int (*compare)(const void *, const void *))
{
	char *base = items;
	size_t kept = 0;

	if (count > 1)
		qsort(items, count, size, compare);
	for (size_t i = 0; i < count; i++)
		if (kept == 0 || compare(base + (kept - 1) * size, base + i * size) != 0)
			memmove(base + kept++ * size, base + i * size, size);
	return kept;
}

static void *grown(void *items, size_t count, size_t *room, size_t size)
{
	if (count < *room)
		return items;
	*room = *room == 0 ? 1024 : *room * 2;
	return pl_realloc(items, *room * size);
}

static void entry_add(struct doctor *doctor, const redisReply *id)
{
	if (!reply_is_text(id) || !pl_uuid_valid(id->str, id->len))
		return; /* none of ours */
	doctor->entries = grown(doctor->entries, doctor->entries_count, &doctor->entries_room,
		sizeof(*doctor->entries));
	struct entry *entry = &doctor->entries[doctor->entries_count++];
	*entry = (struct entry) { .suspect = false };
	memcpy(entry->id, id->str, PL_UUID_SIZE);
}

static void lane_add(struct doctor *doctor, redisReply *const *parts)
{
	for (int i = 0; i < LANE_FIELDS; i++)
		if (!reply_is_text(parts[i]))
			return;
	struct lanes *lanes = parts[1]->len == 0 ? &doctor->hosts : &doctor->lanes;
	lanes->items = grown(lanes->items, lanes->count, &lanes->room, sizeof(*lanes->items));
	struct lane *lane = &lanes->items[lanes->count];
	*lane = (struct lane) { .queue = { parts[0]->str[0] }, .priority = { parts[1]->str[0] } };
	if (parts[2]->len >= sizeof(lane->name))
		return; /* none of ours */
	memcpy(lane->name, parts[2]->str, parts[2]->len);
	lanes->count++;
}

static void lanes_unique(struct lanes *lanes)
{
	lanes->count = unique(lanes->items, lanes->count, sizeof(*lanes->items), lanes_compare);
}

static void acquit(struct doctor *doctor, const redisReply *id)
{
	struct entry *entry = NULL;

	if (reply_is_text(id) && id->len == PL_UUID_SIZE - 1 && doctor->entries_count > 0)
		entry = bsearch(id->str, doctor->entries, doctor->entries_count,
			sizeof(*doctor->entries), entries_compare);
	if (entry != NULL)
		entry->suspect = false;
}

/* ---- answers, by phase ---- */

static bool take_begin(struct doctor *doctor, const redisReply *reply)
{
	const redisReply *version = reply->element[0];
	int64_t counts[TALLY_COUNTS];

	if (!tally_read(reply, 1, counts))
		return false;
	if (version->len > 0 && strcmp(version->str, PL_QUEUE_LAYOUT) != 0) {
		finish(doctor, PL_ECONFLICT, "Redis holds the layout of another version");
		return true;
	}
	tally_begin(&doctor->tally, counts);
	doctor->summary = (struct pl_doctor_summary) { .hosts_compared = true };
	doctor->entries_count = doctor->lanes.count = doctor->hosts.count = 0;
	doctor->repaired = false;
	memcpy(doctor->cursor, "0", sizeof("0"));
	doctor->phase = OWNERS;
	return true;
}

/* False: there is more to scan. */
static bool scanned(struct doctor *doctor, const redisReply *cursor)
{
	snprintf(doctor->cursor, sizeof(doctor->cursor), "%s", cursor->str);
	return strcmp(doctor->cursor, "0") == 0;
}

static bool take_owners(struct doctor *doctor, const redisReply *reply)
{
	enum { FIELDS = 2 };

	for (size_t i = 1; i + FIELDS <= reply->elements; i += FIELDS) {
		const redisReply *count = reply->element[i + 1];
		if (!reply_is_text(reply->element[i]) || count->type != REDIS_REPLY_INTEGER)
			return false;
		tally_owner_counted(&doctor->tally, reply->element[i]->str, count->integer);
	}
	if (!scanned(doctor, reply->element[0]))
		return true;
	memcpy(doctor->cursor, "0", sizeof("0"));
	doctor->phase = RECORDS;
	return true;
}

static bool take_records(struct doctor *doctor, const redisReply *reply)
{
	for (size_t i = 1; i < reply->elements; i++)
		entry_add(doctor, reply->element[i]);
	if (!scanned(doctor, reply->element[0]))
		return true;
	doctor->entries_count = unique(
		doctor->entries, doctor->entries_count, sizeof(*doctor->entries), entries_compare);
	doctor->summary.records = doctor->entries_count;
	doctor->phase = LOOK;
	doctor->at = 0;
	return true;
}

static void count_in(struct tally *tally, char letter, int64_t bytes, const char *owner)
{
	bool lives = letter == 'l' || letter == 's';

	tally->found[TALLY_LIVE] += lives;
	tally->found[TALLY_DEAD] += letter == 'x';
	tally->found[lives ? TALLY_BYTES : TALLY_KEPT] += bytes;
	if (lives)
		tally_owner_found(tally, owner);
}

static bool take_look(struct doctor *doctor, const redisReply *reply)
{
	enum { FIELDS = 3 };

	if (reply->elements != FIELDS * doctor->asked)
		return false;
	for (size_t i = 0; i < doctor->asked; i++) {
		redisReply *const *e = reply->element + FIELDS * i;
		if (!reply_is_text(e[0]) || e[1]->type != REDIS_REPLY_INTEGER ||
			!reply_is_text(e[2]))
			return false;
		doctor->entries[doctor->at + i].suspect = e[0]->str[0] == 'l';
		count_in(&doctor->tally, e[0]->str[0], e[1]->integer, e[2]->str);
	}
	doctor->at += doctor->asked;
	return true;
}

static bool take_lanes(struct doctor *doctor, const redisReply *reply)
{
	for (size_t i = 1; i + LANE_FIELDS <= reply->elements; i += LANE_FIELDS)
		lane_add(doctor, reply->element + i);
	if (!scanned(doctor, reply->element[0]))
		return true;
	lanes_unique(&doctor->lanes);
	lanes_unique(&doctor->hosts);
	doctor->phase = LANE;
	doctor->at = 0;
	doctor->passed = 0;
	return true;
}

/* What is put right is not found again; anything else is told once. */
static bool tells(const struct doctor *doctor)
{
	return doctor->round == 0 || doctor->options.repairs;
}

static enum pl_stage stage_of(const char *queue)
{
	return queue[0] == 'f' ? PL_STAGE_FETCH : PL_STAGE_DELIVER;
}

static void lane_tell(struct doctor *doctor, const struct lane *lane)
{
	const struct pl_doctor_lane told = {
		.stage = stage_of(lane->queue),
		.priority = lane->priority[0] == 'h'   ? PL_PRIORITY_HIGH
			    : lane->priority[0] == 'd' ? PL_PRIORITY_DEFAULT
						       : PL_PRIORITY_LOW,
		.lane = lane->name,
	};

	if (tells(doctor))
		doctor->options.on_lane(doctor->options.arg, &told);
}

static bool take_lane(struct doctor *doctor, const redisReply *reply)
{
	enum { HEAD = 2 };
	const struct lane *lane = &doctor->lanes.items[doctor->at];

	if (reply->elements < HEAD || reply->element[0]->type != REDIS_REPLY_INTEGER ||
		reply->element[1]->type != REDIS_REPLY_INTEGER)
		return false;
	for (size_t i = HEAD; i < reply->elements; i++)
		acquit(doctor, reply->element[i]);
	doctor->tally.found[lane->queue[0] == 'f' ? TALLY_READY_FETCH : TALLY_READY_DELIVER] +=
		(int64_t)(reply->elements - HEAD);
	doctor->offers |= reply->element[0]->integer == 0;
	doctor->passed += (uint64_t)reply->element[1]->integer;
	if (reply->element[1]->integer > 0)
		return true;
	if (doctor->offers)
		lane_tell(doctor, lane);
	doctor->phase = doctor->offers && doctor->options.repairs ? OFFER : LANE;
	doctor->offers = false;
	doctor->passed = 0;
	doctor->at += doctor->phase == LANE;
	return true;
}

static bool take_offer(struct doctor *doctor, const redisReply *reply)
{
	doctor->repaired |= reply->element[0]->integer == 1;
	doctor->phase = LANE;
	doctor->at++;
	return true;
}

static bool take_hosts(struct doctor *doctor, const redisReply *reply)
{
	enum { HEAD = 1, FIELDS = 3 };

	if (reply->element[0]->type != REDIS_REPLY_INTEGER)
		return false;
	doctor->summary.hosts_compared &= reply->element[0]->integer == 1;
	for (size_t i = HEAD; i + FIELDS <= reply->elements; i += FIELDS) {
		redisReply *const *e = reply->element + i;
		if (!reply_is_text(e[0]) || e[1]->type != REDIS_REPLY_INTEGER ||
			e[2]->type != REDIS_REPLY_INTEGER)
			return false;
		const struct pl_doctor_host told = {
			.stage = stage_of(doctor->hosts_queue),
			.lane = e[0]->str,
			.counted = e[1]->integer,
			.found = e[2]->integer,
		};
		if (tells(doctor))
			doctor->options.on_host(doctor->options.arg, &told);
	}
	doctor->at += doctor->asked;
	return true;
}

static enum pl_state state_of(char letter)
{
	return letter == 's'   ? PL_STATE_SCHEDULED
	       : letter == 'q' ? PL_STATE_QUEUED
			       : PL_STATE_FETCHED;
}

static bool take_check(struct doctor *doctor, const redisReply *reply)
{
	enum { FIELDS = 3 };

	for (size_t i = 0; i + FIELDS <= reply->elements; i += FIELDS) {
		if (!reply_is_text(reply->element[i]) || !reply_is_text(reply->element[i + 1]))
			return false;
		const struct pl_doctor_lost lost = {
			.id = reply->element[i]->str,
			.state = state_of(reply->element[i + 1]->str[0]),
		};
		if (tells(doctor))
			doctor->options.on_lost(doctor->options.arg, &lost);
		doctor->repaired |= doctor->options.repairs;
	}
	return true;
}

/* counts: as they are now. */
static void wait_or_give_up(struct doctor *doctor, const int64_t counts[TALLY_COUNTS])
{
	memcpy(doctor->tally.before, counts, sizeof(doctor->tally.before));
	if (doctor->rests++ < PL_DOCTOR_RESTS && doctor->round + 1 < PL_DOCTOR_ROUNDS)
		doctor->phase = WAIT;
	else
		finish(doctor, PL_OK, "");
}

/* The next round is for the counts alone, and in vain while they move. */
static bool take_rest(struct doctor *doctor, const redisReply *reply)
{
	int64_t counts[TALLY_COUNTS];

	if (!tally_read(reply, 1, counts))
		return false;
	if (memcmp(doctor->tally.before, counts, sizeof(counts)) != 0) {
		wait_or_give_up(doctor, counts);
	} else {
		doctor->rests = 0;
		doctor->round++;
		doctor->phase = BEGIN;
	}
	return true;
}

static bool take_count(struct doctor *doctor, const redisReply *reply)
{
	int64_t after[TALLY_COUNTS];

	if (reply->element[0]->type != REDIS_REPLY_INTEGER || !tally_read(reply, 1, after))
		return false;
	doctor->summary.live = (uint64_t)doctor->tally.found[TALLY_LIVE];
	if (doctor->repaired || reply->element[0]->integer != 1) {
		wait_or_give_up(doctor, after);
		return true;
	}
	doctor->summary.compared = true;
	tally_tell(&doctor->tally, &doctor->options);
	finish(doctor, PL_OK, "");
	return true;
}

static void on_answer(void *arg, enum pl_err err, const redisReply *reply)
{
	static bool (*const takers[])(struct doctor *, const redisReply *) = {
		[BEGIN] = take_begin,
		[OWNERS] = take_owners,
		[RECORDS] = take_records,
		[LOOK] = take_look,
		[LANES] = take_lanes,
		[LANE] = take_lane,
		[OFFER] = take_offer,
		[HOSTS] = take_hosts,
		[CHECK] = take_check,
		[COUNT] = take_count,
		[REST] = take_rest,
	};
	struct doctor *doctor = arg;
	const char *why;

	err = reply_error(err, reply, &why);
	if (err != PL_OK)
		finish(doctor, err, why);
	else if (!reply_is_array(reply, doctor->phase == CHECK ? 0 : 1) ||
		 !takers[doctor->phase](doctor, reply))
		finish(doctor, PL_EREDIS, "an answer of another form than ours");
	else if (!uv_is_closing((uv_handle_t *)&doctor->timer))
		step(doctor);
}

/* ---- questions, by phase ---- */

static void ask(struct doctor *doctor, struct args *args)
{
	args_eval(args, doctor->queue, DOCTOR, on_answer, doctor);
}

static void ask_word(struct doctor *doctor, const char *verb)
{
	struct args args;

	args_begin(&args, 1);
	args_text(&args, verb);
	ask(doctor, &args);
}

static void ask_scan(struct doctor *doctor, const char *verb)
{
	struct args args;

	args_begin(&args, 2);
	args_text(&args, verb);
	args_text(&args, doctor->cursor);
	ask(doctor, &args);
}

static void ask_look(struct doctor *doctor)
{
	size_t left = doctor->entries_count - doctor->at;
	struct args args;

	doctor->asked = left < LOOK_MAX ? left : LOOK_MAX;
	args_begin(&args, 1 + LOOK_MAX);
	args_text(&args, "look");
	for (size_t i = 0; i < doctor->asked; i++)
		args_text(&args, doctor->entries[doctor->at + i].id);
	ask(doctor, &args);
}

static void ask_lane(struct doctor *doctor, const char *verb)
{
	const struct lane *lane = &doctor->lanes.items[doctor->at];
	struct args args;

	args_begin(&args, 5);
	args_text(&args, verb);
	args_text(&args, lane->queue);
	args_text(&args, lane->priority);
	args_text(&args, lane->name);
	args_number(&args, doctor->passed);
	ask(doctor, &args);
}

/* False: nobody is suspect any more. */
static bool ask_check(struct doctor *doctor)
{
	const char *ids[CHECK_MAX];
	size_t asked = 0;
	struct args args;

	for (; doctor->at < doctor->entries_count && asked < CHECK_MAX; doctor->at++)
		if (doctor->entries[doctor->at].suspect)
			ids[asked++] = doctor->entries[doctor->at].id;
	if (asked == 0)
		return false;
	args_begin(&args, 2 + CHECK_MAX);
	args_text(&args, "check");
	args_text(&args, doctor->options.repairs ? "1" : "0");
	for (size_t i = 0; i < asked; i++)
		args_text(&args, ids[i]);
	ask(doctor, &args);
	return true;
}

/* One call a queue for hosts that are held and of which nothing else is known; then all others. */
static void ask_hosts(struct doctor *doctor)
{
	const struct lane *first;
	struct args args;

	doctor->asked = 0;
	args_begin(&args, 3 + HOSTS_MAX);
	args_text(&args, "hosts");
	args_text(&args, doctor->options.repairs ? "1" : "0");
	if (doctor->stages < PL_STAGES) {
		doctor->hosts_queue = stage_letter((enum pl_stage)doctor->stages++);
		args_text(&args, doctor->hosts_queue);
		ask(doctor, &args);
		return;
	}
	first = &doctor->hosts.items[doctor->at];
	doctor->hosts_queue = first->queue;
	args_text(&args, first->queue);
	while (doctor->at + doctor->asked < doctor->hosts.count && doctor->asked < HOSTS_MAX &&
		first[doctor->asked].queue[0] == first->queue[0])
		args_text(&args, first[doctor->asked++].name);
	ask(doctor, &args);
}

static void ask_count(struct doctor *doctor)
{
	bool writes = doctor->options.repairs && !doctor->repaired && tally_differs(&doctor->tally);
	struct args args;

	tally_args(&doctor->tally, writes, &args);
	ask(doctor, &args);
}

static void on_rested(uv_timer_t *timer)
{
	struct doctor *doctor = timer->data;

	doctor->phase = REST;
	step(doctor);
}

static void step(struct doctor *doctor)
{
	if (doctor->phase == LOOK && doctor->at == doctor->entries_count) {
		doctor->phase = LANES;
		memcpy(doctor->cursor, "0", sizeof("0"));
	}
	if (doctor->phase == LANE && doctor->at == doctor->lanes.count) {
		doctor->phase = HOSTS;
		doctor->at = 0;
		doctor->stages = 0;
	}
	if (doctor->phase == HOSTS && doctor->stages == PL_STAGES &&
		doctor->at == doctor->hosts.count) {
		doctor->phase = CHECK;
		doctor->at = 0;
	}
	if (doctor->phase == CHECK) {
		if (ask_check(doctor))
			return;
		doctor->phase = COUNT;
	}
	switch (doctor->phase) {
	case BEGIN:
	case REST:
		ask_word(doctor, "counts");
		break;
	case OWNERS:
		ask_scan(doctor, "owners");
		break;
	case RECORDS:
		ask_scan(doctor, "records");
		break;
	case LOOK:
		ask_look(doctor);
		break;
	case LANES:
		ask_scan(doctor, "lanes");
		break;
	case LANE:
		ask_lane(doctor, "lane");
		break;
	case OFFER:
		ask_lane(doctor, "offer");
		break;
	case HOSTS:
		ask_hosts(doctor);
		break;
	case COUNT:
		ask_count(doctor);
		break;
	case WAIT:
		uv_timer_start(&doctor->timer, on_rested, PL_DOCTOR_WAIT_MS, 0);
		break;
	case CHECK:
		break;
	}
}

void pl_queue_doctor(struct pl_queue *queue, const struct pl_doctor_options *options)
{
	struct doctor *doctor = pl_calloc(1, sizeof(*doctor));

	doctor->queue = queue;
	doctor->options = *options;
	uv_timer_init(queue->loop, &doctor->timer);
	doctor->timer.data = doctor;
	step(doctor);
}
