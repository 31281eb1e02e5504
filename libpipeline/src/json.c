#include "pipeline/json.h"

#include <string.h>

/*
 * One character of UTF-8 at a time (RFC 3629): the first byte tells how many follow and, where
 * that keeps out overlong forms, surrogates and what lies above U+10FFFF, the range of the second.
 * False: byte can't stand here.
 */
static inline bool utf8_step(struct pl_utf8_check *check, uint8_t byte)
{
	if (check->left > 0) {
		if (byte < check->low || byte > check->high)
			return false;
		check->left--;
		check->low = 0x80;
		check->high = 0xbf;
		return true;
	}
	if (byte < 0x80)
		return true;
	if (byte < 0xc2 || byte > 0xf4)
		return false;
	check->left = byte < 0xe0 ? 1 : byte < 0xf0 ? 2 : 3;
	check->low = byte == 0xe0 ? 0xa0 : byte == 0xf0 ? 0x90 : 0x80;
	check->high = byte == 0xed ? 0x9f : byte == 0xf4 ? 0x8f : 0xbf;
	return true;
}

void pl_utf8_check_init(struct pl_utf8_check *check)
{
	*check = (struct pl_utf8_check) { .left = 0 };
}

/* Are these 8 bytes all in 0x01..0x7f? Then subtracting 1 from each borrows nowhere. */
static bool plain_word(const char *data)
{
	uint64_t word;
	memcpy(&word, data, sizeof word);
	return (((word - 0x0101010101010101) | word) & 0x8080808080808080) == 0;
}

void pl_utf8_check_feed(struct pl_utf8_check *check, const char *data, size_t len)
{
	for (size_t i = 0; i < len && !check->failed;) {
		if (check->left == 0 && len - i >= 8 && plain_word(data + i)) {
			i += 8;
			continue;
		}
		uint8_t byte = (uint8_t)data[i++];
		check->failed = byte == 0 || !utf8_step(check, byte);
	}
}

bool pl_utf8_check_finish(const struct pl_utf8_check *check)
{
	return !check->failed && check->left == 0;
}

/* Bytes that stand for themselves in a JSON string, whatever is around them. */
static bool is_plain(uint8_t byte)
{
	return byte >= 0x20 && byte < 0x7f && byte != '"' && byte != '\\';
}

bool pl_utf8_is_disguise(uint32_t code)
{
	return code < 0x20 || (code >= 0x7f && code < 0xa0) ||       /* controls */
	       code == 0x061c || code == 0x200e || code == 0x200f || /* direction marks */
	       (code >= 0x2028 && code <= 0x202e) || /* line, paragraph, overrides */
	       (code >= 0x2066 && code <= 0x2069);   /* isolates */
}

size_t pl_utf8_next(const char *text, size_t len, uint32_t *code)
{
	const uint8_t *bytes = (const uint8_t *)text;
	struct pl_utf8_check check = { .left = 0 };
	size_t at = 0;
	*code = 0;
	do {
		if (at == len || !utf8_step(&check, bytes[at])) {
			*code = 0xfffd;
			return at > 0 ? at : 1;
		}
		uint32_t bits = at > 0 ? 0x3f : check.left == 0 ? 0x7f : 0x3fu >> check.left;
		*code = *code << 6 | (bytes[at++] & bits);
	} while (check.left > 0);
	return at;
}

