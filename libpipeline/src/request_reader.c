#include "request_reader.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "pipeline/clock.h"

static void point_byte(struct reader *r, char byte)
{
	if (r->pointer_len + 1 < sizeof r->pointer)
		r->pointer[r->pointer_len++] = byte;
}

size_t reader_enter(struct reader *r, const char *name)
{
	size_t before = r->pointer_len;
	point_byte(r, '/');
	for (; *name != '\0'; name++) {
		if (*name == '~' || *name == '/') {
			point_byte(r, '~');
			point_byte(r, *name == '~' ? '0' : '1');
		} else {
			point_byte(r, *name);
		}
	}
	r->pointer[r->pointer_len] = '\0';
	return before;
}

size_t reader_enter_index(struct reader *r, size_t index)
{
	char text[24];
	snprintf(text, sizeof text, "%zu", index);
	return reader_enter(r, text);
}

void reader_leave(struct reader *r, size_t before)
{
	r->pointer_len = before;
	r->pointer[before] = '\0';
}

void reader_fields(struct reader *r, json_t *object, const struct field *fields)
{
	const char *name;
	json_t *value;
	if (!json_is_object(object)) {
		FAULT(r, "must be an object");
		return;
	}
	json_object_foreach(object, name, value)
	{
		const struct field *field = fields;
		while (field->name != NULL && strcmp(field->name, name) != 0)
			field++;
		size_t before = reader_enter(r, name);
		if (field->name == NULL)
			FAULT(r, "is not a known field");
		else
			field->take(r, value);
		reader_leave(r, before);
	}
}

const char *reader_text(struct reader *r, const json_t *value, size_t max)
{
	if (!json_is_string(value)) {
		FAULT(r, "must be a string");
		return NULL;
	}
	const char *text = json_string_value(value);
	size_t len = json_string_length(value);
	if (len > max) {
		FAULT(r, "is longer than %zu bytes", max);
		return NULL;
	}
	if (strlen(text) != len) {
		FAULT(r, "holds a NUL");
		return NULL;
	}
	return text;
}

const char *reader_word(struct reader *r, const json_t *value, size_t max)
{
	const char *text = reader_text(r, value, max);
	if (text == NULL)
		return NULL;
	if (text[0] == '\0') {
		FAULT(r, "is empty");
		return NULL;
	}
	for (const char *c = text; *c != '\0'; c++)
		if ((unsigned char)*c < 0x20 || *c == 0x7f) {
			FAULT(r, "holds a control character");
			return NULL;
		}
	return text;
}

int reader_choice(struct reader *r, const json_t *value, const char *const *choices, size_t count,
	const char *sentence)
{
	const char *text = json_string_value(value);
	for (size_t i = 0; text != NULL && i < count; i++)
		if (strcmp(text, choices[i]) == 0 && strlen(text) == json_string_length(value))
			return (int)i;
	FAULT(r, "must be %s", sentence);
	return -1;
}

/* Rounded up, as pl_duration_parse does: what is more than nothing never becomes nothing. */
static enum pl_err seconds_to_ms(const json_t *value, uint64_t max, uint64_t *ms)
{
	double exact = ceil(json_number_value(value) * 1000.0);
	if (exact < 0.0)
		return PL_EINVAL;
	if (exact > (double)max)
		return PL_ELIMIT;
	*ms = (uint64_t)exact;
	return PL_OK;
}

bool reader_duration(
	struct reader *r, const json_t *value, uint64_t min, uint64_t max, uint64_t *ms)
{
	char limit[32];
	uint64_t read = 0;
	enum pl_err err = PL_EINVAL;
	if (json_is_number(value))
		err = seconds_to_ms(value, max, &read);
	else if (json_is_string(value))
		err = pl_duration_parse(json_string_value(value), json_string_length(value), &read);
	if (err == PL_OK && read >= min && read <= max) {
		*ms = read;
		return true;
	}
	pl_duration_format(max, limit, sizeof limit);
	if (err == PL_EINVAL)
		FAULT(r, "must be a duration like \"250ms\", \"10s\" or \"1h30m\", or a number of "
			 "seconds");
	else if (err == PL_OK && read < min)
		FAULT(r, "must be more than 0");
	else
		FAULT(r, "is longer than %s", limit);
	return false;
}

bool reader_url_text(struct reader *r, const char *text, size_t len, char lane[PL_LANE_MAX])
{
	struct pl_url *url;
	struct sockaddr_storage address;
	const char *why;
	if (pl_url_parse(text, len, &url, &why) != PL_OK) {
		FAULT(r, "%s", why);
		return false;
	}
	if (r->rules->policy != NULL && pl_url_literal(url, &address) &&
		pl_netpolicy_judge(
			r->rules->policy, (const struct sockaddr *)&address, NULL, NULL) != PL_OK) {
		r->blocked = true;
		pl_faults_add(r->faults, r->pointer,
			"address_blocked: this address is not open to requests");
	}
	if (lane != NULL)
		memcpy(lane, pl_url_lane(url), strlen(pl_url_lane(url)) + 1);
	pl_url_free(url);
	return true;
}

const char *reader_url(struct reader *r, const json_t *value, char lane[PL_LANE_MAX])
{
	if (!json_is_string(value)) {
		FAULT(r, "must be a string");
		return NULL;
	}
	const char *text = json_string_value(value);
	return reader_url_text(r, text, json_string_length(value), lane) ? text : NULL;
}
