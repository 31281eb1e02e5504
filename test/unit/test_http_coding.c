/*
 * gzip undone: whole bodies in any pieces, and every way not to be one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "http_coding.h"
#include "pipeline/buf.h"
#include "pipeline/mem.h"

#define SAID_MAX (8 * 1024 * 1024)

struct packed {
	size_t len;
	char bytes[256 * 1024];
};
static struct packed packed; /* too large for a stack */

/* Appends one member; bits: 15 + 16 is gzip, 15 zlib's own, -15 nothing around it. */
static void pack(const char *text, size_t len, int bits)
{
	z_stream stream = { 0 };
	assert_int_equal(deflateInit2(&stream, 9, Z_DEFLATED, bits, 8, Z_DEFAULT_STRATEGY), Z_OK);
	stream.next_in = (Bytef *)(uintptr_t)text;
	stream.avail_in = (unsigned)len;
	stream.next_out = (Bytef *)packed.bytes + packed.len;
	stream.avail_out = (unsigned)(sizeof packed.bytes - packed.len);
	assert_int_equal(deflate(&stream, Z_FINISH), Z_STREAM_END);
	packed.len = sizeof packed.bytes - stream.avail_out;
	deflateEnd(&stream);
}

static void pack_anew(const char *text)
{
	packed.len = 0;
	pack(text, strlen(text), 15 + 16);
}

enum said { WHOLE, CUT_SHORT, BROKEN };

/* Unpacks `len` bytes, `step` at a time; each piece is wanted `times` times. */
static enum said unpack(
	const char *bytes, size_t len, size_t step, unsigned times, struct pl_buf *out)
{
	struct http_coding *coding = http_coding_new();
	enum said said = WHOLE;
	pl_buf_clear(out);
	for (size_t at = 0; at < len && said != BROKEN; at += step) {
		const char *piece = NULL;
		size_t some = len - at < step ? len - at : step, piece_len = 1;
		char *copy = pl_strndup(bytes + at, some); /* a byte too far shows */
		unsigned wanted = times;
		while (said != BROKEN && piece_len > 0) {
			if (!http_coding_next(coding, copy, some, &piece, &piece_len)) {
				said = BROKEN;
			} else if (piece_len > 0 && --wanted > 0) {
				http_coding_again(coding);
			} else if (piece_len > 0) {
				assert_int_equal(pl_buf_add(out, piece, piece_len), PL_OK);
				wanted = times;
			}
		}
		free(copy);
	}
	if (said == WHOLE && !http_coding_is_whole(coding))
		said = CUT_SHORT;
	http_coding_free(coding);
	return said;
}

static void assert_unpacks(const char *text, size_t len)
{
	static const size_t steps[] = { 1, 2, 7, 18, 100, 16384, sizeof packed.bytes };
	struct pl_buf out;
	pl_buf_init(&out, SAID_MAX);
	for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
		for (unsigned times = 1; times <= 3; times++) {
			assert_int_equal(
				unpack(packed.bytes, packed.len, steps[i], times, &out), WHOLE);
			assert_int_equal(out.len, len);
			if (len > 0)
				assert_memory_equal(out.data, text, len);
		}
	}
	pl_buf_fini(&out);
}

static void whole_bodies_in_any_pieces(void **state)
{
	(void)state;
	pack_anew("packed and unpacked");
	assert_unpacks("packed and unpacked", 19);
	pack_anew("");
	assert_unpacks("", 0);
}

/* Each piece of the output fills the room there is, several of them from one byte of input. */
static void what_grows(void **state)
{
	(void)state;
	static const size_t lens[] = { HTTP_CODING_PIECE - 1, HTTP_CODING_PIECE,
		HTTP_CODING_PIECE + 1, 2 * HTTP_CODING_PIECE, 1024 * 1024 };
	char *text = pl_calloc(1, 1024 * 1024);
	for (size_t i = 0; i < sizeof lens / sizeof lens[0]; i++) {
		packed.len = 0;
		pack(text, lens[i], 15 + 16);
		assert_unpacks(text, lens[i]);
	}
	free(text);
}

