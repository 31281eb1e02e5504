#include "redis_link.h"

#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pipeline/mem.h"
#include "redis_tls.h"

#define READ_SIZE          (64 * 1024)
#define BLOCK_MAX          (256 * 1024) /* copied at once when the socket takes no more */
#define ADDRESS_MIN_MS     500          /* given to each address, however many there are */
#define USER_TIMEOUT_MS    2000         /* sent and not acknowledged: the peer is gone */
#define KEEPALIVE_IDLE_S   5            /* asks a silent peer; USER_TIMEOUT_MS judges */
#define KEEPALIVE_PERIOD_S 1

struct pl_redis_link {
	uv_loop_t *loop;
	const struct pl_redis_url *url;
	const struct pl_redis_link_events *events;
	void *arg;

	union {
		uv_stream_t any;
		uv_tcp_t tcp;
		uv_pipe_t pipe;
	} stream;
	uv_timer_t timer; /* of the address being dialled, then of the handshake */
	uv_getaddrinfo_t lookup;
	uv_connect_t connect;
	uv_write_t write;
	struct addrinfo *addresses; /* all of the name */
	struct addrinfo *address;   /* being dialled, or connected */
	uint64_t address_ms;
	struct pl_redis_tls *tls; /* NULL: clear text */
	char *block;              /* what `write` still carries; NULL: nothing under way */
	int err;                  /* of the address tried last */
	unsigned tried;           /* addresses */
	unsigned alive;           /* what calls back once more: handles, the lookup */
	bool has_stream;          /* made and not yet told to close */
	bool looking_up;
	bool wants_writable;
	bool shaken; /* TLS: the handshake is done */
	bool ended;
	bool closing;
	char why[256];
	char read[READ_SIZE];
};

static void dial(struct pl_redis_link *link);

/* Handles and the lookup call back once more each: the last one out frees the link. */
static void one_less(struct pl_redis_link *link)
{
	if (--link->alive > 0)
		return;
	const struct pl_redis_link_events *events = link->events;
	void *arg = link->arg;
	uv_freeaddrinfo(link->addresses);
	pl_redis_tls_free(link->tls);
	free(link);
	events->closed(arg);
}

static void on_closed(uv_handle_t *handle)
{
	one_less(handle->data);
}

static void close_stream(struct pl_redis_link *link, uv_close_cb cb)
{
	if (!link->has_stream)
		return;
	link->has_stream = false;
	uv_close((uv_handle_t *)&link->stream.any, cb);
}

static void end(struct pl_redis_link *link, const char *doing, const char *why)
{
	if (link->ended || link->closing)
		return;
	link->ended = true;
	uv_timer_stop(&link->timer);
	snprintf(link->why, sizeof link->why, "%s: %s", doing, why);
	link->events->ended(link->arg, link->why);
}

static bool is_over(const struct pl_redis_link *link)
{
	return link->ended || link->closing;
}

static int send_sealed(struct pl_redis_link *link);

static void on_written(uv_write_t *write, int status)
{
	struct pl_redis_link *link = write->data;
	free(link->block);
	link->block = NULL;
	if (status < 0) {
		end(link, "writing to Redis", uv_strerror(status));
		return;
	}
	if (is_over(link))
		return;
	status = link->tls != NULL ? send_sealed(link) : 0;
	if (status < 0) {
		end(link, "writing to Redis", uv_strerror(status));
	} else if (link->block == NULL && link->wants_writable) {
		link->wants_writable = false;
		link->events->writable(link->arg);
	}
}

/* Takes the block over: the bytes the socket had no room for. */
static int write_block(struct pl_redis_link *link, char *block, size_t len)
{
	uv_buf_t buf = uv_buf_init(block, (unsigned)len);
	int err = uv_write(&link->write, &link->stream.any, &buf, 1, on_written);
	if (err != 0)
		free(block);
	else
		link->block = block;
	return err;
}

