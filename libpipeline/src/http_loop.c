/*
 * curl_multi on uv. Three ways lead into curl, none of them from inside curl: a ready
 * descriptor, a timer above zero, and the idle handle, which serves a wish of "at once" (as a
 * timer it would cost a millisecond each, or starve the descriptors) and the exchanges that
 * were woken. Curl's messages are read right after each.
 *
 * Descriptors stay watched for reading while their connection rests in curl's pool: stopping
 * and starting a uv_poll is three system calls an exchange. If something does arrive on one
 * that curl does not want to hear of, watching stops then. That is only safe once a request has
 * been sent on it: what fails before, curl 7.88 closes behind our back (close, not our callback),
 * and a watch left on such a number would take it from whoever on the loop gets it next.
 */
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

#include "http_private.h"
#include "pipeline/mem.h"

struct http_socket {
	uv_poll_t poll;
	struct pl_http *http;
	struct pl_http_exchange *owner; /* whose bytes these are; NULL while curl has no wish */
	curl_socket_t fd;
	int wants;   /* UV_READABLE | UV_WRITABLE */
	int watches; /* what the poll handle is started for */
};

static void on_idle(uv_idle_t *idle);

static void read_messages(struct pl_http *http)
{
	int left;
	CURLMsg *message;
	while ((message = curl_multi_info_read(http->multi, &left)) != NULL) {
		char *owner = NULL;
		CURLcode code = message->data.result;
		PL_ASSERT(message->msg == CURLMSG_DONE);
		curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &owner);
		http_exchange_curl_done((struct pl_http_exchange *)(void *)owner, code);
	}
}

static void enter_curl(struct pl_http *http, curl_socket_t fd, int events)
{
	int running;
	curl_multi_socket_action(http->multi, fd, events, &running);
	read_messages(http);
}

/* Descriptors. */

static void on_poll(uv_poll_t *poll, int status, int events);

static void watch(struct http_socket *s, int events)
{
	if (events == s->watches)
		return;
	s->watches = events;
	if (events == 0)
		uv_poll_stop(&s->poll);
	else if (uv_poll_start(&s->poll, events, on_poll) != 0)
		s->watches = 0; /* the exchange runs into its idle time */
}

static struct http_socket *socket_at(struct pl_http *http, curl_socket_t fd)
{
	return (size_t)fd < http->sockets_room ? http->sockets[fd] : NULL;
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
	struct http_socket *s = poll->data;
	struct pl_http *http = s->http;
	curl_socket_t fd = s->fd;
	if (s->wants == 0) {
		s->watches = status < 0 ? 0 : s->watches;
		watch(s, 0);
		return;
	}
	if (s->owner != NULL)
		http_exchange_active(s->owner);
	int what = 0;
	if (status < 0) { /* uv has stopped the handle by itself */
		s->watches = 0;
		what = CURL_CSELECT_ERR;
	} else {
		what |= (events & UV_READABLE) != 0 ? CURL_CSELECT_IN : 0;
		what |= (events & UV_WRITABLE) != 0 ? CURL_CSELECT_OUT : 0;
	}
	enter_curl(http, fd, what);
	s = socket_at(http, fd);
	if (s != NULL && s->watches == 0) /* curl says only what changes in its wishes */
		watch(s, s->wants);
}

static void on_socket_closed(uv_handle_t *handle)
{
	struct http_socket *s = handle->data;
	struct pl_http *http = s->http;
	free(s);
	http_handle_gone(http);
}

static struct http_socket *socket_new(struct pl_http *http, curl_socket_t fd)
{
	size_t room = http->sockets_room;
	while (room <= (size_t)fd)
		room = room > 0 ? room * 2 : 64;
	if (room > http->sockets_room) {
		http->sockets = pl_realloc(http->sockets, room * sizeof(struct http_socket *));
		while (http->sockets_room < room)
			http->sockets[http->sockets_room++] = NULL;
	}
	struct http_socket *s = pl_calloc(1, sizeof(*s));
	s->http = http;
	s->fd = fd;
	if (uv_poll_init(http->loop, &s->poll, fd) != 0) {
		free(s);
		return NULL;
	}
	s->poll.data = s;
	http->handles++;
	http->sockets[fd] = s;
	return s;
}

static void socket_drop(struct http_socket *s)
{
	s->http->sockets[s->fd] = NULL;
	uv_close((uv_handle_t *)&s->poll, on_socket_closed);
}

static void unwish(struct http_socket *s)
{
	struct pl_http_exchange *x = s->owner;
	s->wants = 0;
	s->owner = NULL;
	if (x == NULL || !http_exchange_is_talking(x)) {
		socket_drop(s);
		if (x != NULL)
			http_exchange_lost_address(x);
	} else if (s->watches != UV_READABLE) {
		watch(s, 0);
	}
}

