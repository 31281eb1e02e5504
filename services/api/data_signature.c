#include "data_signature.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <string.h>

#include "pipeline/text.h"
#include "pipeline/uuid.h"

#define MAC_BYTES    32
#define MAC_HEX      (2 * MAC_BYTES)
#define EXPIRES_MAX  99999999999ull /* seconds; a longer number is nobody's date */
#define EXPIRES_SIZE 12
#define MESSAGE_SIZE (PL_UUID_SIZE + EXPIRES_SIZE + 1)

enum signature_verdict data_signature_check(const unsigned char key[SIGNATURE_KEY_BYTES],
	const char *id, const char *expires, const char *signature, uint64_t now_ms)
{
	uint64_t until_s;
	if (pl_number_parse(expires, strlen(expires), EXPIRES_MAX, &until_s) != PL_OK ||
		strlen(expires) >= EXPIRES_SIZE || strlen(signature) != MAC_HEX)
		return SIGNATURE_WRONG;
	char message[MESSAGE_SIZE];
	int len = snprintf(message, sizeof(message), "%s.%s", id, expires);
	unsigned char mac[MAC_BYTES];
	char hex[MAC_HEX + 1];
	PL_ASSERT(HMAC(EVP_sha256(), key, SIGNATURE_KEY_BYTES, (const unsigned char *)message,
			  (size_t)len, mac, NULL) != NULL);
	pl_hex(mac, sizeof(mac), hex);
	if (!pl_equal_constant_time(hex, signature, MAC_HEX))
		return SIGNATURE_WRONG;
	return now_ms / 1000 < until_s ? SIGNATURE_GOOD : SIGNATURE_EXPIRED;
}
