#include "redis_call.h"

#include <string.h>

#include "pipeline/mem.h"
#include "pipeline/text.h"

static size_t digits(size_t number)
{
	size_t count = 1;
	for (; number >= 10; number /= 10)
		count++;
	return count;
}

/* "$3\r\n" or "*3\r\n" */
static size_t head_size(size_t number)
{
	return 1 + digits(number) + 2;
}

static size_t bulk_size(size_t len)
{
	return head_size(len) + len + 2;
}

static char *put_head(char *at, char type, size_t number)
{
	*at++ = type;
	at += pl_number_write(number, at);
	*at++ = '\r';
	*at++ = '\n';
	return at;
}

static char *put_bulk(char *at, const char *data, size_t len)
{
	at = put_head(at, '$', len);
	if (len > 0)
		memcpy(at, data, len);
	at[len] = '\r';
	at[len + 1] = '\n';
	return at + len + 2;
}

static size_t arg_len(size_t i, const char *const *argv, const size_t *argv_len)
{
	return argv_len != NULL ? argv_len[i] : strlen(argv[i]);
}

static size_t args_size(size_t argc, const char *const *argv, const size_t *argv_len)
{
	size_t size = 0;
	for (size_t i = 0; i < argc; i++)
		size += bulk_size(arg_len(i, argv, argv_len));
	return size;
}

static char *put_args(char *at, size_t argc, const char *const *argv, const size_t *argv_len)
{
	for (size_t i = 0; i < argc; i++)
		at = put_bulk(at, argv[i], arg_len(i, argv, argv_len));
	return at;
}

static struct pl_redis_call *call_alloc(size_t len)
{
	struct pl_redis_call *call = pl_alloc(sizeof *call + len);
	*call = (struct pl_redis_call) { .answers = 1, .len = len };
	return call;
}

struct pl_redis_call *pl_redis_call_new_empty(enum pl_err err)
{
	struct pl_redis_call *call = call_alloc(0);
	call->err = err;
	return call;
}

struct pl_redis_call *pl_redis_call_new(
	size_t argc, const char *const *argv, const size_t *argv_len)
{
	struct pl_redis_call *call = call_alloc(head_size(argc) + args_size(argc, argv, argv_len));
	char *end = put_args(put_head(call->bytes, '*', argc), argc, argv, argv_len);
	PL_ASSERT(end == call->bytes + call->len);
	return call;
}

struct pl_redis_call *pl_redis_call_new_evalsha(const struct pl_script *script, unsigned keys,
	size_t argc, const char *const *argv, const size_t *argv_len)
{
	static const char verb[] = "EVALSHA";
	const size_t sha1_len = sizeof script->sha1 - 1;
	char count[PL_NUMBER_SIZE];
	size_t count_len = pl_number_write(keys, count);
	size_t head = head_size(argc + 3) + bulk_size(sizeof verb - 1) + bulk_size(sha1_len);
	size_t tail = bulk_size(count_len) + args_size(argc, argv, argv_len);

	struct pl_redis_call *call = call_alloc(head + tail);
	call->script = script;
	call->script_args = head;
	call->script_argc = argc + 1;
	char *at = put_head(call->bytes, '*', argc + 3);
	at = put_bulk(at, verb, sizeof verb - 1);
	at = put_bulk(at, script->sha1, sha1_len);
	at = put_bulk(at, count, count_len);
	at = put_args(at, argc, argv, argv_len);
	PL_ASSERT(at == call->bytes + call->len);
	return call;
}

struct pl_redis_call *pl_redis_call_new_eval(const struct pl_redis_call *evalsha)
{
	static const char verb[] = "EVAL";
	const char *source = evalsha->script->source;
	size_t source_len = strlen(source);
	size_t argc = evalsha->script_argc + 2;
	size_t tail = evalsha->len - evalsha->script_args;
	size_t head = head_size(argc) + bulk_size(sizeof verb - 1) + bulk_size(source_len);

	struct pl_redis_call *call = call_alloc(head + tail);
	call->cb = evalsha->cb;
	call->arg = evalsha->arg;
	call->deadline = evalsha->deadline;
	char *at = put_head(call->bytes, '*', argc);
	at = put_bulk(at, verb, sizeof verb - 1);
	at = put_bulk(at, source, source_len);
	PL_ASSERT(at == call->bytes + head);
	memcpy(at, evalsha->bytes + evalsha->script_args, tail);
	return call;
}

void pl_redis_calls_add(struct pl_redis_calls *calls, struct pl_redis_call *call)
{
	call->next = NULL;
	if (calls->first == NULL)
		calls->first = call;
	else
		calls->last->next = call;
	calls->last = call;
}

struct pl_redis_call *pl_redis_calls_take(struct pl_redis_calls *calls)
{
	struct pl_redis_call *call = calls->first;
	if (call != NULL)
		calls->first = call->next;
	return call;
}
