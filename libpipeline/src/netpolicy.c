/*
 * Every address is one of 16 bytes here, IPv4 in its mapped form (::ffff:a.b.c.d): then
 * 127.0.0.1 and ::ffff:127.0.0.1 are the same, and one comparison of bits serves all.
 */
#include "pipeline/netpolicy.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <ifaddrs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pipeline/mem.h"

#define ENTRY_MAX   300  /* bytes of one entry: a name of 253 and more */
#define ENTRIES_MAX 1024 /* of one setting; each costs some ns at every judgement */

struct address {
	uint8_t bytes[16];
	bool v4;
};

struct network {
	struct address base;
	unsigned bits; /* of the 16 bytes, so 96 more than written for IPv4 */
	char *rule;
};

struct networks {
	struct network *list;
	size_t count;
};

struct endpoint {
	struct address address;
	in_port_t port; /* network order */
	bool here;      /* an address of this machine: then its port is refused on all of them */
};

struct pl_netpolicy {
	struct networks allow, deny, nobody;
	struct address *own; /* of this machine's interfaces */
	size_t own_count;
	struct endpoint *never;
	size_t never_count;
	char **hosts; /* lower case; "*.suffix" is kept as ".suffix" */
	char **host_rules;
	size_t hosts_count;
	bool refuse_own;
};

/* Networks that are nobody's public server (IANA special-purpose registries, multicast,
 * reserved), and the address at which Azure's platform listens. Of IPv6 only 2000::/3 is
 * handed out at all, so the rest needs no row. */
static const char *const nobodys[] = {
	"0.0.0.0/8",
	"10.0.0.0/8",
	"100.64.0.0/10",
	"127.0.0.0/8",
	"169.254.0.0/16",
	"172.16.0.0/12",
	"192.0.0.0/24",
	"192.0.2.0/24",
	"192.88.99.0/24",
	"192.168.0.0/16",
	"198.18.0.0/15",
	"198.51.100.0/24",
	"203.0.113.0/24",
	"224.0.0.0/4",
	"240.0.0.0/4",
	"168.63.129.16/32",
	"2001::/23",
	"2001:db8::/32",
	"2002::/16",
	"3fff::/20",
};

static _Thread_local char why_buffer[ENTRY_MAX + 128];

static bool is_mapped(const uint8_t bytes[16])
{
	static const uint8_t prefix[12] = { [10] = 0xff, [11] = 0xff };
	return memcmp(bytes, prefix, sizeof prefix) == 0;
}

static struct address from_v4(const void *four)
{
	struct address address = { .bytes = { [10] = 0xff, [11] = 0xff }, .v4 = true };
	memcpy(address.bytes + 12, four, 4);
	return address;
}

static struct address from_v6(const void *sixteen)
{
	struct address address;
	memcpy(address.bytes, sixteen, sizeof address.bytes);
	address.v4 = is_mapped(address.bytes);
	return address;
}

/* False for a family that is neither IPv4 nor IPv6. */
static bool read_sockaddr(const struct sockaddr *from, struct address *address, in_port_t *port)
{
	if (from->sa_family == AF_INET) {
		struct sockaddr_in v4;
		memcpy(&v4, from, sizeof v4);
		*address = from_v4(&v4.sin_addr);
		*port = v4.sin_port;
		return true;
	}
	if (from->sa_family == AF_INET6) {
		struct sockaddr_in6 v6;
		memcpy(&v6, from, sizeof v6);
		*address = from_v6(&v6.sin6_addr);
		*port = v6.sin6_port;
		return true;
	}
	return false;
}

static bool same_bits(const uint8_t *a, const uint8_t *b, unsigned bits)
{
	if (memcmp(a, b, bits / 8) != 0)
		return false;
	unsigned rest = bits % 8;
	return rest == 0 || (a[bits / 8] ^ b[bits / 8]) >> (8 - rest) == 0;
}

static const char *find_network(const struct networks *networks, const struct address *address)
{
	for (size_t i = 0; i < networks->count; i++) {
		const struct network *network = &networks->list[i];
		if (network->base.v4 == address->v4 &&
			same_bits(network->base.bytes, address->bytes, network->bits))
			return network->rule;
	}
	return NULL;
}

