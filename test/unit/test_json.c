#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "pipeline/json.h"

/* ---- writing ------------------------------------------------------------------------------- */

static void writes(const char *text, size_t len, const char *wanted)
{
	struct pl_buf out;
	pl_buf_init(&out, 4096);
	assert_int_equal(pl_buf_text(&out, ":"), PL_OK);
	assert_int_equal(pl_json_string(&out, text, len), PL_OK);
	assert_string_equal(out.data + 1, wanted);
	pl_buf_fini(&out);
}

static void plain_text_is_quoted_as_it_is(void **state)
{
	(void)state;
	writes("", 0, "\"\"");
	writes("abc xyz /~", 10, "\"abc xyz /~\"");
	writes("\xc3\xa9\xe6\x97\xa5\xf0\x9f\x98\x80", 9,
		"\"\xc3\xa9\xe6\x97\xa5\xf0\x9f\x98\x80\"");
	writes("\xf4\x8f\xbf\xbf", 4, "\"\xf4\x8f\xbf\xbf\"");
}

static void what_could_break_or_disguise_a_line_is_escaped(void **state)
{
	(void)state;
	writes("\"\\\b\t\n\f\r", 7, "\"\\\"\\\\\\b\\t\\n\\f\\r\"");
	writes("\0\x1b\x1f\x7f", 4, "\"\\u0000\\u001b\\u001f\\u007f\"");
	writes("\xc2\x80\xc2\x85\xc2\x9f\xc2\xa0", 8, "\"\\u0080\\u0085\\u009f\xc2\xa0\"");
	writes("\xe2\x80\xa7\xe2\x80\xa8\xe2\x80\xa9\xe2\x80\xae\xe2\x80\xaf", 15,
		"\"\xe2\x80\xa7\\u2028\\u2029\\u202e\xe2\x80\xaf\"");
	writes("\xd8\x9b\xd8\x9c", 4, "\"\xd8\x9b\\u061c\"");
	writes("\xe2\x81\xa6\xe2\x81\xa9\xe2\x81\xaa\xe2\x80\x8f", 12,
		"\"\\u2066\\u2069\xe2\x81\xaa\\u200f\"");
}

#define FFFD "\xef\xbf\xbd"

/* The examples of Unicode 15, section 3.9, tables 3-8 to 3-11. */
static void broken_utf8_becomes_replacement_characters(void **state)
{
	(void)state;
	writes("\xff", 1, "\"" FFFD "\"");
	writes("\xc0\xaf\xe0\x80\xbf\xf0\x81\x82\x41", 9,
		"\"" FFFD FFFD FFFD FFFD FFFD FFFD FFFD FFFD "A\"");
	writes("\xed\xa0\x80\xed\xbf\xbf\xed\xaf\x41", 9,
		"\"" FFFD FFFD FFFD FFFD FFFD FFFD FFFD FFFD "A\"");
	writes("\xf4\x91\x92\x93\xff\x41\x80\xbf\x42", 9,
		"\"" FFFD FFFD FFFD FFFD FFFD "A" FFFD FFFD "B\"");
	writes("\xe1\x80\xe2\xf0\x91\x92\xf1\xbf\x41", 9, "\"" FFFD FFFD FFFD FFFD "A\"");
	writes("a\xe6\x97", 3, "\"a" FFFD "\"");
	writes("\xef\xbf\xbd", 3, "\"" FFFD "\"");
}

static void a_string_above_the_ceiling_leaves_no_trace(void **state)
{
	(void)state;
	struct pl_buf out;
	pl_buf_init(&out, 10);
	assert_int_equal(pl_buf_text(&out, "ab"), PL_OK);
	assert_int_equal(pl_json_string(&out, "c\x01", 2), PL_ELIMIT);
	assert_string_equal(out.data, "ab");
	assert_int_equal(pl_json_string(&out, "\x01", 1), PL_OK);
	assert_string_equal(out.data, "ab\"\\u0001\"");
	pl_buf_fini(&out);
}

