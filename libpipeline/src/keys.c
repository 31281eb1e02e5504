#include "pipeline/keys.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "pipeline/file.h"
#include "pipeline/mem.h"
#include "pipeline/text.h"

#define FILE_MAX      (4 * 1024 * 1024)
#define TEXT_LINE_MAX 2048
#define HASH_HEX      64

struct line {
	char name[PL_KEY_NAME_MAX + 1];
	char sha256[HASH_HEX + 1];
	bool is_admin;
};

struct owner { /* one that has secrets of its own, whichever of its lines they stand in */
	char name[PL_KEY_NAME_MAX + 1];
	struct pl_secrets secrets;
	UT_hash_handle hh;
};

struct pl_keys {
	struct line *lines;
	size_t count, room;
	struct owner *owners; /* asked at each delivery: a table, not the lines */
};

static _Thread_local char complaint[256];

static enum pl_err complain(unsigned line, const char *what, const char **why)
{
	snprintf(complaint, sizeof complaint, "line %u: %s", line, what);
	*why = complaint;
	return PL_EINVAL;
}

/* Names travel in records, keys of Redis and labels of metrics: plain words only. */
static bool is_name(const char *text, size_t len)
{
	static const char fit[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
	return len > 0 && len <= PL_KEY_NAME_MAX && strspn(text, fit) >= len;
}

static struct owner *owner_of(struct pl_keys *keys, const char *name)
{
	struct owner *owner;
	HASH_FIND_STR(keys->owners, name, owner);
	if (owner == NULL) {
		owner = pl_calloc(1, sizeof *owner);
		snprintf(owner->name, sizeof owner->name, "%s", name);
		HASH_ADD_STR(keys->owners, name, owner);
	}
	return owner;
}

static const char *take_secrets(struct pl_secrets *of, const char *text, size_t len)
{
	struct pl_secrets more;
	const char *why;
	if (pl_secrets_parse(text, len, &more, &why) != PL_OK)
		return why;
	if (of->count + more.count > PL_SECRETS_MAX)
		return "the lines of one name have more than 8 secrets together";
	memcpy(&of->list[of->count], more.list, more.count * sizeof more.list[0]);
	of->count += more.count;
	return NULL;
}

static const char *take_extra(struct pl_keys *keys, struct line *line, const char *text, size_t len)
{
	if (len == 5 && memcmp(text, "admin", 5) == 0) {
		line->is_admin = true;
		return NULL;
	}
	return take_secrets(&owner_of(keys, line->name)->secrets, text, len);
}

static const char *take_line(struct pl_keys *keys, struct line *line, const char *text, size_t len)
{
	size_t name = strcspn(text, ":");
	if (name >= len || !is_name(text, name))
		return "a line is name:sha256[:admin][:whsec_…]; a name has letters, digits, . _ -";
	memcpy(line->name, text, name);
	const char *at = text + name + 1, *end = text + len;
	if ((size_t)(end - at) < HASH_HEX || strspn(at, "0123456789abcdef") < HASH_HEX ||
		(at[HASH_HEX] != ':' && at + HASH_HEX != end))
		return "behind the name stands the key's SHA-256 in 64 lower-case hex digits";
	memcpy(line->sha256, at, HASH_HEX);
	for (at += HASH_HEX; at < end;) {
		at++;
		size_t word = strcspn(at, ":");
		if (word > (size_t)(end - at))
			word = (size_t)(end - at);
		const char *fault = take_extra(keys, line, at, word);
		if (fault != NULL)
			return fault;
		at += word;
	}
	return NULL;
}

static struct line *next_line(struct pl_keys *keys)
{
	if (keys->count == keys->room) {
		keys->room = keys->room > 0 ? keys->room * 2 : 16;
		keys->lines = pl_realloc(keys->lines, keys->room * sizeof *keys->lines);
	}
	struct line *line = &keys->lines[keys->count++];
	*line = (struct line) { .is_admin = false };
	return line;
}

enum pl_err pl_keys_parse(const char *text, struct pl_keys **out, const char **why)
{
	struct pl_keys *keys = pl_calloc(1, sizeof *keys);
	unsigned number = 0;
	const char *fault = NULL;
	while (fault == NULL && *text != '\0') {
		size_t whole = strcspn(text, "\n"), len = whole;
		number++;
		while (len > 0 && (text[len - 1] == '\r' || text[len - 1] == ' '))
			len--;
		char line[TEXT_LINE_MAX];
		if (len >= sizeof line) {
			fault = "longer than a key and its secrets can be";
		} else if (len > 0 && *text != '#') {
			memcpy(line, text, len);
			line[len] = '\0';
			fault = keys->count == PL_KEYS_MAX
					? "more than 10000 keys"
					: take_line(keys, next_line(keys), line, len);
		}
		text += whole + (text[whole] == '\n');
	}
	if (fault == NULL && keys->count == 0)
		fault = "the file names no key, so nobody could use the api";
	if (fault != NULL) {
		pl_keys_free(keys);
		return complain(number, fault, why);
	}
	*out = keys;
	return PL_OK;
}

enum pl_err pl_keys_read(const char *path, struct pl_keys **out, const char **why)
{
	struct pl_buf text;
	pl_buf_init(&text, FILE_MAX);
	enum pl_err err = pl_file_read(path, &text);
	if (err == PL_OK) {
		err = pl_keys_parse(text.len > 0 ? text.data : "", out, why);
	} else {
		snprintf(complaint, sizeof complaint, "can't read %.160s: %s", path,
			err == PL_ELIMIT ? "it is larger than 4 MiB" : strerror(errno));
		*why = complaint;
	}
	pl_buf_fini(&text);
	return err;
}

void pl_keys_free(struct pl_keys *keys)
{
	if (keys == NULL)
		return;
	struct owner *owner, *next;
	HASH_ITER(hh, keys->owners, owner, next)
	{
		HASH_DEL(keys->owners, owner);
		free(owner);
	}
	free(keys->lines);
	free(keys);
}

bool pl_keys_find(const struct pl_keys *keys, const char *key, size_t len, struct pl_key *out)
{
	unsigned char hash[EVP_MAX_MD_SIZE];
	char hex[2 * EVP_MAX_MD_SIZE + 1];
	unsigned hash_len;
	int hashed = EVP_Digest(key, len, hash, &hash_len, EVP_sha256(), NULL);
	PL_ASSERT(hashed == 1);
	pl_hex(hash, hash_len, hex);
	const struct line *found = NULL;
	for (size_t i = 0; i < keys->count; i++)
		if (pl_equal_constant_time(keys->lines[i].sha256, hex, HASH_HEX))
			found = &keys->lines[i];
	if (found == NULL)
		return false;
	*out = (struct pl_key) { found->name, found->is_admin };
	return true;
}

const struct pl_secrets *pl_keys_secrets(const struct pl_keys *keys, const char *owner)
{
	struct owner *found;
	HASH_FIND_STR(keys->owners, owner, found);
	return found != NULL ? &found->secrets : NULL;
}