static void what_does_not_pack(void **state)
{
	(void)state;
	static char text[100 * 1000];
	uint32_t random = 1;
	for (size_t i = 0; i < sizeof text; i++) {
		random = random * 1664525 + 1013904223;
		text[i] = (char)(random >> 24);
	}
	packed.len = 0;
	pack(text, sizeof text, 15 + 16);
	assert_unpacks(text, sizeof text);
}

static void members_follow_each_other(void **state)
{
	(void)state;
	pack_anew("{\"a\":");
	pack("", 0, 15 + 16);
	pack("1}", 2, 15 + 16);
	pack("", 0, 15 + 16);
	assert_unpacks("{\"a\":1}", 7);
}

static void no_beginning_is_whole(void **state)
{
	(void)state;
	struct pl_buf out;
	pl_buf_init(&out, SAID_MAX);
	pack_anew("the first of two");
	size_t first = packed.len;
	pack("and the second", 14, 15 + 16);
	for (size_t len = 0; len < packed.len; len++) {
		enum said said = unpack(packed.bytes, len, 5, 1, &out);
		if (said != (len == first ? WHOLE : CUT_SHORT))
			fail_msg("%zu bytes of %zu are %d", len, packed.len, said);
	}
	pl_buf_fini(&out);
}

static void nothing_else_is_taken(void **state)
{
	(void)state;
	static const char *const behind[] = { "garbage", "\0", "\x1f", "\x1f\x8b\x07" };
	static const size_t behind_len[] = { 7, 1, 1, 3 };
	struct pl_buf out;
	pl_buf_init(&out, SAID_MAX);
	for (size_t i = 0; i < sizeof behind / sizeof behind[0]; i++) {
		pack_anew("with something behind");
		memcpy(packed.bytes + packed.len, behind[i], behind_len[i]);
		assert_int_not_equal(
			unpack(packed.bytes, packed.len + behind_len[i], 9, 1, &out), WHOLE);
	}
	for (int bits = -15; bits <= 15; bits += 30) {
		packed.len = 0;
		pack("no gzip", 7, bits);
		assert_int_equal(unpack(packed.bytes, packed.len, 9, 1, &out), BROKEN);
	}
	assert_int_equal(unpack("not gzip!", 9, 9, 1, &out), BROKEN);
	pl_buf_fini(&out);
}

/* But for the header's time, flags and system, which say nothing of the body. */
static void no_bit_may_turn(void **state)
{
	(void)state;
	struct pl_buf out;
	pl_buf_init(&out, SAID_MAX);
	pack_anew("a body whose every bit counts");
	for (size_t bit = 0; bit < packed.len * 8; bit++) {
		if (bit / 8 >= 3 && bit / 8 <= 9)
			continue;
		packed.bytes[bit / 8] = (char)(packed.bytes[bit / 8] ^ 1 << bit % 8);
		enum said said = unpack(packed.bytes, packed.len, 4096, 1, &out);
		bool is_same = said == WHOLE && out.len == 29 &&
			       memcmp(out.data, "a body whose every bit counts", 29) == 0;
		if (said == WHOLE && !is_same)
			fail_msg("bit %zu", bit);
		packed.bytes[bit / 8] = (char)(packed.bytes[bit / 8] ^ 1 << bit % 8);
	}
	pl_buf_fini(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whole_bodies_in_any_pieces),
		cmocka_unit_test(what_grows),
		cmocka_unit_test(what_does_not_pack),
		cmocka_unit_test(members_follow_each_other),
		cmocka_unit_test(no_beginning_is_whole),
		cmocka_unit_test(nothing_else_is_taken),
		cmocka_unit_test(no_bit_may_turn),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
