#include "pipeline/text.h"

#include <openssl/crypto.h>
#include <string.h>

static const char base64_digits[64] = {
	'A', 'B', 'C', 'D', 'E', 'F', 'G', 'H', 'I', 'J', 'K', 'L', 'M', 'N', 'O', 'P', /* 0 */
	'Q', 'R', 'S', 'T', 'U', 'V', 'W', 'X', 'Y', 'Z', 'a', 'b', 'c', 'd', 'e', 'f', /* 16 */
	'g', 'h', 'i', 'j', 'k', 'l', 'm', 'n', 'o', 'p', 'q', 'r', 's', 't', 'u', 'v', /* 32 */
	'w', 'x', 'y', 'z', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', '+', '/', /* 48 */
};

void pl_hex(const void *data, size_t len, char *out)
{
	static const char digits[] = "0123456789abcdef";
	const unsigned char *bytes = data;
	for (size_t i = 0; i < len; i++) {
		*out++ = digits[bytes[i] >> 4];
		*out++ = digits[bytes[i] & 15];
	}
	*out = '\0';
}

/* 1 to 3 bytes become 4 characters. */
static void base64_group(const unsigned char *bytes, size_t count, char out[4])
{
	uint32_t bits = (uint32_t)bytes[0] << 16;
	if (count > 1)
		bits |= (uint32_t)bytes[1] << 8;
	if (count > 2)
		bits |= bytes[2];
	out[0] = base64_digits[bits >> 18];
	out[1] = base64_digits[bits >> 12 & 63];
	out[2] = count > 1 ? base64_digits[bits >> 6 & 63] : '=';
	out[3] = count > 2 ? base64_digits[bits & 63] : '=';
}

enum pl_err pl_base64_add(struct pl_buf *out, const void *data, size_t len)
{
	const unsigned char *bytes = data;
	size_t groups = len / 3 + (len % 3 > 0);
	if (groups > out->max / 4)
		return PL_ELIMIT;
	char *at = pl_buf_reserve(out, 4 * groups);
	if (at == NULL)
		return PL_ELIMIT;
	for (size_t i = 0; i < len; i += 3, at += 4)
		base64_group(bytes + i, len - i < 3 ? len - i : 3, at);
	pl_buf_wrote(out, 4 * groups);
	return PL_OK;
}

/* -1 when c is none of the 64. */
static int base64_value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* The other way; count is how many of the 4 characters are digits (2 to 4). Bits that the
 * padding leaves over must be 0, so that each value has one spelling. */
static bool base64_ungroup(const char in[4], size_t count, char out[3])
{
	uint32_t bits = 0;
	for (size_t i = 0; i < 4; i++) {
		int value = i < count ? base64_value(in[i]) : 0;
		if (value < 0)
			return false;
		bits = bits << 6 | (uint32_t)value;
	}
	out[0] = (char)(bits >> 16);
	out[1] = (char)(bits >> 8 & 255);
	out[2] = (char)(bits & 255);
	return (count > 2 || out[1] == 0) && (count > 3 || out[2] == 0);
}

enum pl_err pl_base64_decode(const char *text, size_t len, struct pl_buf *out)
{
	if (len % 4 != 0)
		return PL_EINVAL;
	size_t pad = 0;
	while (pad < 2 && pad < len && text[len - 1 - pad] == '=')
		pad++;
	size_t size = len / 4 * 3 - pad;
	char *start = pl_buf_reserve(out, size);
	if (start == NULL)
		return PL_ELIMIT;
	char *at = start;
	for (size_t i = 0; i < len; i += 4) {
		size_t count = i + 4 < len ? 4 : 4 - pad;
		char bytes[3];
		if (!base64_ungroup(text + i, count, bytes)) {
			*start = '\0';
			return PL_EINVAL;
		}
		memcpy(at, bytes, count - 1);
		at += count - 1;
	}
	pl_buf_wrote(out, size);
	return PL_OK;
}

enum pl_err pl_number_parse(const char *text, size_t len, uint64_t max, uint64_t *out)
{
	if (len == 0)
		return PL_EINVAL;
	uint64_t number = 0;
	bool fits = true;
	for (size_t i = 0; i < len; i++) {
		if (text[i] < '0' || text[i] > '9')
			return PL_EINVAL;
		uint64_t digit = (uint64_t)(text[i] - '0');
		if (number > (UINT64_MAX - digit) / 10)
			fits = false;
		else
			number = number * 10 + digit;
	}
	if (!fits || number > max)
		return PL_ELIMIT;
	*out = number;
	return PL_OK;
}

size_t pl_number_write(uint64_t number, char out[PL_NUMBER_SIZE])
{
	char digits[PL_NUMBER_SIZE - 1];
	size_t at = sizeof digits;
	do
		digits[--at] = (char)('0' + number % 10);
	while ((number /= 10) > 0);
	size_t len = sizeof digits - at;
	memcpy(out, digits + at, len);
	out[len] = '\0';
	return len;
}

size_t pl_signed_write(int64_t number, char out[PL_NUMBER_SIZE])
{
	if (number >= 0)
		return pl_number_write((uint64_t)number, out);
	char digits[PL_NUMBER_SIZE];
	size_t len = pl_number_write(-(uint64_t)number, digits); /* -2^63 has no int64_t */
	*out = '-';
	memcpy(out + 1, digits, len + 1);
	return len + 1;
}

bool pl_equal_constant_time(const void *a, const void *b, size_t len)
{
	return CRYPTO_memcmp(a, b, len) == 0;
}

size_t pl_edits_between(const char *a, size_t a_len, const char *b)
{
	size_t row[PL_WORD_SIZE], b_len = strlen(b);
	PL_ASSERT(b_len < PL_WORD_SIZE);
	for (size_t j = 0; j <= b_len; j++)
		row[j] = j;
	for (size_t i = 1; i <= a_len; i++) {
		size_t before = row[0]; /* row[j - 1] of the line above */
		row[0] = i;
		for (size_t j = 1; j <= b_len; j++) {
			size_t change = before + (a[i - 1] != b[j - 1]);
			size_t other = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;
			before = row[j];
			row[j] = change < other ? change : other;
		}
	}
	return row[b_len];
}
