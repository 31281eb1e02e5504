/*
 * netpolicy: which addresses may be dialled. Pure: address -> verdict, and the rule that decided.
 *
 * Order: Redis and the api never; DENY_NETWORKS no; ALLOW_NETWORKS, ALLOW_HOSTS yes; the built-in
 * list of networks that are nobody's public server and this machine's own interfaces no; else yes.
 * An IPv4 address mapped into IPv6 is that IPv4 address; one that a tunnel form carries (ISATAP,
 * 6to4, NAT64) is judged too. Interfaces are read once, when the policy is built.
 * Threads  a policy is read-only once built.
 */
#ifndef PIPELINE_NETPOLICY_H
#define PIPELINE_NETPOLICY_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

#include "pipeline/err.h"

struct pl_netpolicy;

struct pl_netpolicy_options {       /* texts as in the settings; NULL or "" for none */
	const char *allow_networks; /* "10.0.0.0/8, fd00::/8"; a bare address is /32 or /128 */
	const char *deny_networks;
	const char *allow_hosts; /* names, exact or "*.suffix"; lower-cased here */
	/* Address + port of Redis, of the api. Where that is an address of this machine (loopback,
	 * an interface, 0.0.0.0), the port is refused on all of this machine's. */
	const struct sockaddr_storage *never;
	size_t never_count;
	bool own_interfaces; /* refuse the addresses of this machine's interfaces (getifaddrs) */
};

/* *why is a sentence naming the faulty entry, static or in a per-thread buffer. */
PL_MUST_CHECK enum pl_err pl_netpolicy_new(
	const struct pl_netpolicy_options *options, struct pl_netpolicy **out, const char **why);
void pl_netpolicy_free(struct pl_netpolicy *policy);

/* PL_OK or PL_EBLOCKED. host is the name that resolved to it, or NULL. *rule (may be NULL) is
 * what decided, static text or owned by the policy: "10.0.0.0/8", "DENY_NETWORKS 1.2.3.0/24",
 * "own interface", "public". */
PL_MUST_CHECK enum pl_err pl_netpolicy_judge(const struct pl_netpolicy *policy,
	const struct sockaddr *address, const char *host, const char **rule);
/* True when the operator opened anything: for the log line at start. */
bool pl_netpolicy_opens(const struct pl_netpolicy *policy);

#endif
