#include "callers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <uthash.h>

#include "pipeline/log.h"
#include "pipeline/mem.h"
#include "rate.h"

struct callers_count {
	char name[PL_KEY_NAME_MAX + 1];
	struct rate rate;
	UT_hash_handle hh;
};

/* ---- what a caller may ---- */

const char *caller_scope(const struct caller *caller)
{
	return caller->kind == CALLER_OWNER ? caller->name : "";
}

bool caller_may_see(const struct caller *caller, const char *owner)
{
	return caller->kind != CALLER_OWNER || (owner != NULL && strcmp(caller->name, owner) == 0);
}

/* ---- keys ---- */

enum pl_err callers_init(
	struct callers *callers, const struct pl_settings *settings, const char **why)
{
	*callers = (struct callers) { .path = pl_settings_text(settings, "API_KEYS") };
	if (callers->path == NULL)
		return PL_OK;
	callers->rate = (unsigned)pl_settings_number(settings, "API_RATE");
	int failed = uv_rwlock_init(&callers->lock) != 0 || uv_mutex_init(&callers->rate_lock) != 0;
	PL_ASSERT(!failed);
	return pl_keys_read(callers->path, &callers->keys, why);
}

static void forget_rates(struct callers *callers)
{
	struct callers_count *count, *next;
	HASH_ITER(hh, callers->counts, count, next)
	{
		HASH_DEL(callers->counts, count);
		free(count);
	}
}

void callers_fini(struct callers *callers)
{
	if (callers->path == NULL)
		return;
	forget_rates(callers);
	pl_keys_free(callers->keys);
	uv_rwlock_destroy(&callers->lock);
	uv_mutex_destroy(&callers->rate_lock);
}

void callers_reload(struct callers *callers)
{
	struct pl_keys *keys;
	const char *why;
	if (callers->path == NULL)
		return;
	if (pl_keys_read(callers->path, &keys, &why) != PL_OK) {
		pl_log(PL_LOG_ERROR, NULL, "keys_refused", "API_KEYS: %s; the old keys stand", why);
		return;
	}
	uv_rwlock_wrlock(&callers->lock);
	struct pl_keys *old = callers->keys;
	callers->keys = keys;
	uv_rwlock_wrunlock(&callers->lock);
	pl_keys_free(old);
	uv_mutex_lock(&callers->rate_lock);
	forget_rates(callers);
	uv_mutex_unlock(&callers->rate_lock);
	pl_log(PL_LOG_INFO, NULL, "keys_read", NULL);
}

/* RFC 9110, 11.4: the scheme in any case, spaces, the credentials. NULL: another scheme. */
static const char *bearer(const char *authorization)
{
	static const char scheme[] = "Bearer ";
	if (authorization == NULL || strncasecmp(authorization, scheme, sizeof(scheme) - 1) != 0)
		return NULL;
	const char *credentials = authorization + sizeof(scheme) - 1;
	return credentials + strspn(credentials, " ");
}

bool callers_identify(struct callers *callers, const char *authorization, struct caller *out)
{
	const char *key = bearer(authorization);
	struct pl_key found;
	if (key == NULL)
		return false;
	uv_rwlock_rdlock(&callers->lock);
	bool is_known = pl_keys_find(callers->keys, key, strlen(key), &found);
	if (is_known) { /* copied: the next reload frees what was found */
		out->kind = found.is_admin ? CALLER_ADMIN : CALLER_OWNER;
		snprintf(out->name, sizeof(out->name), "%s", found.name);
	}
	uv_rwlock_rdunlock(&callers->lock);
	return is_known;
}

/* ---- rates ---- */

static struct rate *rate_of(struct callers *callers, const char *name)
{
	struct callers_count *count;
	HASH_FIND_STR(callers->counts, name, count);
	if (count == NULL) {
		count = pl_calloc(1, sizeof(*count));
		snprintf(count->name, sizeof(count->name), "%s", name);
		HASH_ADD_STR(callers->counts, name, count);
	}
	return &count->rate;
}

bool callers_count(struct callers *callers, const struct caller *caller, uint64_t now_us,
	char headers[CALLERS_RATE_SIZE])
{
	headers[0] = '\0';
	if (callers->path == NULL || callers->rate == 0 || caller->name[0] == '\0')
		return true;
	uv_mutex_lock(&callers->rate_lock);
	struct rate *rate = rate_of(callers, caller->name);
	bool is_left = rate_take(rate, callers->rate, now_us);
	unsigned left = rate_left(rate, callers->rate, now_us);
	uv_mutex_unlock(&callers->rate_lock);
	/* The IETF's draft "RateLimit header fields for HTTP": quota and window, rest and reset. */
	snprintf(headers, CALLERS_RATE_SIZE,
		"RateLimit-Policy: \"calls\";q=%u;w=1\r\nRateLimit: \"calls\";r=%u;t=1\r\n",
		callers->rate, left);
	return is_left;
}
