#include "list_filter.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pipeline/clock.h"
#include "pipeline/http_server.h"
#include "pipeline/mem.h"
#include "pipeline/text.h"
#include "pipeline/uuid.h"
#include "query.h"

#define SLOT_SLACK    6   /* an id's clock is an api's, an index' slot is Redis' */
#define PARAMETER_MAX 512 /* longer than any fit value */
#define PLACE_DIGITS  15
#define FAILED_INDEX  "x"
#define ALL_INDEX     "i"

/* ---- reading ---- */

struct parameter {
	const char *name;
	/* NULL, or what it must be. */
	const char *(*take)(struct list_filter *filter, const char *text, size_t len);
};

static const char *take_state(struct list_filter *filter, const char *text, size_t len)
{
	(void)len;
	filter->has_state = pl_state_parse(text, &filter->state);
	return filter->has_state ? NULL
				 : "must be scheduled, queued, fetching, fetched, delivering, "
				   "delivered, failed or cancelled";
}

static const char *take_host(struct list_filter *filter, const char *text, size_t len)
{
	if (len == 0 || len >= sizeof(filter->host))
		return "must be a host, or host:port";
	for (size_t i = 0; i <= len; i++) {
		bool is_upper = text[i] >= 'A' && text[i] <= 'Z';
		filter->host[i] = is_upper ? (char)(text[i] - 'A' + 'a') : text[i];
	}
	return NULL;
}

static const char *take_label(struct list_filter *filter, const char *text, size_t len)
{
	if (len == 0 || len >= sizeof(filter->label))
		return "must have 1 to 64 bytes";
	memcpy(filter->label, text, len + 1);
	return NULL;
}

static const char *take_since(struct list_filter *filter, const char *text, size_t len)
{
	return pl_time_parse(text, len, &filter->since_ms) == PL_OK
		       ? NULL
		       : "must be a time like 2026-12-01T08:00:00Z";
}

static const char *take_until(struct list_filter *filter, const char *text, size_t len)
{
	return pl_time_parse(text, len, &filter->until_ms) == PL_OK
		       ? NULL
		       : "must be a time like 2026-12-01T08:00:00Z";
}

static const char *take_limit(struct list_filter *filter, const char *text, size_t len)
{
	uint64_t limit;
	if (pl_number_parse(text, len, LIST_LIMIT_MAX, &limit) != PL_OK || limit == 0)
		return "must be a number from 1 to 1000";
	filter->limit = (size_t)limit;
	return NULL;
}

static bool take_number(const char **at, int64_t *out)
{
	size_t digits = strspn(*at, "0123456789");
	uint64_t number;
	if (digits == 0 || digits > PLACE_DIGITS || (*at)[digits] != '.' ||
		pl_number_parse(*at, digits, INT64_MAX, &number) != PL_OK)
		return false;
	*out = (int64_t)number;
	*at += digits + 1;
	return true;
}

/* "i29400123.17.0190a3c4-…": index, slot, position, and the id that stands there. */
static const char *take_cursor(struct list_filter *filter, const char *text, size_t len)
{
	static const char fault[] = "must be a cursor that a listing with the same filters gave";
	char index[LIST_INDEX_SIZE];
	const char *at = text + 1;
	struct pl_list_place place = { .slot = -1, .position = -1 };
	list_filter_index(filter, index);
	if (len == 0 || text[0] != index[0] || !take_number(&at, &place.slot))
		return fault;
	if (*at != '\0' && (!take_number(&at, &place.position) || !pl_uuid_valid(at, strlen(at))))
		return fault;
	memcpy(place.id, at, strlen(at) + 1);
	filter->place = place;
	return NULL;
}

static const struct parameter parameters[] = {
	{ "state", take_state }, { "host", take_host }, { "label", take_label },
	{ "since", take_since }, { "until", take_until }, { "limit", take_limit },
	{ "cursor", take_cursor }, /* the last: it belongs to an index that the others name */
};
#define PARAMETERS (sizeof(parameters) / sizeof(parameters[0]))

static void take(const struct parameter *parameter, const char *query, struct list_filter *filter,
	struct pl_faults *faults)
{
	struct pl_buf value;
	pl_buf_init(&value, PARAMETER_MAX);
	enum pl_err err = pl_http_query_get(query, parameter->name, &value);
	const char *fault = err == PL_OK ? NULL : "is too long, or badly escaped";
	if (err == PL_OK)
		fault = parameter->take(filter, value.data != NULL ? value.data : "", value.len);
	if (err != PL_ENOTFOUND && fault != NULL)
		pl_faults_add(faults, parameter->name, "%s", fault);
	pl_buf_fini(&value);
}

enum pl_err list_filter_read(const char *query, size_t limit, const char *owner,
	struct list_filter *out, struct pl_faults *faults)
{
	*out = (struct list_filter) {
		.limit = limit, .owner = owner, .place = { .slot = -1, .position = -1 }
	};
	const char *known[PARAMETERS + 1] = { NULL };
	for (size_t i = 0; i < PARAMETERS; i++)
		known[i] = parameters[i].name;
	query_check(query, known, faults);
	for (size_t i = 0; i < PARAMETERS; i++)
		take(&parameters[i], query, out, faults);
	return faults->count == 0 ? PL_OK : PL_EINVAL;
}

/* ---- selecting ---- */

void list_filter_index(const struct list_filter *filter, char out[LIST_INDEX_SIZE])
{
	if (filter->label[0] != '\0')
		(void)snprintf(out, LIST_INDEX_SIZE, "n:%s", filter->label);
	else
		(void)snprintf(out, LIST_INDEX_SIZE, "%s",
			filter->has_state && filter->state == PL_STATE_FAILED ? FAILED_INDEX
									      : ALL_INDEX);
}

