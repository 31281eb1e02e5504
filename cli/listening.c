#include "listening.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "pipeline/err.h"

bool listening_is_loopback(const char *bind)
{
	struct in_addr address;

	return inet_pton(AF_INET, bind, &address) == 1 && (ntohl(address.s_addr) >> 24) == 127;
}

/* errno of a bind to it, as a service will do it; 0 when that works. */
static int bind_try(const struct sockaddr_in *address)
{
	int one = 1, failed = 0;
	int probe = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (probe < 0)
		return errno;
	if (setsockopt(probe, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) != 0 ||
		bind(probe, (const struct sockaddr *)address, sizeof(*address)) != 0 ||
		listen(probe, 1) != 0)
		failed = errno;
	close(probe);
	return failed;
}

/* The service would say so as well, but only after Redis has been started for nothing. */
bool listening_check(const char *setting, const char *bind, unsigned port)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	int is_address = inet_pton(AF_INET, bind, &address.sin_addr), failed;

	PL_ASSERT(is_address == 1); /* the services have judged BIND */
	failed = bind_try(&address);
	if (failed != 0)
		fprintf(stderr, "fetchback up: %s: can't listen on %s port %u: %s\n", setting, bind,
			port,
			failed == EADDRINUSE ? "it is taken; choose another" : strerror(failed));
	return failed == 0;
}

void listening_url(const char *bind, const char *port, char *out, size_t size)
{
	snprintf(
		out, size, "http://%s:%s", strcmp(bind, "0.0.0.0") == 0 ? "127.0.0.1" : bind, port);
}

bool listening_is_free(unsigned port)
{
	const struct sockaddr_in here = {
		.sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr = { htonl(INADDR_LOOPBACK) },
	};

	return bind_try(&here) == 0;
}