/* Everything sealed leaves, or waits in a block; with a block under way it stays where it is. */
static int send_sealed(struct pl_redis_link *link)
{
	char *data;
	size_t len = link->block == NULL ? pl_redis_tls_sealed(link->tls, &data) : 0;
	if (len == 0)
		return 0;
	uv_buf_t buf = uv_buf_init(data, (unsigned)len);
	int sent = uv_try_write(&link->stream.any, &buf, 1);
	if (sent == UV_EAGAIN)
		sent = 0;
	int err = sent < 0 ? sent : 0;
	if (err == 0 && (size_t)sent < len) {
		size_t left = len - (size_t)sent;
		char *block = pl_alloc(left);
		memcpy(block, data + sent, left);
		err = write_block(link, block, left);
	}
	pl_redis_tls_sent(link->tls);
	return err;
}

static ssize_t write_sealed(struct pl_redis_link *link, const uv_buf_t *bufs, unsigned count)
{
	size_t taken = 0;
	for (unsigned i = 0; i < count && taken < BLOCK_MAX; i++) {
		size_t room = BLOCK_MAX - taken;
		size_t len = bufs[i].len < room ? bufs[i].len : room;
		if (pl_redis_tls_write(link->tls, bufs[i].base, len) != PL_OK)
			return UV_EPROTO;
		taken += len;
	}
	int err = send_sealed(link);
	return err < 0 ? err : (ssize_t)taken;
}

/* Copies what comes after the first `skip` bytes, up to BLOCK_MAX of it. */
static size_t copy_rest(char *to, const uv_buf_t *bufs, unsigned count, size_t skip)
{
	size_t len = 0;
	for (unsigned i = 0; i < count && len < BLOCK_MAX; i++) {
		size_t from = skip < bufs[i].len ? skip : bufs[i].len;
		size_t some = bufs[i].len - from;
		if (some > BLOCK_MAX - len)
			some = BLOCK_MAX - len;
		memcpy(to + len, bufs[i].base + from, some);
		len += some;
		skip -= from;
	}
	return len;
}

static ssize_t write_clear(
	struct pl_redis_link *link, const uv_buf_t *bufs, unsigned count, size_t offered)
{
	int sent = uv_try_write(&link->stream.any, bufs, count);
	if (sent == UV_EAGAIN)
		sent = 0;
	if (sent < 0 || (size_t)sent == offered)
		return sent;
	size_t left = offered - (size_t)sent;
	char *block = pl_alloc(left < BLOCK_MAX ? left : BLOCK_MAX);
	size_t copied = copy_rest(block, bufs, count, (size_t)sent);
	int err = write_block(link, block, copied);
	return err < 0 ? err : (ssize_t)((size_t)sent + copied);
}

ssize_t pl_redis_link_write(struct pl_redis_link *link, const uv_buf_t *bufs, unsigned count)
{
	size_t offered = 0;
	for (unsigned i = 0; i < count; i++)
		offered += bufs[i].len;
	ssize_t taken = 0;
	if (link->block == NULL)
		taken = link->tls != NULL ? write_sealed(link, bufs, count)
					  : write_clear(link, bufs, count, offered);
	link->wants_writable = taken >= 0 && (size_t)taken < offered;
	return taken;
}

static void on_alloc(uv_handle_t *handle, size_t hint, uv_buf_t *buf)
{
	(void)hint; /* always 64 KiB, which is what we have */
	struct pl_redis_link *link = handle->data;
	*buf = uv_buf_init(link->read, sizeof link->read);
}

/* The handshake goes on, if it is still under way; true when clear text may follow. */
static bool shake(struct pl_redis_link *link)
{
	if (link->shaken)
		return true;
	enum pl_redis_tls_step step = pl_redis_tls_shake(link->tls);
	int err = send_sealed(link); /* an alert too is worth sending */
	if (step == PL_REDIS_TLS_OVER) {
		end(link, "connecting to Redis", pl_redis_tls_why(link->tls));
	} else if (err < 0) {
		end(link, "connecting to Redis", uv_strerror(err));
	} else if (step == PL_REDIS_TLS_DONE) {
		link->shaken = true;
		uv_timer_stop(&link->timer);
		link->events->opened(link->arg);
	}
	return link->shaken && !is_over(link);
}

