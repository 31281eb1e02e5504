#include "roles.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void number_write(char out[NUMBER_DIGITS], uint32_t number)
{
	for (int i = NUMBER_DIGITS - 1; i >= 0; i--) {
		out[i] = (char)('0' + number % 10);
		number /= 10;
	}
}

bool number_read(const char *digits, uint32_t size, uint32_t *out)
{
	uint64_t value = 0;

	for (int i = 0; i < NUMBER_DIGITS; i++) {
		if (digits[i] < '0' || digits[i] > '9')
			return false;
		value = value * 10 + (uint64_t)(digits[i] - '0');
	}
	if (value >= size)
		return false;
	*out = (uint32_t)value;
	return true;
}

struct template template_answer(uint32_t bytes)
{
	static const char before[] = "{\"number\":\"", between[] = "\",\"pad\":\"", after[] = "\"}";
	size_t fixed = strlen(before) + NUMBER_DIGITS + strlen(between) + strlen(after);
	struct template answer = {
		.text = allocate(1, bytes + 1), .len = bytes, .number_at = strlen(before)
	};
	char *at = stpcpy(answer.text, before);

	at += NUMBER_DIGITS;
	at = stpcpy(at, between);
	for (size_t i = 0; i < bytes - fixed; i++)
		*at++ = (char)('a' + i % 26);
	stpcpy(at, after);
	return answer;
}

static const char answer_head[] = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
				  "Content-Length: %zu\r\n\r\n";

static struct template with_head(struct template body)
{
	char head[128];
	size_t head_len = (size_t)snprintf(head, sizeof head, answer_head, body.len);
	struct template whole = { .text = allocate(1, head_len + body.len),
		.len = head_len + body.len,
		.number_at = head_len + body.number_at };

	memcpy(whole.text, head, head_len);
	memcpy(whole.text + head_len, body.text, body.len);
	free(body.text);
	return whole;
}

static void provider_answer(struct provider *provider, struct conn *conn, uint32_t number)
{
	number_write(provider->answer.text + provider->answer.number_at, number);
	conn_send(conn, provider->answer.text, provider->answer.len);
}

/* At most one a connection, and the system bounds those. */
static void provider_delay(struct provider *provider, struct conn *conn, uint32_t number)
{
	uint32_t room = provider->delayed_room;

	if (provider->delayed_count == room) {
		struct delayed *bigger = allocate(room ? room * 2 : 1024, sizeof *bigger);
		for (uint32_t i = 0; i < room; i++)
			bigger[i] = provider->delayed[(provider->delayed_first + i) % room];
		free(provider->delayed);
		provider->delayed = bigger;
		provider->delayed_first = 0;
		provider->delayed_room = room ? room * 2 : 1024;
	}
	provider->delayed[(provider->delayed_first + provider->delayed_count++) %
			  provider->delayed_room] = (struct delayed) { .conn = conn,
		.due_ns = conn->loop->now_ns + provider->options->provider_delay_ms * NS_PER_MS,
		.number = number };
	conn_hold(conn);
}

static void provider_message(struct conn *conn, const struct http_message *message)
{
	static const char path[] = "GET /r/";
	struct provider *provider = conn->owner;
	uint32_t number;

	if (message->head_len < strlen(path) + NUMBER_DIGITS ||
		memcmp(message->head, path, strlen(path)) != 0 ||
		!number_read(message->head + strlen(path), provider->ledger->size, &number)) {
		ledger_wrong(provider->ledger, "the provider was asked for what was never posted");
		conn_close(conn);
		return;
	}
	ledger_fetched(provider->ledger, number);
	if (provider->options->provider_hangs)
		return;
	if (provider->options->provider_delay_ms > 0)
		provider_delay(provider, conn, number);
	else
		provider_answer(provider, conn, number);
}

static const struct conn_events provider_events = { .message = provider_message };

void provider_open(struct provider *provider, struct loop *loop, const struct options *options,
	struct ledger *ledger)
{
	*provider = (struct provider) { .options = options,
		.ledger = ledger,
		.listeners = allocate(options->provider_hosts, sizeof *provider->listeners),
		.answer = with_head(template_answer(options->body_bytes)) };
	for (uint32_t i = 0; i < options->provider_hosts; i++)
		listener_open(&provider->listeners[i], loop, &provider_events, provider, 0);
}

uint64_t provider_due_ns(const struct provider *provider)
{
	return provider->delayed_count > 0 ? provider->delayed[provider->delayed_first].due_ns
					   : NEVER;
}

void provider_tick(struct provider *provider, uint64_t now_ns)
{
	while (provider->delayed_count > 0 && provider_due_ns(provider) <= now_ns) {
		struct delayed due = provider->delayed[provider->delayed_first];
		provider->delayed_first = (provider->delayed_first + 1) % provider->delayed_room;
		provider->delayed_count--;
		provider_answer(provider, due.conn, due.number);
		conn_unhold(due.conn);
	}
}

void provider_close(struct provider *provider)
{
	for (uint32_t i = 0; i < provider->options->provider_hosts; i++)
		listener_close(&provider->listeners[i]);
	free(provider->listeners);
	free(provider->delayed);
	free(provider->answer.text);
}
