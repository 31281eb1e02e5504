#include "pipeline/addresses.h"

#include <arpa/inet.h>
#include <string.h>

#include "pipeline/url.h"

#define NEVER_MAX 4 /* the api by PUBLIC_URL, there and here, and by its port; Redis */

struct never {
	struct sockaddr_storage list[NEVER_MAX];
	size_t count;
};

/* On loopback it stands for all addresses of this machine. */
static void add_port(struct never *never, unsigned port)
{
	const struct sockaddr_in here = {
		.sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr = { htonl(INADDR_LOOPBACK) },
	};
	memcpy(&never->list[never->count++], &here, sizeof here);
}

static void add_url(struct never *never, const char *text)
{
	struct pl_url *url;
	const char *why;
	if (pl_url_parse(text, strlen(text), &url, &why) != PL_OK)
		return;
	if (pl_url_literal(url, &never->list[never->count]))
		never->count++;
	add_port(never, pl_url_port(url));
	pl_url_free(url);
}

enum pl_err pl_addresses_policy(
	const struct pl_addresses *addresses, struct pl_netpolicy **out, const char **why)
{
	struct never never = { .count = 0 };
	if (addresses->public_url != NULL)
		add_url(&never, addresses->public_url);
	if (addresses->api_port != 0)
		add_port(&never, addresses->api_port);
	if (addresses->redis != NULL)
		never.list[never.count++] = *addresses->redis;
	const struct pl_netpolicy_options options = {
		.allow_networks = pl_settings_text(addresses->settings, "ALLOW_NETWORKS"),
		.deny_networks = pl_settings_text(addresses->settings, "DENY_NETWORKS"),
		.allow_hosts = pl_settings_text(addresses->settings, "ALLOW_HOSTS"),
		.never = never.list,
		.never_count = never.count,
		.own_interfaces = true,
	};
	return pl_netpolicy_new(&options, out, why);
}
