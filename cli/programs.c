#include "programs.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pipeline/mem.h"

static char *joined(const char *folder, size_t folder_len, const char *name)
{
	size_t size = folder_len + 1 + strlen(name) + 1;
	char *path = pl_alloc(size);

	snprintf(path, size, "%.*s/%s", (int)folder_len, folder, name);
	return path;
}

char *programs_beside(const char *name)
{
	char self[PATH_MAX];
	ssize_t len = readlink("/proc/self/exe", self, sizeof(self));

	if (len <= 0 || len == sizeof(self)) {
		fprintf(stderr, "fetchback: /proc/self/exe: %s\n", strerror(errno));
		return NULL;
	}
	while (self[len - 1] != '/')
		len--;
	return joined(self, (size_t)len - 1, name);
}

char *programs_in_path(const char *name)
{
	const char *folder = getenv("PATH");

	while (folder != NULL && *folder != '\0') {
		size_t len = strcspn(folder, ":");
		char *path = joined(folder, len, name);

		if (len > 0 && access(path, X_OK) == 0)
			return path;
		free(path);
		folder += len + (folder[len] == ':');
	}
	return NULL;
}
