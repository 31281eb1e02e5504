/*
 * One fetch is a chain of steps:
 *
 *   begin -> (rereading what a cut fetch has stored) -> asking -> [reading <-> storing a chunk]
 *         -> ended -> settled
 *
 * A body of up to PL_DATA_INLINE_MAX travels inside the record; a larger one goes to Redis in
 * chunks while it arrives, and settle commits them. At most one chunk per fetch is under way; the
 * provider is paused meanwhile. Body memory: each fetch with a body has taken what its buffer may
 * grow to; when the process has none left for a full chunk, small chunks are stored instead, so
 * that nobody waits for somebody who waits.
 */
#include "fetch.h"

#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "pipeline/clock.h"
#include "pipeline/json.h"
#include "pipeline/log.h"
#include "pipeline/mem.h"
#include "pipeline/text.h"
#include "resume.h"
#include "verdict.h"

#define CONNECT_MS      5000
#define IDLE_MS         60000
#define REDIRECTS_MAX   5
#define IGNORED_MAX     (64 * 1024) /* of an answer that is an error */
#define TOKEN_SIZE      17
#define NO_ROOM_WAIT_MS 10000 /* what had to give way does not ask its provider at once */
#define ROOM_SMALL      PL_DATA_INLINE_MAX
#define ROOM_LARGE      PL_CHUNK_MAX

const struct pl_setting fetch_settings[] = {
	{ .name = "FETCH_TIMEOUT",
		.type = PL_SETTING_DURATION,
		.fallback = "10m",
		.min = 1,
		.max = PL_TIMEOUT_MAX_MS,
		.help = "How long one fetch may take, body and redirects included." },
	{ .name = "FETCH_SCHEDULE",
		.type = PL_SETTING_SCHEDULE,
		.fallback = "5s,30s,2m,10m,30m,1h",
		.help = "The waits before each further fetch." },
	{ .name = "DATA_MAX",
		.type = PL_SETTING_BYTES,
		.fallback = "8MiB",
		.min = 1,
		.max = 1024ull * 1024 * 1024,
		.help = "The largest body that is fetched, decoded." },
	{ .name = NULL },
};

struct fetcher { /* the consumer's state */
	struct pl_worker *worker;
	uint64_t data_max;
};

struct fetch {
	struct fetcher *fetcher;
	struct pl_job *job;
	struct pl_http_exchange *exchange; /* NULL before it began and after it ended */
	struct pl_memory_wait memory;
	bool unproven;      /* as the job, which goes first */
	size_t taken;       /* body memory that is ours */
	struct pl_buf body; /* what is not stored yet; at most `taken` bytes */
	uint64_t bytes;     /* in all */
	struct pl_json_check json;
	struct pl_utf8_check utf8;
	EVP_MD_CTX *sha256; /* NULL until the first chunk */
	char token[TOKEN_SIZE];
	unsigned chunks;
	bool storing;      /* a chunk is under way */
	bool rereading;    /* a chunk of the fetch that was cut is under way back */
	unsigned reread;   /* chunks that came back */
	uint64_t from;     /* the byte a cut fetch goes on from; 0: the beginning */
	bool anew;         /* it was cut, and began at the beginning all the same */
	uint64_t spent_ms; /* on an answer that was not the rest */
	bool resumable;    /* should it be cut, a later one may go on */
	uint64_t ignored;  /* bytes of an answer that is none of 2xx */
	char validator[RESUME_VALIDATOR_SIZE];
	char range[48];
	struct pl_http_header *headers; /* the client's, and ours to go on; NULL: the client's */
	bool ended;                     /* the answer was seen */
	bool lost_chunk;                /* Redis did not take one: no verdict, no attempt */
	bool no_room;                   /* and why: Redis has none */
	struct pl_verdict verdict;
	char message[PL_EVENT_MESSAGE_MAX];
	char content_type[256];
};