static void escaping_into_little_room_cuts_between_characters(void **state)
{
	(void)state;
	static const char text[] = "a\n\xc3\xa9\x01\xff\xf0\x9f\x98\x80z";
	static const char whole[] = "a\\n\xc3\xa9\\u0001" FFFD "\xf0\x9f\x98\x80z";
	static const struct {
		size_t used, written;
	} cuts[] = { { 0, 0 }, { 1, 1 }, { 2, 3 }, { 4, 5 }, { 5, 11 }, { 6, 14 }, { 10, 18 },
		{ 11, 19 } };
	for (size_t room = 0; room < 25; room++) {
		char out[32];
		memset(out, '#', sizeof out);
		size_t used, at = 0;
		while (at + 1 < sizeof cuts / sizeof *cuts && cuts[at + 1].written <= room)
			at++;
		assert_int_equal(
			pl_json_escape(text, sizeof text - 1, out, room, &used), cuts[at].written);
		assert_int_equal(used, cuts[at].used);
		assert_memory_equal(out, whole, cuts[at].written);
		assert_int_equal(out[cuts[at].written], '#');
	}
}

/* A cheap sequence that is the same in each run. */
static uint32_t next_random(uint32_t *seed)
{
	*seed = *seed * 1664525 + 1013904223;
	return *seed >> 8;
}

