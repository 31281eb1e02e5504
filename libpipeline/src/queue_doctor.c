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

#define LOOK_MAX    50 /* records a call: 16 KiB each at most, so about a millisecond */
#define CHECK_MAX   8  /* each may look through two ends of a lane */
#define CURSOR_SIZE 24
#define NUMBER_SIZE 24
#define WHY_SIZE    160
#define LANE_FIELDS 3

enum { LIVE, READY_FETCH, READY_DELIVER, BYTES, DEAD, COMPARED, KEPT = COMPARED, TRIMMED, COUNTS };
static const char *const count_names[COMPARED] = { "live", "f", "d", "bytes", "dead" };

struct entry {
	char id[PL_UUID_SIZE];
	bool suspect; /* live, and not seen anywhere yet */
};
struct lane {
	char queue[2], priority[2]; /* a letter each */
	char name[PL_LANE_MAX];
};

enum phase { BEGIN, RECORDS, LOOK, LANES, LANE, OFFER, CHECK, END, WRITE, WAIT, REST };

struct doctor {
	struct pl_queue *queue;
	struct pl_doctor_options options;
	enum phase phase;
	unsigned round, rests; /* from 0 */
	char cursor[CURSOR_SIZE];
	struct entry *entries;
	size_t entries_count, entries_room;
	struct lane *lanes;
	size_t lanes_count, lanes_room;
	size_t at;       /* in entries or in lanes */
	size_t asked;    /* entries that the call under way is about, from `at` on */
	uint64_t passed; /* of the lane at `at`, from its tail */
	bool offers;     /* the lane at `at` is not served */
	bool repaired;   /* in this round, so the counts have moved */
	int64_t before[COUNTS], found[COMPARED];
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
	free(doctor->lanes);
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
	doctor->lanes = grown(
		doctor->lanes, doctor->lanes_count, &doctor->lanes_room, sizeof(*doctor->lanes));
	struct lane *lane = &doctor->lanes[doctor->lanes_count];
	*lane = (struct lane) { .queue = { parts[0]->str[0] }, .priority = { parts[1]->str[0] } };
	if (parts[2]->len >= sizeof(lane->name))
		return; /* none of ours */
	memcpy(lane->name, parts[2]->str, parts[2]->len);
	doctor->lanes_count++;
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

static bool numbers_take(const redisReply *reply, size_t from, int64_t out[COUNTS])
{
	for (size_t i = 0; i < COUNTS; i++) {
		if (reply->element[from + i]->type != REDIS_REPLY_INTEGER)
			return false;
		out[i] = reply->element[from + i]->integer;
	}
	return true;
}

static bool take_begin(struct doctor *doctor, const redisReply *reply)
{
	const redisReply *version = reply->element[0];

	if (reply->elements != 1 + COUNTS || !numbers_take(reply, 1, doctor->before))
		return false;
	if (version->len > 0 && strcmp(version->str, PL_QUEUE_LAYOUT) != 0) {
		finish(doctor, PL_ECONFLICT, "Redis holds the layout of another version");
		return true;
	}
	memset(doctor->found, 0, sizeof(doctor->found));
	doctor->summary = (struct pl_doctor_summary) { .records = 0 };
	doctor->entries_count = doctor->lanes_count = 0;
	doctor->repaired = false;
	memcpy(doctor->cursor, "0", sizeof("0"));
	doctor->phase = RECORDS;
	return true;
}

/* False: there is more to scan. */
static bool scanned(struct doctor *doctor, const redisReply *cursor)
{
	snprintf(doctor->cursor, sizeof(doctor->cursor), "%s", cursor->str);
	return strcmp(doctor->cursor, "0") == 0;
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

static bool take_look(struct doctor *doctor, const redisReply *reply)
{
	if (reply->elements != 2 * doctor->asked)
		return false;
	for (size_t i = 0; i < doctor->asked; i++) {
		const redisReply *letter = reply->element[2 * i];
		const redisReply *bytes = reply->element[2 * i + 1];
		if (!reply_is_text(letter) || bytes->type != REDIS_REPLY_INTEGER)
			return false;
		doctor->entries[doctor->at + i].suspect = letter->str[0] == 'l';
		doctor->found[LIVE] += letter->str[0] == 'l' || letter->str[0] == 's';
		doctor->found[DEAD] += letter->str[0] == 'x';
		doctor->found[BYTES] += bytes->integer;
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
	doctor->lanes_count =
		unique(doctor->lanes, doctor->lanes_count, sizeof(*doctor->lanes), lanes_compare);
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

static void lane_tell(struct doctor *doctor, const struct lane *lane)
{
	const struct pl_doctor_lane told = {
		.stage = lane->queue[0] == 'f' ? PL_STAGE_FETCH : PL_STAGE_DELIVER,
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
	const struct lane *lane = &doctor->lanes[doctor->at];

	if (reply->elements < HEAD || reply->element[0]->type != REDIS_REPLY_INTEGER ||
		reply->element[1]->type != REDIS_REPLY_INTEGER)
		return false;
	for (size_t i = HEAD; i < reply->elements; i++)
		acquit(doctor, reply->element[i]);
	doctor->found[lane->queue[0] == 'f' ? READY_FETCH : READY_DELIVER] +=
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
static void wait_or_give_up(struct doctor *doctor, const int64_t counts[COUNTS])
{
	memmove(doctor->before, counts, sizeof(doctor->before));
	if (doctor->rests++ < PL_DOCTOR_RESTS && doctor->round + 1 < PL_DOCTOR_ROUNDS)
		doctor->phase = WAIT;
	else
		finish(doctor, PL_OK, "");
}

/* The next round is for the counts alone, and in vain while they move. */
static bool take_rest(struct doctor *doctor, const redisReply *reply)
{
	int64_t counts[COUNTS];

	if (reply->elements != 1 + COUNTS || !numbers_take(reply, 1, counts))
		return false;
	if (memcmp(doctor->before, counts, sizeof(counts)) != 0) {
		wait_or_give_up(doctor, counts);
	} else {
		doctor->rests = 0;
		doctor->round++;
		doctor->phase = BEGIN;
	}
	return true;
}

static bool counts_differ(const struct doctor *doctor)
{
	return memcmp(doctor->before, doctor->found, sizeof(doctor->found)) != 0;
}

static void conclude(struct doctor *doctor)
{
	doctor->summary.compared = true;
	for (int i = 0; i < COMPARED; i++) {
		const struct pl_doctor_count count = { .name = count_names[i],
			.counted = doctor->before[i],
			.found = doctor->found[i] };
		if (count.counted != count.found)
			doctor->options.on_count(doctor->options.arg, &count);
	}
	finish(doctor, PL_OK, "");
}

static bool take_end(struct doctor *doctor, const redisReply *reply)
{
	int64_t after[COUNTS];

	if (reply->elements != 1 + COUNTS || !numbers_take(reply, 1, after))
		return false;
	doctor->summary.live = (uint64_t)doctor->found[LIVE];
	if (doctor->repaired || memcmp(doctor->before, after, sizeof(after)) != 0)
		wait_or_give_up(doctor, after);
	else if (doctor->options.repairs && counts_differ(doctor))
		doctor->phase = WRITE;
	else
		conclude(doctor);
	return true;
}

static bool take_write(struct doctor *doctor, const redisReply *reply)
{
	if (reply->element[0]->integer == 1)
		conclude(doctor);
	else
		wait_or_give_up(doctor, doctor->before);
	return true;
}

static void on_answer(void *arg, enum pl_err err, const redisReply *reply)
{
	static bool (*const takers[])(struct doctor *, const redisReply *) = {
		[BEGIN] = take_begin,
		[RECORDS] = take_records,
		[LOOK] = take_look,
		[LANES] = take_lanes,
		[LANE] = take_lane,
		[OFFER] = take_offer,
		[CHECK] = take_check,
		[END] = take_end,
		[WRITE] = take_write,
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
	const struct lane *lane = &doctor->lanes[doctor->at];
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

/* A count that went wrong may be below 0. */
static void ask_write(struct doctor *doctor)
{
	char numbers[COUNTS + COMPARED][NUMBER_SIZE];
	struct args args;

	args_begin(&args, 1 + COUNTS + COMPARED);
	args_text(&args, "count");
	for (int i = 0; i < COUNTS + COMPARED; i++) {
		int64_t number = i < COUNTS ? doctor->before[i] : doctor->found[i - COUNTS];
		snprintf(numbers[i], NUMBER_SIZE, "%" PRId64, number);
		args_text(&args, numbers[i]);
	}
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
	if (doctor->phase == LANE && doctor->at == doctor->lanes_count) {
		doctor->phase = CHECK;
		doctor->at = 0;
	}
	if (doctor->phase == CHECK) {
		if (ask_check(doctor))
			return;
		doctor->phase = END;
	}
	switch (doctor->phase) {
	case BEGIN:
	case END:
	case REST:
		ask_word(doctor, "counts");
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
	case WRITE:
		ask_write(doctor);
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
