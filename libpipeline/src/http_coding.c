#include "http_coding.h"

#include <stdlib.h>

#define ZLIB_CONST /* it reads what we give it, and no more */
#include <zlib.h>

#include "pipeline/mem.h"

#define GZIP_ONLY (16 + MAX_WBITS) /* zlib's way to say so */

struct http_coding {
	z_stream stream;
	bool in_member; /* between its first byte and its last */
	bool has_member;
	size_t used;      /* of the bytes that are offered now */
	size_t piece_len; /* 0: none waits to be given again */
	bool is_wanted_again;
	char piece[HTTP_CODING_PIECE];
};

static void *take_memory(void *arg, unsigned count, unsigned size)
{
	(void)arg;
	return pl_calloc(count, size); /* aborts where zlib would call the body broken */
}

static void give_memory(void *arg, void *memory)
{
	(void)arg;
	free(memory);
}

struct http_coding *http_coding_new(void)
{
	struct http_coding *coding = pl_calloc(1, sizeof *coding);
	coding->stream.zalloc = take_memory;
	coding->stream.zfree = give_memory;
	int code = inflateInit2(&coding->stream, GZIP_ONLY);
	PL_ASSERT(code == Z_OK);
	return coding;
}

void http_coding_free(struct http_coding *coding)
{
	if (coding == NULL)
		return;
	inflateEnd(&coding->stream);
	free(coding);
}

/* Until the piece is full or the bytes are used up; false: broken. */
static bool inflate_some(struct http_coding *coding)
{
	z_stream *stream = &coding->stream;
	while (stream->avail_out > 0) {
		if (!coding->in_member && stream->avail_in == 0)
			return true;
		if (!coding->in_member && inflateReset(stream) != Z_OK)
			return false;
		coding->in_member = true;
		int code = inflate(stream, Z_NO_FLUSH);
		if (code == Z_BUF_ERROR) /* all is used, and all that it says is said */
			return true;
		if (code != Z_OK && code != Z_STREAM_END)
			return false;
		coding->in_member = code == Z_OK;
		coding->has_member = true;
	}
	return true;
}

bool http_coding_next(struct http_coding *coding, const char *data, size_t len, const char **piece,
	size_t *piece_len)
{
	z_stream *stream = &coding->stream;
	*piece = coding->piece;
	if (!coding->is_wanted_again) {
		size_t left = len > coding->used ? len - coding->used : 0;
		stream->next_in = (const Bytef *)data + (len - left);
		stream->avail_in = (unsigned)left;
		stream->next_out = (Bytef *)coding->piece;
		stream->avail_out = HTTP_CODING_PIECE;
		if (!inflate_some(coding))
			return false;
		coding->used += left - stream->avail_in;
		coding->piece_len = HTTP_CODING_PIECE - stream->avail_out;
	}
	coding->is_wanted_again = false;
	*piece_len = coding->piece_len;
	if (coding->piece_len == 0) {
		PL_ASSERT(coding->used >= len);
		coding->used -= len;
	}
	return true;
}

void http_coding_again(struct http_coding *coding)
{
	coding->is_wanted_again = coding->piece_len > 0;
}

bool http_coding_is_whole(const struct http_coding *coding)
{
	return coding->has_member && !coding->in_member;
}
