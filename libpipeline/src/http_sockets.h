/*
 * http_sockets: the server's sockets, found from outside.
 *
 * civetweb hides the descriptors of its connections, yet only a descriptor ends what blocks on it:
 * a body that drips, a reader that stalls, a connection too many, the accept loop at the end. So
 * the process looks through its own descriptors for those of the server's port. That happens when
 * something is to be cut, never for an ordinary request.
 * Races    a descriptor may be closed and used anew at any moment: the cut holds a duplicate, which
 *          can only ever mean one socket, and looks at that once more.
 */
#ifndef PIPELINE_HTTP_SOCKETS_H
#define PIPELINE_HTTP_SOCKETS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>

struct http_socket {
	int fd;
	struct sockaddr_in peer; /* port 0: it listens */
};

/* Up to max IPv4 sockets of this process with that local port; returns how many. */
size_t http_sockets_find(unsigned local_port, struct http_socket *out, size_t max);
/* shutdown(2), unless the descriptor means something else by now. */
void http_socket_cut(const struct http_socket *socket, unsigned local_port, int how);
bool http_same_peer(const struct sockaddr_in *a, const struct sockaddr_in *b);

#endif
