/*
 * payload: what a callback receives (docs/API.md, "The callback"). Pure.
 */
#ifndef RESPONDER_PAYLOAD_H
#define RESPONDER_PAYLOAD_H

#include "pipeline/buf.h"
#include "pipeline/record.h"

#define PAYLOAD_INLINE_MAX (1024 * 1024) /* bytes of data; more travels as dataUrl */
/* Every byte of text may become six ("\u0001"), meta and the frame come on top. */
#define PAYLOAD_MAX (6 * PAYLOAD_INLINE_MAX + PL_META_MAX + 16 * 1024)

/* {"requestId":…,"data":…}: bytes are the data's, all of them (record->data.bytes). */
PL_MUST_CHECK enum pl_err payload_compose(
	const struct pl_record *record, const char *bytes, struct pl_buf *out);
/* How many bytes that adds. */
size_t payload_length(const struct pl_record *record, const char *bytes);
/* The same with dataUrl, bytes and sha256 instead. */
PL_MUST_CHECK enum pl_err payload_compose_url(
	const struct pl_record *record, const char *url, struct pl_buf *out);
/* public_url/requests/<id>/data?expires=<unix>&signature=<hex HMAC-SHA256 of id.expires> */
PL_MUST_CHECK enum pl_err payload_data_url(const char *public_url, const char *id,
	uint64_t expires_s, const unsigned char key[32], struct pl_buf *out);

#endif
