/*
 * One exchange, step by step:
 *
 *   begin -> first_hop -> hop_begin -> resolved -> dial -> (curl) -> curl_done -> finish
 *                            ^                                          |
 *                            '---------------- follow -----------------'
 */
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http_private.h"
#include "pipeline/mem.h"

static void finish(struct pl_http_exchange *x, enum pl_fault fault, const char *text);
static void dial(struct pl_http_exchange *x);

/* Time: one timer per exchange, set for the earliest it could be needed and looked at again
 * then, so that moving bytes cost it nothing. */

static void on_timer(uv_timer_t *timer);

static void arm_timer(struct pl_http_exchange *x)
{
	uint64_t now = uv_now(x->http->loop), at = UINT64_MAX;
	if (x->options.total_ms > 0)
		at = x->started_ms + x->options.total_ms;
	if (x->options.idle_ms > 0 && !x->paused) {
		uint64_t idle_at = (x->active_ms > 0 ? x->active_ms : now) + x->options.idle_ms;
		at = idle_at < at ? idle_at : at;
	}
	x->timer_at_ms = at;
	if (at == UINT64_MAX)
		uv_timer_stop(&x->timer);
	else
		uv_timer_start(&x->timer, on_timer, at > now ? at - now : 0, 0);
}

static void on_timer(uv_timer_t *timer)
{
	struct pl_http_exchange *x = timer->data;
	const struct pl_http_options *options = &x->options;
	uint64_t now = uv_now(x->http->loop);
	if (options->total_ms > 0 && now >= x->started_ms + options->total_ms)
		finish(x, PL_FAULT_TIMEOUT_TOTAL, NULL);
	else if (options->idle_ms > 0 && x->active_ms > 0 && !x->paused &&
		 now >= x->active_ms + options->idle_ms)
		finish(x, PL_FAULT_TIMEOUT_IDLE, NULL);
	else
		arm_timer(x);
}

void http_exchange_active(struct pl_http_exchange *x)
{
	if (x->active_ms > 0)
		x->active_ms = uv_now(x->http->loop);
}

bool http_exchange_is_talking(const struct pl_http_exchange *x)
{
	return x->active_ms > 0;
}

/* The request goes out: from now on silence counts. */
void http_exchange_talk(struct pl_http_exchange *x)
{
	x->active_ms = uv_now(x->http->loop);
	if (x->options.idle_ms > 0 && x->timer_at_ms > x->active_ms + x->options.idle_ms)
		arm_timer(x);
}

/* The steps. */

static void hop_begin(struct pl_http_exchange *x);

void http_exchange_begin(struct pl_http_exchange *x, const struct pl_http_options *options)
{
	x->options = *options;
	x->answer = (struct pl_http_answer) { .content_length = -1 };
	x->started_ms = uv_now(x->http->loop);
	x->cut = PL_FAULT_NONE;
	x->lost_address = x->resumed = false;
	x->step = HTTP_STARTED;
	x->method = options->method;
	x->own_words = true;
	x->with_body = options->body != NULL && strcmp(options->method, "HEAD") != 0;
	x->active_ms = 0;
	x->paused = false;
	arm_timer(x);
}

static void first_hop(struct pl_http_exchange *x)
{
	const char *why = NULL;
	char text[sizeof(x->answer.message)];
	const char *url = x->options.url;
	if (pl_url_parse(url, strlen(url), &x->url, &why) == PL_OK) {
		hop_begin(x);
		return;
	}
	snprintf(text, sizeof(text), "the URL %s", why);
	finish(x, PL_FAULT_ADDRESS_BLOCKED, text);
}

static enum pl_fault lookup_fault(enum pl_err err, const char **text)
{
	if (err == PL_ECLOSED)
		return PL_FAULT_CANCELLED;
	*text = err == PL_ENOTFOUND  ? "the name does not exist"
		: err == PL_ETIMEOUT ? "no name server answered in time"
		: err == PL_ELIMIT   ? "the name has more addresses than can be judged"
				     : "no name server could answer";
	return PL_FAULT_DNS;
}

static void on_resolved(
	void *arg, enum pl_err err, const struct sockaddr_storage *addresses, size_t count)
{
	struct pl_http_exchange *x = arg;
	x->lookup = NULL;
	if (err != PL_OK) {
		const char *text = NULL;
		enum pl_fault fault = lookup_fault(err, &text);
		finish(x, fault, text);
		return;
	}
	for (size_t i = 0; i < count; i++) {
		if (http_address_allowed(x, (const struct sockaddr *)&addresses[i]))
			continue;
		finish(x, PL_FAULT_ADDRESS_BLOCKED, NULL);
		return;
	}
	http_address_pin(x, addresses, count);
	dial(x);
}

