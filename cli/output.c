#include "output.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pipeline/clock.h"
#include "pipeline/err.h"
#include "pipeline/json.h"
#include "pipeline/log.h"
#include "terminal.h"

#define READ_MAX (16u * 1024)
/* One read in lines of one byte, each behind a name or inside an object, on top of OUTPUT_HIGH. */
#define OUTPUT_MAX (OUTPUT_HIGH + READ_MAX / 2 * 192)

static const char *const colors[] = {
	"\033[36m",
	"\033[33m",
	"\033[32m",
	"\033[35m",
	"\033[34m",
	"\033[31m",
};
#define COLORS    (sizeof(colors) / sizeof(colors[0]))
#define COLOR_END "\033[0m"

/* The ceiling is arithmetic (OUTPUT_MAX), so a refusal is a mistake of ours. */
static void gather(struct output *output, const void *data, size_t len)
{
	enum pl_err err = pl_buf_add(&output->gathered, data, len);

	PL_ASSERT(err == PL_OK);
}

static void gather_text(struct output *output, const char *text)
{
	gather(output, text, strlen(text));
}

static void pump(struct output *output);

static void alloc_cb(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
	static char shared[READ_MAX]; /* emptied before the next read: one loop, one thread */

	(void)handle, (void)suggested;
	*buf = uv_buf_init(shared, sizeof(shared));
}

static void on_read(uv_stream_t *stream, ssize_t count, const uv_buf_t *buf);

static void sources_hold(struct output *output, bool hold)
{
	if (output->held == hold)
		return;
	output->held = hold;
	for (struct output_source *source = output->sources; source != NULL;
		source = source->next) {
		if (uv_is_closing((uv_handle_t *)&source->pipe))
			continue;
		if (hold)
			uv_read_stop((uv_stream_t *)&source->pipe);
		else
			uv_read_start((uv_stream_t *)&source->pipe, alloc_cb, on_read);
	}
}

static void on_written(uv_write_t *write, int status)
{
	struct output *output = write->data;

	(void)status; /* a stdout that is gone swallows everything */
	output->writes = false;
	pl_buf_clear(&output->under_way);
	pump(output);
	pl_log_flush(); /* our own lines may have found no room */
}

static void write_all(const char *data, size_t len)
{
	while (len > 0) {
		ssize_t wrote = write(STDOUT_FILENO, data, len);

		if (wrote < 0 && errno != EINTR)
			return;
		if (wrote > 0) {
			data += wrote;
			len -= (size_t)wrote;
		}
	}
}

static void pump(struct output *output)
{
	if (!output->is_stream) {
		write_all(output->gathered.data, output->gathered.len);
		pl_buf_clear(&output->gathered);
	} else if (!output->writes && output->gathered.len > 0) {
		struct pl_buf whole = output->gathered;
		uv_buf_t piece = uv_buf_init(whole.data, (unsigned)whole.len);

		output->gathered = output->under_way;
		output->under_way = whole;
		output->writes =
			uv_write(&output->write, &output->to.stream, &piece, 1, on_written) == 0;
		if (!output->writes)
			pl_buf_clear(&output->under_way);
	}
	sources_hold(output, output->gathered.len >= OUTPUT_HIGH);
}

int output_open(struct output *output, uv_loop_t *loop, bool json)
{
	int failed = 0;

	*output = (struct output) { .loop = loop, .json = json };
	pl_buf_init(&output->gathered, OUTPUT_MAX);
	pl_buf_init(&output->under_way, OUTPUT_MAX);
	output->write.data = output;
	switch (uv_guess_handle(STDOUT_FILENO)) {
	case UV_TTY:
		output->is_terminal = true;
		output->color = terminal_has_colors();
		output->is_stream = true;
		failed = uv_tty_init(loop, &output->to.tty, STDOUT_FILENO, 0);
		break;
	case UV_NAMED_PIPE:
		output->is_stream = true;
		failed = uv_pipe_init(loop, &output->to.pipe, 0);
		if (failed == 0)
			failed = uv_pipe_open(&output->to.pipe, STDOUT_FILENO);
		break;
	default:
		break;
	}
	return failed;
}

void output_close(struct output *output, int wait_ms)
{
	uint64_t until = pl_clock_mono_ms() + (uint64_t)wait_ms;

	pump(output);
	pl_log_flush();
	while (output->writes && pl_clock_mono_ms() < until) {
		struct pollfd reader = { .fd = STDOUT_FILENO, .events = POLLOUT };

		(void)poll(&reader, 1, (int)(until - pl_clock_mono_ms()));
		uv_run(output->loop, UV_RUN_NOWAIT);
	}
	if (output->is_stream) {
		/* Others may share the description (a shell's): it was blocking when we came. */
		uv_stream_set_blocking(&output->to.stream, 1);
		uv_close(&output->to.handle, NULL);
		uv_run(output->loop, UV_RUN_NOWAIT);
	}
	pl_log_divert(NULL, NULL);
	pl_buf_fini(&output->gathered);
	pl_buf_fini(&output->under_way);
}

