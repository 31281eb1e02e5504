#include "folder.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pipeline/clock.h"
#include "pipeline/mem.h"
#include "pipeline/service.h"
#include "pipeline/text.h"

#define FOLDER_WAIT_MS 5000 /* for the Redis of a killed up: it may hold 1 GiB to give back */
#define FOLDER_LOOK_MS 20
#define SOCKET         "redis.sock"

static int refuse(int code, const char *what, const char *path, const char *why)
{
	fprintf(stderr, "fetchback up: %s %s: %s\n", what, path, why);
	return code;
}

static char *joined(const char *folder, const char *name)
{
	size_t size = strlen(folder) + 1 + strlen(name) + 1;
	char *path = pl_alloc(size);

	snprintf(path, size, "%s/%s", folder, name);
	return path;
}

char *folder_default_path(void)
{
	const char *data = getenv("XDG_DATA_HOME");
	const char *home = getenv("HOME");

	if (data != NULL && data[0] == '/') /* the XDG rule: a relative one is to be ignored */
		return joined(data, "fetchback");
	if (home != NULL && home[0] != '\0')
		return joined(home, ".local/share/fetchback");
	return NULL;
}

/* mkdir -p: parents as the umask has it, the last one for us alone. */
static int folders_make(const char *path)
{
	char *partial = pl_strdup(path);
	int failed = 0;

	for (char *at = partial + 1; failed == 0 && (at = strchr(at, '/')) != NULL; at++) {
		*at = '\0';
		if (mkdir(partial, 0777) != 0 && errno != EEXIST)
			failed = errno;
		*at = '/';
	}
	if (failed == 0 && mkdir(path, 0700) != 0 && errno != EEXIST)
		failed = errno;
	free(partial);
	return failed;
}

/* The pid in the lock file, if that process lives; 0 otherwise. */
static uint64_t lock_holder(int lock)
{
	char text[24];
	ssize_t len = pread(lock, text, sizeof(text), 0);
	uint64_t pid;

	if (len <= 0 || pl_number_parse(text, (size_t)len, INT32_MAX, &pid) != PL_OK || pid == 0)
		return 0;
	return kill((pid_t)pid, 0) == 0 || errno == EPERM ? pid : 0;
}

/* A holder that lives is another up; one that is dead has children that are dying. */
static bool lock_take(int lock, uint64_t *holder)
{
	uint64_t until = pl_clock_mono_ms() + FOLDER_WAIT_MS;

	while (flock(lock, LOCK_EX | LOCK_NB) != 0) {
		*holder = lock_holder(lock);
		if (*holder != 0 || pl_clock_mono_ms() >= until)
			return false;
		(void)poll(NULL, 0, FOLDER_LOOK_MS);
	}
	return true;
}

static int lock_open(struct folder *folder)
{
	char *path = joined(folder->path, "lock");
	uint64_t holder = 0;
	int code = 0;

	folder->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (folder->lock < 0) {
		code = refuse(PL_EXIT_SETTING, "can't open", path, strerror(errno));
	} else if (!lock_take(folder->lock, &holder)) {
		fprintf(stderr,
			"fetchback up: another one (pid %" PRIu64
			") runs in %s; stop it, or choose another DATA_DIR\n",
			holder, folder->path);
		code = PL_EXIT_SETTING;
	} else if (ftruncate(folder->lock, 0) != 0 ||
		   dprintf(folder->lock, "%d", (int)getpid()) < 0) {
		code = refuse(PL_EXIT_SYSTEM, "can't write", path, strerror(errno));
	}
	free(path);
	return code;
}

/* A folder in a place where everybody may make one: it must be ours, and ours alone. */
static bool is_private(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0 && S_ISDIR(st.st_mode) && st.st_uid == geteuid() &&
	       (st.st_mode & 077) == 0;
}

/* The path goes into a Redis URL, where these have a meaning of their own. */
static bool fits_url(const char *socket)
{
	return strlen(socket) <= FOLDER_SOCKET_MAX && strpbrk(socket, "?,@%") == NULL;
}

/* Named after the folder's device and inode, so that two folders never meet. */
static bool elsewhere(const char *folder, char path[FOLDER_SOCKET_MAX])
{
	struct stat st;

	if (stat(folder, &st) != 0)
		return false;
	snprintf(path, FOLDER_SOCKET_MAX, "/tmp/fetchback-%jx-%jx", (uintmax_t)st.st_dev,
		(uintmax_t)st.st_ino);
	return true;
}

char *folder_socket(const char *path)
{
	char other[FOLDER_SOCKET_MAX];
	char *folder = realpath(path, NULL);
	char *socket;

	if (folder == NULL)
		return NULL;
	socket = joined(folder, SOCKET);
	if (!fits_url(socket)) {
		free(socket);
		socket = elsewhere(folder, other) ? joined(other, SOCKET) : NULL;
	}
	free(folder);
	return socket;
}

static int socket_elsewhere(struct folder *folder)
{
	char path[FOLDER_SOCKET_MAX];

	if (!elsewhere(folder->path, path))
		return refuse(PL_EXIT_SYSTEM, "can't look at", folder->path, strerror(errno));
	if (mkdir(path, 0700) != 0 && errno != EEXIST)
		return refuse(PL_EXIT_SYSTEM, "can't make", path, strerror(errno));
	if (!is_private(path))
		return refuse(PL_EXIT_SYSTEM, "can't use", path, "it belongs to someone else");
	folder->socket_folder = pl_strdup(path);
	folder->socket = joined(path, SOCKET);
	return 0;
}

static int socket_choose(struct folder *folder)
{
	folder->socket = joined(folder->path, SOCKET);
	if (fits_url(folder->socket))
		return 0;
	free(folder->socket);
	folder->socket = NULL;
	return socket_elsewhere(folder);
}

int folder_open(struct folder *folder, const char *path)
{
	int failed = folders_make(path);
	int code;

	*folder = (struct folder) { .lock = -1 };
	if (failed != 0)
		return refuse(PL_EXIT_SETTING, "can't make DATA_DIR", path, strerror(failed));
	folder->path = realpath(path, NULL);
	if (folder->path == NULL)
		return refuse(PL_EXIT_SETTING, "can't use DATA_DIR", path, strerror(errno));
	code = lock_open(folder);
	return code != 0 ? code : socket_choose(folder);
}

int folder_write(const struct folder *folder, const char *name, const char *text, size_t len)
{
	char *path = joined(folder->path, name);
	int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	int code = 0;

	if (file < 0 || write(file, text, len) != (ssize_t)len)
		code = refuse(PL_EXIT_SYSTEM, "can't write", path, strerror(errno));
	if (file >= 0)
		close(file);
	free(path);
	return code;
}

void folder_close(struct folder *folder)
{
	if (folder->socket_folder != NULL) {
		(void)unlink(folder->socket); /* Redis has removed it, unless it was killed */
		(void)rmdir(folder->socket_folder);
	}
	if (folder->lock >= 0)
		close(folder->lock);
	free(folder->path);
	free(folder->socket);
	free(folder->socket_folder);
}
