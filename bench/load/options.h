/*
 * options: what a run is told on its command line.
 */
#ifndef LOAD_OPTIONS_H
#define LOAD_OPTIONS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#define REQUESTS_MAX    4000000u /* an entry of the ledger is 72 bytes: 288 MB */
#define CONNECTIONS_MAX 4096u
#define HOSTS_MAX       1024u /* loopback ports for one role */
#define BODY_BYTES_MIN  64u   /* the smallest answer that carries its number */
#define BODY_BYTES_MAX  (8u * 1024 * 1024)
#define PROCESSES_MAX   32u

enum mode {
	MODE_CLOSED, /* post as fast as answers come, wait for every callback */
	MODE_RATE,   /* post at fixed times whatever happens, wait for every callback */
	MODE_ACCEPT, /* post as fast as answers come, wait for no callback */
};

struct process_name {
	char name[32]; /* "" until read from /proc */
	int pid;
};

struct options {
	enum mode mode;
	char host[64]; /* as written in --api: what the Host header says */
	struct sockaddr_in api;
	uint32_t requests;
	uint32_t connections;
	double rate;     /* posts a second, MODE_RATE */
	uint32_t window; /* requests under way at most; 0: no bound */
	uint32_t provider_hosts, callback_hosts;
	uint32_t body_bytes;
	uint32_t provider_delay_ms;
	bool provider_hangs; /* the provider reads and never answers */
	bool at_least_once;  /* duplicates are no failure: for runs that kill processes */
	bool json;
	uint32_t limit_s;   /* the whole run ends here, come what may */
	uint32_t linger_ms; /* after the last callback: time for a duplicate to show itself */
	struct process_name processes[PROCESSES_MAX];
	uint32_t processes_count;
};

const char *mode_name(enum mode mode);
/* Prints its own complaint, or the help, and ends the process on a wrong command line (100). */
void options_parse(int argc, char **argv, struct options *out);

#endif
