/*
 * redis: see the header. This file is the life of the connection and of the calls on it; how bytes
 * get to Redis is redis_link's, how a call is spelled redis_call's business.
 *
 * One idle handle carries all that must happen before the loop sleeps: it makes word of refused
 * calls come after the call has returned, and lets the calls of one turn leave in one write. (A
 * prepare handle would miss what another prepare handle calls.) One timer serves in turn the wait
 * before a new try and the earliest deadline.
 */
#include "pipeline/redis.h"

#include <openssl/evp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "pipeline/mem.h"
#include "pipeline/text.h"
#include "redis_call.h"
#include "redis_link.h"
#include "redis_tls.h"
#include "redis_url.h"

#define WAIT_FIRST_MS 50
#define WRITE_CALLS   256          /* gathered for one write */
#define FEED_SIZE     (16 * 1024)  /* hiredis moves what is left of its buffer at every reply */
#define READER_KEEP   (256 * 1024) /* bytes of buffer hiredis keeps while idle */
#define GRACE_MS      1
#define RUN_ID_MAX    64 /* 40 hex digits today */

enum state {
	WAITING,    /* for the next try; the timer runs */
	CONNECTING, /* the link is being opened */
	GREETING,   /* AUTH, SELECT and INFO are under way */
	READY,
	LOST,    /* the old link is being closed */
	CLOSING, /* by the owner */
};

struct pl_redis {
	uv_loop_t *loop;
	struct pl_redis_options options; /* without url */
	struct pl_redis_url url;
	SSL_CTX *tls_context; /* NULL: clear text */
	uv_idle_t idle;
	uv_timer_t timer;

	enum state state;
	struct pl_redis_link *link;   /* NULL while WAITING */
	redisReader *reader;          /* lives as long as the link */
	struct pl_redis_calls calls;  /* sent or to be sent */
	struct pl_redis_call *unsent; /* the first of them not wholly written; NULL: all are */
	struct pl_redis_calls ended;  /* without an answer; word of it goes out on the next turn */
	size_t held;                  /* bytes of calls */
	size_t reply_bytes;           /* fed since the last whole reply */
	uint64_t armed_for;           /* deadline the timer runs for, loop ms; 0: none */
	uint64_t ready_since;         /* loop ms */
	uint64_t readies;             /* times READY was reached */
	uint64_t wait_ms;             /* before jitter */
	bool in_grace;                /* see on_deadline */
	bool told_lost;               /* on_lost is not repeated until READY */
	bool is_replica;              /* READONLY was heard */
	bool is_peer_known;
	struct sockaddr_storage peer;
	void (*closed)(void *arg);
	void *closed_arg;
	unsigned handles; /* still to be closed */
};

static void on_idle(uv_idle_t *idle);
static void on_deadline(uv_timer_t *timer);
static const struct pl_redis_link_events link_events;

static bool is_talking(const struct pl_redis *redis)
{
	return redis->state == GREETING || redis->state == READY;
}

static bool starts_with(const redisReply *reply, const char *prefix)
{
	return strncmp(reply->str, prefix, strlen(prefix)) == 0;
}

static size_t weight(const struct pl_redis_call *call)
{
	return sizeof *call + call->len;
}

static void finish(struct pl_redis_call *call, enum pl_err err, const redisReply *reply)
{
	if (call->cb != NULL)
		call->cb(call->arg, err, reply);
	free(call);
}

static void arm(struct pl_redis *redis, uint64_t deadline)
{
	if (redis->armed_for != 0 && redis->armed_for <= deadline)
		return;
	uint64_t now = uv_now(redis->loop);
	redis->armed_for = deadline;
	uv_timer_start(&redis->timer, on_deadline, deadline > now ? deadline - now : 0, 0);
}

static void enqueue(struct pl_redis *redis, struct pl_redis_call *call)
{
	redis->held += weight(call);
	pl_redis_calls_add(&redis->calls, call);
	if (redis->unsent == NULL)
		redis->unsent = call;
	arm(redis, call->deadline);
	uv_idle_start(&redis->idle, on_idle);
}

static void refuse(struct pl_redis *redis, enum pl_err err, pl_redis_cb cb, void *arg)
{
	struct pl_redis_call *call = pl_redis_call_new_empty(err);
	call->cb = cb;
	call->arg = arg;
	pl_redis_calls_add(&redis->ended, call);
	if (!uv_is_closing((uv_handle_t *)&redis->idle)) /* else on_handle_closed tells */
		uv_idle_start(&redis->idle, on_idle);
}

