#include "listening.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "pipeline/service.h"

bool listening_is_loopback(const char *bind)
{
	struct in_addr four;
	struct in6_addr six;

	if (inet_pton(AF_INET, bind, &four) == 1)
		return (ntohl(four.s_addr) >> 24) == 127;
	if (inet_pton(AF_INET6, bind, &six) == 1)
		return IN6_IS_ADDR_LOOPBACK(&six);
	return strcmp(bind, "localhost") == 0;
}

/* errno of a bind to it, as the api will do it; 0 when that works. */
static int bind_try(const struct addrinfo *address)
{
	int one = 1, failed = 0;
	int probe = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (probe < 0)
		return errno;
	if (setsockopt(probe, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) != 0 ||
		bind(probe, address->ai_addr, address->ai_addrlen) != 0 || listen(probe, 1) != 0)
		failed = errno;
	close(probe);
	return failed;
}

static int refuse(const char *bind, const char *port, const char *why)
{
	fprintf(stderr, "fetchback up: can't listen on %s port %s: %s\n", bind, port, why);
	return PL_EXIT_SETTING;
}

/* The api would say so as well, but only after Redis has been started for nothing. */
int listening_check(const char *bind, const char *port)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV };
	struct addrinfo *address;
	int failed;

	if (strcmp(port, "0") == 0)
		return refuse(bind, port, "PORT must be one that you can be told to post to");
	failed = getaddrinfo(bind, port, &hints, &address);
	if (failed != 0)
		return refuse(bind, port, gai_strerror(failed));
	failed = bind_try(address);
	freeaddrinfo(address);
	if (failed == EADDRINUSE)
		return refuse(bind, port, "it is taken; choose another with --port");
	return failed == 0 ? 0 : refuse(bind, port, strerror(failed));
}

void listening_url(const char *bind, const char *port, char *out, size_t size)
{
	if (strcmp(bind, "0.0.0.0") == 0 || strcmp(bind, "::") == 0)
		bind = "127.0.0.1";
	snprintf(out, size, strchr(bind, ':') == NULL ? "http://%s:%s" : "http://[%s]:%s", bind,
		port);
}

bool listening_is_free(unsigned port)
{
	struct sockaddr_in here = {
		.sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr = { htonl(INADDR_LOOPBACK) },
	};
	const struct addrinfo address = {
		.ai_family = AF_INET,
		.ai_addr = (struct sockaddr *)&here,
		.ai_addrlen = sizeof(here),
	};

	return bind_try(&address) == 0;
}