static const char ANEW_NOTE[] = "from the beginning: the provider did not go on where it was cut";
static const char NOTHING_KEPT_NOTE[] = "from the beginning: nothing was kept to go on from";
static const char CLOSE_NOTE[] = "ended by close: its length can't be checked";

/* "application/json", "application/…+json" or no type at all, parameters aside. */
static bool says_json(const char *content_type)
{
	size_t len = strcspn(content_type, "; \t");
	return len == 0 || (len == 16 && strncasecmp(content_type, "application/json", len) == 0) ||
	       (len > 5 && strncasecmp(content_type + len - 5, "+json", 5) == 0);
}

static void *fetch_open(struct pl_worker *worker, const struct pl_settings *settings)
{
	struct fetcher *fetcher = pl_alloc(sizeof *fetcher);
	*fetcher = (struct fetcher) { worker, pl_settings_number(settings, "DATA_MAX") };
	return fetcher;
}

static void fetch_free(struct fetch *fetch)
{
	struct pl_worker *worker = fetch->fetcher->worker;
	pl_worker_memory_unwait(worker, &fetch->memory);
	if (fetch->taken > 0)
		pl_worker_memory_give(worker, fetch->unproven, fetch->taken);
	EVP_MD_CTX_free(fetch->sha256);
	pl_buf_fini(&fetch->body);
	free(fetch->headers);
	free(fetch);
}

static void settle(struct fetch *fetch, const struct pl_verdict *verdict)
{
	struct pl_verdict told = *verdict;
	told.token = fetch->token;
	told.chunks = fetch->chunks;
	pl_job_settle(fetch->job, &told);
	fetch_free(fetch);
}

static void step_on(struct fetch *fetch);

/* ---- storing ---- */

static void on_stored(void *arg, enum pl_err err, const char *why)
{
	struct fetch *fetch = arg;
	fetch->storing = false;
	if (err != PL_OK) {
		const struct pl_log_about about = { .request_id = fetch->job->id,
			.stage = "fetch" };
		pl_log(PL_LOG_WARN, &about, "chunk_lost", "%s", why);
		if (err == PL_ELIMIT) {
			fetch->no_room = true;
			pl_worker_redis_full(fetch->fetcher->worker);
		}
		fetch->lost_chunk = true;
		if (fetch->exchange != NULL)
			pl_http_cut(fetch->exchange, PL_FAULT_CANCELLED);
	}
	step_on(fetch);
}

static void hash(struct fetch *fetch, const char *data, size_t len)
{
	if (fetch->sha256 == NULL) {
		fetch->sha256 = EVP_MD_CTX_new();
		PL_ASSERT(fetch->sha256 != NULL &&
			  EVP_DigestInit_ex(fetch->sha256, EVP_sha256(), NULL) == 1);
	}
	int hashed = EVP_DigestUpdate(fetch->sha256, data, len);
	PL_ASSERT(hashed == 1);
}

static void name_chunks(struct fetch *fetch)
{
	unsigned char random[(TOKEN_SIZE - 1) / 2];
	int got = uv_random(NULL, NULL, random, sizeof random, 0, NULL);
	PL_ASSERT(got == 0);
	pl_hex(random, sizeof random, fetch->token);
}

static void store_chunk(struct fetch *fetch)
{
	if (fetch->chunks == 0)
		name_chunks(fetch);
	hash(fetch, fetch->body.data, fetch->body.len);
	fetch->storing = true;
	const struct pl_chunk chunk = {
		.token = fetch->token,
		.number = fetch->chunks++,
		.bytes = fetch->body.data,
		.len = fetch->body.len,
	};
	pl_job_chunk_put(fetch->job, chunk, on_stored, fetch);
	pl_buf_clear(&fetch->body);
}

/* ---- reading ---- */

static void on_memory(struct pl_memory_wait *wait)
{
	struct fetch *fetch = (struct fetch *)((char *)wait - offsetof(struct fetch, memory));
	fetch->taken = wait->bytes;
	step_on(fetch);
}