static bool is_of_failed(const struct list_filter *filter)
{
	char index[LIST_INDEX_SIZE];
	list_filter_index(filter, index);
	return strcmp(index, FAILED_INDEX) == 0;
}

static bool lane_is_of(const char *lane, const char *host)
{
	size_t len = strlen(host);
	return strncmp(lane, host, len) == 0 &&
	       (lane[len] == '\0' || (lane[len] == ':' && strchr(lane + len + 1, ':') == NULL));
}

bool list_filter_admits(const struct list_filter *filter, const struct store_found *found)
{
	const struct pl_request *request = &found->record->request;
	if (filter->has_state && found->state != filter->state)
		return false;
	if (filter->host[0] != '\0' && !lane_is_of(request->fetch_lane, filter->host) &&
		!lane_is_of(request->deliver_lane, filter->host))
		return false;
	if (filter->owner[0] != '\0' && strcmp(request->owner, filter->owner) != 0)
		return false;
	uint64_t created = found->record->created_ms;
	return created >= filter->since_ms && (filter->until_ms == 0 || created < filter->until_ms);
}

bool list_filter_is_past(const struct list_filter *filter, const struct pl_list_place *place)
{
	return place->slot < 0 ||
	       place->slot + SLOT_SLACK < (int64_t)(filter->since_ms / PL_SLOT_MS);
}

void list_filter_cursor(const struct list_filter *filter, const struct pl_list_place *place,
	char out[LIST_CURSOR_SIZE])
{
	char index[LIST_INDEX_SIZE];
	list_filter_index(filter, index);
	if (place->id[0] == '\0')
		(void)snprintf(out, LIST_CURSOR_SIZE, "%c%" PRId64 ".", index[0], place->slot);
	else
		(void)snprintf(out, LIST_CURSOR_SIZE, "%c%" PRId64 ".%" PRId64 ".%s", index[0],
			place->slot, place->position, place->id);
}

/* ---- walking ---- */

void list_walk_begin(struct store *store, const struct list_filter *filter, struct list_walk *walk)
{
	*walk = (struct list_walk) { .store = store, .filter = filter, .place = filter->place };
	walk->step = pl_calloc(1, sizeof(*walk->step));
	/* The failed stand by when they failed, so any of them may be old enough. */
	if (walk->place.slot < 0 && filter->until_ms > 0 && !is_of_failed(filter))
		walk->place.slot = (int64_t)(filter->until_ms / PL_SLOT_MS) + SLOT_SLACK;
}

/* False: the page or the listing has come to its end, or Redis can't be asked. */
static bool step_on(struct list_walk *walk)
{
	char index[LIST_INDEX_SIZE];
	if (walk->examined > 0 && list_filter_is_past(walk->filter, &walk->place))
		walk->place.slot = -1;
	if (walk->examined >= LIST_EXAMINED || walk->bytes >= LIST_EXAMINED_BYTES ||
		(walk->examined > 0 && walk->place.slot < 0))
		return false;
	list_filter_index(walk->filter, index);
	walk->err = store_list(walk->store, index, walk->filter->owner, &walk->place, walk->step);
	walk->examined += PL_LIST_MAX; /* slots that hold nothing any more count as much */
	walk->bytes += walk->step->bytes;
	walk->at = 0;
	if (walk->err == PL_OK)
		walk->place = walk->step->count > 0 ? walk->step->places[0] : walk->step->next;
	return walk->err == PL_OK;
}

static bool has_failed_before(const struct store_found *found)
{
	const struct pl_event *last = found->record->last;
	for (const struct pl_event *event = found->record->events; event < last; event++)
		if (event->state == PL_STATE_FAILED)
			return true;
	return false;
}

static bool is_seen(struct list_walk *walk, const char *id)
{
	for (size_t i = 0; i < walk->again_count; i++)
		if (memcmp(walk->again[i], id, PL_UUID_SIZE) == 0)
			return true;
	if (walk->again == NULL)
		walk->again = pl_alloc(LIST_EXAMINED * sizeof(*walk->again));
	memcpy(walk->again[walk->again_count++], id, PL_UUID_SIZE);
	return false;
}

/* A request that has failed twice stands twice among the failed: only the later place counts. */
static bool is_earlier_failure(
	struct list_walk *walk, const struct store_found *found, const struct pl_list_place *place)
{
	if (!is_of_failed(walk->filter) || !has_failed_before(found))
		return false;
	int64_t slot = (int64_t)(found->record->last->time_ms / PL_SLOT_MS);
	return place->slot < slot - 1 || is_seen(walk, found->record->request.id);
}

bool list_walk_next(struct list_walk *walk, struct store_found *found)
{
	struct store_listed *step = walk->step;
	do {
		while (walk->at < step->count) {
			const struct pl_list_place *place = &step->places[walk->at];
			*found = step->items[walk->at++];
			walk->place = walk->at < step->count ? step->places[walk->at] : step->next;
			if (list_filter_admits(walk->filter, found) &&
				!is_earlier_failure(walk, found, place))
				return true;
			store_found_fini(found);
		}
	} while (step_on(walk));
	return false;
}

void list_walk_end(struct list_walk *walk)
{
	for (size_t i = walk->at; i < walk->step->count; i++)
		store_found_fini(&walk->step->items[i]);
	free(walk->again);
	free(walk->step);
}