/* The IPv4 address that a packet to this IPv6 one would reach: ISATAP (RFC 5214), 6to4 (RFC
 * 3056), NAT64 (RFC 6052). */
static bool tunnelled(const struct address *address, struct address *inner)
{
	static const uint8_t isatap[4] = { 0, 0, 0x5e, 0xfe };
	static const uint8_t nat64[12] = { 0, 0x64, 0xff, 0x9b };
	const uint8_t *b = address->bytes;
	uint8_t id[4] = { b[8] & 0xfd, b[9], b[10], b[11] }; /* with or without the "u" bit */
	if (memcmp(id, isatap, sizeof id) == 0 || memcmp(b, nat64, sizeof nat64) == 0)
		*inner = from_v4(b + 12);
	else if (b[0] == 0x20 && b[1] == 0x02)
		*inner = from_v4(b + 2);
	else
		return false;
	return true;
}

static bool is_loopback(const struct address *a)
{
	static const uint8_t one[16] = { [15] = 1 };
	return a->v4 ? a->bytes[12] == 127 : memcmp(a->bytes, one, sizeof one) == 0;
}

/* Dialling it reaches this machine, as Linux has it. */
static bool is_unspecified(const struct address *a)
{
	static const uint8_t zero[16];
	return memcmp(a->bytes + (a->v4 ? 12 : 0), zero, a->v4 ? 4 : 16) == 0;
}

static bool is_own(const struct pl_netpolicy *policy, const struct address *address)
{
	for (size_t i = 0; i < policy->own_count; i++)
		if (memcmp(policy->own[i].bytes, address->bytes, sizeof address->bytes) == 0)
			return true;
	return false;
}

static bool is_here(const struct pl_netpolicy *policy, const struct address *address)
{
	return is_loopback(address) || is_unspecified(address) || is_own(policy, address);
}

static const char *rule_of_never(
	const struct pl_netpolicy *policy, const struct address *address, in_port_t port)
{
	for (size_t i = 0; i < policy->never_count; i++) {
		const struct endpoint *end = &policy->never[i];
		if (end->port != port)
			continue;
		if (memcmp(end->address.bytes, address->bytes, sizeof address->bytes) == 0 ||
			(end->here && is_here(policy, address)))
			return "Redis or the api";
	}
	return NULL;
}

static const char *rule_of_host(const struct pl_netpolicy *policy, const char *host)
{
	size_t len = host != NULL ? strlen(host) : 0;
	if (len > 0 && host[len - 1] == '.')
		len--;
	for (size_t i = 0; i < policy->hosts_count && len > 0; i++) {
		const char *entry = policy->hosts[i];
		size_t size = strlen(entry);
		bool suffix = entry[0] == '.';
		if ((suffix ? len > size : len == size) &&
			strncasecmp(host + len - size, entry, size) == 0)
			return policy->host_rules[i];
	}
	return NULL;
}

static enum pl_err decide(const struct pl_netpolicy *policy, const struct address *address,
	in_port_t port, const char *host, const char **rule)
{
	struct address inner;
	bool wraps = tunnelled(address, &inner);
	*rule = rule_of_never(policy, address, port);
	if (*rule == NULL)
		*rule = find_network(&policy->deny, address);
	if (*rule == NULL && wraps)
		*rule = find_network(&policy->deny, &inner);
	if (*rule != NULL)
		return PL_EBLOCKED;
	*rule = find_network(&policy->allow, address);
	if (*rule == NULL)
		*rule = rule_of_host(policy, host);
	if (*rule != NULL)
		return PL_OK;
	*rule = find_network(&policy->nobody, address);
	if (*rule == NULL && wraps)
		*rule = find_network(&policy->nobody, &inner);
	if (*rule == NULL && !address->v4 && address->bytes[0] >> 5 != 1)
		*rule = "outside 2000::/3";
	if (*rule == NULL && policy->refuse_own && is_own(policy, address))
		*rule = "own interface";
	if (*rule != NULL)
		return PL_EBLOCKED;
	*rule = "public";
	return PL_OK;
}

enum pl_err pl_netpolicy_judge(const struct pl_netpolicy *policy, const struct sockaddr *address,
	const char *host, const char **rule)
{
	const char *decided = "no internet address";
	struct address read;
	in_port_t port;
	enum pl_err err = PL_EBLOCKED;
	if (read_sockaddr(address, &read, &port))
		err = decide(policy, &read, port, host, &decided);
	if (rule != NULL)
		*rule = decided;
	return err;
}

