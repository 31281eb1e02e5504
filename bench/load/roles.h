/*
 * roles: the three parts that the pipeline under test meets.
 *
 *   client --POST /--> [ under test ] --GET /r/<number>--> provider
 *                      [ under test ] --POST /c---------> receiver
 *
 * A request's number has ten digits wherever it appears, so an answer is one prepared text with
 * ten bytes exchanged: the load program shares two cores with what it measures.
 */
#ifndef LOAD_ROLES_H
#define LOAD_ROLES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ledger.h"
#include "loop.h"
#include "options.h"

#define NUMBER_DIGITS 10

void number_write(char out[NUMBER_DIGITS], uint32_t number);
/* False when it is not ten digits or not below `size`. */
bool number_read(const char *digits, uint32_t size, uint32_t *out);

/* A text with one number in it. */
struct template
{
	char *text;
	size_t len, number_at;
};
/* What a provider says: {"number":"0000000007","pad":"…"}, exactly `bytes` long. */
struct template template_answer(uint32_t bytes);

struct provider {
	const struct options *options;
	struct ledger *ledger;
	struct listener *listeners;
	struct template answer; /* head and body */
	/* Answers that wait for their time; one delay for all, so the first in is the first due. */
	struct delayed {
		struct conn *conn;
		uint64_t due_ns;
		uint32_t number;
	} * delayed;
	uint32_t delayed_first, delayed_count, delayed_room;
};
void provider_open(struct provider *provider, struct loop *loop, const struct options *options,
	struct ledger *ledger);
uint64_t provider_due_ns(const struct provider *provider); /* NEVER when nothing waits */
void provider_tick(struct provider *provider, uint64_t now_ns);
void provider_close(struct provider *provider);

struct receiver {
	struct ledger *ledger;
	struct listener *listeners;
	uint32_t listeners_count;
	struct template expected; /* the body alone */
};
void receiver_open(struct receiver *receiver, struct loop *loop, const struct options *options,
	struct ledger *ledger);
void receiver_close(struct receiver *receiver);

struct client {
	const struct options *options;
	struct loop *loop;
	struct ledger *ledger;
	const struct provider *provider;
	const struct receiver *receiver;
	struct conn **idle; /* a stack */
	uint32_t idle_count;
	uint32_t connecting, alive;
	uint32_t next;         /* number of the next request */
	uint64_t start_ns;     /* of a fixed rate */
	uint64_t reconnect_ns; /* not before; a refused connect must not spin */
	bool closing;
};
/* Opens the connections; posting begins with client_start. */
void client_open(struct client *client, struct loop *loop, const struct options *options,
	struct ledger *ledger, const struct provider *provider, const struct receiver *receiver);
bool client_connected(const struct client *client); /* all of them */
void client_start(struct client *client, uint64_t now_ns);
uint64_t client_due_ns(const struct client *client);
void client_tick(struct client *client, uint64_t now_ns);
void client_close(struct client *client);

#endif
