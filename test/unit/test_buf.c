#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "pipeline/buf.h"

static void bytes_gather_and_stay_terminated(void **state)
{
	(void)state;
	struct pl_buf buf;
	pl_buf_init(&buf, 4096);
	assert_null(buf.data);
	assert_int_equal(pl_buf_text(&buf, "one"), PL_OK);
	assert_int_equal(pl_buf_add(&buf, "\0two", 4), PL_OK);
	assert_int_equal(pl_buf_add(&buf, NULL, 0), PL_OK);
	assert_int_equal(buf.len, 7);
	assert_memory_equal(buf.data, "one\0two", 8);
	pl_buf_clear(&buf);
	assert_int_equal(buf.len, 0);
	assert_string_equal(buf.data, "");
	pl_buf_fini(&buf);
	assert_null(buf.data);
}

static void the_ceiling_holds_and_leaves_what_was_there(void **state)
{
	(void)state;
	struct pl_buf buf;
	pl_buf_init(&buf, 300);
	char bytes[301];
	memset(bytes, 'x', sizeof bytes);
	assert_int_equal(pl_buf_add(&buf, bytes, 301), PL_ELIMIT);
	assert_int_equal(pl_buf_add(&buf, bytes, 298), PL_OK);
	assert_int_equal(pl_buf_text(&buf, "abc"), PL_ELIMIT);
	assert_null(pl_buf_reserve(&buf, 3));
	assert_null(pl_buf_reserve(&buf, SIZE_MAX));
	assert_int_equal(buf.len, 298);
	assert_int_equal(strlen(buf.data), 298);
	assert_int_equal(pl_buf_text(&buf, "ab"), PL_OK);
	assert_int_equal(strlen(buf.data), 300);
	assert_int_equal(buf.room, 301); /* no memory beyond the ceiling and its NUL */
	pl_buf_fini(&buf);
}

static void formats_fit_grow_or_leave_no_trace(void **state)
{
	(void)state;
	struct pl_buf buf;
	pl_buf_init(&buf, 400);
	assert_int_equal(pl_buf_format(&buf, "%d-%s", 7, "x"), PL_OK);
	assert_string_equal(buf.data, "7-x");
	assert_int_equal(pl_buf_format(&buf, "%*d", 390, 1), PL_OK); /* grows */
	assert_int_equal(buf.len, 393);
	assert_int_equal(
		pl_buf_format(&buf, "%08d", 1), PL_ELIMIT); /* fits the room, not the ceiling */
	assert_int_equal(pl_buf_format(&buf, "%*d", 1000, 1), PL_ELIMIT);
	assert_int_equal(buf.len, 393);
	assert_int_equal(strlen(buf.data), 393);
	assert_int_equal(pl_buf_format(&buf, "%07d", 1), PL_OK);
	assert_int_equal(buf.len, 400);
	assert_string_equal(buf.data + 393, "0000001");
	pl_buf_fini(&buf);
}

static void reserved_room_counts_when_written(void **state)
{
	(void)state;
	struct pl_buf buf;
	pl_buf_init(&buf, 1000);
	char *at = pl_buf_reserve(&buf, 900);
	assert_non_null(at);
	memset(at, 'y', 900);
	pl_buf_wrote(&buf, 900);
	assert_int_equal(buf.len, 900);
	assert_int_equal(strlen(buf.data), 900);
	assert_non_null(pl_buf_reserve(&buf, 100));
	assert_null(pl_buf_reserve(&buf, 101));
	pl_buf_wrote(&buf, 0);
	assert_int_equal(buf.len, 900);
	pl_buf_fini(&buf);
}

static void the_front_can_be_dropped(void **state)
{
	(void)state;
	struct pl_buf buf;
	pl_buf_init(&buf, 100);
	pl_buf_drop(&buf, 0);
	assert_int_equal(pl_buf_text(&buf, "abcdef"), PL_OK);
	pl_buf_drop(&buf, 2);
	assert_string_equal(buf.data, "cdef");
	pl_buf_drop(&buf, 4);
	assert_int_equal(buf.len, 0);
	assert_string_equal(buf.data, "");
	pl_buf_fini(&buf);
}

static void taking_hands_the_bytes_over(void **state)
{
	(void)state;
	struct pl_buf buf;
	size_t len = 77;
	pl_buf_init(&buf, 100);
	assert_null(pl_buf_take(&buf, &len));
	assert_int_equal(len, 0);
	assert_int_equal(pl_buf_text(&buf, "mine"), PL_OK);
	char *mine = pl_buf_take(&buf, &len);
	assert_string_equal(mine, "mine");
	assert_int_equal(len, 4);
	assert_int_equal(buf.len, 0);
	assert_int_equal(pl_buf_text(&buf, "next"), PL_OK); /* the ceiling is still there */
	assert_string_equal(mine, "mine");
	free(mine);
	free(pl_buf_take(&buf, NULL));
	pl_buf_fini(&buf);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_gather_and_stay_terminated),
		cmocka_unit_test(the_ceiling_holds_and_leaves_what_was_there),
		cmocka_unit_test(formats_fit_grow_or_leave_no_trace),
		cmocka_unit_test(reserved_room_counts_when_written),
		cmocka_unit_test(the_front_can_be_dropped),
		cmocka_unit_test(taking_hands_the_bytes_over),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
