/*
 * Any texts as ALLOW_NETWORKS, DENY_NETWORKS and ALLOW_HOSTS, any address before the policy they
 * make. Without them only what a second list, of ranges, calls public may be dialled; with an
 * address denied in front of them it never may; and how an IPv4 address is written changes nothing.
 */
#include <arpa/inet.h>
#include <stdio.h>

#include "input.h"
#include "pipeline/netpolicy.h"

/* The IPv4 addresses that are nobody's public server, first and last of each range. */
static const struct {
	uint32_t first, last;
} nobodys[] = {
	{ 0x00000000, 0x00ffffff }, /* this network */
	{ 0x0a000000, 0x0affffff }, /* private */
	{ 0x64400000, 0x647fffff }, /* shared by carriers */
	{ 0x7f000000, 0x7fffffff }, /* loopback */
	{ 0xa83f8110, 0xa83f8110 }, /* Azure's platform */
	{ 0xa9fe0000, 0xa9feffff }, /* link-local */
	{ 0xac100000, 0xac1fffff }, /* private */
	{ 0xc0000000, 0xc00000ff }, /* protocols */
	{ 0xc0000200, 0xc00002ff }, /* documentation */
	{ 0xc0586300, 0xc05863ff }, /* 6to4 relays */
	{ 0xc0a80000, 0xc0a8ffff }, /* private */
	{ 0xc6120000, 0xc613ffff }, /* benchmarks */
	{ 0xc6336400, 0xc63364ff }, /* documentation */
	{ 0xcb007100, 0xcb0071ff }, /* documentation */
	{ 0xe0000000, 0xffffffff }, /* multicast, reserved, broadcast */
};

static bool is_public(const struct in_addr *address)
{
	uint32_t number = ntohl(address->s_addr);
	for (size_t i = 0; i < sizeof nobodys / sizeof *nobodys; i++)
		if (number >= nobodys[i].first && number <= nobodys[i].last)
			return false;
	return true;
}

static struct pl_netpolicy *policy_of(const char *allow, const char *deny, const char *hosts)
{
	struct pl_netpolicy *policy = NULL;
	const char *why = NULL;
	const struct pl_netpolicy_options options = {
		.allow_networks = allow, .deny_networks = deny, .allow_hosts = hosts
	};
	if (pl_netpolicy_new(&options, &policy, &why) != PL_OK)
		PL_ASSERT(policy == NULL && why != NULL && *why != '\0');
	return policy;
}

static bool allows(const struct pl_netpolicy *policy, const void *address)
{
	const char *rule = NULL;
	enum pl_err err = pl_netpolicy_judge(policy, address, "a.example", &rule);
	PL_ASSERT((err == PL_OK || err == PL_EBLOCKED) && rule != NULL && *rule != '\0');
	return err == PL_OK;
}

struct address {
	struct sockaddr_in v4;
	struct sockaddr_in6 v6, mapped; /* mapped: v4 written as IPv6 */
	char text4[INET_ADDRSTRLEN], text6[INET6_ADDRSTRLEN];
};

static struct address address_of(struct input *in)
{
	struct address a = { .v4.sin_family = AF_INET, .v6.sin6_family = AF_INET6 };
	size_t len = in->len < sizeof a.v6.sin6_addr ? in->len : sizeof a.v6.sin6_addr;
	memcpy(&a.v6.sin6_addr, in->at, len);
	memcpy(&a.v4.sin_addr, &a.v6.sin6_addr, sizeof a.v4.sin_addr);
	in->at += len;
	in->len -= len;
	a.mapped.sin6_family = AF_INET6;
	memset(a.mapped.sin6_addr.s6_addr + 10, 0xff, 2);
	memcpy(a.mapped.sin6_addr.s6_addr + 12, &a.v4.sin_addr, sizeof a.v4.sin_addr);
	inet_ntop(AF_INET, &a.v4.sin_addr, a.text4, sizeof a.text4);
	inet_ntop(AF_INET6, &a.v6.sin6_addr, a.text6, sizeof a.text6);
	return a;
}

static void by_default(const struct address *a)
{
	struct pl_netpolicy *policy = policy_of(NULL, "", NULL);
	PL_ASSERT(policy != NULL && !pl_netpolicy_opens(policy));
	PL_ASSERT(allows(policy, &a->v4) == is_public(&a->v4.sin_addr));
	const uint8_t *b = a->v6.sin6_addr.s6_addr;
	struct in_addr inner; /* of a mapped one */
	memcpy(&inner, b + 12, sizeof inner);
	if (IN6_IS_ADDR_V4MAPPED(&a->v6.sin6_addr))
		PL_ASSERT(allows(policy, &a->v6) == is_public(&inner));
	else
		PL_ASSERT(!allows(policy, &a->v6) ||
			  (b[0] >> 5 == 1 && !(b[0] == 0x20 && b[1] == 0x02)));
	pl_netpolicy_free(policy);
}

static void with_settings(
	const struct address *a, const char *allow, const char *deny, const char *hosts)
{
	struct pl_netpolicy *policy = policy_of(allow, deny, hosts);
	if (policy == NULL)
		return;
	PL_ASSERT(allows(policy, &a->v4) == allows(policy, &a->mapped));
	pl_netpolicy_free(policy);
	size_t size = strlen(deny) + sizeof a->text4 + sizeof a->text6 + 8;
	char *denied = pl_alloc(size);
	snprintf(denied, size, "%s,%s/128%s%s", a->text4, a->text6, *deny != '\0' ? "," : "", deny);
	policy = policy_of(allow, denied, hosts);
	if (policy != NULL) /* else these made it too many */
		PL_ASSERT(!allows(policy, &a->v4) && !allows(policy, &a->v6) &&
			  !allows(policy, &a->mapped));
	pl_netpolicy_free(policy);
	free(denied);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = input_of(data, size);
	if (size == 0)
		return 0;
	struct address a = address_of(&in);
	char *allow = input_text(&in), *deny = input_text(&in), *hosts = input_text(&in);
	by_default(&a);
	with_settings(&a, allow, deny, hosts);
	free(allow);
	free(deny);
	free(hosts);
	return 0;
}