bool pl_netpolicy_opens(const struct pl_netpolicy *policy)
{
	return policy->allow.count > 0 || policy->hosts_count > 0;
}

static enum pl_err complain(
	const char *setting, const char *entry, const char *about, const char **why)
{
	snprintf(why_buffer, sizeof why_buffer, "%s: \"%s\" %s", setting, entry, about);
	*why = why_buffer;
	return PL_EINVAL;
}

/* "10.0.0.0/8" or a bare address; NULL when read, else what is wrong with it. */
static const char *read_network(const char *entry, struct network *network)
{
	char text[ENTRY_MAX];
	size_t len = strcspn(entry, "/");
	memcpy(text, entry, len);
	text[len] = '\0';
	unsigned char binary[16];
	unsigned width = 128;
	if (inet_pton(AF_INET6, text, binary) == 1) {
		network->base = from_v6(binary);
	} else if (inet_pton(AF_INET, text, binary) == 1) {
		network->base = from_v4(binary);
		width = 32;
	} else {
		return "is no network like 10.0.0.0/8 or fd00::/8";
	}
	unsigned long bits = width;
	if (entry[len] == '/') {
		const char *digits = entry + len + 1;
		size_t count = strspn(digits, "0123456789");
		bits = count > 0 && count <= 3 && digits[count] == '\0' ? strtoul(digits, NULL, 10)
									: width + 1;
	}
	if (bits > width)
		return "has no prefix length that fits its address";
	network->bits = (unsigned)bits + (128 - width);
	if (network->base.v4 && network->bits < 96)
		return "is wider than the IPv4 addresses it maps";
	for (unsigned i = network->bits; i < 128; i++)
		if (network->base.bytes[i / 8] & (0x80u >> i % 8))
			return "has bits beyond its prefix length";
	return NULL;
}

/* What one setting's entries are given to; a fault ends the walk. */
typedef const char *(*take_entry)(
	struct pl_netpolicy *policy, const char *setting, const char *entry);

static char *rule_text(const char *setting, const char *entry)
{
	size_t size = strlen(setting) + strlen(entry) + 2;
	char *text = pl_alloc(size);
	snprintf(text, size, "%s%s%s", setting, setting[0] != '\0' ? " " : "", entry);
	return text;
}

static const char *take_network(struct networks *networks, const char *setting, const char *entry)
{
	struct network network;
	const char *fault = read_network(entry, &network);
	if (fault != NULL)
		return fault;
	if (networks->count == ENTRIES_MAX)
		return "is one entry too many";
	networks->list = pl_realloc(networks->list, (networks->count + 1) * sizeof network);
	network.rule = rule_text(setting, entry);
	networks->list[networks->count++] = network;
	return NULL;
}

static const char *take_allowed(struct pl_netpolicy *policy, const char *setting, const char *entry)
{
	return take_network(&policy->allow, setting, entry);
}

static const char *take_denied(struct pl_netpolicy *policy, const char *setting, const char *entry)
{
	return take_network(&policy->deny, setting, entry);
}

static bool is_name(const char *text)
{
	struct in_addr unused;
	if (text[0] == '\0' || text[0] == '.' || strstr(text, "..") != NULL)
		return false;
	for (const char *c = text; *c != '\0'; c++)
		if (!isalnum((unsigned char)*c) && strchr("-_.", *c) == NULL)
			return false;
	return inet_aton(text, &unused) == 0;
}

static const char *take_host(struct pl_netpolicy *policy, const char *setting, const char *entry)
{
	const char *name = strncmp(entry, "*.", 2) == 0 ? entry + 1 : entry;
	if (!is_name(name + (name != entry)))
		return "is no name like host.example or *.example; addresses go into "
		       "ALLOW_NETWORKS";
	if (policy->hosts_count == ENTRIES_MAX)
		return "is one entry too many";
	size_t size = (policy->hosts_count + 1) * sizeof *policy->hosts;
	policy->hosts = pl_realloc(policy->hosts, size);
	policy->host_rules = pl_realloc(policy->host_rules, size);
	char *kept = pl_strdup(name);
	for (char *c = kept; *c != '\0'; c++)
		*c = (char)tolower((unsigned char)*c);
	size_t len = strlen(kept);
	if (kept[len - 1] == '.')
		kept[len - 1] = '\0';
	policy->hosts[policy->hosts_count] = kept;
	policy->host_rules[policy->hosts_count++] = rule_text(setting, entry);
	return NULL;
}

