/*
 * keys: who may use the api, and with which secret their callbacks are signed (API_KEYS).
 *
 *   # name:sha256 of the key in hex[:admin][:whsec_…]
 *   alice:5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8
 *
 * Two lines with one name are two live keys of one owner, for rotation; their secrets count
 * together. Keys themselves are stored nowhere. Threads: read-only once read.
 */
#ifndef PIPELINE_KEYS_H
#define PIPELINE_KEYS_H

#include <stdbool.h>
#include <stddef.h>

#include "pipeline/err.h"
#include "pipeline/secret.h"

#define PL_KEYS_MAX     10000
#define PL_KEY_NAME_MAX 64

struct pl_keys;

struct pl_key {
	const char *name; /* the owner */
	bool is_admin;
};

/* *why names the line, per thread. */
PL_MUST_CHECK enum pl_err pl_keys_read(const char *path, struct pl_keys **out, const char **why);
PL_MUST_CHECK enum pl_err pl_keys_parse(const char *text, struct pl_keys **out, const char **why);
void pl_keys_free(struct pl_keys *keys);

/* Whose key this is; false: nobody's. Every line is compared, each in constant time. */
bool pl_keys_find(const struct pl_keys *keys, const char *key, size_t len, struct pl_key *out);
/* The owner's own signing secrets, of all its lines in the file's order; NULL: it has none. */
const struct pl_secrets *pl_keys_secrets(const struct pl_keys *keys, const char *owner);

#endif
