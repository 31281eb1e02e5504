/*
 * callers: who asks, and what they may.
 *
 *   no API_KEYS                      anybody, and everything: only our own Host names are heard
 *   API_KEYS, Bearer <key>           an owner, who sees what is theirs; or an admin, who sees all
 *   API_KEYS, a signed link to data  whoever holds it: this request's data and nothing else
 *
 * Threads  handlers' threads identify and count; the loop's thread reads the keys anew.
 */
#ifndef API_CALLERS_H
#define API_CALLERS_H

#include <stdbool.h>
#include <uv.h>

#include "pipeline/http_server.h"
#include "pipeline/keys.h"
#include "pipeline/settings.h"

enum caller_kind { CALLER_ANYBODY, CALLER_LINK, CALLER_OWNER, CALLER_ADMIN };
struct caller {
	enum caller_kind kind;
	char name[PL_KEY_NAME_MAX + 1]; /* the owner of what it sends; "" without a key */
};

/* Whose call this is, once routes have let it in. */
const struct caller *caller_of(const struct pl_http_call *call);
/* For the queue's verbs: "" when all may be touched, else the owner whose requests may be. */
const char *caller_scope(const struct caller *caller);
/* May it see what is this owner's ("" or NULL: nobody's)? */
bool caller_may_see(const struct caller *caller, const char *owner);

/* ---- for routes ---- */

struct callers_count; /* of one name */
struct callers {
	const char *path; /* API_KEYS; NULL: there are none, and what follows is not used */
	uv_rwlock_t lock;
	struct pl_keys *keys; /* under the lock */
	unsigned rate;        /* API_RATE: calls a second and name; 0: any */
	uv_mutex_t rate_lock;
	struct callers_count *counts; /* under rate_lock; PL_KEYS_MAX at most */
};

/* The keys' file has been seen to be one: a fault now is the file's, and *why tells. */
PL_MUST_CHECK enum pl_err callers_init(
	struct callers *callers, const struct pl_settings *settings, const char **why);
void callers_fini(struct callers *callers);
/* Old keys stand where the file can't be read (and the log says so). Every name's count starts
 * anew: names that are gone must not be kept. */
void callers_reload(struct callers *callers);

/* authorization: the header, or NULL. False: it is nobody's key. */
bool callers_identify(struct callers *callers, const char *authorization, struct caller *out);

#define CALLERS_RATE_SIZE 128
/* Counts one call of a name at this time. headers: whole lines that say how many are left, "" where
 * there is no rate. False: none was left. */
bool callers_count(struct callers *callers, const struct caller *caller, uint64_t now_us,
	char headers[CALLERS_RATE_SIZE]);

#endif