/* May the buffer hold len more bytes? It grows once, as far as there is body memory. */
static bool has_room(struct fetch *fetch, size_t len)
{
	if (fetch->body.len + len > fetch->taken && fetch->taken == ROOM_SMALL &&
		pl_worker_memory_take(
			fetch->fetcher->worker, fetch->unproven, ROOM_LARGE - ROOM_SMALL))
		fetch->taken = ROOM_LARGE;
	return fetch->body.len + len <= fetch->taken;
}

/* Forgets what an earlier fetch has stored, none of it ours: the provider begins at the beginning.
 */
static void begin_anew(struct fetch *fetch)
{
	fetch->anew = fetch->from > 0;
	fetch->from = fetch->bytes = 0;
	fetch->chunks = 0;
	EVP_MD_CTX_free(fetch->sha256);
	fetch->sha256 = NULL;
	pl_buf_clear(&fetch->body);
	pl_json_check_init(&fetch->json);
	pl_utf8_check_init(&fetch->utf8);
}

/* The provider was asked for the rest, and says that there is none, or sends something else in
 * parts. */
static bool is_no_rest(const struct fetch *fetch, const struct pl_http_answer *answer)
{
	if (fetch->from == 0 || answer->fault != PL_FAULT_NONE)
		return false;
	return answer->status == 416 ||
	       (answer->status == 206 &&
		       !resume_is_rest(answer, fetch->from, fetch->job->record->partial.validator));
}

/* A 206 need not repeat what the first answer said (RFC 9110 15.3.7), and what If-Range asked
 * about still holds. */
static void keep_first(struct fetch *fetch, const struct pl_http_answer *answer)
{
	const struct pl_partial *first = &fetch->job->record->partial;
	const char *type = answer->content_type;
	snprintf(fetch->content_type, sizeof fetch->content_type, "%s",
		*type != '\0' ? type : first->content_type);
	snprintf(fetch->validator, sizeof fetch->validator, "%s", first->validator);
	fetch->resumable = true;
}

/* What Redis has no room for, however long it waits, is too large as well. */
static uint64_t data_max(const struct fetch *fetch)
{
	uint64_t room = pl_worker_bodies_max(fetch->fetcher->worker);
	return room < fetch->fetcher->data_max ? room : fetch->fetcher->data_max;
}

/* That is for the whole: what was stored before the fetch was cut counts too. */
static bool is_beyond(const struct fetch *fetch, uint64_t more)
{
	uint64_t most = data_max(fetch);
	return fetch->bytes > most || more > most - fetch->bytes;
}

static enum pl_http_flow refuse(struct fetch *fetch)
{
	pl_http_cut(fetch->exchange, PL_FAULT_TOO_LARGE);
	return PL_HTTP_STOP;
}

static enum pl_http_flow on_head(void *arg, const struct pl_http_answer *answer)
{
	struct fetch *fetch = arg;
	if (answer->status < 200 || answer->status > 299) {
		fetch->ignored = 1; /* what such an answer says is read to a ceiling and dropped */
		return PL_HTTP_GO;
	}
	if (is_no_rest(fetch, answer))
		return PL_HTTP_STOP; /* on_done asks anew */
	if (answer->status != 206 && fetch->from > 0)
		begin_anew(fetch);
	if (fetch->from == 0) {
		memcpy(fetch->content_type, answer->content_type, sizeof fetch->content_type);
		fetch->resumable = resume_validator(answer, fetch->validator);
		return PL_HTTP_GO;
	}
	keep_first(fetch, answer);
	if (answer->content_length > 0 && is_beyond(fetch, (uint64_t)answer->content_length))
		return refuse(fetch);
	return PL_HTTP_GO;
}

