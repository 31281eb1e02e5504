#include "signature.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arguments.h"
#include "pipeline/clock.h"
#include "pipeline/file.h"
#include "pipeline/text.h"

#define FILE_MAX      4096
#define TIMESTAMP_MAX 253402300799ull /* the last second of the year 9999 */

static bool wrong(const char *command, const char *what, const char *why)
{
	fprintf(stderr, "fetchback %s: %s: %s\n", command, what, why);
	return false;
}

static bool parse_secrets(
	const char *command, const char *from, const char *text, struct pl_secrets *out)
{
	const char *why;

	if (pl_secrets_parse(text, strcspn(text, "\r\n"), out, &why) == PL_OK)
		return true;
	return wrong(command, from, why);
}

static bool read_secrets_file(const char *command, const char *path, struct pl_secrets *out)
{
	struct pl_buf text;
	enum pl_err err;
	bool is_read;

	pl_buf_init(&text, FILE_MAX);
	err = pl_file_read(path, &text);
	if (err != PL_OK)
		is_read = wrong(command, path,
			err == PL_ELIMIT ? "it is longer than 4 KiB" : strerror(errno));
	else
		is_read = parse_secrets(
			command, "SIGNING_SECRET_FILE", text.len > 0 ? text.data : "", out);
	pl_buf_fini(&text);
	return is_read;
}

static bool read_secrets(const char *command, const char *flag, struct pl_secrets *out)
{
	const char *text = arguments_environment("SIGNING_SECRET");
	const char *path = arguments_environment("SIGNING_SECRET_FILE");

	out->count = 0;
	if (flag != NULL)
		return parse_secrets(command, "--secret", flag, out);
	if (text != NULL)
		return parse_secrets(command, "SIGNING_SECRET", text, out);
	return path == NULL || read_secrets_file(command, path, out);
}

bool signature_rule_read(
	const char *command, const struct signature_words *words, struct signature_rule *out)
{
	const char *tolerance = words->tolerance != NULL ? words->tolerance : SIGNATURE_TOLERANCE;

	if (pl_duration_parse(tolerance, strlen(tolerance), &out->tolerance_ms) != PL_OK)
		return wrong(command, "--tolerance", "this is no duration such as 5m");
	return read_secrets(command, words->secret, &out->secrets);
}

static const char *time_fault(const struct signature_rule *rule, const char *text, uint64_t now_ms)
{
	uint64_t at_s;

	if (pl_number_parse(text, strlen(text), TIMESTAMP_MAX, &at_s) != PL_OK)
		return "webhook-timestamp is not a Unix time in seconds";
	if (rule->tolerance_ms == 0)
		return NULL;
	if (at_s * 1000 + rule->tolerance_ms < now_ms)
		return "webhook-timestamp is too old: it may be a replay (see --tolerance)";
	if (at_s * 1000 > now_ms + rule->tolerance_ms)
		return "webhook-timestamp lies in the future (see --tolerance)";
	return NULL;
}

const char *signature_fault(
	const struct signature_rule *rule, const struct signature_claim *claim, uint64_t now_ms)
{
	if (claim->id == NULL)
		return "there is no webhook-id";
	if (claim->timestamp == NULL)
		return "there is no webhook-timestamp";
	if (claim->signature == NULL)
		return "there is no webhook-signature";
	if (!pl_secrets_verify(&rule->secrets, claim->id, claim->timestamp, claim->body, claim->len,
		    claim->signature))
		return "no signature of it is made with this secret";
	return time_fault(rule, claim->timestamp, now_ms);
}