static void whatever_the_bytes_a_json_reader_takes_the_string(void **state)
{
	(void)state;
	static const char pieces[] =
		"\"\\\n\x01\x7f\xc3\xa9\xe2\x80\xa8\xf0\x9f\x98\x80\xff\xc0\xed\xa0 a";
	uint32_t seed = 1;
	for (int i = 0; i < 5000; i++) {
		char text[24];
		size_t len = next_random(&seed) % sizeof text;
		for (size_t j = 0; j < len; j++)
			text[j] = pieces[next_random(&seed) % sizeof pieces];
		struct pl_buf out;
		pl_buf_init(&out, 4096);
		assert_int_equal(pl_json_string(&out, text, len), PL_OK);
		json_t *back =
			json_loadb(out.data, out.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
		assert_non_null(back);
		struct pl_utf8_check check;
		pl_utf8_check_init(&check);
		pl_utf8_check_feed(&check, text, len);
		if (pl_utf8_check_finish(&check)) {
			assert_int_equal(json_string_length(back), len);
			assert_memory_equal(json_string_value(back), text, len);
		}
		json_decref(back);
		pl_buf_fini(&out);
	}
}

/* ---- checking ------------------------------------------------------------------------------ */

/* Fed in two pieces, the first of them `split` bytes long. */
static bool is_json_split(const char *text, size_t len, size_t split)
{
	struct pl_json_check check;
	pl_json_check_init(&check);
	pl_json_check_feed(&check, text, split);
	pl_json_check_feed(&check, text + split, len - split);
	return pl_json_check_finish(&check);
}

static bool is_json_bytewise(const char *text, size_t len)
{
	struct pl_json_check check;
	pl_json_check_init(&check);
	for (size_t i = 0; i < len; i++)
		pl_json_check_feed(&check, text + i, 1);
	return pl_json_check_finish(&check);
}

static void is_json(const char *text, size_t len, bool wanted)
{
	for (size_t split = 0; split <= len; split++)
		if (is_json_split(text, len, split) != wanted)
			fail_msg("%.*s, split at %zu: %s", (int)len, text, split,
				wanted ? "refused" : "taken");
	assert_int_equal(is_json_bytewise(text, len), wanted);
}

/* jansson refuses some legal texts: NUL or half a surrogate pair as an escape, huge numbers. And it
 * overlooks a NUL behind a number. */
struct sample {
	const char *text;
	size_t len;
	bool jansson_differs;
};
#define SAMPLE(text)                         \
	{                                    \
		text, sizeof text - 1, false \
	}
#define STRANGE(text)                       \
	{                                   \
		text, sizeof text - 1, true \
	}

static const struct sample legal[] = { SAMPLE("0"), SAMPLE("-0"), SAMPLE("10"), SAMPLE("-1"),
	SAMPLE("0.5"), SAMPLE("0e1"), SAMPLE("0E+1"), SAMPLE("1e-2"), SAMPLE("-12.034e+05"),
	SAMPLE("1.0"), STRANGE("1e999"), STRANGE("123456789012345678901234567890"), SAMPLE("true"),
	SAMPLE("false"), SAMPLE("null"), SAMPLE(" \t\n\rnull \t\n\r"), SAMPLE("\"\""),
	SAMPLE("\"a b\""), SAMPLE("\"\x7f\""), SAMPLE("\"/\""),
	SAMPLE("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\""), SAMPLE("\"\\u00e9\\uABCD\\uabcd\""),
	SAMPLE("\"\\ud83d\\ude00\""), STRANGE("\"\\ud83d\""), STRANGE("\"\\ude00\""),
	STRANGE("\"\\ude00\\ud83d\""), STRANGE("\"\\u0000\""), SAMPLE("\"\xc3\xa9\""),
	SAMPLE("\"\xc2\x80\xdf\xbf\""), SAMPLE("\"\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\""),
	SAMPLE("\"\xf0\x90\x80\x80\xf4\x8f\xbf\xbf\""), SAMPLE("\"\xef\xbb\xbf\""),
	SAMPLE("\"\xe2\x80\xa8\""), SAMPLE("\"\xef\xbf\xbf\""), SAMPLE("[]"), SAMPLE("[ ]"),
	SAMPLE("{}"), SAMPLE("{ }"), SAMPLE("[1]"), SAMPLE("[1,2]"), SAMPLE(" [ 1 , 2 ] "),
	SAMPLE("[[],{},[[]]]"), SAMPLE("{\"a\":1}"), SAMPLE(" { \"a\" : 1 , \"b\" : [ ] } "),
	SAMPLE("{\"\":\"\"}"), SAMPLE("{\"a\":{\"b\":{\"c\":null}}}"), SAMPLE("{\"a\":1,\"a\":2}"),
	SAMPLE("[0,-0,1.5e3,true,false,null,\"x\",{},[]]"), SAMPLE("[{\"a\":[{\"b\":[]}]},{}]"),
	SAMPLE("{\"\\u0061\\\"\":0}") };

static const struct sample illegal[] = { SAMPLE(""), SAMPLE(" "),
	SAMPLE("\xef\xbb\xbf"
	       "1"),
	SAMPLE("\xef\xbb\xbf{}"), SAMPLE("-"), SAMPLE("+1"), SAMPLE("01"), SAMPLE("-01"),
	SAMPLE("00"), SAMPLE("1."), SAMPLE(".5"), SAMPLE("-.5"), SAMPLE("1.e1"), SAMPLE("1e"),
	SAMPLE("1e+"), SAMPLE("1e+-1"), SAMPLE("1e1.5"), SAMPLE("1.5.5"), SAMPLE("0x1"),
	SAMPLE("1a"), SAMPLE("1 2"), SAMPLE("--1"), SAMPLE("- 1"), SAMPLE("1_0"), SAMPLE("NaN"),
	SAMPLE("Infinity"), SAMPLE("-Infinity"), SAMPLE("tru"), SAMPLE("truee"), SAMPLE("True"),
	SAMPLE("nul"), SAMPLE("nullnull"), SAMPLE("falze"), SAMPLE("t"), SAMPLE("\""),
	SAMPLE("\"a"), SAMPLE("\"\\\""), SAMPLE("\"\\"), SAMPLE("\"\\x\""), SAMPLE("\"\\'\""),
	SAMPLE("\"\\U0041\""), SAMPLE("\"\\u\""), SAMPLE("\"\\u12\""), SAMPLE("\"\\u123\""),
	SAMPLE("\"\\u123g\""), SAMPLE("\"\\\0\""), SAMPLE("\"\0\""), SAMPLE("\"\n\""),
	SAMPLE("\"\t\""), SAMPLE("\"\x1f\""), SAMPLE("'a'"), SAMPLE("\"\x80\""), SAMPLE("\"\xff\""),
	SAMPLE("\"\xc3\""), SAMPLE("\"\xc3(\""), SAMPLE("\"\xc0\x80\""), SAMPLE("\"\xc1\xbf\""),
	SAMPLE("\"\xe0\x9f\xbf\""), SAMPLE("\"\xed\xa0\x80\""), SAMPLE("\"\xf0\x8f\xbf\xbf\""),
	SAMPLE("\"\xf4\x90\x80\x80\""), SAMPLE("\"\xf5\x80\x80\x80\""), SAMPLE("\"\xe6\x97\""),
	SAMPLE("\"\xc3 \xa9\""), SAMPLE("\"\xe6\\u0041\""), SAMPLE("["), SAMPLE("]"), SAMPLE("[,]"),
	SAMPLE("[1,]"), SAMPLE("[,1]"), SAMPLE("[1 2]"), SAMPLE("[1"), SAMPLE("[1,"), SAMPLE("[1}"),
	SAMPLE("[1]]"), SAMPLE("[1:2]"), SAMPLE("[]1"), SAMPLE("[],[]"), SAMPLE("{"), SAMPLE("}"),
	SAMPLE("{]"), SAMPLE("{,}"), SAMPLE("{1:2}"), SAMPLE("{a:1}"), SAMPLE("{\"a\"}"),
	SAMPLE("{\"a\":}"), SAMPLE("{\"a\":1,}"), SAMPLE("{\"a\",1}"), SAMPLE("{\"a\"::1}"),
	SAMPLE("{\"a\":1 \"b\":2}"), SAMPLE("{\"a\":1]"), SAMPLE("{\"a\":1"), SAMPLE("{\"a"),
	SAMPLE("{\"a\":1}}"), SAMPLE("{null:1}"), SAMPLE("1,2"), SAMPLE(",1"), SAMPLE("1,"),
	SAMPLE("// x\n1"), SAMPLE("/**/1"), STRANGE("1\0"), STRANGE("[1\0]"), SAMPLE("1\f"),
	SAMPLE("\v1"), SAMPLE("1\xc2\xa0"), SAMPLE("[1\xe2\x80\xa8]"), SAMPLE("\xff") };

#define COUNT(list) (sizeof list / sizeof *list)

static bool jansson_takes(const char *text, size_t len)
{
	json_t *json = json_loadb(text, len, JSON_DECODE_ANY, NULL);
	json_decref(json);
	return json != NULL;
}

static void the_grammar_is_that_of_its_standard_at_any_split(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(legal); i++) {
		is_json(legal[i].text, legal[i].len, true);
		assert_int_equal(
			jansson_takes(legal[i].text, legal[i].len), !legal[i].jansson_differs);
	}
	for (size_t i = 0; i < COUNT(illegal); i++) {
		is_json(illegal[i].text, illegal[i].len, false);
		if (jansson_takes(illegal[i].text, illegal[i].len) != illegal[i].jansson_differs)
			fail_msg("jansson: %.*s", (int)illegal[i].len, illegal[i].text);
	}
}

