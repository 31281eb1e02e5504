#include "json_writer.h"

#include <string.h>

#include "pipeline/clock.h"
#include "pipeline/json.h"

static void add(struct json_writer *w, const char *text, size_t len)
{
	if (w->err == PL_OK)
		w->err = pl_buf_add(w->out, text, len);
}

static void add_text(struct json_writer *w, const char *text)
{
	add(w, text, strlen(text));
}

static void add_string(struct json_writer *w, const char *text)
{
	if (w->err == PL_OK)
		w->err = pl_json_string(w->out, text, strlen(text));
}

/* A comma, unless this is the first of its object or array, or stands alone. */
static void start_value(struct json_writer *w, const char *key)
{
	if (w->out->len > w->start && strchr("{[", w->out->data[w->out->len - 1]) == NULL)
		add(w, ",", 1);
	if (key == NULL)
		return;
	add(w, "\"", 1);
	add_text(w, key);
	add(w, "\":", 2);
}

void json_open(struct json_writer *w, const char *key, char bracket)
{
	start_value(w, key);
	add(w, &bracket, 1);
}

void json_close(struct json_writer *w, char bracket)
{
	add(w, &bracket, 1);
}

void json_text(struct json_writer *w, const char *key, const char *text)
{
	start_value(w, key);
	add_string(w, text);
}

void json_number(struct json_writer *w, const char *key, uint64_t number)
{
	char digits[20]; /* 2^64 has 20 */
	size_t at = sizeof(digits);
	do
		digits[--at] = (char)('0' + number % 10);
	while ((number /= 10) > 0);
	start_value(w, key);
	add(w, digits + at, sizeof(digits) - at);
}

void json_bool(struct json_writer *w, const char *key, bool value)
{
	start_value(w, key);
	add_text(w, value ? "true" : "false");
}

void json_time(struct json_writer *w, const char *key, uint64_t unix_ms)
{
	char text[PL_TIME_SIZE];
	pl_time_format(unix_ms, text);
	json_text(w, key, text);
}

void json_raw(struct json_writer *w, const char *key, const char *text)
{
	start_value(w, key);
	add_text(w, text);
}