static enum pl_http_flow on_body(void *arg, const char *data, size_t len)
{
	struct fetch *fetch = arg;
	struct pl_worker *worker = fetch->fetcher->worker;
	if (fetch->ignored > 0) {
		fetch->ignored += len;
		return fetch->ignored > IGNORED_MAX ? PL_HTTP_STOP : PL_HTTP_GO;
	}
	if (is_beyond(fetch, len))
		return refuse(fetch);
	if (fetch->taken == 0 && !pl_worker_memory_take(worker, fetch->unproven, ROOM_SMALL)) {
		if (!fetch->memory.waits)
			pl_worker_memory_wait(
				worker, &fetch->memory, fetch->unproven, ROOM_SMALL, on_memory);
		return PL_HTTP_PAUSE;
	}
	if (fetch->taken == 0)
		fetch->taken = ROOM_SMALL;
	if (!has_room(fetch, len)) {
		if (fetch->storing)
			return PL_HTTP_PAUSE; /* on_stored resumes */
		if (fetch->body.len > 0)
			store_chunk(fetch);
	}
	enum pl_err err = pl_buf_add(&fetch->body, data, len);
	PL_ASSERT(err == PL_OK); /* curl hands over 16 KiB at most, the ceiling is ROOM_LARGE */
	pl_json_check_feed(&fetch->json, data, len);
	pl_utf8_check_feed(&fetch->utf8, data, len);
	fetch->bytes += len;
	return PL_HTTP_GO;
}

/* ---- ending ---- */

/* docs/API.md's rule for what a callback receives: JSON unchanged, else text, else base64. */
static enum pl_data_kind kind_of(struct fetch *fetch)
{
	if (fetch->bytes == 0)
		return PL_DATA_EMPTY;
	if (says_json(fetch->content_type) && pl_json_check_finish(&fetch->json))
		return PL_DATA_JSON;
	return pl_utf8_check_finish(&fetch->utf8) ? PL_DATA_TEXT : PL_DATA_BINARY;
}

static void settle_done(struct fetch *fetch)
{
	char sha256[2 * EVP_MAX_MD_SIZE + 1] = "";
	if (fetch->chunks > 0) {
		unsigned char digest[EVP_MAX_MD_SIZE];
		unsigned len;
		int hashed = EVP_DigestFinal_ex(fetch->sha256, digest, &len);
		PL_ASSERT(hashed == 1);
		pl_hex(digest, len, sha256);
	}
	const struct pl_data data = {
		.kind = kind_of(fetch),
		.bytes = fetch->bytes,
		.status = fetch->verdict.status,
		.content_type = fetch->content_type,
		.inline_bytes = fetch->body.data,
		.chunks = fetch->chunks,
		.token = fetch->token,
		.sha256 = sha256,
	};
	fetch->verdict.data = &data;
	settle(fetch, &fetch->verdict);
}

/* A fetch that was cut leaves behind from where a later one may go on. */
static void settle_cut(struct fetch *fetch)
{
	struct pl_verdict back = { .kind = PL_VERDICT_BACK, .message = "" };
	if (fetch->resumable && fetch->body.len > 0) {
		store_chunk(fetch); /* step_on comes back here */
		return;
	}
	const struct pl_partial partial = {
		.bytes = fetch->bytes,
		.chunks = fetch->chunks,
		.token = fetch->token,
		.validator = fetch->validator,
		.content_type = fetch->content_type,
	};
	if (fetch->resumable && fetch->chunks > 0) {
		back.partial = &partial;
		snprintf(fetch->message, sizeof fetch->message, "at byte %" PRIu64, fetch->bytes);
		back.message = fetch->message;
	}
	settle(fetch, &back);
}

/* The one place that decides what comes next, once something has happened. */
static void step_on(struct fetch *fetch)
{
	if (fetch->storing)
		return;
	if (!fetch->ended) {
		if (fetch->exchange != NULL && !fetch->lost_chunk)
			pl_http_resume(fetch->exchange);
		return;
	}
	if (fetch->lost_chunk) {
		settle(fetch, &(struct pl_verdict) { .kind = PL_VERDICT_BACK,
				      .wait_ms = fetch->no_room ? NO_ROOM_WAIT_MS : 0 });
	} else if (fetch->job->is_cut && fetch->verdict.kind != PL_VERDICT_DONE) {
		settle_cut(fetch);
	} else if (fetch->verdict.kind != PL_VERDICT_DONE) {
		settle(fetch, &fetch->verdict);
	} else if (fetch->body.len > 0 &&
		   (fetch->chunks > 0 || fetch->bytes > PL_DATA_INLINE_MAX)) {
		store_chunk(fetch);
	} else {
		settle_done(fetch);
	}
}

