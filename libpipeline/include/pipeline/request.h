/*
 * request: one piece of work, as a client asked for it (docs/API.md, "Request").
 *
 * Memory   a pl_request owns everything its pointers name; pl_request_free gives it back.
 * Threads  any; a request belongs to one thread at a time.
 * Failure  pl_request_parse names every fault at once, each by JSON pointer (RFC 6901).
 */
#ifndef PIPELINE_REQUEST_H
#define PIPELINE_REQUEST_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pipeline/backoff.h"
#include "pipeline/buf.h"
#include "pipeline/http.h"
#include "pipeline/netpolicy.h"
#include "pipeline/url.h"
#include "pipeline/uuid.h"

#define PL_REQUEST_BODY_MAX    (1024 * 1024)
#define PL_REQUEST_DEPTH_MAX   64
#define PL_REQUEST_HEADERS_MAX 64
#define PL_HEADERS_SIZE_MAX    (64 * 1024) /* names and values of one stage, together */
#define PL_REQUEST_RETRIES_MAX 100
#define PL_FETCH_BODY_MAX      (256 * 1024)
#define PL_TIMEOUT_MAX_MS      (60 * 60 * 1000)
#define PL_DELAY_MAX_MS        (365ull * 24 * 60 * 60 * 1000)
#define PL_META_MAX            (16 * 1024)
#define PL_LABELS_MAX          16
#define PL_LABEL_SIZE_MAX      64
#define PL_KEY_MAX             255 /* Idempotency-Key, dedupeKey, owner */
#define PL_FAULTS_MAX          64  /* faults named in one answer */

enum pl_stage { PL_STAGE_FETCH, PL_STAGE_DELIVER };
#define PL_STAGES 2
enum pl_priority { PL_PRIORITY_HIGH, PL_PRIORITY_DEFAULT, PL_PRIORITY_LOW };
#define PL_PRIORITIES 3
enum pl_dedupe_mode { PL_DEDUPE_DROP, PL_DEDUPE_JOIN, PL_DEDUPE_LATEST };

const char *pl_stage_name(enum pl_stage stage);            /* "fetch", "deliver" */
const char *pl_priority_name(enum pl_priority priority);   /* "high", "default", "low" */
const char *pl_dedupe_mode_name(enum pl_dedupe_mode mode); /* "drop", "join", "latest" */

struct pl_stage_options {   /* what the client set for one stage; unset: the service's settings */
	const char *method; /* fetch only; NULL: GET */
	struct pl_http_header *headers;
	size_t headers_count;
	const char *body; /* fetch only; NULL: none */
	size_t body_len;
	uint64_t timeout_ms;          /* 0: unset */
	int retries;                  /* -1: unset */
	struct pl_schedule *schedule; /* NULL: unset */
};

struct pl_request {
	char id[PL_UUID_SIZE];
	const char *provider;
	const char *callback_url;
	const char *failure_callback_url; /* or NULL */
	char fetch_lane[PL_LANE_MAX];     /* "host:port" of the provider */
	char deliver_lane[PL_LANE_MAX];   /* of the callback */
	struct pl_stage_options stage[PL_STAGES];
	enum pl_priority priority;
	uint64_t delay_ms;         /* 0: none */
	uint64_t not_before_ms;    /* Unix time; 0: none */
	uint64_t expires_after_ms; /* from acceptance; 0: never */
	const char *dedupe_key;    /* or NULL */
	uint64_t dedupe_window_ms; /* 0: unset */
	enum pl_dedupe_mode dedupe_mode;
	const char *labels[PL_LABELS_MAX];
	size_t labels_count;
	const char *meta;   /* JSON text, or NULL */
	const char *owner;  /* name of the API key, "" without keys */
	const char *parent; /* id of the failed request this tells about, or NULL */
	enum pl_stage starts_in;
	json_t *options; /* owns what is borrowed above; NULL when only URLs were given; not for
			    reading */
};

struct pl_faults {
	struct {
		char pointer[128]; /* "/callback/headers/X-A", "" for the whole */
		char detail[256];
	} list[PL_FAULTS_MAX];
	size_t count; /* named; further ones are only counted */
	size_t dropped;
	bool malformed; /* not JSON at all: 400 rather than 422 */
};
void pl_faults_init(struct pl_faults *faults); /* cheaper than = { 0 }: it is 24 KiB */
void pl_faults_add(struct pl_faults *faults, const char *pointer, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Parses and judges what a client sent; policy refuses literal addresses at accept. The id is
 * not set; owner is "" and starts_in fetch. Faults are added to what faults holds (pl_faults_init
 * it). PL_EBLOCKED: nothing is wrong but an address the policy refuses; such a fault's detail
 * begins with "address_blocked". PL_ELIMIT: the text is too long. PL_EINVAL: anything else. */
PL_MUST_CHECK enum pl_err pl_request_parse(const char *json, size_t len,
	const struct pl_netpolicy *policy, struct pl_request **out, struct pl_faults *faults);
/* The same for one member of a larger document (batch): json is that member's text, pointer
 * prefixes the faults. */
PL_MUST_CHECK enum pl_err pl_request_parse_member(const char *json, size_t len, const char *pointer,
	const struct pl_netpolicy *policy, struct pl_request **out, struct pl_faults *faults);
void pl_request_free(struct pl_request *request);

/* Everything but provider and callbackUrl as compact JSON, in docs/API.md's shape ("" when nothing
 * was given), and back: what a record's head keeps. options may be "" (len 0). */
PL_MUST_CHECK enum pl_err pl_request_options_encode(
	const struct pl_request *request, struct pl_buf *out);
PL_MUST_CHECK enum pl_err pl_request_options_decode(
	struct pl_request *request, const char *options, size_t len);
/* Frees what the options own and unsets them: for a request that was decoded into storage of
 * the caller's. */
void pl_request_clear(struct pl_request *request);

#endif
