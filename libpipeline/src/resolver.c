/*
 * One record per name carries its last answer and whoever waits for the next:
 *
 *   find --> [known and fresh] ------------------------------.
 *     '----> asked (or in line, PL_RESOLVER_UNDERWAY_MAX) --answer--> ready --> the callback
 *
 * c-ares answers from inside its own calls, even from ares_getaddrinfo itself. So an answer only
 * moves lookups to `ready`; their callbacks run from the idle handle, where neither c-ares nor a
 * caller of ours is on the stack and anything may be called, pl_resolver_close too.
 */
#include "pipeline/resolver.h"

#include <ares.h>
#include <netinet/in.h>
#include <search.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/queue.h>

#include "pipeline/mem.h"

/* c-ares doubles the wait per round: 1.5 + 3 s end before PL_RESOLVER_TIMEOUT_MS. */
#define TRY_FIRST_MS 1500
#define TRIES        2
/* /etc/hosts has no times to live, and a name that lives 0 s must not cost a question for every
 * exchange. The policy judges each use, so keeping an answer this long opens nothing. */
#define TTL_MIN_MS 1000

enum name_state { NAME_IDLE, NAME_IN_LINE, NAME_ASKED };

TAILQ_HEAD(lookups, pl_resolver_lookup);
TAILQ_HEAD(names, name);

struct name {
	struct pl_resolver *resolver;
	TAILQ_ENTRY(name) link; /* in `known`, least recently answered first, or in `line` */
	enum name_state state;
	struct lookups waiters;
	size_t due; /* lookups in `ready` that will read this answer */
	bool answered;
	uint64_t until_ms;
	enum pl_err err;
	struct sockaddr_storage *addresses;
	size_t count;
	char *host;
};

struct pl_resolver_lookup {
	struct pl_resolver *resolver;
	struct name *name; /* NULL once the answer is not the name's: out of time, closed */
	TAILQ_ENTRY(pl_resolver_lookup) link;        /* in name->waiters or resolver->ready */
	TAILQ_ENTRY(pl_resolver_lookup) by_deadline; /* while it waits */
	bool is_ready;
	enum pl_err err; /* when name is NULL */
	uint64_t deadline_ms;
	uint16_t port;
	pl_resolver_cb cb;
	void *arg;
};

struct socket_watch {
	uv_poll_t poll;
	struct pl_resolver *resolver;
	ares_socket_t fd;
	TAILQ_ENTRY(socket_watch) link;
};
TAILQ_HEAD(watches, socket_watch);

struct pl_resolver {
	uv_loop_t *loop;
	ares_channel channel;
	uv_timer_t timer;
	uv_idle_t idle;
	struct watches watches;
	void *by_host; /* tsearch: balanced, whatever names strangers choose */
	struct names known, line;
	size_t known_count, asked;
	struct lookups deadlines; /* all wait equally long: oldest first is soonest first */
	struct lookups ready;
	size_t ready_count;
	unsigned handles; /* uv handles not closed yet */
	bool closing;
	void (*closed)(void *arg);
	void *closed_arg;
};

static int compare_hosts(const void *a, const void *b)
{
	const struct name *left = a, *right = b;
	return strcasecmp(left->host, right->host);
}

static void name_rest(struct name *name)
{
	name->state = NAME_IDLE;
	TAILQ_INSERT_TAIL(&name->resolver->known, name, link);
	name->resolver->known_count++;
}

static void name_rise(struct name *name, enum name_state state)
{
	TAILQ_REMOVE(&name->resolver->known, name, link);
	name->resolver->known_count--;
	name->state = state;
}

static void name_forget(struct name *name)
{
	struct pl_resolver *resolver = name->resolver;
	name_rise(name, NAME_IDLE);
	tdelete(name, &resolver->by_host, compare_hosts);
	free(name->addresses);
	free(name->host);
	free(name);
}

