/*
 * Any bytes as a gzip body: what comes out, and whether it is whole, does not depend on how the
 * bytes are cut or how often a piece is asked for again; and it is what zlib says of all of them at
 * once.
 */
#define ZLIB_CONST
#include <zlib.h>

#include "http_coding.h"
#include "input.h"
#include "pipeline/buf.h"

#define SAID_MAX (1024 * 1024) /* more is not looked at */

struct said {
	bool broken, whole, too_long;
	struct pl_buf text;
};

static void say(struct said *said, const char *piece, size_t len)
{
	if (pl_buf_add(&said->text, piece, len) != PL_OK)
		said->too_long = true;
}

/* Takes some bytes, exactly as long as they are; some pieces it wants twice. */
static void feed(
	struct http_coding *coding, const char *bytes, size_t len, bool again, struct said *said)
{
	char *copy = pl_strndup(bytes, len);
	const char *piece;
	size_t piece_len;
	while (!said->too_long) {
		said->broken = !http_coding_next(coding, copy, len, &piece, &piece_len);
		if (said->broken || piece_len == 0)
			break;
		PL_ASSERT(piece_len <= HTTP_CODING_PIECE);
		if (again) {
			http_coding_again(coding);
			again = false;
			continue;
		}
		say(said, piece, piece_len);
	}
	free(copy);
}

static void in_pieces(const char *bytes, size_t len, unsigned step, bool again, struct said *said)
{
	struct http_coding *coding = http_coding_new();
	for (size_t at = 0; at < len && !said->broken && !said->too_long; at += step)
		feed(coding, bytes + at, len - at < step ? len - at : step, again, said);
	said->whole = !said->broken && http_coding_is_whole(coding);
	http_coding_free(coding);
}

static void at_once(const char *bytes, size_t len, struct said *said)
{
	z_stream stream = { .next_in = (const Bytef *)bytes, .avail_in = (unsigned)len };
	char *room = pl_alloc(SAID_MAX + 1);
	int code = inflateInit2(&stream, 31);
	PL_ASSERT(code == Z_OK);
	while (stream.avail_in > 0 && (code == Z_OK || code == Z_STREAM_END) && !said->too_long) {
		inflateReset(&stream);
		stream.next_out = (Bytef *)room;
		stream.avail_out = SAID_MAX + 1;
		code = inflate(&stream, Z_FINISH);
		say(said, room, SAID_MAX + 1 - stream.avail_out);
	}
	said->whole = code == Z_STREAM_END;
	inflateEnd(&stream);
	free(room);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = input_of(data, size);
	struct said cut = { 0 }, whole = { 0 };
	unsigned step = 1 + input_choice(&in, 64);
	bool again = input_choice(&in, 2) == 1;
	pl_buf_init(&cut.text, SAID_MAX);
	pl_buf_init(&whole.text, SAID_MAX);
	in_pieces(in.at, in.len, step, again, &cut);
	at_once(in.at, in.len, &whole);
	if (!cut.too_long && !whole.too_long) {
		PL_ASSERT(cut.whole == whole.whole);
		PL_ASSERT(!whole.whole ||
			  (cut.text.len == whole.text.len &&
				  (cut.text.len == 0 || memcmp(cut.text.data, whole.text.data,
								cut.text.len) == 0)));
	}
	pl_buf_fini(&cut.text);
	pl_buf_fini(&whole.text);
	return 0;
}