static void begin(struct pl_redis *redis, struct pl_redis_call *call, uint64_t deadline_ms,
	pl_redis_cb cb, void *arg)
{
	if (redis->held + weight(call) > PL_REDIS_OUTPUT_MAX) {
		free(call);
		refuse(redis, PL_EREDIS, cb, arg);
		return;
	}
	call->cb = cb;
	call->arg = arg;
	call->deadline =
		uv_now(redis->loop) + (deadline_ms > 0 ? deadline_ms : PL_REDIS_DEADLINE_MS);
	enqueue(redis, call);
}

static enum pl_err refusal(const struct pl_redis *redis)
{
	if (redis->state == READY)
		return PL_OK;
	return redis->state == CLOSING ? PL_ECLOSED : PL_EREDIS;
}

/* Redis acknowledges each channel by itself. */
static unsigned answers_of(int argc, const char *const *argv)
{
	static const char *const verbs[] = { "SUBSCRIBE", "UNSUBSCRIBE", "PSUBSCRIBE",
		"PUNSUBSCRIBE" };
	for (size_t i = 0; argc > 1 && i < sizeof verbs / sizeof *verbs; i++) {
		if (strcasecmp(argv[0], verbs[i]) == 0)
			return (unsigned)argc - 1;
	}
	return 1;
}

void pl_redis_call(struct pl_redis *redis, int argc, const char *const *argv,
	const size_t *argv_len, uint64_t deadline_ms, pl_redis_cb cb, void *arg)
{
	PL_ASSERT(argc > 0);
	enum pl_err err = refusal(redis);
	if (err != PL_OK) {
		refuse(redis, err, cb, arg);
		return;
	}
	struct pl_redis_call *call = pl_redis_call_new((size_t)argc, argv, argv_len);
	if (redis->options.on_push != NULL)
		call->answers = answers_of(argc, argv);
	begin(redis, call, deadline_ms, cb, arg);
}

void pl_redis_eval(struct pl_redis *redis, const struct pl_script *script, int keys, int argc,
	const char *const *argv, const size_t *argv_len, uint64_t deadline_ms, pl_redis_cb cb,
	void *arg)
{
	PL_ASSERT(keys >= 0 && argc >= keys);
	enum pl_err err = refusal(redis);
	if (err != PL_OK) {
		refuse(redis, err, cb, arg);
		return;
	}
	struct pl_redis_call *call =
		pl_redis_call_new_evalsha(script, (unsigned)keys, (size_t)argc, argv, argv_len);
	begin(redis, call, deadline_ms, cb, arg);
}

void pl_script_init(struct pl_script *script, const char *source)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned len = 0;
	int ok = EVP_Digest(source, strlen(source), digest, &len, EVP_sha1(), NULL);
	PL_ASSERT(ok == 1 && 2 * len + 1 == sizeof script->sha1);
	script->source = source;
	pl_hex(digest, len, script->sha1);
}

/* Calls that will get no answer. What never left is safe to ask again. */
static void give_up_calls(struct pl_redis *redis)
{
	struct pl_redis_call *call;
	while ((call = pl_redis_calls_take(&redis->calls)) != NULL) {
		call->err = call->written > 0 ? PL_EUNKNOWN : PL_EREDIS;
		pl_redis_calls_add(&redis->ended, call);
	}
	redis->unsent = NULL;
	redis->held = 0;
}

/* A caller that asks again at once is refused into the list of the next turn, so this ends. */
static void tell_ended(struct pl_redis *redis)
{
	struct pl_redis_calls ended = redis->ended;
	redis->ended = (struct pl_redis_calls) { NULL, NULL };
	struct pl_redis_call *call;
	while ((call = pl_redis_calls_take(&ended)) != NULL)
		finish(call, call->err, NULL);
}

static void lose(struct pl_redis *redis, const char *why)
{
	if (redis->state != CONNECTING && !is_talking(redis))
		return;
	if (redis->state == READY && uv_now(redis->loop) - redis->ready_since >= PL_REDIS_RETRY_MS)
		redis->wait_ms = WAIT_FIRST_MS;
	redis->state = LOST;
	redis->armed_for = 0;
	uv_timer_stop(&redis->timer);
	pl_redis_link_close(redis->link);
	give_up_calls(redis);
	tell_ended(redis);
	if (redis->told_lost || redis->state == CLOSING)
		return;
	redis->told_lost = true;
	if (redis->options.on_lost != NULL)
		redis->options.on_lost(redis->options.arg, why);
}