/* Only names at rest are in `known`, so what is being asked is never thrown away. */
static void make_room(struct pl_resolver *resolver)
{
	struct name *oldest = TAILQ_FIRST(&resolver->known);
	while (resolver->known_count > PL_RESOLVER_CACHE_MAX && oldest != NULL) {
		struct name *next = TAILQ_NEXT(oldest, link);
		if (oldest->due == 0)
			name_forget(oldest);
		oldest = next;
	}
}

static struct name *name_of(struct pl_resolver *resolver, const char *host)
{
	struct name key = { .host = (char *)(uintptr_t)host };
	struct name **found = tfind(&key, &resolver->by_host, compare_hosts);
	if (found != NULL)
		return *found;
	struct name *name = pl_calloc(1, sizeof(*name));
	name->resolver = resolver;
	name->host = pl_strdup(host);
	TAILQ_INIT(&name->waiters);
	PL_ASSERT(tsearch(name, &resolver->by_host, compare_hosts) != NULL);
	name_rest(name);
	return name;
}

static void on_idle(uv_idle_t *idle);

static void make_ready(struct pl_resolver_lookup *lookup)
{
	struct pl_resolver *resolver = lookup->resolver;
	lookup->is_ready = true;
	TAILQ_INSERT_TAIL(&resolver->ready, lookup, link);
	resolver->ready_count++;
	uv_idle_start(&resolver->idle, on_idle);
}

static void stop_waiting(struct pl_resolver_lookup *lookup)
{
	TAILQ_REMOVE(&lookup->name->waiters, lookup, link);
	TAILQ_REMOVE(&lookup->resolver->deadlines, lookup, by_deadline);
}

static void give_up(struct pl_resolver_lookup *lookup, enum pl_err err)
{
	stop_waiting(lookup);
	lookup->name = NULL;
	lookup->err = err;
	make_ready(lookup);
}

static void on_timer(uv_timer_t *timer);

static void arm(struct pl_resolver *resolver)
{
	struct timeval room = { 0 };
	struct timeval *next = ares_timeout(resolver->channel, NULL, &room);
	struct pl_resolver_lookup *first = TAILQ_FIRST(&resolver->deadlines);
	if (next == NULL && first == NULL) {
		uv_timer_stop(&resolver->timer);
		return;
	}
	uint64_t now = uv_now(resolver->loop), wait_ms = UINT64_MAX;
	if (next != NULL) /* + 1: rounded down it would spin for the last millisecond */
		wait_ms = (uint64_t)next->tv_sec * 1000 + (uint64_t)next->tv_usec / 1000 + 1;
	if (first != NULL) {
		uint64_t left = first->deadline_ms > now ? first->deadline_ms - now : 0;
		wait_ms = left < wait_ms ? left : wait_ms;
	}
	uv_timer_start(&resolver->timer, on_timer, wait_ms, 0);
}