/* One byte of each legal sample replaced, removed or doubled: here the two readers must agree on
 * texts nobody thought of. What jansson alone refuses is kept out by the alphabet: no digit that
 * could make a number or a surrogate too large, no NUL. */
static void changed_texts_get_the_same_answer_from_jansson(void **state)
{
	(void)state;
	static const char alphabet[] = "{}[]:,\"\\ue.-+1tfn a\x1f\xc3\xa9\xff\n";
	for (size_t i = 0; i < COUNT(legal); i++) {
		const struct sample *from = &legal[i];
		if (from->jansson_differs)
			continue;
		for (size_t at = 0; at < from->len; at++) {
			for (size_t c = 0; c < sizeof alphabet - 1; c++) {
				char text[64];
				assert_true(from->len < sizeof text);
				memcpy(text, from->text, from->len);
				text[at] = alphabet[c];
				bool theirs = jansson_takes(text, from->len);
				if (strstr(from->text, "\\ud") != NULL && !theirs)
					continue; /* half a surrogate pair: legal, but not to
						     jansson */
				assert_int_equal(is_json_split(text, from->len, at), theirs);
			}
			char shorter[64];
			memcpy(shorter, from->text, at);
			memcpy(shorter + at, from->text + at + 1, from->len - at - 1);
			bool theirs = jansson_takes(shorter, from->len - 1);
			if (theirs || strstr(from->text, "\\ud") == NULL)
				assert_int_equal(is_json_split(shorter, from->len - 1, at), theirs);
		}
	}
}

