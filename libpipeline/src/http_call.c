#include "http_call.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "http_precheck.h"
#include "pipeline/mem.h"

#define ANSWER_HEAD_MAX (16 * 1024) /* status line and headers */
#define ANSWER_COPY_MAX (64 * 1024) /* a longer body is written from where it is */
#define KEEP_MAX        (64 * 1024) /* bytes of a buffer that a waiting thread holds on to */
#define SCRATCH_MAX     (16 * 1024 * 1024)
#define CHUNK_READ      (16 * 1024)
#define LINGER_MS       1000          /* a refused body is read on for so long ... */
#define LINGER_MAX      (1024 * 1024) /* ... or so far, so that the client sees why */

struct pl_http_call {
	struct mg_connection *conn;
	const struct mg_request_info *info;
	struct http_worker *worker;
	bool is_head;
	bool is_answered;
	bool closes;     /* the connection ends with this call */
	bool is_unread;  /* a body was announced, and nothing of it is read */
	bool is_large;   /* its body may be above body_max, and has a place among those */
	uint64_t unsent; /* bytes of a begun answer, PL_HTTP_LENGTH_UNKNOWN when not announced */
	int status;
	const char *headers; /* of the answer, beside its own; or NULL */
	void *own;           /* PL_HTTP_CALL_OWN bytes */
};

struct http_worker *http_worker_new(struct pl_http_server *server)
{
	struct http_worker *worker = pl_calloc(1, sizeof(*worker));
	worker->server = server;
	pl_buf_init(&worker->body, 0);
	pl_buf_init(&worker->answer, ANSWER_HEAD_MAX + ANSWER_COPY_MAX);
	pl_buf_init(&worker->scratch, SCRATCH_MAX);
	http_watch_add(&server->watch, &worker->watched);
	return worker;
}

void http_worker_free(struct http_worker *worker)
{
	http_watch_remove(&worker->server->watch, &worker->watched);
	pl_buf_fini(&worker->body);
	pl_buf_fini(&worker->answer);
	pl_buf_fini(&worker->scratch);
	free(worker);
}

static void reuse(struct pl_buf *buf)
{
	if (buf->room > KEEP_MAX)
		pl_buf_fini(buf);
	else
		pl_buf_clear(buf);
}

/* ---- what the handler asks ---- */

const char *pl_http_call_method(const struct pl_http_call *call)
{
	return call->info->request_method;
}

const char *pl_http_call_path(const struct pl_http_call *call)
{
	return call->info->request_uri; /* civetweb has cut the query off */
}

const char *pl_http_call_query(const struct pl_http_call *call)
{
	return call->info->query_string != NULL ? call->info->query_string : "";
}

const char *pl_http_call_header(const struct pl_http_call *call, const char *name)
{
	for (int i = 0; i < call->info->num_headers; i++)
		if (strcasecmp(call->info->http_headers[i].name, name) == 0)
			return call->info->http_headers[i].value;
	return NULL;
}

bool pl_http_call_header_at(
	const struct pl_http_call *call, size_t i, const char **name, const char **value)
{
	if (i >= (size_t)call->info->num_headers)
		return false;
	*name = call->info->http_headers[i].name;
	*value = call->info->http_headers[i].value;
	return true;
}

const char *pl_http_call_body(const struct pl_http_call *call, size_t *len)
{
	*len = call->worker->body.len;
	return *len > 0 ? call->worker->body.data : "";
}

const char *pl_http_call_peer(const struct pl_http_call *call)
{
	return call->info->remote_addr;
}

void *pl_http_call_arg(const struct pl_http_call *call)
{
	return call->worker->server->options.arg;
}

bool pl_http_call_stopping(const struct pl_http_call *call)
{
	return atomic_load(&call->worker->server->draining);
}

void *pl_http_call_own(const struct pl_http_call *call)
{
	return call->own;
}

void pl_http_call_add_headers(struct pl_http_call *call, const char *headers)
{
	call->headers = headers;
}

struct pl_buf *pl_http_call_scratch(struct pl_http_call *call)
{
	reuse(&call->worker->scratch);
	return &call->worker->scratch;
}

/* ---- answers ---- */