/* From half of it to all of it, so that many who lost the same Redis don't come back as one. */
static uint64_t jittered(uint64_t ms)
{
	uint16_t random = 0;
	int err = uv_random(NULL, NULL, &random, sizeof random, 0, NULL);
	PL_ASSERT(err == 0);
	return ms - ms / 2 * random / UINT16_MAX;
}

static void dial(struct pl_redis *redis)
{
	redis->state = CONNECTING;
	redis->reader = redisReaderCreate();
	PL_ASSERT(redis->reader != NULL);
	redis->reader->maxbuf = READER_KEEP;
	redis->reply_bytes = 0;
	redis->in_grace = false;
	redis->is_replica = false;
	redis->link = pl_redis_link_new(
		redis->loop, &redis->url, redis->tls_context, &link_events, redis);
	pl_redis_link_dial(redis->link);
}

static void on_wait_over(uv_timer_t *timer)
{
	dial(timer->data);
}

static void on_link_closed(void *arg)
{
	struct pl_redis *redis = arg;
	redisReaderFree(redis->reader);
	redis->reader = NULL;
	redis->link = NULL;
	if (redis->state == CLOSING) {
		uv_idle_start(&redis->idle, on_idle);
		return;
	}
	redis->state = WAITING;
	uv_timer_start(&redis->timer, on_wait_over, jittered(redis->wait_ms), 0);
	redis->wait_ms =
		redis->wait_ms < PL_REDIS_RETRY_MS / 2 ? redis->wait_ms * 2 : PL_REDIS_RETRY_MS;
}

static void on_link_ended(void *arg, const char *why)
{
	lose(arg, why);
}

static void become_ready(struct pl_redis *redis, const char *info)
{
	static const char label[] = "\nrun_id:";
	char run_id[RUN_ID_MAX + 1] = "";
	const char *at = strstr(info, label);
	if (at != NULL) {
		at += sizeof label - 1;
		size_t len = strcspn(at, "\r\n");
		memcpy(run_id, at, len < RUN_ID_MAX ? len : RUN_ID_MAX);
	}
	redis->state = READY;
	redis->told_lost = false;
	redis->ready_since = uv_now(redis->loop);
	redis->readies++;
	if (redis->options.on_push != NULL)
		arm(redis, redis->ready_since + PL_REDIS_DEADLINE_MS);
	if (redis->options.on_ready != NULL)
		redis->options.on_ready(redis->options.arg, run_id, info);
}

static void on_accepted(void *arg, enum pl_err err, const redisReply *reply)
{
	if (err == PL_OK && reply->type == REDIS_REPLY_ERROR)
		lose(arg, reply->str);
}

static void on_info(void *arg, enum pl_err err, const redisReply *reply)
{
	struct pl_redis *redis = arg;
	if (err != PL_OK)
		return;
	if (reply->type == REDIS_REPLY_ERROR)
		lose(redis, reply->str);
	else if (reply->type != REDIS_REPLY_STRING)
		lose(redis, "Redis' answer to INFO is no text");
	else if (strstr(reply->str, "\nloading:1") != NULL)
		lose(redis, "Redis is loading its data");
	else
		become_ready(redis, reply->str);
}

static void greet(struct pl_redis *redis, size_t argc, const char *const *argv, pl_redis_cb cb)
{
	begin(redis, pl_redis_call_new(argc, argv, NULL), PL_REDIS_DEADLINE_MS, cb, redis);
}

static void on_link_opened(void *arg)
{
	struct pl_redis *redis = arg;
	const struct pl_redis_url *url = &redis->url;
	redis->state = GREETING;
	if (pl_redis_link_peer(redis->link, &redis->peer))
		redis->is_peer_known = true;
	if (url->user != NULL)
		greet(redis, 3, (const char *[]) { "AUTH", url->user, url->password }, on_accepted);
	else if (url->password != NULL)
		greet(redis, 2, (const char *[]) { "AUTH", url->password }, on_accepted);
	if (url->db > 0) {
		char db[12];
		snprintf(db, sizeof db, "%u", url->db);
		greet(redis, 2, (const char *[]) { "SELECT", db }, on_accepted);
	}
	greet(redis, 1, (const char *[]) { "INFO" }, on_info);
}

static unsigned gather(const struct pl_redis *redis, uv_buf_t *bufs)
{
	unsigned count = 0;
	for (struct pl_redis_call *call = redis->unsent; call != NULL && count < WRITE_CALLS;
		call = call->next) {
		bufs[count++] = uv_buf_init(
			call->bytes + call->written, (unsigned)(call->len - call->written));
	}
	return count;
}

