/*
 * http_server: the life of a server; http_call has what its threads do, http_watch what ends them.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "http_call.h"
#include "http_precheck.h"
#include "pipeline/clock.h"
#include "pipeline/mem.h"

#define BACKLOG      1024 /* connections the kernel holds; it cuts this to somaxconn */
#define QUEUE        256  /* accepted and waiting for a thread */
#define PORT_MAX     65535
#define STOP_LOOK_MS 20 /* between two cuts while mg_stop works */
#define NUMBER_SIZE  24
#define THREADS_MAX  8192 /* API_THREADS and TAILS_MAX at their largest */
#define WHY_SIZE     160

static _Thread_local char why_text[WHY_SIZE];

/* ---- civetweb's callbacks ---- */

/* Whoever wakes one of these threads goes on: a loop that answers many of them in one turn, or Redis
 * on the same processor. By default a thread that wakes may interrupt its waker, and a busy loop is
 * interrupted once in every third request. Where a filter of system calls forbids it (EPERM), the
 * default stays, which is only dearer. */
static void be_woken_politely(void)
{
	(void)pthread_setschedparam(
		pthread_self(), SCHED_BATCH, &(const struct sched_param) { .sched_priority = 0 });
}

static void *on_thread(const struct mg_context *context, int type)
{
	enum { MASTER, WORKER };
	if (type != WORKER)
		return NULL;
	struct pl_http_server *server = mg_get_user_data(context);
	be_woken_politely();
	http_threads_enter(&server->threads);
	return http_worker_new(server);
}

static void on_thread_end(const struct mg_context *context, int type, void *thread)
{
	(void)context;
	(void)type;
	if (thread != NULL)
		http_worker_free(thread);
}

static int on_connection(const struct mg_connection *conn, void **data)
{
	(void)data;
	struct http_worker *worker = mg_get_thread_pointer(conn);
	http_threads_busy(&worker->server->threads);
	http_watch_opened(&worker->server->watch);
	http_connection_begin(worker);
	return 0;
}

static void on_connection_end(const struct mg_connection *conn)
{
	struct http_worker *worker = mg_get_thread_pointer(conn);
	http_connection_end(worker, (struct mg_connection *)conn);
	http_watch_closed(&worker->server->watch, &worker->watched);
	http_threads_idle(&worker->server->threads);
}

static int on_log(const struct mg_connection *conn, const char *message)
{
	(void)conn;
	(void)message;
	return 1; /* it would go to stderr, unescaped; what matters is answered to the client */
}

static const struct mg_callbacks callbacks = {
	.begin_request = http_begin_request,
	.http_error = http_error,
	.log_message = on_log,
	.init_thread = on_thread,
	.exit_thread = on_thread_end,
	.init_connection = on_connection,
	.connection_close = on_connection_end,
};

/* ---- start ---- */

static void init_library(void)
{
	(void)mg_init_library(MG_FEATURES_DEFAULT); /* TLS would dlopen an unversioned libssl.so */
}

/* civetweb does not say why it could not listen; asking the system once more does. */
static const char *why_not(const char *bind_to, unsigned port)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	(void)inet_pton(AF_INET, bind_to, &address.sin_addr); /* judged at the start */
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int on = 1;
	int error = 0;
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
		bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0 || listen(fd, 1) != 0)
		error = errno;
	if (fd >= 0)
		(void)close(fd);
	if (error == EADDRINUSE)
		(void)snprintf(
			why_text, sizeof(why_text), "port %u is taken by another program", port);
	else if (error == EADDRNOTAVAIL)
		(void)snprintf(
			why_text, sizeof(why_text), "%s is no address of this machine", bind_to);
	else if (error == EACCES)
		(void)snprintf(why_text, sizeof(why_text),
			"port %u needs a right this user does not have", port);
	else
		(void)snprintf(why_text, sizeof(why_text),
			"the HTTP server can't start on port %u: %s", port,
			error != 0 ? strerrordesc_np(error) : "too little memory or threads");
	return why_text;
}

