/*
 * The usual request, `{"provider": "…", "callbackUrl": "…"}` and nothing beside, taken apart where it
 * stands: a JSON tree of it would cost as much as judging both URLs. Whatever is not plainly that,
 * right or wrong, is left to jansson; nothing is refused here.
 */
#include <string.h>

#include "request_reader.h"

struct cursor {
	const char *at, *end;
};

static void pass_space(struct cursor *c)
{
	while (c->at < c->end &&
		(*c->at == ' ' || *c->at == '\n' || *c->at == '\t' || *c->at == '\r'))
		c->at++;
}

static bool take_byte(struct cursor *c, char wanted)
{
	pass_space(c);
	if (c->at == c->end || *c->at != wanted)
		return false;
	c->at++;
	return true;
}

/* Stands for itself in a string, whatever is around it. */
static bool is_plain(char byte)
{
	return byte >= 0x20 && byte < 0x7f && byte != '"' && byte != '\\';
}

static bool take_string(struct cursor *c, struct request_text *out)
{
	if (!take_byte(c, '"'))
		return false;
	out->bytes = c->at;
	while (c->at < c->end && is_plain(*c->at))
		c->at++;
	out->len = (size_t)(c->at - out->bytes);
	if (c->at == c->end || *c->at != '"')
		return false;
	c->at++;
	return true;
}

static bool spells(const struct request_text *text, const char *word)
{
	return text->len == strlen(word) && memcmp(text->bytes, word, text->len) == 0;
}

static bool take_member(struct cursor *c, struct request_url *out)
{
	struct request_text name;
	if (!take_string(c, &name) || !take_byte(c, ':') || !take_string(c, &out->text))
		return false;
	out->is_callback = spells(&name, "callbackUrl");
	return out->is_callback || spells(&name, "provider");
}

bool request_is_usual(const char *json, size_t len, struct request_url urls[2])
{
	struct cursor c = { json, json + len };
	bool is_read = take_byte(&c, '{') && take_member(&c, &urls[0]) && take_byte(&c, ',') &&
		       take_member(&c, &urls[1]) && take_byte(&c, '}');
	pass_space(&c);
	return is_read && c.at == c.end && urls[0].is_callback != urls[1].is_callback;
}
