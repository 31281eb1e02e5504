#include "hosts.h"

#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

/* False unless host is a name and, optionally, a port. */
static bool split_name(const char *host, char name[HOST_NAME_SIZE])
{
	bool bracketed = host[0] == '[';
	host += bracketed;
	size_t len = strcspn(host, bracketed ? "]" : ":");
	if (len == 0 || len >= HOST_NAME_SIZE || (bracketed && host[len] != ']'))
		return false;
	memcpy(name, host, len);
	name[len] = '\0';
	const char *rest = host + len + bracketed;
	if (*rest == ':')
		rest += 1 + strspn(rest + 1, "0123456789");
	return *rest == '\0';
}

static bool is_loopback(const char *name)
{
	struct in_addr v4;
	struct in6_addr v6;
	if (inet_pton(AF_INET, name, &v4) == 1)
		return ntohl(v4.s_addr) >> 24 == 127;
	return inet_pton(AF_INET6, name, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

/* Bound to every address, any literal that reached us is one of ours, and none can be rebound. */
static bool is_bound(const char *bind, const char *name)
{
	struct in_addr v4;
	return strcmp(bind, name) == 0 ||
	       (strcmp(bind, "0.0.0.0") == 0 && inet_pton(AF_INET, name, &v4) == 1);
}

bool hosts_are_ours(const struct hosts *hosts, const char *host)
{
	char name[HOST_NAME_SIZE];
	if (!split_name(host, name))
		return false;
	return strcasecmp(name, "localhost") == 0 || is_loopback(name) ||
	       is_bound(hosts->bind, name) ||
	       (hosts->public_name[0] != '\0' && strcasecmp(name, hosts->public_name) == 0);
}