static bool has_option(const char *list, const char *option)
{
	size_t len = strlen(option);
	while (*list != '\0') {
		list += strspn(list, " \t,");
		size_t item = strcspn(list, " \t,");
		if (item == len && strncasecmp(list, option, len) == 0)
			return true;
		list += item;
	}
	return false;
}

/* As civetweb will decide by itself, so that the answer says what will happen. */
static bool client_closes(const struct pl_http_call *call)
{
	const char *option = pl_http_call_header(call, "Connection");
	if (option != NULL)
		return !has_option(option, "keep-alive");
	return call->info->http_version == NULL || strcmp(call->info->http_version, "1.1") != 0;
}

static const char *date_now(struct http_worker *worker)
{
	time_t now = time(NULL);
	if (now != worker->date_at) {
		struct tm tm;
		(void)gmtime_r(&now, &tm);
		(void)strftime(
			worker->date, sizeof(worker->date), "%a, %d %b %Y %H:%M:%S GMT", &tm);
		worker->date_at = now;
	}
	return worker->date;
}

static bool has_length(const struct pl_http_call *call, uint64_t length)
{
	bool has_body = call->status >= 200 && call->status != 204 && call->status != 304;
	return has_body && length != PL_HTTP_LENGTH_UNKNOWN;
}

/* The caller's headers are ours: too many of them is our bug. */
static void head_add(struct pl_buf *head, const char *text)
{
	PL_ASSERT(pl_buf_text(head, text) == PL_OK);
}

/* By hand: printf would be the dearest part of an answer. */
static void head_add_number(struct pl_buf *head, uint64_t number)
{
	char digits[20]; /* 2^64 has 20 */
	size_t at = sizeof(digits);
	do
		digits[--at] = (char)('0' + number % 10);
	while ((number /= 10) > 0);
	PL_ASSERT(pl_buf_add(head, digits + at, sizeof(digits) - at) == PL_OK);
}

static void write_head(
	struct pl_http_call *call, const char *content_type, const char *headers, uint64_t length)
{
	struct pl_buf *head = &call->worker->answer;
	reuse(head);
	head_add(head, "HTTP/1.1 ");
	head_add_number(head, (uint64_t)call->status);
	head_add(head, " ");
	head_add(head, pl_http_status_phrase(call->status));
	head_add(head, "\r\nDate: ");
	head_add(head, date_now(call->worker));
	if (content_type != NULL) {
		head_add(head, "\r\nContent-Type: ");
		head_add(head, content_type);
	}
	if (has_length(call, length)) {
		head_add(head, "\r\nContent-Length: ");
		head_add_number(head, length);
	}
	head_add(head, "\r\n");
	if (headers != NULL)
		head_add(head, headers);
	if (call->headers != NULL)
		head_add(head, call->headers);
	if (call->closes)
		head_add(head, "Connection: close\r\n");
	else if (call->info->http_version[2] == '0')
		head_add(head, "Connection: keep-alive\r\n"); /* not what HTTP/1.0 expects */
	head_add(head, "\r\n");
}

static bool send_bytes(struct pl_http_call *call, const void *data, size_t len)
{
	if (len == 0)
		return true;
	struct pl_http_server *server = call->worker->server;
	http_watch_arm(&server->watch, &call->worker->watched, server->options.body_ms, SHUT_RDWR);
	int sent = mg_write(call->conn, data, len);
	bool late = http_watch_disarm(&server->watch, &call->worker->watched);
	if (!late && sent >= 0 && (size_t)sent == len)
		return true;
	call->closes = true;
	return false;
}

static void begin(struct pl_http_call *call, int status, bool closes)
{
	PL_ASSERT(!call->is_answered);
	call->is_answered = true;
	call->status = status;
	call->closes = closes || call->closes || call->is_unread || status == 400 ||
		       client_closes(call) || atomic_load(&call->worker->server->draining);
}

void pl_http_call_answer(struct pl_http_call *call, int status, const char *content_type,
	const char *headers, const void *body, size_t len)
{
	begin(call, status, false);
	write_head(call, content_type, headers, len);
	struct pl_buf *answer = &call->worker->answer;
	if (call->is_head)
		len = 0;
	bool in_one = len <= ANSWER_COPY_MAX;
	if (in_one)
		PL_ASSERT(pl_buf_add(answer, body, len) == PL_OK);
	if (send_bytes(call, answer->data, answer->len) && !in_one)
		(void)send_bytes(call, body, len); /* a client that left is told nothing */
}