/* What the event says: of a fault what went wrong, else how the whole came together. */
static void write_message(struct fetch *fetch, const struct pl_http_answer *answer)
{
	char *out = fetch->message;
	size_t size = sizeof fetch->message;
	if (fetch->verdict.fault == PL_FAULT_HTTP_STATUS)
		snprintf(out, size, "the provider answered %d", answer->status);
	else if (fetch->verdict.fault != PL_FAULT_NONE)
		snprintf(out, size, "%s", answer->message);
	else if (fetch->from > 0)
		snprintf(out, size, "resumed at byte %" PRIu64, fetch->from);
	else if (fetch->anew)
		snprintf(out, size, "%s", ANEW_NOTE);
	else if (strcmp(fetch->job->record->last->name, "resumed") == 0)
		snprintf(out, size, "%s", NOTHING_KEPT_NOTE);
	else if (answer->ended_by_close)
		snprintf(out, size, "%s", CLOSE_NOTE);
}

static void ask(struct fetch *fetch);

/* The same attempt, from the beginning: nothing of the answer counts. Once, as from is 0 now. */
static void ask_anew(struct fetch *fetch, const struct pl_http_answer *answer)
{
	fetch->spent_ms = answer->ms;
	fetch->ignored = 0;
	begin_anew(fetch);
	ask(fetch);
}

static void on_done(void *arg, const struct pl_http_answer *answer)
{
	struct fetch *fetch = arg;
	fetch->exchange = NULL;
	if (is_no_rest(fetch, answer)) {
		ask_anew(fetch, answer);
		return;
	}
	fetch->ended = true;
	pl_worker_memory_unwait(fetch->fetcher->worker, &fetch->memory);
	fetch->verdict = fetch_verdict(answer, pl_clock_wall_ms());
	if (fetch->from > 0 && fetch->verdict.status == 206)
		fetch->verdict.status = 200; /* the whole is there: what the first answer said */
	write_message(fetch, answer);
	fetch->verdict.message = fetch->message;
	step_on(fetch);
}

/* ---- beginning ---- */

/* The client's headers, and what asks the provider to go on. */
static size_t range_headers(struct fetch *fetch, const struct pl_stage_options *own)
{
	snprintf(fetch->range, sizeof fetch->range, "bytes=%" PRIu64 "-", fetch->from);
	fetch->headers = pl_alloc((own->headers_count + 2) * sizeof *fetch->headers);
	size_t count = 0;
	for (size_t i = 0; i < own->headers_count; i++)
		fetch->headers[count++] = own->headers[i];
	fetch->headers[count++] = (struct pl_http_header) { "Range", fetch->range };
	fetch->headers[count++] =
		(struct pl_http_header) { "If-Range", fetch->job->record->partial.validator };
	return count;
}

/* FETCH_TIMEOUT is for the attempt; 0 would be no bound. */
static uint64_t time_left_ms(const struct fetch *fetch)
{
	uint64_t all_ms = pl_job_timeout_ms(fetch->job);
	return all_ms > fetch->spent_ms ? all_ms - fetch->spent_ms : 1;
}

