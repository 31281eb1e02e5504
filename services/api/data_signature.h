/*
 * data_signature: the right to read one request's data until a moment, as a URL carries it.
 *
 *   /requests/<id>/data?expires=<unix seconds>&signature=<hex HMAC-SHA256 of "<id>.<expires>">
 */
#ifndef API_DATA_SIGNATURE_H
#define API_DATA_SIGNATURE_H

#include <stdbool.h>
#include <stdint.h>

#define SIGNATURE_KEY_BYTES 32

enum signature_verdict { SIGNATURE_GOOD, SIGNATURE_WRONG, SIGNATURE_EXPIRED };

/* expires and signature as sent. Pure. */
enum signature_verdict data_signature_check(const unsigned char key[SIGNATURE_KEY_BYTES],
	const char *id, const char *expires, const char *signature, uint64_t now_ms);

#endif