static int on_curl_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *unused)
{
	(void)unused;
	struct pl_http *http = arg;
	struct http_socket *s = socket_at(http, fd);
	if (what == CURL_POLL_REMOVE) {
		if (s != NULL)
			unwish(s);
		return 0;
	}
	if (s == NULL && (s = socket_new(http, fd)) == NULL)
		return -1;
	char *owner = NULL;
	curl_easy_getinfo(easy, CURLINFO_PRIVATE, &owner);
	s->owner = (struct pl_http_exchange *)(void *)owner;
	s->wants =
		(what & CURL_POLL_IN ? UV_READABLE : 0) | (what & CURL_POLL_OUT ? UV_WRITABLE : 0);
	watch(s, s->wants);
	return 0;
}

/* A number that is still on our list was closed behind our back just now, and the kernel has
 * forgotten it; curl may have the same wish for the new one and then says nothing. */
void http_loop_opened(struct pl_http *http, curl_socket_t fd)
{
	struct http_socket *s = socket_at(http, fd);
	if (s == NULL)
		return;
	watch(s, 0);
	watch(s, s->wants);
}

int http_loop_close_socket(void *arg, curl_socket_t fd)
{
	struct pl_http *http = arg;
	struct http_socket *s = socket_at(http, fd);
	if (s != NULL)
		socket_drop(s);
	return close(fd);
}

/* Time and turns. */

static void on_timer(uv_timer_t *timer)
{
	enter_curl(timer->data, CURL_SOCKET_TIMEOUT, 0);
}

static int on_curl_timer(CURLM *multi, long timeout_ms, void *arg)
{
	(void)multi;
	struct pl_http *http = arg;
	if (http->torn_down)
		return 0;
	http->kick = timeout_ms == 0;
	if (timeout_ms > 0)
		uv_timer_start(&http->timer, on_timer, (uint64_t)timeout_ms, 0);
	else
		uv_timer_stop(&http->timer);
	if (http->kick)
		uv_idle_start(&http->idle, on_idle);
	return 0;
}

static void on_idle(uv_idle_t *idle)
{
	struct pl_http *http = idle->data;
	/* As many as are here now: what they start or wake has its turn next time. */
	for (size_t left = http->woken_count; left > 0 && http->woken_count > 0; left--) {
		struct pl_http_exchange *x = TAILQ_FIRST(&http->woken);
		http_loop_sleep(x);
		http_exchange_wake(x);
	}
	if (http->kick) {
		http->kick = false;
		enter_curl(http, CURL_SOCKET_TIMEOUT, 0);
	}
	if (!http->kick && http->woken_count == 0)
		uv_idle_stop(&http->idle);
	if (http->closing && http->in_flight == 0 && !http->torn_down)
		http_tear_down(http);
}

void http_loop_wake(struct pl_http_exchange *x)
{
	if (x->is_woken)
		return;
	x->is_woken = true;
	TAILQ_INSERT_TAIL(&x->http->woken, x, woken_link);
	x->http->woken_count++;
	uv_idle_start(&x->http->idle, on_idle);
}

void http_loop_sleep(struct pl_http_exchange *x)
{
	if (!x->is_woken)
		return;
	x->is_woken = false;
	TAILQ_REMOVE(&x->http->woken, x, woken_link);
	x->http->woken_count--;
}

void http_loop_turn(struct pl_http *http)
{
	uv_idle_start(&http->idle, on_idle);
}

void http_loop_init(struct pl_http *http, size_t connections_max)
{
	http->multi = curl_multi_init();
	PL_ASSERT(http->multi != NULL); /* only out of memory */
	curl_multi_setopt(http->multi, CURLMOPT_SOCKETFUNCTION, on_curl_socket);
	curl_multi_setopt(http->multi, CURLMOPT_SOCKETDATA, http);
	curl_multi_setopt(http->multi, CURLMOPT_TIMERFUNCTION, on_curl_timer);
	curl_multi_setopt(http->multi, CURLMOPT_TIMERDATA, http);
	curl_multi_setopt(http->multi, CURLMOPT_MAXCONNECTS, (long)connections_max);
	uv_timer_init(http->loop, &http->timer);
	uv_idle_init(http->loop, &http->idle);
	http->timer.data = http;
	http->idle.data = http;
	http->handles += 2;
}

static void on_handle_closed(uv_handle_t *handle)
{
	http_handle_gone(handle->data);
}

void http_loop_fini(struct pl_http *http)
{
	curl_multi_cleanup(http->multi); /* closes what rests in the pool: callbacks still come */
	uv_close((uv_handle_t *)&http->timer, on_handle_closed);
	uv_close((uv_handle_t *)&http->idle, on_handle_closed);
}
