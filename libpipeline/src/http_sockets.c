#include "http_sockets.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "pipeline/text.h"

#define FD_MAX (1u << 30)

bool http_same_peer(const struct sockaddr_in *a, const struct sockaddr_in *b)
{
	return a->sin_port == b->sin_port && a->sin_addr.s_addr == b->sin_addr.s_addr;
}

static bool is_local_port(int fd, unsigned port)
{
	struct sockaddr_in local = { 0 };
	socklen_t len = sizeof(local);
	return getsockname(fd, (struct sockaddr *)&local, &len) == 0 &&
	       local.sin_family == AF_INET && ntohs(local.sin_port) == port;
}

static bool read_peer(int fd, struct sockaddr_in *peer)
{
	*peer = (struct sockaddr_in) { 0 };
	socklen_t len = sizeof(*peer);
	if (getpeername(fd, (struct sockaddr *)peer, &len) == 0)
		return peer->sin_family == AF_INET;
	*peer = (struct sockaddr_in) { 0 };
	int listens = 0;
	len = sizeof(listens);
	return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len) == 0 && listens != 0;
}

size_t http_sockets_find(unsigned local_port, struct http_socket *out, size_t max)
{
	DIR *dir = opendir("/proc/self/fd");
	if (dir == NULL)
		return 0;
	size_t count = 0;
	const struct dirent *entry;
	while (count < max && (entry = readdir(dir)) != NULL) {
		uint64_t fd;
		if (pl_number_parse(entry->d_name, strlen(entry->d_name), FD_MAX, &fd) != PL_OK)
			continue;
		struct http_socket *found = &out[count];
		found->fd = (int)fd;
		if (is_local_port(found->fd, local_port) && read_peer(found->fd, &found->peer))
			count++;
	}
	closedir(dir);
	return count;
}

void http_socket_cut(const struct http_socket *socket, unsigned local_port, int how)
{
	int held = fcntl(socket->fd, F_DUPFD_CLOEXEC, 0);
	if (held < 0)
		return;
	struct sockaddr_in peer;
	if (is_local_port(held, local_port) && read_peer(held, &peer) &&
		http_same_peer(&peer, &socket->peer))
		(void)shutdown(held, how); /* ENOTCONN: the other side was faster */
	(void)close(held);
}