static void mark_sent(struct pl_redis *redis, size_t taken)
{
	while (taken > 0) {
		struct pl_redis_call *call = redis->unsent;
		size_t left = call->len - call->written;
		size_t some = taken < left ? taken : left;
		call->written += some;
		taken -= some;
		if (some == left)
			redis->unsent = call->next;
	}
}

static void flush(struct pl_redis *redis)
{
	while (redis->unsent != NULL && is_talking(redis)) {
		uv_buf_t bufs[WRITE_CALLS];
		ssize_t taken = pl_redis_link_write(redis->link, bufs, gather(redis, bufs));
		if (taken < 0)
			lose(redis, uv_strerror((int)taken));
		else if (taken == 0)
			return; /* until on_link_writable */
		else
			mark_sent(redis, (size_t)taken);
	}
}

static void on_link_writable(void *arg)
{
	flush(arg);
}

static void close_handles(struct pl_redis *redis);

static void on_idle(uv_idle_t *idle)
{
	struct pl_redis *redis = idle->data;
	tell_ended(redis);
	flush(redis);
	if (redis->ended.first != NULL)
		return;
	uv_idle_stop(idle);
	if (redis->state == CLOSING && redis->link == NULL)
		close_handles(redis);
}

enum meaning { ANSWER, MESSAGE, ACKNOWLEDGEMENT };

static enum meaning meaning_of(const redisReply *reply)
{
	static const struct {
		const char *word;
		enum meaning meaning;
	} words[] = {
		{ "message", MESSAGE },
		{ "pmessage", MESSAGE },
		{ "subscribe", ACKNOWLEDGEMENT },
		{ "psubscribe", ACKNOWLEDGEMENT },
		{ "unsubscribe", ACKNOWLEDGEMENT },
		{ "punsubscribe", ACKNOWLEDGEMENT },
	};
	if (reply->type != REDIS_REPLY_ARRAY || reply->elements < 3 ||
		reply->element[0]->type != REDIS_REPLY_STRING)
		return ANSWER;
	for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
		if (strcmp(reply->element[0]->str, words[i].word) == 0)
			return words[i].meaning;
	}
	return ANSWER;
}

static void answer_call(struct pl_redis *redis, const redisReply *reply)
{
	struct pl_redis_call *call = redis->calls.first;
	if (call == NULL || call == redis->unsent) {
		lose(redis, "Redis answered what nobody asked");
		return;
	}
	bool failed = reply->type == REDIS_REPLY_ERROR;
	if (--call->answers > 0 && !failed)
		return;
	pl_redis_calls_take(&redis->calls);
	redis->held -= weight(call);
	if (failed && call->script != NULL && starts_with(reply, "NOSCRIPT")) {
		enqueue(redis, pl_redis_call_new_eval(call));
		free(call);
		return;
	}
	if (failed && starts_with(reply, "READONLY"))
		redis->is_replica = true;
	finish(call, PL_OK, reply);
}

static void take_reply(struct pl_redis *redis, const redisReply *reply)
{
	enum meaning meaning = redis->options.on_push != NULL ? meaning_of(reply) : ANSWER;
	if (meaning != ANSWER)
		redis->options.on_push(redis->options.arg, reply);
	if (meaning != MESSAGE && is_talking(redis))
		answer_call(redis, reply);
}

static void take_replies(struct pl_redis *redis)
{
	while (is_talking(redis)) {
		void *reply = NULL;
		if (redisReaderGetReply(redis->reader, &reply) != REDIS_OK) {
			lose(redis, redis->reader->errstr);
			return;
		}
		if (reply == NULL)
			break;
		redis->reply_bytes = 0;
		take_reply(redis, reply);
		freeReplyObject(reply);
	}
	if (redis->reply_bytes > PL_REDIS_REPLY_MAX)
		lose(redis, "an answer of Redis is too long");
}

static void on_link_received(void *arg, const char *data, size_t len)
{
	struct pl_redis *redis = arg;
	while (len > 0 && is_talking(redis)) {
		size_t some = len < FEED_SIZE ? len : FEED_SIZE;
		redisReaderFeed(redis->reader, data, some); /* a failure shows at the next reply */
		redis->reply_bytes += some;
		data += some;
		len -= some;
		take_replies(redis);
	}
	if (redis->is_replica)
		lose(redis, "Redis is a replica, which takes no writes");
}

static const struct pl_redis_link_events link_events = {
	.opened = on_link_opened,
	.received = on_link_received,
	.writable = on_link_writable,
	.ended = on_link_ended,
	.closed = on_link_closed,
};

