/*
 * Redis runs a script from its first line at each call: every function is made anew, and to capture a
 * local of the script costs a walk over all that were captured before. So a verb gets only what it
 * uses; what only a function marked "-- rarely" uses stands inside that function, to be made when it
 * runs. The first parts stand in functions around the others, so that these find them by a copy.
 */
#include "script_link.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "pipeline/buf.h"
#include "pipeline/err.h"
#include "pipeline/mem.h"

#define SCRIPT_MAX (128 * 1024)
#define PARTS_MAX  256
#define NAMES_MAX  4 /* of one "local a, b" */
#define MARGIN     "\nlocal "
#define RARELY     "-- rarely\n"
#define END        "\nend\n"
/* Globals are sought in a table each time, upvalues are not. */
#define PRELUDE                                                                     \
	"local T, call, ARGV = KEYS[1], redis.call, ARGV\n"                         \
	"local tonumber, ipairs, pairs, unpack = tonumber, ipairs, pairs, unpack\n" \
	"local string, math, table = string, math, table\n"
#define OPENING "return (function()\n"
#define CLOSING "\nend)()\n"
#define LEVELS  3
#define LEVEL   16 /* parts; Lua allows a function 60 upvalues, and those of LEVELS are not more */

struct span {
	const char *at;
	size_t len;
};

struct part {
	struct span text; /* from its "local" on */
	struct span names[NAMES_MAX];
	size_t name_count;
	bool is_function, is_rare;
};

struct lib {
	struct part parts[PARTS_MAX];
	size_t count;
};

struct set { /* of the lib's parts */
	bool has[PARTS_MAX];
};

static bool is_word(char letter)
{
	return isalnum((unsigned char)letter) || letter == '_';
}

/* The next word of a text whose comments are passed over; len 0: none. */
static struct span next_word(struct span *text)
{
	const char *at = text->at, *end = at + text->len;
	while (at < end && !is_word(*at)) {
		if (end - at >= 2 && at[0] == '-' && at[1] == '-') {
			const char *newline = memchr(at, '\n', (size_t)(end - at));
			at = newline != NULL ? newline : end;
		} else {
			at++;
		}
	}
	struct span word = { at, 0 };
	while (at + word.len < end && is_word(at[word.len]))
		word.len++;
	*text = (struct span) { at + word.len, (size_t)(end - at) - word.len };
	return word;
}

static bool defines(const struct part *part, struct span word)
{
	for (size_t i = 0; i < part->name_count; i++)
		if (part->names[i].len == word.len && *part->names[i].at == *word.at &&
			memcmp(part->names[i].at, word.at, word.len) == 0)
			return true;
	return false;
}

static struct span first_line(struct span text)
{
	const char *newline = memchr(text.at, '\n', text.len);
	return (struct span) { text.at,
		newline != NULL ? (size_t)(newline + 1 - text.at) : text.len };
}

static struct span behind(struct span text, struct span start)
{
	return (struct span) { text.at + start.len, text.len - start.len };
}

static bool ends_with(struct span text, const char *end)
{
	size_t len = strlen(end);
	return text.len >= len && memcmp(text.at + text.len - len, end, len) == 0;
}

/* "local function name(" or "local name, name =" */
static struct part part_of(struct span text)
{
	static const char head[] = "local ", function[] = "function ";
	struct part part = { .text = text, .is_rare = ends_with(first_line(text), RARELY) };
	const char *at = text.at + strlen(head);
	part.is_function = strncmp(at, function, strlen(function)) == 0;
	if (part.is_function)
		at += strlen(function);
	struct span names = { at, strcspn(at, "(=\n") }, name;
	while ((name = next_word(&names)).len > 0) {
		PL_ASSERT(part.name_count < NAMES_MAX);
		part.names[part.name_count++] = name;
	}
	return part;
}

static void split(const char *text, struct lib *lib)
{
	lib->count = 0;
	for (const char *at = strstr(text, MARGIN); at != NULL;) {
		const char *next = strstr(at + 1, MARGIN);
		size_t len = next != NULL ? (size_t)(next - at) : strlen(at + 1);
		PL_ASSERT(lib->count < PARTS_MAX);
		lib->parts[lib->count++] = part_of((struct span) { at + 1, len });
		at = next;
	}
}