void pl_http_call_begin(struct pl_http_call *call, int status, const char *content_type,
	const char *headers, uint64_t length)
{
	begin(call, status, length == PL_HTTP_LENGTH_UNKNOWN);
	call->unsent = call->is_head ? 0 : length;
	write_head(call, content_type, headers, length);
	if (!send_bytes(call, call->worker->answer.data, call->worker->answer.len))
		call->unsent = 0;
}

bool pl_http_call_write(struct pl_http_call *call, const void *data, size_t len)
{
	if (call->unsent != PL_HTTP_LENGTH_UNKNOWN) {
		if (len > call->unsent)
			return false;
		call->unsent -= len;
	}
	if (!send_bytes(call, data, len)) {
		call->unsent = 0;
		return false;
	}
	return true;
}

/* The server's own refusals; detail is static text that needs no escape. */
static void refuse(struct pl_http_call *call, int status, const char *headers, const char *detail)
{
	struct pl_buf *body = pl_http_call_scratch(call);
	PL_ASSERT(pl_buf_format(body,
			  "{\"type\":\"about:blank\",\"title\":\"%s\",\"status\":%d,\"detail\":\"%"
			  "s\"}",
			  pl_http_status_phrase(status), status, detail) == PL_OK);
	const struct pl_http_server_options *options = &call->worker->server->options;
	if (options->refused != NULL)
		options->refused(options->arg, status);
	call->closes = true;
	pl_http_call_answer(
		call, status, "application/problem+json", headers, body->data, body->len);
}

/* ---- the body ---- */

static size_t body_limit(const struct pl_http_call *call)
{
	const struct pl_http_server_options *options = &call->worker->server->options;
	if (options->body_limit == NULL)
		return options->body_max;
	return options->body_limit(
		options->arg, pl_http_call_method(call), pl_http_call_path(call));
}

/* Without this a client that still sends would see its connection reset instead of the reason. */
static void linger(struct pl_http_call *call)
{
	struct http_worker *worker = call->worker;
	struct pl_buf *body = &worker->body;
	body->max = CHUNK_READ;
	pl_buf_clear(body);
	char *into = pl_buf_reserve(body, CHUNK_READ);
	int got = 1;
	http_watch_arm(&worker->server->watch, &worker->watched, LINGER_MS, SHUT_RD);
	for (size_t read = 0; got > 0 && read < LINGER_MAX; read += (size_t)got)
		got = mg_read(call->conn, into, CHUNK_READ);
	(void)http_watch_disarm(&worker->server->watch, &worker->watched); /* late is no worse */
}

static void refuse_large(struct pl_http_call *call)
{
	refuse(call, 413, NULL, "The body is larger than this call takes.");
	linger(call);
}

static bool read_known_length(struct pl_http_call *call, size_t len)
{
	char *into = pl_buf_reserve(&call->worker->body, len);
	int got = mg_read(call->conn, into, len);
	if (got < 0 || (size_t)got != len)
		return false;
	pl_buf_wrote(&call->worker->body, len);
	return true;
}

/* One byte above the limit tells that there is more. */
static bool read_chunks(struct pl_http_call *call, size_t limit)
{
	struct pl_buf *body = &call->worker->body;
	int got;
	do {
		size_t room = limit + 1 - body->len;
		if (room > CHUNK_READ)
			room = CHUNK_READ;
		char *into = pl_buf_reserve(body, room);
		got = mg_read(call->conn, into, room);
		if (got > 0)
			pl_buf_wrote(body, (size_t)got);
	} while (got > 0 && body->len <= limit);
	return got >= 0;
}

/* False: refused already. */
static bool accept_expectation(struct pl_http_call *call)
{
	static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
	const char *expect = pl_http_call_header(call, "Expect");
	if (expect == NULL)
		return true;
	if (strcasecmp(expect, "100-continue") == 0)
		return mg_write(call->conn, go_on, sizeof(go_on) - 1) > 0;
	refuse(call, 417, NULL, "The only expectation met here is 100-continue.");
	return false;
}

