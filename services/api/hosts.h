/*
 * hosts: which names a client may call us by. Pure.
 *
 * A web page can make its own name point at this machine (DNS rebinding) and then post to us from a
 * visitor's browser; its name is in the Host header, so only names that are ours are heard.
 */
#ifndef API_HOSTS_H
#define API_HOSTS_H

#include <stdbool.h>

#define HOST_NAME_SIZE 256 /* 253 characters, brackets, NUL */

struct hosts {
	char public_name[HOST_NAME_SIZE]; /* of PUBLIC_URL; "" for none */
	const char *bind;
};

/* host: the header as sent, "name", "name:port", "[::1]:port". The port does not matter: a proxy in
 * front has its own. */
bool hosts_are_ours(const struct hosts *hosts, const char *host);

#endif
