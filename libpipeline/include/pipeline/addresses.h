/*
 * addresses: the policy of a service, by its settings and where Redis and the api are. The workers
 * dial by it, and the api's dry run answers by it: one place says what is never dialled.
 */
#ifndef PIPELINE_ADDRESSES_H
#define PIPELINE_ADDRESSES_H

#include "pipeline/netpolicy.h"
#include "pipeline/settings.h"

struct pl_addresses {
	const struct pl_settings *settings;   /* with the rows that all services share */
	const char *public_url;               /* the api's; NULL: unknown */
	unsigned api_port;                    /* beside that, 0: none that is known */
	const struct sockaddr_storage *redis; /* NULL: not met yet, or on a unix socket */
};

/* As pl_netpolicy_new. */
PL_MUST_CHECK enum pl_err pl_addresses_policy(
	const struct pl_addresses *addresses, struct pl_netpolicy **out, const char **why);

#endif
