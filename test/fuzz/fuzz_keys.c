/*
 * Any text as a keys file and as a list of secrets: what is taken lets in the one key it names
 * and no other, and signs what it can verify.
 */
#include "input.h"
#include "pipeline/keys.h"

/* echo -n key | sha256sum */
#define KEY_LINE "owner:2c70e12b7a0646f92279f427c7b38e7334d8e5389cff167a1dc30e73f826b683\n"

static void some_keys(const char *text)
{
	struct pl_keys *keys = NULL;
	struct pl_key found;
	const char *why = NULL;
	if (pl_keys_parse(text, &keys, &why) != PL_OK) {
		PL_ASSERT(keys == NULL && why != NULL && strncmp(why, "line ", 5) == 0);
		return;
	}
	PL_ASSERT(!pl_keys_find(keys, "", 0, &found));
	PL_ASSERT(!pl_keys_find(keys, text, strlen(text), &found));
	pl_keys_free(keys);
}

/* Whatever stands before and behind a good line, its key is found if the file is taken. */
static void with_ours(const char *before, const char *behind)
{
	struct pl_keys *keys;
	struct pl_key found;
	struct pl_buf text;
	const char *why;
	pl_buf_init(&text, strlen(before) + strlen(behind) + sizeof KEY_LINE + 1);
	PL_ASSERT(pl_buf_format(&text, "%s\n" KEY_LINE "%s", before, behind) == PL_OK);
	if (pl_keys_parse(text.data, &keys, &why) == PL_OK) {
		PL_ASSERT(pl_keys_find(keys, "key", 3, &found) && found.name[0] != '\0');
		(void)pl_keys_secrets(keys, found.name); /* NULL: it has none */
		pl_keys_free(keys);
	}
	pl_buf_fini(&text);
}

static void some_secrets(const char *text)
{
	struct pl_secrets secrets;
	const char *why = NULL;
	if (pl_secrets_parse(text, strlen(text), &secrets, &why) != PL_OK) {
		PL_ASSERT(why != NULL && *why != '\0');
		return;
	}
	PL_ASSERT(secrets.count > 0 && secrets.count <= PL_SECRETS_MAX);
	struct pl_buf header;
	pl_buf_init(&header, PL_SIGNATURE_MAX);
	PL_ASSERT(pl_secrets_sign(&secrets, "id", "1", text, strlen(text), &header) == PL_OK);
	PL_ASSERT(pl_secrets_verify(&secrets, "id", "1", text, strlen(text), header.data));
	pl_buf_fini(&header);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = input_of(data, size);
	char *first = input_text(&in), *second = input_text(&in);
	some_keys(first);
	with_ours(first, second);
	some_secrets(first);
	free(first);
	free(second);
	return 0;
}