static struct mg_context *start_civetweb(struct pl_http_server *server)
{
	const struct pl_http_server_options *o = &server->options;
	char ports[INET_ADDRSTRLEN + NUMBER_SIZE], threads[NUMBER_SIZE], head[NUMBER_SIZE];
	char timeout[NUMBER_SIZE], idle[NUMBER_SIZE], queue[NUMBER_SIZE], backlog[NUMBER_SIZE];
	(void)snprintf(ports, sizeof(ports), "%s:%u", o->bind, o->port);
	(void)snprintf(threads, sizeof(threads), "%u", o->threads);
	(void)snprintf(head, sizeof(head), "%d", HTTP_HEAD_BUFFER);
	(void)snprintf(timeout, sizeof(timeout), "%ju", (uintmax_t)o->body_ms);
	(void)snprintf(idle, sizeof(idle), "%ju", (uintmax_t)o->idle_ms);
	(void)snprintf(queue, sizeof(queue), "%d", QUEUE);
	(void)snprintf(backlog, sizeof(backlog), "%d", BACKLOG);
	const char *settings[] = {
		"listening_ports",
		ports,
		"num_threads",
		threads,
		"max_request_size",
		head,
		"request_timeout_ms",
		timeout,
		"keep_alive_timeout_ms",
		idle,
		"connection_queue",
		queue,
		"listen_backlog",
		backlog,
		"enable_keep_alive",
		"yes",
		"tcp_nodelay",
		"1",
		"decode_url",
		"no",
		"enable_directory_listing",
		"no",
		"enable_auth_domain_check",
		"no",
		"cgi_pattern",
		"",
		"ssi_pattern",
		"",
		"access_control_allow_origin",
		"",
		"access_control_allow_methods",
		"",
		"access_control_allow_headers",
		"",
		NULL,
	};
	return mg_start(&callbacks, server, settings);
}

static bool is_ipv4(const char *text)
{
	struct in_addr address;
	return inet_pton(AF_INET, text, &address) == 1;
}

static void free_server(struct pl_http_server *server)
{
	http_threads_fini(&server->threads);
	(void)pthread_cond_destroy(&server->changed);
	(void)pthread_mutex_destroy(&server->lock);
	free((char *)server->options.bind);
	free(server);
}

enum pl_err pl_http_server_start(
	const struct pl_http_server_options *options, struct pl_http_server **out, const char **why)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	PL_ASSERT(options->threads > 0 && options->threads <= THREADS_MAX &&
		  options->port <= PORT_MAX);
	if (!is_ipv4(options->bind)) {
		*why = "the address to bind is not an IPv4 address";
		return PL_EINVAL;
	}
	(void)pthread_once(&once, init_library);

	struct pl_http_server *server = pl_calloc(1, sizeof(*server));
	server->options = *options;
	server->options.bind = pl_strdup(options->bind);
	PL_ASSERT(pthread_mutex_init(&server->lock, NULL) == 0);
	http_cond_init(&server->changed);
	http_threads_init(&server->threads);
	int error = http_watch_start(&server->watch, options->head_ms,
		options->connections_per_address, options->threads, QUEUE);
	if (error != 0) {
		free_server(server);
		*why = "the system refuses another thread";
		errno = error;
		return PL_ESYS;
	}
	server->context = start_civetweb(server);
	if (server->context == NULL) {
		*why = why_not(options->bind, options->port);
		http_watch_stop(&server->watch);
		free_server(server);
		return PL_ESYS;
	}
	struct mg_server_port port = { 0 };
	PL_ASSERT(mg_get_server_ports(server->context, 1, &port) == 1);
	server->port = (unsigned)port.port;
	http_watch_set_port(&server->watch, server->port);
	*out = server;
	return PL_OK;
}

unsigned pl_http_server_port(const struct pl_http_server *server)
{
	return server->port;
}

/* ---- stop ---- */

void pl_http_server_drain(struct pl_http_server *server)
{
	atomic_store(&server->draining, true);
}

static bool wait_for_handlers(struct pl_http_server *server, uint64_t until_ms)
{
	(void)pthread_mutex_lock(&server->lock);
	while (atomic_load(&server->active) > 0 && pl_clock_mono_ms() < until_ms)
		http_cond_wait(&server->changed, &server->lock, until_ms);
	bool idle = atomic_load(&server->active) == 0;
	(void)pthread_mutex_unlock(&server->lock);
	return idle;
}

static void *stop_civetweb(void *arg)
{
	struct pl_http_server *server = arg;
	http_threads_open(&server->threads);
	mg_stop(server->context);
	(void)pthread_mutex_lock(&server->lock);
	server->stopped = true;
	(void)pthread_cond_broadcast(&server->changed);
	(void)pthread_mutex_unlock(&server->lock);
	return NULL;
}