static void on_timer(uv_timer_t *timer)
{
	struct pl_resolver *resolver = timer->data;
	ares_process_fd(resolver->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
	uint64_t now = uv_now(resolver->loop);
	struct pl_resolver_lookup *first;
	while ((first = TAILQ_FIRST(&resolver->deadlines)) != NULL && first->deadline_ms <= now)
		give_up(first, PL_ETIMEOUT);
	arm(resolver);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
	struct socket_watch *watch = poll->data;
	struct pl_resolver *resolver = watch->resolver;
	/* On an error c-ares finds out what it is by reading and writing. */
	bool in = status < 0 || (events & UV_READABLE) != 0;
	bool out = status < 0 || (events & UV_WRITABLE) != 0;
	ares_process_fd(resolver->channel, in ? watch->fd : ARES_SOCKET_BAD,
		out ? watch->fd : ARES_SOCKET_BAD);
	arm(resolver);
}

static void handle_gone(struct pl_resolver *resolver)
{
	if (--resolver->handles > 0)
		return;
	void (*closed)(void *arg) = resolver->closed;
	void *arg = resolver->closed_arg;
	free(resolver);
	ares_library_cleanup();
	closed(arg);
}

static void on_handle_closed(uv_handle_t *handle)
{
	handle_gone(handle->data);
}

static void on_watch_closed(uv_handle_t *handle)
{
	struct socket_watch *watch = handle->data;
	struct pl_resolver *resolver = watch->resolver;
	free(watch);
	handle_gone(resolver);
}

static void unwatch(struct socket_watch *watch)
{
	TAILQ_REMOVE(&watch->resolver->watches, watch, link);
	uv_close((uv_handle_t *)&watch->poll, on_watch_closed);
}

static struct socket_watch *watch_socket(struct pl_resolver *resolver, ares_socket_t fd)
{
	struct socket_watch *watch;
	TAILQ_FOREACH(watch, &resolver->watches, link)
	if (watch->fd == fd)
		return watch;
	watch = pl_calloc(1, sizeof(*watch));
	if (uv_poll_init(resolver->loop, &watch->poll, fd) != 0) {
		free(watch); /* the questions on it run into their timeout */
		return NULL;
	}
	watch->poll.data = watch;
	watch->resolver = resolver;
	watch->fd = fd;
	TAILQ_INSERT_TAIL(&resolver->watches, watch, link);
	resolver->handles++;
	return watch;
}

/* With neither to wait for, c-ares closes the descriptor right after this. */
static void on_socket_state(void *arg, ares_socket_t fd, int readable, int writable)
{
	struct socket_watch *watch = watch_socket(arg, fd);
	if (watch == NULL)
		return;
	int events = (readable ? UV_READABLE : 0) | (writable ? UV_WRITABLE : 0);
	if (events == 0)
		unwatch(watch);
	else
		uv_poll_start(&watch->poll, events, on_poll);
}

static enum pl_err answer_err(int status)
{
	switch (status) {
	case ARES_SUCCESS:
		return PL_OK;
	case ARES_ENODATA:
	case ARES_ENOTFOUND:
	case ARES_EBADNAME:
		return PL_ENOTFOUND;
	case ARES_ETIMEOUT:
		return PL_ETIMEOUT;
	default:
		return PL_ESYS;
	}
}

static uint64_t answer_ttl_ms(const struct ares_addrinfo *answer)
{
	int ttl = PL_RESOLVER_TTL_MAX_MS / 1000;
	for (const struct ares_addrinfo_node *node = answer->nodes; node; node = node->ai_next)
		ttl = node->ai_ttl < ttl ? node->ai_ttl : ttl;
	for (const struct ares_addrinfo_cname *alias = answer->cnames; alias; alias = alias->next)
		ttl = alias->ttl < ttl ? alias->ttl : ttl;
	return ttl < TTL_MIN_MS / 1000 ? TTL_MIN_MS : (uint64_t)ttl * 1000;
}

static bool is_internet(const struct ares_addrinfo_node *node)
{
	return node->ai_family == AF_INET || node->ai_family == AF_INET6;
}

/* More addresses than are kept fail the name: one left out would go unjudged. */
static enum pl_err keep_addresses(struct name *name, const struct ares_addrinfo *answer)
{
	size_t count = 0;
	for (const struct ares_addrinfo_node *node = answer->nodes; node; node = node->ai_next)
		count += is_internet(node);
	if (count == 0)
		return PL_ENOTFOUND;
	if (count > PL_RESOLVER_ANSWERS_MAX)
		return PL_ELIMIT;
	name->addresses = pl_calloc(count, sizeof(*name->addresses));
	for (const struct ares_addrinfo_node *node = answer->nodes; node; node = node->ai_next)
		if (is_internet(node))
			memcpy(&name->addresses[name->count++], node->ai_addr,
				(size_t)node->ai_addrlen);
	return PL_OK;
}

static void keep_answer(struct name *name, int status, const struct ares_addrinfo *answer)
{
	free(name->addresses);
	name->addresses = NULL;
	name->count = 0;
	name->err = answer_err(status);
	if (name->err == PL_OK)
		name->err = keep_addresses(name, answer);
	uint64_t keep_ms = name->err == PL_OK ? answer_ttl_ms(answer) : PL_RESOLVER_NEGATIVE_MS;
	name->until_ms = uv_now(name->resolver->loop) + keep_ms;
	name->answered = true;
}

static void on_answer(void *arg, int status, int timeouts, struct ares_addrinfo *answer)
{
	(void)timeouts;
	struct name *name = arg;
	struct pl_resolver *resolver = name->resolver;
	keep_answer(name, status, answer);
	if (answer != NULL)
		ares_freeaddrinfo(answer);
	struct pl_resolver_lookup *lookup;
	while ((lookup = TAILQ_FIRST(&name->waiters)) != NULL) {
		stop_waiting(lookup);
		name->due++;
		make_ready(lookup);
	}
	resolver->asked--;
	name_rest(name);
	/* The idle handle also trims the names and asks the next in line, not from inside c-ares.
	 */
	uv_idle_start(&resolver->idle, on_idle);
}

static void ask(struct name *name)
{
	const struct ares_addrinfo_hints hints = {
		.ai_flags = ARES_AI_NOSORT,
		.ai_family = AF_UNSPEC,
		.ai_socktype = SOCK_STREAM,
	};
	name->state = NAME_ASKED;
	name->resolver->asked++;
	ares_getaddrinfo(name->resolver->channel, name->host, NULL, &hints, on_answer, name);
}

static void ask_line(struct pl_resolver *resolver)
{
	struct name *name;
	while (resolver->asked < PL_RESOLVER_UNDERWAY_MAX &&
		(name = TAILQ_FIRST(&resolver->line)) != NULL) {
		TAILQ_REMOVE(&resolver->line, name, link);
		if (TAILQ_EMPTY(&name->waiters)) /* all gone meanwhile */
			name_rest(name);
		else
			ask(name);
	}
}

static void wait_for_answer(struct name *name)
{
	struct pl_resolver *resolver = name->resolver;
	if (name->state != NAME_IDLE)
		return;
	name_rise(name, NAME_IN_LINE);
	TAILQ_INSERT_TAIL(&resolver->line, name, link);
	ask_line(resolver);
	arm(resolver);
}

static void leave_ready(struct pl_resolver_lookup *lookup)
{
	if (lookup->name != NULL)
		lookup->name->due--;
	TAILQ_REMOVE(&lookup->resolver->ready, lookup, link);
	lookup->resolver->ready_count--;
	free(lookup);
}

static void deliver(struct pl_resolver_lookup *lookup)
{
	struct sockaddr_storage addresses[PL_RESOLVER_ANSWERS_MAX];
	struct name *name = lookup->name;
	enum pl_err err = name != NULL ? name->err : lookup->err;
	size_t count = name != NULL ? name->count : 0;
	for (size_t i = 0; i < count; i++) {
		addresses[i] = name->addresses[i];
		if (addresses[i].ss_family == AF_INET)
			((struct sockaddr_in *)&addresses[i])->sin_port = htons(lookup->port);
		else
			((struct sockaddr_in6 *)&addresses[i])->sin6_port = htons(lookup->port);
	}
	pl_resolver_cb cb = lookup->cb;
	void *arg = lookup->arg;
	leave_ready(lookup);
	cb(arg, err, addresses, count);
}

static void tear_down(struct pl_resolver *resolver);

static void on_idle(uv_idle_t *idle)
{
	struct pl_resolver *resolver = idle->data;
	/* As many as are here now: what a callback starts gets its answer in the next turn. */
	for (size_t left = resolver->ready_count; left > 0 && resolver->ready_count > 0; left--)
		deliver(TAILQ_FIRST(&resolver->ready));
	if (resolver->ready_count > 0)
		return;
	uv_idle_stop(&resolver->idle);
	if (resolver->closing) {
		tear_down(resolver);
		return;
	}
	ask_line(resolver);
	make_room(resolver);
	arm(resolver);
}

static enum pl_err open_channel(struct pl_resolver *resolver, const char *servers)
{
	struct ares_options options = {
		.timeout = TRY_FIRST_MS,
		.tries = TRIES,
		.sock_state_cb = on_socket_state,
		.sock_state_cb_data = resolver,
	};
	int status = ares_init_options(&resolver->channel, &options,
		ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB);
	if (status != ARES_SUCCESS)
		return PL_ESYS;
	if (servers == NULL ||
		ares_set_servers_ports_csv(resolver->channel, servers) == ARES_SUCCESS)
		return PL_OK;
	ares_destroy(resolver->channel);
	return PL_EINVAL;
}

enum pl_err pl_resolver_new(
	uv_loop_t *loop, const struct pl_resolver_options *options, struct pl_resolver **out)
{
	if (ares_library_init(ARES_LIB_INIT_ALL) != ARES_SUCCESS)
		return PL_ESYS;
	struct pl_resolver *resolver = pl_calloc(1, sizeof(*resolver));
	resolver->loop = loop;
	TAILQ_INIT(&resolver->watches);
	TAILQ_INIT(&resolver->known);
	TAILQ_INIT(&resolver->line);
	TAILQ_INIT(&resolver->deadlines);
	TAILQ_INIT(&resolver->ready);
	enum pl_err err = open_channel(resolver, options->servers);
	if (err != PL_OK) {
		free(resolver);
		ares_library_cleanup();
		return err;
	}
	uv_timer_init(loop, &resolver->timer);
	uv_idle_init(loop, &resolver->idle);
	resolver->timer.data = resolver;
	resolver->idle.data = resolver;
	resolver->handles = 2;
	*out = resolver;
	return PL_OK;
}

struct pl_resolver_lookup *pl_resolver_find(
	struct pl_resolver *resolver, const char *host, uint16_t port, pl_resolver_cb cb, void *arg)
{
	struct pl_resolver_lookup *lookup = pl_calloc(1, sizeof(*lookup));
	*lookup = (struct pl_resolver_lookup) {
		.resolver = resolver, .port = port, .cb = cb, .arg = arg, .err = PL_ECLOSED
	};
	if (resolver->closing) {
		make_ready(lookup);
		return lookup;
	}
	struct name *name = lookup->name = name_of(resolver, host);
	uint64_t now = uv_now(resolver->loop);
	if (name->state == NAME_IDLE && name->answered && now < name->until_ms) {
		name->due++;
		make_ready(lookup);
		return lookup;
	}
	lookup->deadline_ms = now + PL_RESOLVER_TIMEOUT_MS;
	TAILQ_INSERT_TAIL(&name->waiters, lookup, link);
	TAILQ_INSERT_TAIL(&resolver->deadlines, lookup, by_deadline);
	wait_for_answer(name);
	return lookup;
}

void pl_resolver_cancel(struct pl_resolver_lookup *lookup)
{
	if (lookup->is_ready) {
		leave_ready(lookup);
		return;
	}
	stop_waiting(lookup);
	free(lookup);
}

void pl_resolver_close(struct pl_resolver *resolver, void (*closed)(void *arg), void *arg)
{
	PL_ASSERT(!resolver->closing);
	resolver->closing = true;
	resolver->closed = closed;
	resolver->closed_arg = arg;
	struct pl_resolver_lookup *lookup;
	while ((lookup = TAILQ_FIRST(&resolver->deadlines)) != NULL)
		give_up(lookup, PL_ECLOSED);
	uv_idle_start(&resolver->idle, on_idle);
}

static void tear_down(struct pl_resolver *resolver)
{
	ares_destroy(resolver->channel); /* ends what is asked and closes its sockets */
	struct name *name;
	while ((name = TAILQ_FIRST(&resolver->line)) != NULL) {
		TAILQ_REMOVE(&resolver->line, name, link);
		name_rest(name);
	}
	while ((name = TAILQ_FIRST(&resolver->known)) != NULL)
		name_forget(name);
	uv_close((uv_handle_t *)&resolver->timer, on_handle_closed);
	uv_close((uv_handle_t *)&resolver->idle, on_handle_closed);
}