/* False: refused already. */
static bool admit_large(struct pl_http_call *call)
{
	struct pl_http_server *server = call->worker->server;
	call->is_large = atomic_fetch_add(&server->large, 1) < PL_HTTP_LARGE_BODIES_MAX;
	if (call->is_large)
		return true;
	(void)atomic_fetch_sub(&server->large, 1);
	refuse(call, 503, "Retry-After: 1\r\n", "Too many large bodies are under way.");
	linger(call);
	return false;
}

/* False: refused already, or the client has left. */
static bool read_body(struct pl_http_call *call)
{
	struct http_worker *worker = call->worker;
	bool chunked = pl_http_call_header(call, "Transfer-Encoding") != NULL;
	long long announced = call->info->content_length;
	size_t limit = body_limit(call);

	worker->body.max = limit + 1;
	if (!call->is_unread)
		return true;
	call->is_unread = false; /* what refuses it from here on closes */
	if (!chunked && (unsigned long long)announced > limit) {
		refuse_large(call);
		return false;
	}
	size_t usual = worker->server->options.body_max;
	if (limit > usual && (chunked || (size_t)announced > usual) && !admit_large(call))
		return false;
	if (!accept_expectation(call))
		return false;
	http_watch_arm(
		&worker->server->watch, &worker->watched, worker->server->options.body_ms, SHUT_RD);
	bool whole =
		chunked ? read_chunks(call, limit) : read_known_length(call, (size_t)announced);
	bool late = http_watch_disarm(&worker->server->watch, &worker->watched);
	if (late)
		refuse(call, 408, NULL, "The body did not arrive in time.");
	else if (!whole)
		refuse(call, 400, NULL, "The body ended early, or its chunks are malformed.");
	else if (worker->body.len > limit)
		refuse_large(call);
	else if (!http_precheck_body(call->info, worker->body.data, worker->body.len))
		refuse(call, 400, NULL,
			"Nothing may stand in front of a request, and lines end with CR LF.");
	return !call->is_answered;
}

/* ---- one call ---- */

static bool announces_body(const struct pl_http_call *call)
{
	return call->info->content_length > 0 ||
	       pl_http_call_header(call, "Transfer-Encoding") != NULL;
}

/* The user's own word on the head alone. False: answered. */
static bool may_come_in(struct pl_http_call *call)
{
	const struct pl_http_server_options *options = &call->worker->server->options;
	reuse(&call->worker->body);
	call->is_unread = announces_body(call);
	if (options->admit == NULL || options->admit(options->arg, call))
		return true;
	if (call->is_unread)
		linger(call);
	return false;
}

/* The first request of a connection takes a place for it. False: refused. */
static bool admit(struct pl_http_call *call)
{
	struct http_worker *worker = call->worker;
	struct pl_http_server *server = worker->server;
	if (worker->watched.is_known) /* written by this thread alone */
		return true;
	if (atomic_load(&server->draining)) {
		refuse(call, 503, "Retry-After: 1\r\n", "This process is shutting down.");
		return false;
	}
	struct sockaddr_in peer = {
		.sin_family = AF_INET,
		.sin_port = htons((uint16_t)call->info->remote_port),
	};
	(void)inet_pton(AF_INET, call->info->remote_addr, &peer.sin_addr); /* else 0.0.0.0 */
	if (http_watch_admit(&server->watch, &worker->watched, &peer))
		return true;
	refuse(call, 503, "Retry-After: 1\r\n", "This address has too many connections.");
	return false;
}

static void serve(struct pl_http_call *call)
{
	const struct pl_http_server_options *options = &call->worker->server->options;
	const char *fault = "Nothing may stand in front of a request.";
	if (http_precheck_start(call->info, &call->worker->head))
		fault = http_precheck(call->info);
	if (fault != NULL)
		refuse(call, 400, NULL, fault);
	else if (admit(call) && may_come_in(call) && read_body(call))
		options->handler(options->arg, call);
	if (!call->is_answered)
		refuse(call, 500, NULL, "The request was not answered.");
}

