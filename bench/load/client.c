#include "roles.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NO_REQUEST   UINT64_MAX /* a conn's tag while it carries none */
#define ANSWER_MAX   (64 * 1024)
#define RECONNECT_MS 20 /* between a lost connection and the next try */

static void client_connect(struct client *client);

static void client_opened(struct conn *conn)
{
	struct client *client = conn->owner;

	client->connecting--;
	client->idle[client->idle_count++] = conn;
}

/* The requestId inside a 202's body, wherever it stands in the object. */
static bool find_id(const struct http_message *message, const char **id, size_t *id_len)
{
	static const char name[] = "\"requestId\":\"";
	const char *at = memmem(message->body, message->body_len, name, strlen(name));

	if (!at)
		return false;
	*id = at + strlen(name);
	const char *quote = memchr(*id, '"', (size_t)(message->body + message->body_len - *id));
	if (!quote)
		return false;
	*id_len = (size_t)(quote - *id);
	return true;
}

static void client_message(struct conn *conn, const struct http_message *message)
{
	static const char accepted[] = "HTTP/1.1 202";
	struct client *client = conn->owner;
	const char *id = NULL;
	size_t id_len = 0;

	if (conn->tag == NO_REQUEST) {
		ledger_wrong(client->ledger, "the api answered what was not asked");
		conn_close(conn);
		return;
	}
	uint32_t number = (uint32_t)conn->tag;
	conn->tag = NO_REQUEST;
	if (message->head_len > strlen(accepted) &&
		memcmp(message->head, accepted, strlen(accepted)) == 0 &&
		find_id(message, &id, &id_len)) {
		ledger_accepted(client->ledger, number, id, id_len, conn->loop->now_ns);
	} else {
		if (client->ledger->refused == 0)
			fprintf(stderr, "fetchback-load: refused: %.*s %.*s\n",
				(int)strcspn(message->head, "\r"), message->head,
				(int)message->body_len, message->body);
		ledger_refused(client->ledger, number, conn->loop->now_ns);
	}
	if (!message->close)
		client->idle[client->idle_count++] = conn;
}

static void forget_idle(struct client *client, const struct conn *conn)
{
	for (uint32_t i = 0; i < client->idle_count; i++)
		if (client->idle[i] == conn) {
			client->idle[i] = client->idle[--client->idle_count];
			return;
		}
}

static void client_closed(struct conn *conn)
{
	struct client *client = conn->owner;

	client->alive--;
	if (client->closing)
		return;
	if (conn->connecting)
		client->connecting--;
	else if (conn->tag != NO_REQUEST)
		ledger_unknown(client->ledger, (uint32_t)conn->tag);
	else
		forget_idle(client, conn);
	client->reconnect_ns = conn->loop->now_ns + RECONNECT_MS * NS_PER_MS;
}

static const struct conn_events client_events = {
	.opened = client_opened, .message = client_message, .closed = client_closed
};

static void client_connect(struct client *client)
{
	struct conn *conn = conn_connect(
		client->loop, &client->options->api, &client_events, client, ANSWER_MAX);

	conn->tag = NO_REQUEST;
	client->connecting++;
	client->alive++;
}

static void client_post(struct client *client, struct conn *conn, uint64_t begun_ns)
{
	static const char head[] = "POST / HTTP/1.1\r\nHost: %s\r\n"
				   "Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s";
	static const char json[] = "{\"provider\":\"http://127.0.0.1:%u/r/%010u\","
				   "\"callbackUrl\":\"http://127.0.0.1:%u/c\"}";
	const struct provider *provider = client->provider;
	const struct receiver *receiver = client->receiver;
	uint32_t number = client->next++;
	char body[160], post[400]; /* both texts are a little over half of that */

	int body_len = snprintf(body, sizeof body, json,
		(unsigned)provider->listeners[number % client->options->provider_hosts].port,
		(unsigned)number,
		(unsigned)receiver->listeners[number % receiver->listeners_count].port);
	int len = snprintf(post, sizeof post, head, client->options->host, body_len, body);
	conn->tag = number;
	ledger_posted(client->ledger, number, begun_ns, loop_clock(client->loop));
	conn_send(conn, post, (size_t)len);
}

void client_open(struct client *client, struct loop *loop, const struct options *options,
	struct ledger *ledger, const struct provider *provider, const struct receiver *receiver)
{
	*client = (struct client) { .options = options,
		.loop = loop,
		.ledger = ledger,
		.provider = provider,
		.receiver = receiver,
		.idle = allocate(options->connections, sizeof *client->idle) };
	for (uint32_t i = 0; i < options->connections; i++)
		client_connect(client);
}

bool client_connected(const struct client *client)
{
	return client->idle_count == client->options->connections;
}

void client_start(struct client *client, uint64_t now_ns)
{
	client->start_ns = now_ns;
}

/* When the next request should be posted; NEVER when something else must happen first. */
static uint64_t next_post_ns(const struct client *client)
{
	const struct options *options = client->options;
	const struct ledger *ledger = client->ledger;

	if (client->start_ns == 0 || client->next == options->requests)
		return NEVER;
	if (options->mode == MODE_RATE)
		return client->start_ns +
		       (uint64_t)((double)client->next * (double)NS_PER_S / options->rate);
	uint32_t under_way =
		ledger->posted - ledger->refused - ledger->unknown - ledger->accepted_delivered;
	if (options->window > 0 && under_way >= options->window)
		return NEVER;
	return client->start_ns;
}

uint64_t client_due_ns(const struct client *client)
{
	uint64_t post_ns = client->idle_count > 0 ? next_post_ns(client) : NEVER;
	uint64_t connect_ns =
		client->alive < client->options->connections ? client->reconnect_ns : NEVER;

	return post_ns < connect_ns ? post_ns : connect_ns;
}

void client_tick(struct client *client, uint64_t now_ns)
{
	while (client->idle_count > 0) {
		uint64_t post_ns = next_post_ns(client);
		if (post_ns > now_ns)
			break;
		struct conn *conn = client->idle[--client->idle_count];
		client_post(client, conn,
			client->options->mode == MODE_RATE ? post_ns : loop_clock(client->loop));
	}
	if (client->reconnect_ns <= now_ns)
		while (client->alive < client->options->connections)
			client_connect(client);
}

void client_close(struct client *client)
{
	client->closing = true;
	free(client->idle);
}
