/*
 * folder: what `fetchback up` keeps on disk, and the right to keep it.
 *
 *   DATA_DIR/lock             held by up *and its children*: free once the last writer is dead
 *   DATA_DIR/redis.conf       written anew at every start
 *   DATA_DIR/redis.sock       or a short path elsewhere: the system takes 107 bytes
 *   DATA_DIR/appendonlydir/   Redis' own
 */
#ifndef CLI_FOLDER_H
#define CLI_FOLDER_H

#include <stddef.h>

#define FOLDER_SOCKET_MAX 100 /* bytes of a socket's path; sockaddr_un ends at 107 */

struct folder {
	char *path; /* absolute */
	char *socket;
	char *socket_folder; /* made for the socket alone; NULL: it is in path */
	int lock;            /* hand it to the children */
};

/* $XDG_DATA_HOME/fetchback or ~/.local/share/fetchback, to free(); NULL when neither is known. */
char *folder_default_path(void);
/* Where the Redis of an up in this folder listens, to free(); NULL: there is no such folder. */
char *folder_socket(const char *path);
/* Makes the folder, locks it, chooses the socket's path. Returns 0, or PL_EXIT_* having said on
 * stderr what is wrong. An up that was just killed is given FOLDER_WAIT_MS to be gone. */
int folder_open(struct folder *folder, const char *path);
/* Writes a file of the folder, whole. */
int folder_write(const struct folder *folder, const char *name, const char *text, size_t len);
void folder_close(struct folder *folder);

#endif
