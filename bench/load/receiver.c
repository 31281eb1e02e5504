#include "roles.h"

#include <stdlib.h>
#include <string.h>

#define CALLBACK_ROOM 1024 /* what a callback may hold beside the data: id, braces, names */

static const char thanks[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

/* {"requestId":"<id>","data":<data>}: the one form both the product and the peers send. */
static bool callback_split(const struct http_message *message, const char **id, size_t *id_len,
	const char **data, size_t *data_len)
{
	static const char before[] = "{\"requestId\":\"", between[] = "\",\"data\":";
	const char *body = message->body, *end = body + message->body_len;

	if (message->body_len < strlen(before) || memcmp(body, before, strlen(before)) != 0 ||
		end[-1] != '}')
		return false;
	*id = body + strlen(before);
	const char *quote = memchr(*id, '"', (size_t)(end - *id));
	if (!quote || (size_t)(end - quote) <= strlen(between) ||
		memcmp(quote, between, strlen(between)) != 0)
		return false;
	*id_len = (size_t)(quote - *id);
	*data = quote + strlen(between);
	*data_len = (size_t)(end - 1 - *data);
	return true;
}

static void callback_enter(
	struct receiver *receiver, const struct http_message *message, uint64_t now_ns)
{
	struct template *expected = &receiver->expected;
	const char *id, *data;
	size_t id_len, data_len;
	uint32_t number;

	if (!callback_split(message, &id, &id_len, &data, &data_len)) {
		ledger_wrong(receiver->ledger, "a callback is not {\"requestId\",\"data\"}");
		return;
	}
	if (data_len != expected->len ||
		!number_read(data + expected->number_at, receiver->ledger->size, &number)) {
		ledger_wrong(receiver->ledger, "a callback's data is not what the provider said");
		return;
	}
	number_write(expected->text + expected->number_at, number);
	if (memcmp(data, expected->text, data_len) != 0) {
		ledger_wrong(receiver->ledger, "a callback's data is not what the provider said");
		return;
	}
	ledger_delivered(receiver->ledger, number, id, id_len, now_ns);
}

static void receiver_message(struct conn *conn, const struct http_message *message)
{
	callback_enter(conn->owner, message, conn->loop->now_ns);
	conn_send(conn, thanks, strlen(thanks));
}

static const struct conn_events receiver_events = { .message = receiver_message };

void receiver_open(struct receiver *receiver, struct loop *loop, const struct options *options,
	struct ledger *ledger)
{
	*receiver = (struct receiver) { .ledger = ledger,
		.listeners = allocate(options->callback_hosts, sizeof *receiver->listeners),
		.listeners_count = options->callback_hosts,
		.expected = template_answer(options->body_bytes) };
	for (uint32_t i = 0; i < receiver->listeners_count; i++)
		listener_open(&receiver->listeners[i], loop, &receiver_events, receiver,
			options->body_bytes + CALLBACK_ROOM);
}

void receiver_close(struct receiver *receiver)
{
	for (uint32_t i = 0; i < receiver->listeners_count; i++)
		listener_close(&receiver->listeners[i]);
	free(receiver->listeners);
	free(receiver->expected.text);
}
