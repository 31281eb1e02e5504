/*
 * private_redis: the Redis that `up` keeps for itself, as a child to be started.
 *
 * It has config/redis.conf (carried inside this program), a unix socket for all and no port.
 * Memory   the spec points into the struct, which must stay where it is until the child is gone.
 */
#ifndef CLI_PRIVATE_REDIS_H
#define CLI_PRIVATE_REDIS_H

#include <stdint.h>

#include "child.h"
#include "folder.h"

struct private_redis {
	struct folder folder;
	struct child_spec spec;
	char url[sizeof("unix:") + FOLDER_SOCKET_MAX];
	char *program;
	char memory[24]; /* a number of bytes */
	const char *argv[11];
};

/* data_dir NULL: the usual place. Returns 0, or PL_EXIT_* having said why. */
int private_redis_open(
	struct private_redis *redis, const char *data_dir, uint64_t memory_max_bytes);
/* Also of one that was not opened, if it is all zeros. */
void private_redis_close(struct private_redis *redis);

#endif
