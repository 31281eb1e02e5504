#include "raw_json.h"

#include <string.h>

static void drop(struct raw_json *json, size_t count)
{
	json->text += count;
	json->len -= count;
}

static void skip_blanks(struct raw_json *json)
{
	while (json->len > 0 && strchr(" \t\r\n", *json->text) != NULL)
		drop(json, 1);
}

static void skip_one(struct raw_json *json, char c)
{
	skip_blanks(json);
	if (json->len > 0 && *json->text == c)
		drop(json, 1);
	skip_blanks(json);
}

/* With both quotes. */
static size_t string_length(struct raw_json json)
{
	size_t at = 1;

	while (at < json.len && json.text[at] != '"')
		at += json.text[at] == '\\' ? 2 : 1;
	return at < json.len ? at + 1 : json.len;
}

static size_t nested_length(struct raw_json json)
{
	size_t at = 0, depth = 0;

	do {
		struct raw_json rest = { json.text + at, json.len - at };

		depth += *rest.text == '{' || *rest.text == '[';
		depth -= *rest.text == '}' || *rest.text == ']';
		at += *rest.text == '"' ? string_length(rest) : 1;
	} while (at < json.len && depth > 0);
	return at;
}

static size_t plain_length(struct raw_json json)
{
	size_t at = 1;

	while (at < json.len && strchr(" \t\r\n,:", json.text[at]) == NULL)
		at++;
	return at;
}

static size_t value_length(struct raw_json json)
{
	if (*json.text == '"')
		return string_length(json);
	return *json.text == '{' || *json.text == '[' ? nested_length(json) : plain_length(json);
}

struct raw_json raw_json_inside(struct raw_json container)
{
	skip_blanks(&container);
	while (container.len > 0 && strchr(" \t\r\n", container.text[container.len - 1]) != NULL)
		container.len--;
	if (container.len < 2)
		return (struct raw_json) { container.text, 0 };
	return (struct raw_json) { container.text + 1, container.len - 2 };
}

static bool take(struct raw_json *inside, struct raw_json *value, char behind)
{
	skip_blanks(inside);
	if (inside->len == 0)
		return false;
	*value = (struct raw_json) { inside->text, value_length(*inside) };
	drop(inside, value->len);
	skip_one(inside, behind);
	return true;
}

bool raw_json_element(struct raw_json *inside, struct raw_json *element)
{
	return take(inside, element, ',');
}

bool raw_json_member(struct raw_json *inside, struct raw_json *name, struct raw_json *value)
{
	return take(inside, name, ':') && take(inside, value, ',');
}

bool raw_json_is_name(struct raw_json name, const char *wanted)
{
	size_t len = strlen(wanted);

	return name.len == len + 2 && memcmp(name.text + 1, wanted, len) == 0;
}

bool raw_json_find(struct raw_json object, const char *name, struct raw_json *value)
{
	struct raw_json inside = raw_json_inside(object), found;

	while (raw_json_member(&inside, &found, value))
		if (raw_json_is_name(found, name))
			return true;
	return false;
}

/* In a string no line ends, so what ends one stands between values. */
void raw_json_print(FILE *out, struct raw_json json)
{
	for (size_t i = 0; i < json.len; i++)
		if (json.text[i] != '\n' && json.text[i] != '\r')
			fputc(json.text[i], out);
	fputc('\n', out);
}