/* civetweb's threads look at its stop flag when their poll returns, after two seconds by itself; a
 * socket that is cut returns at once. A thread may just have begun to wait: hence again and again.
 */
static bool wait_for_civetweb(struct pl_http_server *server, uint64_t until_ms)
{
	(void)pthread_mutex_lock(&server->lock);
	for (uint64_t now; !server->stopped && (now = pl_clock_mono_ms()) < until_ms;) {
		(void)pthread_mutex_unlock(&server->lock);
		http_watch_cut_all(&server->watch);
		(void)pthread_mutex_lock(&server->lock);
		if (!server->stopped)
			http_cond_wait(&server->changed, &server->lock, now + STOP_LOOK_MS);
	}
	bool stopped = server->stopped;
	(void)pthread_mutex_unlock(&server->lock);
	return stopped;
}

bool pl_http_server_stop(struct pl_http_server *server, uint64_t deadline_ms)
{
	uint64_t until_ms = pl_clock_mono_ms() + deadline_ms;
	pl_http_server_drain(server);
	if (!wait_for_handlers(server, until_ms))
		return false;
	pthread_t thread;
	if (pthread_create(&thread, NULL, stop_civetweb, server) != 0)
		return false;
	if (!wait_for_civetweb(server, until_ms)) {
		(void)pthread_detach(thread);
		return false;
	}
	(void)pthread_join(thread, NULL);
	http_watch_stop(&server->watch);
	free_server(server);
	return true;
}

/* ---- words ---- */

const char *pl_http_status_phrase(int status)
{
	static const struct {
		int status;
		const char *phrase;
	} phrases[] = {
		{ 200, "OK" },
		{ 202, "Accepted" },
		{ 204, "No Content" },
		{ 206, "Partial Content" },
		{ 304, "Not Modified" },
		{ 400, "Bad Request" },
		{ 401, "Unauthorized" },
		{ 403, "Forbidden" },
		{ 404, "Not Found" },
		{ 405, "Method Not Allowed" },
		{ 408, "Request Timeout" },
		{ 409, "Conflict" },
		{ 410, "Gone" },
		{ 412, "Precondition Failed" },
		{ 413, "Content Too Large" },
		{ 415, "Unsupported Media Type" },
		{ 416, "Range Not Satisfiable" },
		{ 417, "Expectation Failed" },
		{ 422, "Unprocessable Content" },
		{ 429, "Too Many Requests" },
		{ 500, "Internal Server Error" },
		{ 501, "Not Implemented" },
		{ 503, "Service Unavailable" },
		{ 505, "HTTP Version Not Supported" },
	};
	for (size_t i = 0; i < sizeof(phrases) / sizeof(phrases[0]); i++)
		if (phrases[i].status == status)
			return phrases[i].phrase;
	return "Unknown";
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

static enum pl_err decode(const char *text, size_t len, struct pl_buf *out)
{
	for (size_t i = 0; i < len; i++) {
		char c = text[i] == '+' ? ' ' : text[i];
		if (c == '%') {
			int high = i + 1 < len ? hex_digit(text[i + 1]) : -1;
			int low = i + 2 < len ? hex_digit(text[i + 2]) : -1;
			if (high < 0 || low < 0 || (high == 0 && low == 0))
				return PL_EINVAL;
			c = (char)(high * 16 + low);
			i += 2;
		}
		enum pl_err err = pl_buf_add(out, &c, 1);
		if (err != PL_OK)
			return err;
	}
	return PL_OK;
}

enum pl_err pl_http_query_get(const char *query, const char *name, struct pl_buf *out)
{
	size_t name_len = strlen(name);
	while (*query != '\0') {
		size_t pair = strcspn(query, "&");
		size_t key = strcspn(query, "=&");
		if (key == name_len && memcmp(query, name, key) == 0) {
			size_t start = key < pair ? key + 1 : pair;
			size_t was = out->len;
			enum pl_err err = decode(query + start, pair - start, out);
			if (err != PL_OK && out->len > was) {
				out->len = was; /* outputs are untouched on failure */
				out->data[was] = '\0';
			}
			return err;
		}
		query += pair + (query[pair] == '&');
	}
	return PL_ENOTFOUND;
}