static void receive_sealed(struct pl_redis_link *link, const char *data, size_t len)
{
	pl_redis_tls_feed(link->tls, data, len);
	if (!shake(link))
		return;
	char clear[16 * 1024]; /* one TLS record */
	enum pl_redis_tls_step step;
	while ((step = pl_redis_tls_read(link->tls, clear, sizeof clear, &len)) ==
		PL_REDIS_TLS_DONE) {
		link->events->received(link->arg, clear, len);
		if (is_over(link))
			return;
	}
	int err = send_sealed(link); /* TLS may have an answer of its own, as to a key update */
	if (step == PL_REDIS_TLS_OVER)
		end(link, "reading from Redis", pl_redis_tls_why(link->tls));
	else if (err < 0)
		end(link, "writing to Redis", uv_strerror(err));
}

static void on_read(uv_stream_t *stream, ssize_t got, const uv_buf_t *buf)
{
	struct pl_redis_link *link = stream->data;
	if (got == UV_EOF)
		end(link, "reading from Redis", "the connection was closed");
	else if (got < 0)
		end(link, "reading from Redis", uv_strerror((int)got));
	else if (got == 0 || is_over(link))
		return;
	else if (link->tls != NULL)
		receive_sealed(link, buf->base, (size_t)got);
	else
		link->events->received(link->arg, buf->base, (size_t)got);
}

static void on_handshake_late(uv_timer_t *timer)
{
	end(timer->data, "connecting to Redis", "the TLS handshake takes too long");
}

static void connected(struct pl_redis_link *link)
{
	uv_timer_stop(&link->timer);
	int err = uv_read_start(&link->stream.any, on_alloc, on_read);
	if (err != 0) {
		end(link, "connecting to Redis", uv_strerror(err));
	} else if (link->tls == NULL) {
		link->events->opened(link->arg);
	} else {
		uv_timer_start(&link->timer, on_handshake_late, PL_REDIS_CONNECT_MS, 0);
		shake(link);
	}
}

static void on_redial(uv_handle_t *handle)
{
	struct pl_redis_link *link = handle->data;
	if (!is_over(link)) {
		link->address = link->address->ai_next;
		dial(link);
	}
	one_less(link);
}

/* Goes on with the next address once this one's stream is gone; a unix socket has no other. */
static void give_up(struct pl_redis_link *link, int err)
{
	uv_timer_stop(&link->timer);
	link->err = err;
	if (link->address != NULL)
		close_stream(link, on_redial);
	else
		end(link, "connecting to Redis", uv_strerror(err));
}

static void on_connected(uv_connect_t *connect, int status)
{
	struct pl_redis_link *link = connect->data;
	if (is_over(link) || !link->has_stream)
		return;
	if (status == 0)
		connected(link);
	else
		give_up(link, status);
}

static void on_address_late(uv_timer_t *timer)
{
	give_up(timer->data, UV_ETIMEDOUT);
}

/* Each is worth having and none is a condition: a kernel that lacks one still carries Redis. */
static void set_options(uv_os_fd_t fd)
{
	static const struct {
		int level, name, value;
	} options[] = {
		{ IPPROTO_TCP, TCP_NODELAY, 1 },
		{ IPPROTO_TCP, TCP_USER_TIMEOUT, USER_TIMEOUT_MS },
		{ SOL_SOCKET, SO_KEEPALIVE, 1 },
		{ IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE_S },
		{ IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_PERIOD_S },
	};
	for (size_t i = 0; i < sizeof options / sizeof *options; i++)
		(void)setsockopt(fd, options[i].level, options[i].name, &options[i].value,
			sizeof options[i].value);
}

static int dial_address(struct pl_redis_link *link)
{
	const struct sockaddr *to = link->address->ai_addr;
	int err = uv_tcp_init_ex(link->loop, &link->stream.tcp, to->sa_family);
	if (err != 0)
		return err;
	link->stream.any.data = link;
	link->has_stream = true;
	link->alive++;
	uv_os_fd_t fd;
	if (uv_fileno((uv_handle_t *)&link->stream.any, &fd) == 0)
		set_options(fd);
	uv_timer_start(&link->timer, on_address_late, link->address_ms, 0);
	return uv_tcp_connect(&link->connect, &link->stream.tcp, to, on_connected);
}

static void dial(struct pl_redis_link *link)
{
	for (; link->address != NULL; link->address = link->address->ai_next) {
		if (link->tried++ == PL_REDIS_ADDRESSES)
			break;
		int err = dial_address(link);
		if (err == 0)
			return;
		if (link->has_stream) {
			give_up(link, err);
			return;
		}
		link->err = err;
	}
	end(link, "connecting to Redis", uv_strerror(link->err));
}