/* Adds what this text uses of the first `before` parts, and what these use: a part uses only what
 * stands before it. What a rare one uses is added with `deep` only. */
static void add_used(
	const struct lib *lib, struct span text, size_t before, bool deep, struct set *out)
{
	struct span word;
	while ((word = next_word(&text)).len > 0) {
		size_t i = before;
		while (i > 0 && !defines(&lib->parts[i - 1], word))
			i--;
		if (i == 0 || out->has[i - 1])
			continue;
		const struct part *part = &lib->parts[i - 1];
		out->has[i - 1] = true;
		if (deep || !part->is_rare)
			add_used(lib, part->text, i - 1, deep, out);
	}
}

/* The next piece of a verb: a rare function, or what stands up to the next one. */
static struct span next_piece(struct span *text, bool *is_rare)
{
	struct span piece = { text->at, 0 };
	*is_rare = false;
	while (piece.len < text->len) {
		struct span line = first_line(behind(*text, piece));
		bool begins = ends_with(line, RARELY) && strncmp(line.at, "local ", 6) == 0;
		if (begins && piece.len > 0)
			break;
		if (begins) {
			const char *end = strstr(line.at, END);
			PL_ASSERT(end != NULL);
			*is_rare = true;
			piece.len = (size_t)(end + strlen(END) - text->at);
			break;
		}
		piece.len += line.len;
	}
	*text = behind(*text, piece);
	return piece;
}

/* State is one for all: what is no function stands outside, whoever uses it. */
static void share_state(const struct lib *lib, const struct set *used, struct set *common)
{
	for (size_t i = 0; i < lib->count; i++)
		if (used->has[i] && !lib->parts[i].is_function && !common->has[i]) {
			common->has[i] = true;
			add_used(lib, lib->parts[i].text, i, false, common);
		}
}

static struct set common_of(const struct lib *lib, struct span verb)
{
	struct set common = { 0 }, all = { 0 };
	bool is_rare;
	for (struct span rest = verb, piece; (piece = next_piece(&rest, &is_rare)).len > 0;)
		if (!is_rare)
			add_used(lib, piece, lib->count, false, &common);
	add_used(lib, verb, lib->count, true, &all);
	share_state(lib, &all, &common);
	return common;
}

static void put(struct pl_buf *out, struct span text)
{
	enum pl_err err = pl_buf_add(out, text.at, text.len);
	PL_ASSERT(err == PL_OK); /* our own scripts, of known size */
}

static void put_text(struct pl_buf *out, const char *text)
{
	put(out, (struct span) { text, strlen(text) });
}

/* A rare function begins with what it alone uses. */
static void put_rare(struct pl_buf *out, const struct lib *lib, struct span text, size_t before,
	const struct set *common)
{
	struct span head = first_line(text), body = behind(text, head);
	struct set used = { 0 };
	add_used(lib, body, before, true, &used);
	put(out, head);
	for (size_t i = 0; i < before; i++)
		if (used.has[i] && !common->has[i])
			put(out, lib->parts[i].text);
	put(out, body);
}

char *script_link(const char *lib_text, const char *verb_text)
{
	struct lib *lib = pl_alloc(sizeof *lib);
	split(lib_text, lib);
	struct span all = { verb_text, strlen(verb_text) }, head = first_line(all);
	struct span verb = behind(all, head);
	struct set common = common_of(lib, verb);
	struct pl_buf out;
	pl_buf_init(&out, SCRIPT_MAX);
	put(&out, head);
	put_text(&out, PRELUDE);
	size_t levels = 0, parts = 0;
	for (size_t i = 0; i < lib->count; i++) {
		if (!common.has[i])
			continue;
		if (parts++ % LEVEL == 0 && levels < LEVELS) {
			put_text(&out, OPENING);
			levels++;
		}
		if (lib->parts[i].is_rare)
			put_rare(&out, lib, lib->parts[i].text, i, &common);
		else
			put(&out, lib->parts[i].text);
	}
	bool is_rare;
	for (struct span rest = verb, piece; (piece = next_piece(&rest, &is_rare)).len > 0;) {
		if (is_rare)
			put_rare(&out, lib, piece, lib->count, &common);
		else
			put(&out, piece);
	}
	for (; levels > 0; levels--)
		put_text(&out, CLOSING);
	free(lib);
	return pl_buf_take(&out, NULL);
}