static uint64_t earliest_deadline(const struct pl_redis *redis)
{
	uint64_t earliest = UINT64_MAX;
	for (struct pl_redis_call *call = redis->calls.first; call != NULL; call = call->next) {
		if (call->deadline < earliest)
			earliest = call->deadline;
	}
	return earliest;
}

/* Nobody waits for an answer on a quiet subscription, so nobody would miss a Redis that is gone. */
static void ping_subscription(struct pl_redis *redis)
{
	if (redis->options.on_push != NULL && redis->state == READY)
		pl_redis_call(redis, 1, (const char *[]) { "PING" }, NULL, 0, NULL, NULL);
}

/* The timer runs for a deadline that was the earliest once; mostly that call is answered by now.
 * Timers come before sockets: when it was us who slept, the answer may lie there unread, so a call
 * is overdue only at the second look, with the sockets read in between. */
static void on_deadline(uv_timer_t *timer)
{
	struct pl_redis *redis = timer->data;
	uint64_t now = uv_now(redis->loop);
	redis->armed_for = 0;
	if (redis->calls.first == NULL) {
		redis->in_grace = false;
		ping_subscription(redis);
		return;
	}
	uint64_t earliest = earliest_deadline(redis);
	if (earliest <= now && redis->in_grace) {
		lose(redis, "a call was not answered in time");
		return;
	}
	redis->in_grace = earliest <= now;
	arm(redis, redis->in_grace ? now + GRACE_MS : earliest);
}

/* libuv writes with write(2), which signals a closed socket; the error it returns is enough. */
static void ignore_sigpipe(void)
{
	struct sigaction action;
	if (sigaction(SIGPIPE, NULL, &action) == 0 && action.sa_handler == SIG_DFL)
		signal(SIGPIPE, SIG_IGN);
}

enum pl_err pl_redis_new(uv_loop_t *loop, const struct pl_redis_options *options,
	struct pl_redis **out, const char **why)
{
	struct pl_redis_url url;
	enum pl_err err = pl_redis_url_parse(options->url, &url, why);
	if (err != PL_OK)
		return err;
	SSL_CTX *tls_context = NULL;
	if (url.tls && (tls_context = pl_redis_tls_context(why)) == NULL) {
		pl_redis_url_fini(&url);
		return PL_ESYS;
	}
	ignore_sigpipe();
	struct pl_redis *redis = pl_calloc(1, sizeof *redis);
	redis->loop = loop;
	redis->options = *options;
	redis->options.url = NULL;
	redis->url = url;
	redis->tls_context = tls_context;
	redis->wait_ms = WAIT_FIRST_MS;
	uv_idle_init(loop, &redis->idle);
	uv_timer_init(loop, &redis->timer);
	redis->idle.data = redis->timer.data = redis;
	redis->handles = 2;
	redis->state = WAITING;
	uv_timer_start(&redis->timer, on_wait_over, 0, 0);
	*out = redis;
	return PL_OK;
}

bool pl_redis_is_ready(const struct pl_redis *redis)
{
	return redis->state == READY;
}

bool pl_redis_address(const struct pl_redis *redis, struct sockaddr_storage *out)
{
	if (redis->is_peer_known)
		*out = redis->peer;
	return redis->is_peer_known;
}

uint64_t pl_redis_reconnects(const struct pl_redis *redis)
{
	return redis->readies > 0 ? redis->readies - 1 : 0;
}

static void on_handle_closed(uv_handle_t *handle)
{
	struct pl_redis *redis = handle->data;
	if (--redis->handles > 0)
		return;
	while (redis->ended.first != NULL)
		tell_ended(redis);
	void (*closed)(void *arg) = redis->closed;
	void *arg = redis->closed_arg;
	SSL_CTX_free(redis->tls_context);
	pl_redis_url_fini(&redis->url);
	free(redis);
	if (closed != NULL)
		closed(arg);
}

static void close_handles(struct pl_redis *redis)
{
	uv_close((uv_handle_t *)&redis->idle, on_handle_closed);
	uv_close((uv_handle_t *)&redis->timer, on_handle_closed);
}

void pl_redis_close(struct pl_redis *redis, void (*closed)(void *arg), void *arg)
{
	PL_ASSERT(redis->state != CLOSING);
	if (redis->link != NULL && redis->state != LOST)
		pl_redis_link_close(redis->link);
	redis->state = CLOSING;
	redis->closed = closed;
	redis->closed_arg = arg;
	uv_timer_stop(&redis->timer);
	give_up_calls(redis);
	uv_idle_start(&redis->idle, on_idle);
}
