/* Any bytes as base64 and as a number: each value has one spelling, and it comes back. */
#include <inttypes.h>
#include <stdio.h>

#include "input.h"
#include "pipeline/text.h"

static void as_base64(const char *text, size_t len)
{
	struct pl_buf bytes, again;
	pl_buf_init(&bytes, len);
	pl_buf_init(&again, len);
	if (pl_base64_decode(text, len, &bytes) == PL_OK) {
		PL_ASSERT(pl_base64_add(&again, bytes.data, bytes.len) == PL_OK);
		PL_ASSERT(again.len == len && (len == 0 || memcmp(again.data, text, len) == 0));
	} else {
		PL_ASSERT(bytes.len == 0);
	}
	pl_buf_fini(&bytes);
	pl_buf_fini(&again);
}

static void through_base64(const void *data, size_t len)
{
	struct pl_buf text, back;
	pl_buf_init(&text, 4 * (len / 3 + 1));
	pl_buf_init(&back, len);
	PL_ASSERT(pl_base64_add(&text, data, len) == PL_OK);
	PL_ASSERT(pl_base64_decode(text.data, text.len, &back) == PL_OK);
	PL_ASSERT(back.len == len && (len == 0 || memcmp(back.data, data, len) == 0));
	pl_buf_fini(&text);
	pl_buf_fini(&back);
}

static void as_number(const char *text, size_t len)
{
	uint64_t number;
	char digits[32];
	size_t zeros = 0;
	if (pl_number_parse(text, len, UINT64_MAX, &number) != PL_OK)
		return;
	while (zeros + 1 < len && text[zeros] == '0')
		zeros++;
	snprintf(digits, sizeof digits, "%" PRIu64, number);
	PL_ASSERT(strlen(digits) == len - zeros && memcmp(digits, text + zeros, len - zeros) == 0);
	PL_ASSERT(number == 0 || pl_number_parse(text, len, number - 1, &number) == PL_ELIMIT);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = input_of(data, size);
	as_base64(in.at, in.len);
	through_base64(in.at, in.len);
	as_number(in.at, in.len);
	return 0;
}