static enum pl_err each_entry(struct pl_netpolicy *policy, const char *setting, const char *text,
	take_entry take, const char **why)
{
	static const char *const between = ", \t\r\n";
	if (text == NULL)
		return PL_OK;
	for (text += strspn(text, between); *text != '\0'; text += strspn(text, between)) {
		char entry[ENTRY_MAX];
		size_t len = strcspn(text, between);
		if (len >= sizeof entry) {
			snprintf(entry, sizeof entry, "%.60s…", text);
			return complain(setting, entry, "is too long", why);
		}
		memcpy(entry, text, len);
		entry[len] = '\0';
		const char *fault = take(policy, setting, entry);
		if (fault != NULL)
			return complain(setting, entry, fault, why);
		text += len;
	}
	return PL_OK;
}

static enum pl_err read_interfaces(struct pl_netpolicy *policy, const char **why)
{
	struct ifaddrs *first;
	if (getifaddrs(&first) != 0) {
		*why = "the addresses of this machine's interfaces can't be read";
		return PL_ESYS;
	}
	size_t count = 0;
	for (struct ifaddrs *at = first; at != NULL; at = at->ifa_next)
		count++;
	policy->own = pl_alloc((count + 1) * sizeof *policy->own);
	for (struct ifaddrs *at = first; at != NULL; at = at->ifa_next) {
		in_port_t unused;
		if (at->ifa_addr != NULL &&
			read_sockaddr(at->ifa_addr, &policy->own[policy->own_count], &unused))
			policy->own_count++;
	}
	freeifaddrs(first);
	return PL_OK;
}

static void read_never(struct pl_netpolicy *policy, const struct pl_netpolicy_options *options)
{
	policy->never = pl_calloc(options->never_count + 1, sizeof *policy->never);
	for (size_t i = 0; i < options->never_count; i++) {
		struct endpoint *end = &policy->never[policy->never_count];
		if (!read_sockaddr(
			    (const struct sockaddr *)&options->never[i], &end->address, &end->port))
			continue; /* a unix socket can't be dialled by URL */
		end->here = is_here(policy, &end->address);
		policy->never_count++;
	}
}

enum pl_err pl_netpolicy_new(
	const struct pl_netpolicy_options *options, struct pl_netpolicy **out, const char **why)
{
	struct pl_netpolicy *policy = pl_calloc(1, sizeof *policy);
	policy->refuse_own = options->own_interfaces;
	for (size_t i = 0; i < sizeof nobodys / sizeof *nobodys; i++)
		PL_ASSERT(take_network(&policy->nobody, "", nobodys[i]) == NULL);
	enum pl_err err =
		each_entry(policy, "ALLOW_NETWORKS", options->allow_networks, take_allowed, why);
	if (err == PL_OK)
		err = each_entry(policy, "DENY_NETWORKS", options->deny_networks, take_denied, why);
	if (err == PL_OK)
		err = each_entry(policy, "ALLOW_HOSTS", options->allow_hosts, take_host, why);
	if (err == PL_OK && (options->own_interfaces || options->never_count > 0))
		err = read_interfaces(policy, why);
	if (err != PL_OK) {
		pl_netpolicy_free(policy);
		return err;
	}
	read_never(policy, options);
	*out = policy;
	return PL_OK;
}

static void free_networks(struct networks *networks)
{
	for (size_t i = 0; i < networks->count; i++)
		free(networks->list[i].rule);
	free(networks->list);
}

void pl_netpolicy_free(struct pl_netpolicy *policy)
{
	if (policy == NULL)
		return;
	free_networks(&policy->allow);
	free_networks(&policy->deny);
	free_networks(&policy->nobody);
	for (size_t i = 0; i < policy->hosts_count; i++) {
		free(policy->hosts[i]);
		free(policy->host_rules[i]);
	}
	free(policy->hosts);
	free(policy->host_rules);
	free(policy->own);
	free(policy->never);
	free(policy);
}