static void dial_all(struct pl_redis_link *link)
{
	unsigned count = 0;
	for (struct addrinfo *each = link->addresses; each != NULL; each = each->ai_next)
		count += count < PL_REDIS_ADDRESSES;
	link->address_ms = PL_REDIS_CONNECT_MS / (count > 0 ? count : 1);
	if (link->address_ms < ADDRESS_MIN_MS)
		link->address_ms = ADDRESS_MIN_MS;
	link->err = UV_EADDRNOTAVAIL;
	link->address = link->addresses;
	dial(link);
}

static void on_lookup(uv_getaddrinfo_t *lookup, int status, struct addrinfo *addresses)
{
	struct pl_redis_link *link = lookup->data;
	link->looking_up = false;
	link->addresses = addresses;
	uv_timer_stop(&link->timer);
	if (status != 0)
		end(link, "resolving Redis' name", uv_strerror(status));
	else if (!is_over(link))
		dial_all(link);
	one_less(link);
}

/* The lookup itself can't be stopped: `closed` waits for it, so that no two ever run. */
static void on_lookup_late(uv_timer_t *timer)
{
	end(timer->data, "resolving Redis' name", uv_strerror(UV_ETIMEDOUT));
}

static void resolve(struct pl_redis_link *link)
{
	char port[8];
	snprintf(port, sizeof port, "%u", link->url->port);
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV };
	struct addrinfo literal = hints;
	literal.ai_flags |= AI_NUMERICHOST;
	const char *host = link->url->host;
	if (uv_getaddrinfo(link->loop, &link->lookup, NULL, host, port, &literal) == 0) {
		link->addresses = link->lookup.addrinfo;
		dial_all(link);
		return;
	}
	int err = uv_getaddrinfo(link->loop, &link->lookup, on_lookup, host, port, &hints);
	if (err != 0) {
		end(link, "resolving Redis' name", uv_strerror(err));
		return;
	}
	link->looking_up = true;
	link->alive++;
	uv_timer_start(&link->timer, on_lookup_late, PL_REDIS_CONNECT_MS, 0);
}

static void dial_path(struct pl_redis_link *link)
{
	int err = uv_pipe_init(link->loop, &link->stream.pipe, 0);
	PL_ASSERT(err == 0);
	link->stream.any.data = link;
	link->has_stream = true;
	link->alive++;
	uv_timer_start(&link->timer, on_address_late, PL_REDIS_CONNECT_MS, 0);
	uv_pipe_connect(&link->connect, &link->stream.pipe, link->url->path, on_connected);
}

struct pl_redis_link *pl_redis_link_new(uv_loop_t *loop, const struct pl_redis_url *url,
	SSL_CTX *context, const struct pl_redis_link_events *events, void *arg)
{
	struct pl_redis_link *link = pl_alloc(sizeof *link);
	*link = (struct pl_redis_link) { .loop = loop, .url = url, .events = events, .arg = arg };
	link->lookup.data = link->connect.data = link->write.data = link;
	if (url->tls)
		link->tls = pl_redis_tls_new(context, url->host);
	uv_timer_init(loop, &link->timer);
	link->timer.data = link;
	link->alive = 1;
	return link;
}

void pl_redis_link_dial(struct pl_redis_link *link)
{
	if (link->url->path != NULL)
		dial_path(link);
	else
		resolve(link);
}

bool pl_redis_link_peer(const struct pl_redis_link *link, struct sockaddr_storage *out)
{
	if (link->address == NULL)
		return false;
	*out = (struct sockaddr_storage) { 0 };
	memcpy(out, link->address->ai_addr, link->address->ai_addrlen);
	return true;
}

void pl_redis_link_close(struct pl_redis_link *link)
{
	PL_ASSERT(!link->closing);
	link->closing = true;
	if (link->looking_up)
		(void)uv_cancel((uv_req_t *)&link->lookup); /* one that runs runs to its end */
	close_stream(link, on_closed);
	uv_close((uv_handle_t *)&link->timer, on_closed);
}
