#include "knowledge.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "pipeline/mem.h"
#include "pipeline/service.h"

void knowledge_init(struct knowledge *knowledge)
{
	pl_buf_init(&knowledge->values, KNOWLEDGE_MAX);
	pl_buf_init(&knowledge->mistakes, KNOWLEDGE_MAX);
}

void knowledge_fini(struct knowledge *knowledge)
{
	pl_buf_fini(&knowledge->values);
	pl_buf_fini(&knowledge->mistakes);
}

/* The line that begins with these bytes, NULL where there is none. */
static const char *line_find(const struct pl_buf *text, const char *start, size_t len)
{
	const char *line = text->data;
	const char *end = line + text->len;

	while (line != NULL && line < end) {
		if ((size_t)(end - line) >= len && memcmp(line, start, len) == 0)
			return line;
		line = memchr(line, '\n', (size_t)(end - line));
		line = line == NULL ? NULL : line + 1;
	}
	return NULL;
}

/* Settings that the programs share are wrong in each of them: once is enough. What does not fit
 * is not told; there is enough to mend then. */
void knowledge_add_mistakes(struct knowledge *knowledge, const char *lines)
{
	enum pl_err err = PL_OK;

	while (err == PL_OK && *lines != '\0') {
		size_t len = strcspn(lines, "\n");

		len += lines[len] == '\n';
		if (line_find(&knowledge->mistakes, lines, len) == NULL)
			err = pl_buf_add(&knowledge->mistakes, lines, len);
		lines += len;
	}
}

_Noreturn static void become(const char *program, int values, int mistakes)
{
	char *const argv[] = { (char *)program, (char *)"--check", NULL }; /* exec only reads */

	if (dup2(values, STDOUT_FILENO) >= 0 && dup2(mistakes, STDERR_FILENO) >= 0)
		execv(program, argv);
	_exit(PL_EXIT_SYSTEM);
}

/* Answers go to memory files: no pipe to keep empty while the program runs. */
static int run(const char *program, int values, int mistakes, int *status)
{
	pid_t pid = fork();

	if (pid == 0)
		become(program, values, mistakes);
	if (pid < 0)
		return errno;
	while (waitpid(pid, status, 0) < 0)
		if (errno != EINTR)
			return errno;
	return 0;
}

static enum pl_err file_read(int file, struct pl_buf *out)
{
	off_t size = lseek(file, 0, SEEK_END);
	char *to = size < 0 ? NULL : pl_buf_reserve(out, (size_t)size);
	ssize_t len = to == NULL ? -1 : pread(file, to, (size_t)size, 0);

	if (len < 0)
		return PL_ELIMIT;
	pl_buf_wrote(out, (size_t)len);
	return PL_OK;
}

static enum pl_err answers_take(struct knowledge *knowledge, int values, int mistakes)
{
	struct pl_buf told;
	enum pl_err err;

	pl_buf_init(&told, KNOWLEDGE_MAX);
	err = file_read(values, &knowledge->values);
	if (err == PL_OK)
		err = file_read(mistakes, &told);
	if (err == PL_OK && told.len > 0)
		knowledge_add_mistakes(knowledge, told.data);
	pl_buf_fini(&told);
	return err;
}

int knowledge_ask(struct knowledge *knowledge, const char *program)
{
	int values = memfd_create("values", MFD_CLOEXEC);
	int mistakes = memfd_create("mistakes", MFD_CLOEXEC);
	int status = 0, code = 0, failed;

	failed = values < 0 || mistakes < 0 ? errno : run(program, values, mistakes, &status);
	if (failed == 0 && WIFEXITED(status) && WEXITSTATUS(status) == PL_EXIT_SYSTEM)
		failed = ENOEXEC;
	if (failed != 0) {
		fprintf(stderr, "fetchback up: can't run %s: %s\n", program, strerror(failed));
		code = PL_EXIT_SYSTEM;
	} else if (answers_take(knowledge, values, mistakes) != PL_OK) {
		fprintf(stderr, "fetchback up: %s --check says too much\n", program);
		code = PL_EXIT_SYSTEM;
	} else if (status != 0 && knowledge->mistakes.len == 0) {
		fprintf(stderr, "fetchback up: %s --check fails without a word\n", program);
		code = PL_EXIT_SYSTEM;
	}
	if (values >= 0)
		close(values);
	if (mistakes >= 0)
		close(mistakes);
	return code;
}

static const char *value_find(const struct knowledge *knowledge, const char *name, size_t len)
{
	char *start = pl_alloc(len + 2);
	const char *line;

	memcpy(start, name, len);
	memcpy(start + len, "=", 2);
	line = line_find(&knowledge->values, start, len + 1);
	free(start);
	return line == NULL ? NULL : line + len + 1;
}

bool knowledge_has(const struct knowledge *knowledge, const char *name)
{
	static const char suffix[] = "_FILE";
	size_t len = strlen(name), cut = sizeof(suffix) - 1;

	if (value_find(knowledge, name, len) != NULL)
		return true;
	return len > cut && strcmp(name + len - cut, suffix) == 0 &&
	       value_find(knowledge, name, len - cut) != NULL;
}

char *knowledge_value(const struct knowledge *knowledge, const char *name)
{
	const char *value = value_find(knowledge, name, strlen(name));

	return value == NULL ? pl_strdup("") : pl_strndup(value, strcspn(value, "\n"));
}
