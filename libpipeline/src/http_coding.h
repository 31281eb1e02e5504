/*
 * http_coding: gzip undone, piece by piece.
 *
 *   bytes as they come --next--> piece --taken--> ... --> ended?
 *
 * curl's own decoder takes a body that stops in its middle for a whole one, and what follows a
 * member for an error. Here a body is whole if it is one gzip member or several, each with its
 * right checksum and length, and nothing behind the last.
 * Memory   HTTP_CODING_PIECE for a piece and about 40 KiB of zlib's for its window, whatever comes.
 */
#ifndef HTTP_CODING_H
#define HTTP_CODING_H

#include <stdbool.h>
#include <stddef.h>

#include "pipeline/err.h"

#define HTTP_CODING_PIECE (16 * 1024) /* as much as curl hands over at a time */

struct http_coding;

struct http_coding *http_coding_new(void);
void http_coding_free(struct http_coding *coding); /* NULL is fine */

/* A piece of what data[0..len) says, valid until the next call; *piece_len is 0 when there is none
 * left in it. Until then it must be called with the same bytes, or with them and more behind; what
 * comes next begins anew. False: broken. */
PL_MUST_CHECK bool http_coding_next(struct http_coding *coding, const char *data, size_t len,
	const char **piece, size_t *piece_len);
/* The piece is wanted once more: the next call gives it again. */
void http_coding_again(struct http_coding *coding);
/* May the body end here? */
bool http_coding_is_whole(const struct http_coding *coding);

#endif