static void wrap(struct output_source *source, const char *line, size_t len)
{
	struct output *output = source->output;
	char now[PL_TIME_SIZE];
	enum pl_err err;

	pl_time_format(pl_clock_wall_ms(), now);
	err = pl_buf_format(&output->gathered,
		"{\"time\":\"%s\",\"level\":\"info\",\"service\":\"%s\",\"event\":\"output\","
		"\"reason\":",
		now, source->name);
	PL_ASSERT(err == PL_OK);
	err = pl_json_string(&output->gathered, line, len);
	PL_ASSERT(err == PL_OK);
	gather_text(output, "}\n");
}

static void line_add(struct output_source *source, const char *line, size_t len)
{
	struct output *output = source->output;
	enum pl_err err;

	if (len == 0)
		return;
	if (source->hears_complaints)
		complaint_take(line, len, source->complaint);
	if (output->json && line[0] != '{') {
		wrap(source, line, len);
		return;
	}
	if (!output->json) {
		err = pl_buf_format(&output->gathered, "%s%-*s |%s ", source->color,
			(int)output->name_width, source->name, *source->color ? COLOR_END : "");
		PL_ASSERT(err == PL_OK);
	}
	gather(output, line, len);
	gather_text(output, "\n");
}

void output_source_break(struct output_source *source)
{
	line_add(source, source->begun.data, source->begun.len);
	pl_buf_clear(&source->begun);
}

/* The bytes after the last newline wait for their end, up to the ceiling. */
static void line_begin(struct output_source *source, const char *data, size_t len)
{
	if (pl_buf_add(&source->begun, data, len) == PL_OK)
		return;
	output_source_break(source);
	line_add(source, data, len);
}

static void lines_take(struct output_source *source, const char *data, size_t len)
{
	const char *end = data + len;

	while (data < end) {
		const char *newline = memchr(data, '\n', (size_t)(end - data));

		if (newline == NULL) {
			line_begin(source, data, (size_t)(end - data));
			return;
		}
		if (source->begun.len > 0) {
			line_begin(source, data, (size_t)(newline - data));
			output_source_break(source);
		} else {
			line_add(source, data, (size_t)(newline - data));
		}
		data = newline + 1;
	}
}

static void on_source_closed(uv_handle_t *handle)
{
	struct output_source *source = handle->data;
	struct output_source **at = &source->output->sources;

	while (*at != source)
		at = &(*at)->next;
	*at = source->next;
	pl_buf_fini(&source->begun);
}

static void on_read(uv_stream_t *stream, ssize_t count, const uv_buf_t *buf)
{
	struct output_source *source = stream->data;

	if (count > 0)
		lines_take(source, buf->base, (size_t)count);
	if (count < 0) {
		output_source_break(source);
		uv_close((uv_handle_t *)stream, on_source_closed);
	}
	pump(source->output);
}

static void source_name(struct output_source *source, struct output *output, const char *name)
{
	size_t width;

	*source = (struct output_source) { .output = output, .color = "" };
	snprintf(source->name, sizeof(source->name), "%s", name);
	width = strlen(source->name);
	if (width > output->name_width)
		output->name_width = width;
	if (output->color)
		source->color = colors[output->names % COLORS];
	output->names++;
}

static bool own_take(void *arg, const char *lines, size_t len)
{
	struct output_source *source = arg;

	if (source->output->gathered.len >= OUTPUT_HIGH)
		return false;
	lines_take(source, lines, len);
	pump(source->output);
	return true;
}

void output_own_open(struct output_source *source, struct output *output, const char *name)
{
	source_name(source, output, name);
	pl_log_divert(own_take, source);
}

int output_source_open(struct output_source *source, struct output *output, const char *name)
{
	int ends[2];

	source_name(source, output, name);
	if (pipe2(ends, O_CLOEXEC) != 0)
		return uv_translate_sys_error(errno);
	source->writer = ends[1];
	pl_buf_init(&source->begun, OUTPUT_LINE_MAX);
	uv_pipe_init(output->loop, &source->pipe, 0);
	source->pipe.data = source;
	source->next = output->sources;
	output->sources = source;
	/* Can't fail for a fresh pipe. */
	(void)uv_pipe_open(&source->pipe, ends[0]);
	(void)uv_read_start((uv_stream_t *)&source->pipe, alloc_cb, on_read);
	return 0;
}

void output_source_end(struct output_source *source)
{
	close(source->writer);
}

void output_say(struct output *output, const char *words)
{
	gather_text(output, words);
	gather_text(output, "\n");
	pump(output);
}