/* How one character is written: at most 6 bytes. */
static size_t spell(const char *text, size_t len, uint32_t code, char out[6])
{
	static const char digits[] = "0123456789abcdef";
	static const char shorts[0x20] = {
		['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r'
	};
	char letter = code == '"' || code == '\\' ? (char)code : code < 0x20 ? shorts[code] : '\0';
	if (letter != '\0') {
		out[0] = '\\';
		out[1] = letter;
		return 2;
	}
	if (pl_utf8_is_disguise(code)) {
		const char escape[] = { '\\', 'u', digits[code >> 12], digits[code >> 8 & 15],
			digits[code >> 4 & 15], digits[code & 15] };
		memcpy(out, escape, sizeof escape);
		return sizeof escape;
	}
	if (code == 0xfffd) {
		memcpy(out, "\xef\xbf\xbd", 3);
		return 3;
	}
	memcpy(out, text, len);
	return len;
}

/* out may be NULL: then it only counts. */
static size_t escape(const char *text, size_t len, char *out, size_t room, size_t *used)
{
	const uint8_t *bytes = (const uint8_t *)text;
	size_t at = 0, written = 0;
	while (at < len) {
		size_t run = 0, most = len - at < room - written ? len - at : room - written;
		while (run < most && is_plain(bytes[at + run]))
			run++;
		if (out != NULL && run > 0)
			memcpy(out + written, text + at, run);
		at += run;
		written += run;
		if (at == len)
			break;
		uint32_t code;
		char spelt[6];
		size_t character = pl_utf8_next(text + at, len - at, &code);
		size_t size = spell(text + at, character, code, spelt);
		if (size > room - written)
			break;
		if (out != NULL)
			memcpy(out + written, spelt, size);
		at += character;
		written += size;
	}
	*used = at;
	return written;
}

size_t pl_json_escape(const char *text, size_t len, char *out, size_t room, size_t *used)
{
	return escape(text, len, out, room, used);
}

enum pl_err pl_json_string(struct pl_buf *out, const char *text, size_t len)
{
	size_t used;
	size_t size = escape(text, len, NULL, SIZE_MAX, &used) + 2;
	char *at = pl_buf_reserve(out, size);
	if (at == NULL)
		return PL_ELIMIT;
	at[0] = '"';
	escape(text, len, at + 1, size - 2, &used);
	at[size - 1] = '"';
	pl_buf_wrote(out, size);
	return PL_OK;
}

/*
 * What may come next. A number's states end in _MORE where it could also be over.
 *
 *          .-------------------------- , --------------------------.
 *          v                                                        |
 *   VALUE, FIRST_VALUE --> string | number | literal | [] | {} --> AFTER_VALUE --> ] } or the end
 *          ^
 *          '-- : -- COLON <-- string <-- KEY, FIRST_KEY
 */
enum state {
	VALUE,
	FIRST_VALUE, /* or ] */
	KEY,
	FIRST_KEY, /* or } */
	COLON,
	AFTER_VALUE,
	STRING,
	ESCAPE,
	HEX_4, /* four hex digits to come */
	HEX_3,
	HEX_2,
	HEX_1,
	LITERAL,
	MINUS,
	ZERO_MORE,
	INTEGER_MORE,
	POINT,
	FRACTION_MORE,
	EXPONENT,
	EXPONENT_SIGN,
	EXPONENT_MORE,
};

void pl_json_check_init(struct pl_json_check *check)
{
	*check = (struct pl_json_check) { .state = VALUE };
}

static bool is_space(char c)
{
	return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_hex(char c)
{
	return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static bool in_object(const struct pl_json_check *check)
{
	unsigned level = check->depth - 1u;
	return check->depth > 0 && (check->nesting[level / 64] >> level % 64 & 1) != 0;
}

static bool open_level(struct pl_json_check *check, bool object)
{
	if (check->depth == PL_JSON_DEPTH_MAX)
		return false;
	uint64_t bit = (uint64_t)1 << check->depth % 64;
	uint64_t *word = &check->nesting[check->depth / 64];
	*word = object ? *word | bit : *word & ~bit;
	check->depth++;
	check->state = object ? FIRST_KEY : FIRST_VALUE;
	return true;
}

static bool close_level(struct pl_json_check *check, bool object)
{
	if (check->depth == 0 || in_object(check) != object)
		return false;
	check->depth--;
	check->state = AFTER_VALUE;
	return true;
}

static bool begin_string(struct pl_json_check *check, bool is_key)
{
	check->is_key = is_key;
	check->state = STRING;
	return true;
}

static bool begin_literal(struct pl_json_check *check, const char *rest)
{
	check->literal = rest;
	check->state = LITERAL;
	return true;
}

static bool begin_value(struct pl_json_check *check, char c)
{
	switch (c) {
	case '{':
		return open_level(check, true);
	case '[':
		return open_level(check, false);
	case '"':
		return begin_string(check, false);
	case 't':
		return begin_literal(check, "rue");
	case 'f':
		return begin_literal(check, "alse");
	case 'n':
		return begin_literal(check, "ull");
	case '-':
		check->state = MINUS;
		return true;
	case '0':
		check->state = ZERO_MORE;
		return true;
	default:
		check->state = INTEGER_MORE;
		return is_digit(c);
	}
}

static bool after_value(struct pl_json_check *check, char c)
{
	check->state = AFTER_VALUE;
	if (is_space(c))
		return true;
	if (c == ']' || c == '}')
		return close_level(check, c == '}');
	check->state = in_object(check) ? KEY : VALUE;
	return c == ',' && check->depth > 0;
}

/* c if it goes on with the number, else what comes after it. */
static bool number_step(struct pl_json_check *check, char c, bool goes_on, enum state next)
{
	if (!goes_on)
		return after_value(check, c);
	check->state = (uint8_t)next;
	return true;
}

static bool string_step(struct pl_json_check *check, char c)
{
	uint8_t byte = (uint8_t)c;
	if (check->utf8.left > 0 || byte >= 0x80)
		return utf8_step(&check->utf8, byte);
	if (c == '"')
		check->state = check->is_key ? COLON : AFTER_VALUE;
	else if (c == '\\')
		check->state = ESCAPE;
	return byte >= 0x20;
}

static bool escape_step(struct pl_json_check *check, char c)
{
	check->state = c == 'u' ? HEX_4 : STRING;
	return c != '\0' && strchr("\"\\/bfnrtu", c) != NULL;
}

static bool literal_step(struct pl_json_check *check, char c)
{
	if (c != *check->literal++)
		return false;
	if (*check->literal == '\0')
		check->state = AFTER_VALUE;
	return true;
}

/* Takes one byte; false when no JSON text goes on like this. */
static bool step(struct pl_json_check *check, char c)
{
	switch ((enum state)check->state) {
	case VALUE:
		return is_space(c) || begin_value(check, c);
	case FIRST_VALUE:
		return is_space(c) ||
		       (c == ']' ? close_level(check, false) : begin_value(check, c));
	case KEY:
		return is_space(c) || (c == '"' && begin_string(check, true));
	case FIRST_KEY:
		return is_space(c) || (c == '}' ? close_level(check, true)
						: c == '"' && begin_string(check, true));
	case COLON:
		if (c == ':')
			check->state = VALUE;
		return c == ':' || is_space(c);
	case AFTER_VALUE:
		return after_value(check, c);
	case STRING:
		return string_step(check, c);
	case ESCAPE:
		return escape_step(check, c);
	case HEX_4:
	case HEX_3:
	case HEX_2:
	case HEX_1:
		check->state = check->state == HEX_1 ? STRING : check->state + 1;
		return is_hex(c);
	case LITERAL:
		return literal_step(check, c);
	case MINUS:
		check->state = c == '0' ? ZERO_MORE : INTEGER_MORE;
		return is_digit(c);
	case ZERO_MORE:
	case INTEGER_MORE:
		if (check->state == INTEGER_MORE && is_digit(c))
			return true;
		return number_step(
			check, c, c == '.' || c == 'e' || c == 'E', c == '.' ? POINT : EXPONENT);
	case POINT:
		check->state = FRACTION_MORE;
		return is_digit(c);
	case FRACTION_MORE:
		return is_digit(c) || number_step(check, c, c == 'e' || c == 'E', EXPONENT);
	case EXPONENT:
		check->state = is_digit(c) ? EXPONENT_MORE : EXPONENT_SIGN;
		return is_digit(c) || c == '+' || c == '-';
	case EXPONENT_SIGN:
		check->state = EXPONENT_MORE;
		return is_digit(c);
	case EXPONENT_MORE:
		return is_digit(c) || after_value(check, c);
	}
	return false;
}

/* Most bytes of most texts lie within strings and stand for themselves: passes over those. */
static size_t plain_run(const char *data, size_t len)
{
	size_t run = 0;
	while (run < len && is_plain((uint8_t)data[run]))
		run++;
	return run;
}

void pl_json_check_feed(struct pl_json_check *check, const char *data, size_t len)
{
	for (size_t i = 0; i < len && !check->failed;) {
		if (check->state == STRING && check->utf8.left == 0)
			i += plain_run(data + i, len - i);
		if (i < len)
			check->failed = !step(check, data[i++]);
	}
}

bool pl_json_check_finish(const struct pl_json_check *check)
{
	if (check->failed || check->depth > 0)
		return false;
	switch ((enum state)check->state) {
	case AFTER_VALUE:
	case ZERO_MORE:
	case INTEGER_MORE:
	case FRACTION_MORE:
	case EXPONENT_MORE:
		return true;
	default:
		return false;
	}
}