static void hop_begin(struct pl_http_exchange *x)
{
	struct sockaddr_storage literal;
	http_answer_reset(x);
	x->is_literal = pl_url_literal(x->url, &literal);
	if (!x->is_literal) {
		x->step = HTTP_RESOLVING;
		x->lookup = pl_resolver_find(x->http->resolver, pl_url_host(x->url),
			(uint16_t)pl_url_port(x->url), on_resolved, x);
	} else if (http_address_allowed(x, (struct sockaddr *)&literal)) {
		dial(x);
	} else {
		finish(x, PL_FAULT_ADDRESS_BLOCKED, NULL);
	}
}

static void dial(struct pl_http_exchange *x)
{
	if (!http_request_set_for_hop(x)) {
		finish(x, PL_FAULT_ADDRESS_BLOCKED, "a header of the request cannot be sent");
		return;
	}
	x->step = HTTP_CURL;
	CURLMcode code = curl_multi_add_handle(x->http->multi, x->easy);
	PL_ASSERT(code == CURLM_OK);
}

static void leave_curl(struct pl_http_exchange *x)
{
	curl_off_t sent = 0;
	curl_easy_getinfo(x->easy, CURLINFO_SIZE_UPLOAD_T, &sent);
	x->answer.sent_whole =
		x->active_ms > 0 && (!x->with_body || (uint64_t)sent >= x->options.body_len);
	curl_multi_remove_handle(x->http->multi, x->easy);
	x->step = HTTP_STARTED;
	x->active_ms = 0;
}

/* Which words go along to the next hop; NULL, or why it must not be taken. */
static const char *redirect_words(struct pl_http_exchange *x, const struct pl_url *target)
{
	int status = x->answer.status;
	bool get = strcmp(x->method, "GET") == 0 || strcmp(x->method, "HEAD") == 0;
	bool same_origin = pl_url_same_origin(x->url, target);
	if (pl_url_is_https(x->url) && !pl_url_is_https(target))
		return "a redirect from https to http is not followed";
	if ((status == 301 || status == 302) && !get)
		return "a redirect with this status is followed for GET only";
	if (status == 303) {
		x->method = strcmp(x->method, "HEAD") == 0 ? "HEAD" : "GET";
		x->with_body = false;
	}
	if (!same_origin && x->with_body)
		return "a redirect does not take a body to another origin";
	x->own_words = x->own_words && same_origin;
	return NULL;
}

static void follow(struct pl_http_exchange *x)
{
	struct pl_url *target = NULL;
	const char *why = NULL;
	char text[sizeof(x->answer.message)];
	if (x->answer.redirects >= x->options.redirects_max) {
		finish(x, PL_FAULT_REDIRECT, "too many redirects");
		return;
	}
	if (x->location.len == 0) {
		finish(x, PL_FAULT_REDIRECT, "a redirect without a usable Location");
		return;
	}
	if (pl_url_resolve(x->url, x->location.data, &target, &why) != PL_OK) {
		snprintf(text, sizeof(text), "the redirect's target %s", why);
		finish(x, PL_FAULT_REDIRECT, text);
		return;
	}
	why = redirect_words(x, target);
	if (why != NULL) {
		pl_url_free(target);
		finish(x, PL_FAULT_REDIRECT, why);
		return;
	}
	pl_url_free(x->url);
	x->url = target;
	x->answer.redirects++;
	hop_begin(x);
}

static const char *certificate_text(const struct pl_http_exchange *x, char *text, size_t size)
{
	long verdict = X509_V_OK;
	curl_easy_getinfo(x->easy, CURLINFO_SSL_VERIFYRESULT, &verdict);
	/* curl presets "unspecified", and leaves it for a good chain with another name */
	if (verdict == X509_V_OK || verdict == X509_V_ERR_UNSPECIFIED)
		return "the certificate is not for this name";
	snprintf(text, size, "the certificate does not verify: %s",
		X509_verify_cert_error_string(verdict));
	return text;
}

static void fail(struct pl_http_exchange *x, CURLcode code)
{
	char text[sizeof(x->answer.message)];
	bool certificate = code == CURLE_PEER_FAILED_VERIFICATION;
	finish(x, http_fault_of(code),
		certificate ? certificate_text(x, text, sizeof(text)) : NULL);
}

