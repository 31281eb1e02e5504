/*
 * Any bytes as JSON: our check, which streams, against jansson, which builds a tree. They differ
 * where jansson has ways of its own, and only there: its depth (2048), numbers beyond a double,
 * surrogates without their other half, a NUL in a member's name, and a NUL behind a number, which
 * it passes over.
 */
#include <jansson.h>

#include "input.h"
#include "pipeline/json.h"

#define JANSSON_FLAGS (JSON_DECODE_ANY | JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL)

static bool checked(const char *text, size_t len, size_t piece)
{
	struct pl_json_check check;
	pl_json_check_init(&check);
	for (size_t at = 0; at < len; at += piece)
		pl_json_check_feed(&check, text + at, len - at < piece ? len - at : piece);
	return pl_json_check_finish(&check);
}

static size_t depth_of(const char *text, size_t len)
{
	size_t depth = 0, deepest = 0;
	bool in_string = false;
	for (size_t i = 0; i < len; i++) {
		if (text[i] == '"')
			in_string = !in_string;
		else if (in_string && text[i] == '\\')
			i++;
		else if (!in_string && (text[i] == '[' || text[i] == '{'))
			deepest = ++depth > deepest ? depth : deepest;
		else if (!in_string && (text[i] == ']' || text[i] == '}'))
			depth--;
	}
	return deepest;
}

static bool is_known_limit(const json_error_t *error)
{
	enum json_error_code code = json_error_code(error);
	return code == json_error_numeric_overflow || code == json_error_null_byte_in_key ||
	       strncmp(error->text, "invalid Unicode", 15) == 0;
}

static void against_jansson(const char *text, size_t len)
{
	json_error_t error;
	json_t *tree = json_loadb(text, len, JANSSON_FLAGS, &error);
	bool ours = checked(text, len, len + 1);
	bool has_nul = len > 0 && memchr(text, '\0', len) != NULL;
	if (tree != NULL)
		PL_ASSERT(ours == (depth_of(text, len) <= PL_JSON_DEPTH_MAX && !has_nul));
	else
		PL_ASSERT(!ours || is_known_limit(&error));
	json_decref(tree);
	for (size_t piece = 1; piece <= 9; piece += 4)
		PL_ASSERT(checked(text, len, piece) == ours);
}

/* What we write as a string is one, says what was given, and has nothing that breaks a line. */
static void quoted(const char *text, size_t len)
{
	struct pl_buf out;
	pl_buf_init(&out, 6 * len + 2);
	PL_ASSERT(pl_json_string(&out, text, len) == PL_OK);
	json_t *back = json_loadb(out.data, out.len, JANSSON_FLAGS, NULL);
	PL_ASSERT(json_is_string(back));
	json_t *plain = json_stringn(text, len); /* NULL unless it is UTF-8 */
	PL_ASSERT(plain == NULL || json_equal(plain, back));
	for (size_t i = 0; i < out.len; i++)
		PL_ASSERT((unsigned char)out.data[i] >= 0x20 && out.data[i] != 0x7f);
	struct pl_utf8_check check;
	pl_utf8_check_init(&check);
	pl_utf8_check_feed(&check, text, len);
	bool has_nul = len > 0 && memchr(text, '\0', len) != NULL;
	PL_ASSERT(pl_utf8_check_finish(&check) == (plain != NULL && !has_nul));
	json_decref(plain);
	json_decref(back);
	pl_buf_fini(&out);
}

/* Cut to any room it is the beginning of the whole. */
static void escaped_into(const char *text, size_t len, size_t room)
{
	char *whole = pl_alloc(6 * len + 1), *part = pl_alloc(room + 1);
	size_t used, all;
	size_t size = pl_json_escape(text, len, whole, 6 * len, &all);
	size_t cut = pl_json_escape(text, len, part, room, &used);
	PL_ASSERT(all == len && cut <= room && used <= len && cut <= size);
	PL_ASSERT(memcmp(whole, part, cut) == 0);
	PL_ASSERT(used < len || cut == size);
	free(whole);
	free(part);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = input_of(data, size);
	against_jansson(in.at, in.len);
	quoted(in.at, in.len);
	escaped_into(in.at, in.len, size > 0 ? data[0] % 32 : 0);
	return 0;
}