static void ask(struct fetch *fetch)
{
	const struct pl_request *request = &fetch->job->record->request;
	const struct pl_stage_options *own = &request->stage[PL_STAGE_FETCH];
	struct pl_http_options options = {
		.method = own->method != NULL ? own->method : "GET",
		.url = request->provider,
		.headers = own->headers,
		.headers_count = own->headers_count,
		.body = own->body,
		.body_len = own->body_len,
		.connect_ms = CONNECT_MS,
		.idle_ms = IDLE_MS,
		.total_ms = time_left_ms(fetch),
		.redirects_max = REDIRECTS_MAX,
		.body_max = data_max(fetch), /* less when it goes on, see on_head */
		.on_head = on_head,
		.on_body = on_body,
		.on_done = on_done,
		.arg = fetch,
	};
	if (fetch->from > 0) {
		options.headers_count = range_headers(fetch, own);
		options.headers = fetch->headers;
		options.identity = true;
	}
	fetch->exchange = pl_http_start(pl_worker_http(fetch->fetcher->worker), &options);
}

static void reread_next(struct fetch *fetch);

/* What was stored passes by once more, for its hash and its kind. */
static void on_reread(void *arg, enum pl_err err, const char *bytes, size_t len)
{
	struct fetch *fetch = arg;
	fetch->rereading = false;
	if (fetch->job->is_cut || (err != PL_OK && err != PL_ENOTFOUND)) {
		settle(fetch, &(struct pl_verdict) { .kind = PL_VERDICT_BACK });
		return;
	}
	if (err == PL_ENOTFOUND) { /* it was kept for PL_CHUNK_TTL_MS */
		begin_anew(fetch);
		ask(fetch);
		return;
	}
	hash(fetch, bytes, len);
	pl_json_check_feed(&fetch->json, bytes, len);
	pl_utf8_check_feed(&fetch->utf8, bytes, len);
	fetch->bytes += len;
	fetch->reread++;
	reread_next(fetch);
}

static void reread_next(struct fetch *fetch)
{
	const struct pl_partial *partial = &fetch->job->record->partial;
	if (fetch->reread < partial->chunks) {
		fetch->rereading = true;
		pl_queue_chunk_get(pl_worker_queue(fetch->fetcher->worker), partial->token,
			fetch->reread, on_reread, fetch);
		return;
	}
	if (fetch->bytes == fetch->from)
		fetch->chunks = partial->chunks;
	else
		begin_anew(fetch);
	ask(fetch);
}

static bool may_go_on(const struct fetch *fetch)
{
	const struct pl_record *record = fetch->job->record;
	const struct pl_stage_options *own = &record->request.stage[PL_STAGE_FETCH];
	for (size_t i = 0; i < own->headers_count; i++)
		if (strcasecmp(own->headers[i].name, "range") == 0 ||
			strcasecmp(own->headers[i].name, "if-range") == 0)
			return false;
	return record->partial.bytes > 0 && record->partial.bytes < data_max(fetch) &&
	       strlen(record->partial.token) < sizeof fetch->token &&
	       (own->method == NULL || strcmp(own->method, "GET") == 0);
}

static void fetch_begin(void *state, struct pl_job *job)
{
	struct fetch *fetch = pl_calloc(1, sizeof *fetch);
	fetch->fetcher = state;
	fetch->job = job;
	fetch->unproven = job->unproven;
	job->own = fetch;
	pl_buf_init(&fetch->body, ROOM_LARGE);
	pl_json_check_init(&fetch->json);
	pl_utf8_check_init(&fetch->utf8);
	if (!may_go_on(fetch)) {
		ask(fetch);
		return;
	}
	fetch->from = job->record->partial.bytes;
	memcpy(fetch->token, job->record->partial.token, strlen(job->record->partial.token) + 1);
	reread_next(fetch);
}

static void fetch_cut(struct pl_job *job)
{
	struct fetch *fetch = job->own;
	if (fetch->exchange != NULL)
		pl_http_cut(fetch->exchange, PL_FAULT_CANCELLED);
	/* else a call to Redis is under way: what comes back from it sees is_cut */
}

const struct pl_work fetch_work = {
	.stage = PL_STAGE_FETCH,
	.letter = 'c',
	.done = "fetched",
	.schedule = "FETCH_SCHEDULE",
	.timeout = "FETCH_TIMEOUT",
	.open = fetch_open,
	.close = free,
	.begin = fetch_begin,
	.cut = fetch_cut,
};