void http_exchange_curl_done(struct pl_http_exchange *x, CURLcode code)
{
	leave_curl(x);
	if (x->cut != PL_FAULT_NONE)
		finish(x, x->cut, NULL);
	else if (x->fault != PL_FAULT_NONE)
		finish(x, x->fault, x->fault_text);
	else if (x->following)
		follow(x);
	else if (x->stopped || (code == CURLE_OK && x->head_done && http_answer_is_whole(x)))
		finish(x, PL_FAULT_NONE, NULL);
	else if (code == CURLE_OK && x->head_done)
		finish(x, PL_FAULT_TRUNCATED, "the answer's gzip is cut short");
	else if (code == CURLE_OK) /* so curl calls a head that ends by close */
		finish(x, PL_FAULT_RESET, NULL);
	else
		fail(x, code);
}

static void resume(struct pl_http_exchange *x)
{
	x->resumed = false;
	x->held = false;
	if (!x->paused)
		return;
	x->paused = false;
	if (x->active_ms > 0)
		x->active_ms = uv_now(x->http->loop);
	arm_timer(x);
	if (!x->curl_paused)
		return;
	x->curl_paused = false;
	CURLcode code = curl_easy_pause(x->easy, CURLPAUSE_CONT);
	if (code != CURLE_OK) /* a callback gave up on the kept bytes; curl sends no message */
		http_exchange_curl_done(x, code);
}

void http_exchange_lost_address(struct pl_http_exchange *x)
{
	x->lost_address = true;
	http_loop_wake(x);
}

/* When an address was silent for its share of the connect time, curl 7.88 gives it up but turns to
 * the next one only when it is called again, which then is too late. A pause that is lifted at
 * once makes it look. */
static void try_next_address(struct pl_http_exchange *x)
{
	x->lost_address = false;
	if (x->step != HTTP_CURL || http_exchange_is_talking(x))
		return;
	curl_easy_pause(x->easy, CURLPAUSE_ALL);
	curl_easy_pause(x->easy, CURLPAUSE_CONT);
}

void http_exchange_wake(struct pl_http_exchange *x)
{
	if (x->cut != PL_FAULT_NONE) {
		finish(x, x->cut, NULL);
		return;
	}
	if (x->step == HTTP_STARTED) {
		first_hop(x);
		return;
	}
	if (x->lost_address)
		try_next_address(x);
	if (x->resumed)
		resume(x);
}

static void finish(struct pl_http_exchange *x, enum pl_fault fault, const char *text)
{
	if (x->step == HTTP_CURL)
		leave_curl(x);
	if (x->lookup != NULL)
		pl_resolver_cancel(x->lookup);
	x->lookup = NULL;
	uv_timer_stop(&x->timer);
	http_answer_forget(x);
	pl_url_free(x->url);
	x->url = NULL;
	if (fault != PL_FAULT_NONE && text == NULL)
		text = http_fault_text(fault);
	x->answer.fault = fault;
	snprintf(x->answer.message, sizeof(x->answer.message), "%s", text != NULL ? text : "");
	x->answer.ms = uv_now(x->http->loop) - x->started_ms;
	http_leave(x);
	x->options.on_done(x->options.arg, &x->answer);
	http_pool(x);
}

/* Life. */

struct pl_http_exchange *http_exchange_new(struct pl_http *http)
{
	struct pl_http_exchange *x = pl_calloc(1, sizeof(*x));
	x->http = http;
	x->easy = curl_easy_init();
	PL_ASSERT(x->easy != NULL); /* only out of memory */
	uv_timer_init(http->loop, &x->timer);
	x->timer.data = x;
	http->handles++;
	pl_buf_init(&x->lines, PL_HTTP_REQUEST_HEADERS_MAX);
	pl_buf_init(&x->location, PL_URL_MAX);
	http_request_set_for_life(x);
	return x;
}

static void on_timer_closed(uv_handle_t *handle)
{
	struct pl_http_exchange *x = handle->data;
	struct pl_http *http = x->http;
	pl_buf_fini(&x->lines);
	pl_buf_fini(&x->location);
	free(x->nodes);
	free(x);
	http_handle_gone(http);
}

void http_exchange_free(struct pl_http_exchange *x)
{
	curl_easy_cleanup(x->easy);
	uv_close((uv_handle_t *)&x->timer, on_timer_closed);
}