static void random_soup_gets_the_same_answer_from_jansson(void **state)
{
	(void)state;
	static const char *const tokens[] = { "{", "}", "[", "]", ":", ",", "\"a\"", "1", "-2.5e1",
		"true", "null", " ", "{}", "[]", "\"b\":", "[1,", "{\"c\":" };
	uint32_t seed = 7;
	size_t taken = 0;
	for (int i = 0; i < 100000; i++) {
		char text[128];
		size_t len = 0;
		for (uint32_t n = next_random(&seed) % 9; n > 0; n--) {
			const char *token = tokens[next_random(&seed) % COUNT(tokens)];
			memcpy(text + len, token, strlen(token));
			len += strlen(token);
		}
		bool theirs = jansson_takes(text, len);
		taken += theirs;
		if (is_json_split(text, len, len / 2) != theirs)
			fail_msg("%.*s: jansson says %d", (int)len, text, theirs);
	}
	assert_true(taken > 1000); /* the soup has both kinds in it */
}

/* levels times open, then as many times close; free() it. */
static char *nested(size_t levels, const char *open, const char *close)
{
	char *text = malloc(levels * (strlen(open) + strlen(close)) + 1), *at = text;
	assert_non_null(text);
	for (size_t i = 0; i < levels; i++, at += strlen(open))
		memcpy(at, open, strlen(open));
	for (size_t i = 0; i < levels; i++, at += strlen(close))
		memcpy(at, close, strlen(close));
	*at = '\0';
	return text;
}

static void depth_has_a_ceiling(void **state)
{
	(void)state;
	static const struct {
		const char *open, *close;
		size_t levels; /* each open adds */
	} shapes[] = { { "[", "]", 1 }, { "[{\"a\":[", "]}]", 3 }, { "{\"a\":[", "]}", 2 } };
	for (size_t i = 0; i < COUNT(shapes); i++) {
		for (size_t n = 1; n < 520 / shapes[i].levels; n++) {
			char *text = nested(n, shapes[i].open, shapes[i].close);
			assert_int_equal(is_json_split(text, strlen(text), 0),
				n * shapes[i].levels <= PL_JSON_DEPTH_MAX);
			free(text);
		}
	}
	/* a level is given back when it closes: "[  [],[],…,[]]" */
	char *text = nested(2000, "[],", "");
	memcpy(text, "[  ", 3);
	text[strlen(text) - 1] = ']';
	is_json(text, strlen(text), true);
	free(text);
}

/* ---- text ---------------------------------------------------------------------------------- */

static bool is_text(const char *text, size_t len, size_t split)
{
	struct pl_utf8_check check;
	pl_utf8_check_init(&check);
	pl_utf8_check_feed(&check, text, split);
	pl_utf8_check_feed(&check, text + split, len - split);
	return pl_utf8_check_finish(&check);
}

