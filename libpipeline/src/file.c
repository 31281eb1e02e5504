#include "pipeline/file.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define PIECE 4096

enum pl_err pl_file_read(const char *path, struct pl_buf *out)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return PL_ESYS;
	enum pl_err err = PL_OK;
	for (;;) {
		char piece[PIECE];
		ssize_t len = read(fd, piece, sizeof piece);
		if (len < 0 && errno == EINTR)
			continue;
		if (len < 0)
			err = PL_ESYS;
		else if (len > 0)
			err = pl_buf_add(out, piece, (size_t)len);
		if (err != PL_OK || len == 0)
			break;
	}
	int kept = errno;
	close(fd);
	errno = kept;
	return err;
}