/* A thread that waits for its next call holds on to little. */
static void release(struct pl_http_call *call)
{
	struct http_worker *worker = call->worker;
	reuse(&worker->body);
	reuse(&worker->answer);
	reuse(&worker->scratch);
	if (call->is_large)
		(void)atomic_fetch_sub(&worker->server->large, 1);
}

static void leave(struct pl_http_server *server)
{
	if (atomic_fetch_sub(&server->active, 1) != 1 || !atomic_load(&server->draining))
		return;
	(void)pthread_mutex_lock(&server->lock);
	(void)pthread_cond_broadcast(&server->changed);
	(void)pthread_mutex_unlock(&server->lock);
}

int http_begin_request(struct mg_connection *conn)
{
	struct http_worker *worker = mg_get_thread_pointer(conn);
	max_align_t own[PL_HTTP_CALL_OWN / sizeof(max_align_t)] = { 0 };
	struct pl_http_call call = {
		.conn = conn,
		.info = mg_get_request_info(conn),
		.worker = worker,
		.own = own,
	};
	call.is_head = strcmp(call.info->request_method, "HEAD") == 0;
	(void)atomic_fetch_add(&worker->server->active, 1);
	serve(&call);
	release(&call);
	if (call.closes || call.unsent > 0)
		mg_disable_connection_keep_alive(conn);
	leave(worker->server);
	return call.status;
}

/* civetweb takes a request line apart before it judges the method: all else is in its place then.
 */
static bool is_unknown_method(const struct mg_request_info *info)
{
	static const char *const known[] = { "GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS",
		"CONNECT", "PATCH", "PROPFIND", "MKCOL", "LOCK", "UNLOCK", "PROPPATCH", "REPORT" };
	if (info == NULL || info->request_method == NULL || info->http_version == NULL ||
		info->num_headers != 0 || strncmp(info->http_version, "1.", 2) != 0)
		return false;
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (strcmp(info->request_method, known[i]) == 0)
			return false;
	return true;
}

/* Nothing behind the request line has been read, and nothing will be. */
static void refuse_method(struct pl_http_call *call, const struct mg_request_info *info)
{
	const struct pl_http_server_options *options = &call->worker->server->options;
	struct pl_buf *path = &call->worker->body;
	struct mg_request_info told = {
		.request_method = info->request_method,
		.http_version = "1.1",
	};
	if (options->unknown_method == NULL) {
		refuse(call, 501, NULL, "No path takes this method.");
		return;
	}
	reuse(path);
	path->max = HTTP_HEAD_BUFFER;
	PL_ASSERT(pl_buf_add(path, info->request_uri, strcspn(info->request_uri, "?")) == PL_OK);
	told.request_uri = path->data;
	call->info = &told;
	call->closes = true;
	options->unknown_method(options->arg, call);
	PL_ASSERT(call->is_answered);
}

/* civetweb could not read the request. */
int http_error(struct mg_connection *conn, int status, const char *message)
{
	(void)message; /* civetweb's words; they may quote the client */
	const struct mg_request_info *info = mg_get_request_info(conn);
	struct mg_request_info none = { .http_version = "1.1" };
	struct pl_http_call call = {
		.conn = conn,
		.info = &none,
		.worker = mg_get_thread_pointer(conn),
	};
	call.worker->has_refused = true;
	if (status == 505)
		refuse(&call, 505, NULL, "Only HTTP/1.1 and HTTP/1.0 are spoken here.");
	else if (is_unknown_method(info) && info->request_uri[0] == '/')
		refuse_method(&call, info);
	else
		refuse(&call, 400, NULL,
			"This is no HTTP request, or its head is longer than 16 KiB.");
	return 0;
}

void http_connection_begin(struct http_worker *worker)
{
	worker->has_refused = false;
}

/* civetweb closes without a word when a target is "*" or names another server than it takes itself
 * for; it has found no path of ours then. */
void http_connection_end(struct http_worker *worker, struct mg_connection *conn)
{
	const struct mg_request_info *info = mg_get_request_info(conn);
	struct mg_request_info none = { .http_version = "1.1" };
	struct pl_http_call call = { .conn = conn, .info = &none, .worker = worker };
	if (info != NULL && info->request_uri != NULL && info->local_uri == NULL &&
		!worker->has_refused)
		refuse(&call, 400, NULL, HTTP_TARGET_FAULT);
}
