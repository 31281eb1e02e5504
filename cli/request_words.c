#include "request_words.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "ask.h"
#include "command.h"
#include "pipeline/file.h"
#include "pipeline/request.h"
#include "raw_json.h"

static int wrong(const char *what, const char *word)
{
	fprintf(stderr, "fetchback send: %s", what);
	ask_print(stderr, word);
	fputs("; see fetchback send --help\n", stderr);
	return COMMAND_USAGE;
}

/* "NAME: VALUE" into an object; what a header may be is for the api to judge. */
static int header_take(json_t *headers, const char *text)
{
	size_t len = strcspn(text, ":");
	const char *value = text + len + 1;

	if (len == 0 || text[len] == '\0')
		return wrong("--header takes 'NAME: VALUE', and not ", text);
	char *name = strndup(text, len);
	bool is_new = name != NULL && json_object_get(headers, name) == NULL;
	if (is_new)
		json_object_set_new(headers, name, json_string(value + strspn(value, " \t")));
	bool is_taken = is_new && json_object_get(headers, name) != NULL;
	free(name);
	if (is_taken)
		return COMMAND_OK;
	return wrong(is_new ? "no UTF-8: --header " : "given twice: --header ", text);
}

static int list_check(const char *flag, const struct argument_list *list)
{
	return list->count <= ARGUMENT_LIST_MAX ? COMMAND_OK : wrong("too many of ", flag);
}

static int headers_add(json_t *request, const struct argument_list *list)
{
	json_t *headers = json_object();
	int code = list_check("--header", list);

	for (size_t i = 0; code == COMMAND_OK && i < list->count; i++)
		code = header_take(headers, list->items[i]);
	if (list->count > 0)
		json_object_set_new(request, "fetch", json_pack("{s:O}", "headers", headers));
	json_decref(headers);
	return code;
}

static int text_add(json_t *request, const char *name, const char *text)
{
	if (text == NULL || json_object_set_new(request, name, json_string(text)) == 0)
		return COMMAND_OK;
	return wrong("this is no UTF-8: ", text);
}

static int labels_add(json_t *request, const struct argument_list *list)
{
	json_t *labels = json_array();
	int code = list_check("--label", list);

	for (size_t i = 0; code == COMMAND_OK && i < list->count; i++)
		if (json_array_append_new(labels, json_string(list->items[i])) != 0)
			code = wrong("no UTF-8: --label ", list->items[i]);
	if (list->count > 0)
		json_object_set(request, "labels", labels);
	json_decref(labels);
	return code;
}

static int line_take(const struct request_words *words, json_t *request)
{
	int code = text_add(request, "provider", words->provider);

	if (code == COMMAND_OK)
		code = text_add(request, "callbackUrl", words->callback);
	if (code == COMMAND_OK)
		code = headers_add(request, &words->headers);
	if (code == COMMAND_OK)
		code = labels_add(request, &words->labels);
	if (code == COMMAND_OK)
		code = text_add(request, "priority", words->priority);
	return code == COMMAND_OK ? text_add(request, "delay", words->after) : code;
}

/* ---- with a file ---- */

static int file_read(const char *path, struct pl_buf *text)
{
	enum pl_err err = pl_file_read(strcmp(path, "-") == 0 ? "/dev/stdin" : path, text);

	if (err == PL_ELIMIT)
		return wrong("the api takes no request as large as ", path);
	if (err != PL_OK) {
		fprintf(stderr, "fetchback send: %s can't be read: %s\n", path, strerror(errno));
		return COMMAND_USAGE;
	}
	json_t *request = ask_json(text);
	bool is_object = json_is_object(request);
	json_decref(request);
	return is_object ? COMMAND_OK : wrong("there is no JSON object in ", path);
}

/* Is the file's member to stand? */
static bool is_said(const json_t *line, struct raw_json name)
{
	const char *said;
	json_t *value;

	json_object_foreach(
		(json_t *)line, said, value) if (raw_json_is_name(name, said)) return true;
	return false;
}

/* The line's members, and behind them those of the file, as they are written there, that the line
 * does not say. */
static int merge(const json_t *line, struct raw_json file, struct pl_buf *out)
{
	struct raw_json inside = raw_json_inside(file), name, value;
	const char *comma = json_object_size(line) > 0 ? "," : "";
	enum pl_err err = PL_OK;

	if (json_object_get(line, "fetch") != NULL && raw_json_find(file, "fetch", &value))
		return wrong("the file says what goes with the fetch, so --header can't", "");
	out->data[--out->len] = '\0'; /* the brace */
	while (err == PL_OK && raw_json_member(&inside, &name, &value)) {
		if (is_said(line, name))
			continue;
		err = pl_buf_format(out, "%s%.*s:%.*s", comma, (int)name.len, name.text,
			(int)value.len, value.text);
		comma = ",";
	}
	if (err == PL_OK)
		err = pl_buf_text(out, "}");
	return err == PL_OK ? COMMAND_OK : wrong("the api takes no request as large as this", "");
}

static int file_add(const char *path, const json_t *line, struct pl_buf *out)
{
	struct pl_buf text;
	int code;

	pl_buf_init(&text, PL_REQUEST_BODY_MAX);
	code = file_read(path, &text);
	if (code == COMMAND_OK)
		code = merge(line, (struct raw_json) { text.data, text.len }, out);
	pl_buf_fini(&text);
	return code;
}

int request_words_compose(const struct request_words *words, struct pl_buf *out)
{
	json_t *line = json_object();
	int code = line_take(words, line);
	char *text = json_dumps(line, JSON_COMPACT);

	pl_buf_init(out, PL_REQUEST_BODY_MAX);
	if (code == COMMAND_OK && pl_buf_text(out, text) != PL_OK)
		code = wrong("the api takes no request as large as this", "");
	if (code == COMMAND_OK && words->file != NULL)
		code = file_add(words->file, line, out);
	free(text);
	json_decref(line);
	return code;
}