static void text_is_utf8_without_nul_at_any_split(void **state)
{
	(void)state;
	static const struct sample good[] = { SAMPLE(""), SAMPLE("plain text that is long"),
		SAMPLE("\x01\x7f\n"), SAMPLE("\xc2\x80"), SAMPLE("\xdf\xbf"),
		SAMPLE("\xe0\xa0\x80"), SAMPLE("\xed\x9f\xbf"), SAMPLE("\xee\x80\x80"),
		SAMPLE("\xef\xbf\xbf"), SAMPLE("\xf0\x90\x80\x80"), SAMPLE("\xf4\x8f\xbf\xbf"),
		SAMPLE("12345678\xe6\x97\xa5"
		       "12345678\xc3\xa9") };
	static const struct sample bad[] = { SAMPLE("\0"), SAMPLE("1234567\0"), SAMPLE("\x80"),
		SAMPLE("\xbf"), SAMPLE("\xc0\x80"), SAMPLE("\xc1\xbf"), SAMPLE("\xc3"),
		SAMPLE("\xc3"
		       "12345678"
		       "\xa9"),
		SAMPLE("\xe0\x9f\xbf"), SAMPLE("\xe6\x97"), SAMPLE("\xe6\x97x"),
		SAMPLE("\xed\xa0\x80"), SAMPLE("\xed\xbf\xbf"), SAMPLE("\xf0\x8f\xbf\xbf"),
		SAMPLE("\xf0\x9f\x98"), SAMPLE("\xf4\x90\x80\x80"), SAMPLE("\xf5\x80\x80\x80"),
		SAMPLE("\xfe"), SAMPLE("\xff"),
		SAMPLE("12345678\xff"
		       "12345678") };
	for (size_t i = 0; i < COUNT(good); i++)
		for (size_t split = 0; split <= good[i].len; split++)
			assert_true(is_text(good[i].text, good[i].len, split));
	for (size_t i = 0; i < COUNT(bad); i++)
		for (size_t split = 0; split <= bad[i].len; split++)
			assert_false(is_text(bad[i].text, bad[i].len, split));
}

/* Every code point there is, and every sequence of two bytes. */
static void utf8_agrees_with_its_definition(void **state)
{
	(void)state;
	for (uint32_t code = 1; code < 0x120000; code++) {
		bool real = (code < 0xd800 || code > 0xdfff) && code <= 0x10ffff;
		char text[4] = { (char)(0xf0 | code >> 18), (char)(0x80 | (code >> 12 & 63)),
			(char)(0x80 | (code >> 6 & 63)), (char)(0x80 | (code & 63)) };
		if (code >= 0x10000) {
			assert_int_equal(is_text(text, 4, 0), real);
			continue;
		}
		assert_false(is_text(text, 4, 0)); /* longer than it need be */
		text[1] = (char)(0xe0 | code >> 12);
		assert_int_equal(is_text(text + 1, 3, 0), code >= 0x800 && real);
		if (code >= 0x800)
			continue;
		text[2] = (char)(0xc0 | code >> 6);
		assert_int_equal(is_text(text + 2, 2, 0), code >= 0x80);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plain_text_is_quoted_as_it_is),
		cmocka_unit_test(what_could_break_or_disguise_a_line_is_escaped),
		cmocka_unit_test(broken_utf8_becomes_replacement_characters),
		cmocka_unit_test(a_string_above_the_ceiling_leaves_no_trace),
		cmocka_unit_test(escaping_into_little_room_cuts_between_characters),
		cmocka_unit_test(whatever_the_bytes_a_json_reader_takes_the_string),
		cmocka_unit_test(the_grammar_is_that_of_its_standard_at_any_split),
		cmocka_unit_test(changed_texts_get_the_same_answer_from_jansson),
		cmocka_unit_test(random_soup_gets_the_same_answer_from_jansson),
		cmocka_unit_test(depth_has_a_ceiling),
		cmocka_unit_test(text_is_utf8_without_nul_at_any_split),
		cmocka_unit_test(utf8_agrees_with_its_definition),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
