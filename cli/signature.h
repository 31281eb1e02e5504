/*
 * signature: is a delivery signed with our secret, and lately? Standard Webhooks 1.0.
 */
#ifndef CLI_SIGNATURE_H
#define CLI_SIGNATURE_H

#include <stdbool.h>
#include <stdint.h>

#include "pipeline/secret.h"

#define SIGNATURE_TOLERANCE "5m" /* as the libraries of Standard Webhooks have it */

struct signature_words { /* the flags as given, NULL for none */
	const char *secret, *tolerance;
};
#define SIGNATURE_FLAGS(words)                                     \
	{ .name = "--secret", .value = &(words).secret },          \
	{                                                          \
		.name = "--tolerance", .value = &(words).tolerance \
	}
#define SIGNATURE_HELP                                                                           \
	"  --secret S       whsec_..., several with commas between (else SIGNING_SECRET, else\n" \
	"                   the file SIGNING_SECRET_FILE; others can see a flag in the list\n"   \
	"                   of processes)\n"                                                     \
	"  --tolerance T    how old or early a timestamp may be (" SIGNATURE_TOLERANCE           \
	"); 0s: any\n"

struct signature_rule {
	struct pl_secrets secrets; /* count 0: none is given */
	uint64_t tolerance_ms;
};

/* Says what is wrong. */
bool signature_rule_read(
	const char *command, const struct signature_words *words, struct signature_rule *out);

struct signature_claim { /* what came; texts NULL where a header is missing */
	const char *id, *timestamp, *signature;
	const char *body;
	size_t len;
};
/* NULL: verified; else a sentence why not. */
const char *signature_fault(
	const struct signature_rule *rule, const struct signature_claim *claim, uint64_t now_ms);

#endif
