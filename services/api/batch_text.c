/*
 * The whole is checked first, so what follows walks through valid JSON and can't run off its end.
 */
#include "batch_text.h"

#include <stdio.h>
#include <string.h>

#include "pipeline/json.h"

#define NAME_SHOWN 64

static bool is_json(const char *json, size_t len)
{
	struct pl_json_check check;
	pl_json_check_init(&check);
	pl_json_check_feed(&check, json, len);
	return pl_json_check_finish(&check);
}

static const char *skip_space(const char *at)
{
	return at + strspn(at, " \t\r\n");
}

static const char *skip_string(const char *at)
{
	for (at++; *at != '"'; at++)
		if (*at == '\\')
			at++;
	return at + 1;
}

static const char *skip_value(const char *at)
{
	unsigned depth = 0;
	do {
		if (*at == '"') {
			at = skip_string(at);
		} else if (*at == '{' || *at == '[') {
			depth++;
			at++;
		} else if (*at == '}' || *at == ']') {
			depth--;
			at++;
		} else if (depth > 0) {
			at++;
		} else {
			at += strcspn(at, ",]} \t\r\n");
		}
	} while (depth > 0);
	return at;
}

/* Behind the comma, or at the bracket that ends it. */
static const char *next_of(const char *at)
{
	at = skip_space(at);
	return *at == ',' ? skip_space(at + 1) : at;
}

static const char *read_items(
	const char *at, struct batch_item *items, size_t *count, struct pl_faults *faults)
{
	if (*at != '[') {
		pl_faults_add(faults, "/items", "must be an array of requests");
		return skip_value(at);
	}
	size_t seen = 0;
	for (at = skip_space(at + 1); *at != ']'; at = next_of(at)) {
		const char *end = skip_value(at);
		if (seen < BATCH_ITEMS_MAX)
			items[seen] = (struct batch_item) { at, (size_t)(end - at) };
		seen++;
		at = end;
	}
	if (seen > BATCH_ITEMS_MAX)
		pl_faults_add(faults, "/items", "holds more than %d requests", BATCH_ITEMS_MAX);
	*count = seen;
	return at + 1;
}

static void refuse_member(const char *name, size_t len, struct pl_faults *faults)
{
	char pointer[NAME_SHOWN];
	(void)snprintf(pointer, sizeof(pointer), "/%.*s",
		(int)(len < NAME_SHOWN ? len : NAME_SHOWN), name);
	pl_faults_add(faults, pointer, "is not a known field");
}

enum pl_err batch_split(const char *json, size_t len, struct batch_item *items, size_t *count,
	struct pl_faults *faults)
{
	static const char name[] = "\"items\"";
	bool given = false;
	if (json == NULL || !is_json(json, len)) {
		faults->malformed = true;
		pl_faults_add(faults, "", "is not valid JSON");
		return PL_EINVAL;
	}
	const char *at = skip_space(json);
	if (*at != '{') {
		pl_faults_add(faults, "", "must be an object");
		return PL_EINVAL;
	}
	for (at = skip_space(at + 1); *at != '}'; at = next_of(at)) {
		const char *member = at, *end = skip_string(at);
		at = skip_space(skip_space(end) + 1); /* behind the colon */
		size_t member_len = (size_t)(end - member);
		if (member_len != sizeof(name) - 1 || memcmp(member, name, member_len) != 0) {
			refuse_member(member + 1, member_len - 2, faults);
			at = skip_value(at);
		} else if (given) {
			pl_faults_add(faults, "/items", "is given twice");
			at = skip_value(at);
		} else {
			given = true;
			at = read_items(at, items, count, faults);
		}
	}
	if (!given)
		pl_faults_add(faults, "/items", "is required");
	return faults->count == 0 ? PL_OK : PL_EINVAL;
}
