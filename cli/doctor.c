/*
 * doctor: looks into Redis itself for requests that nothing will ever move.
 */
#include "pipeline/doctor.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "arguments.h"
#include "ask.h"
#include "command.h"
#include "folder.h"
#include "pipeline/clock.h"
#include "pipeline/mem.h"

#define CONNECT_MS 5000

static void doctor_help(FILE *out)
{
	fputs("usage: fetchback doctor [--repair] [--redis-url URL | --data-dir DIR] [--json]\n\n"
	      "Looks through all records for live requests that stand in no queue, for lanes that "
	      "no\n"
	      "worker serves, for hosts that count other requests in flight than workers hold, "
	      "and\n"
	      "for counts that are wrong: live, of each key, in lanes, failed, undelivered, kept.\n"
	      "May run while the services do; counts are compared only while nothing moves.\n\n"
	      "  --repair         puts right what it finds: requests back into their queue\n"
	      "  --redis-url URL  the services' REDIS_URL (else REDIS_URL; else the private Redis "
	      "of\n"
	      "                   fetchback up)\n"
	      "  --data-dir DIR   where that keeps its data (else DATA_DIR, else its usual place)\n"
	      "  --json           one object, at the end\n\n"
	      "Exit code: 0 all is well, 1 something was found, put right or not, 2 this command "
	      "line\n"
	      "makes no sense, 69 Redis can't be reached.\n",
		out);
}

struct doctor {
	struct arguments arguments;
	bool repairs;
	struct pl_queue *queue;
	uv_timer_t patience;
	bool begun, is_closing;
	char why[200]; /* the last reason why Redis is away */
	json_t *lost, *lanes, *hosts, *counts;
	int code;
};

/* ---- findings ---- */

static const char *repaired(const struct doctor *doctor)
{
	return doctor->repairs ? ": put right" : "";
}

static void keep(json_t *list, json_t *finding)
{
	int failed = json_array_append_new(list, finding);

	PL_ASSERT(failed == 0);
}

static void on_lost(void *arg, const struct pl_doctor_lost *lost)
{
	struct doctor *doctor = arg;
	const char *state = pl_state_name(lost->state);

	keep(doctor->lost, json_pack("{s:s, s:s}", "requestId", lost->id, "state", state));
	if (!doctor->arguments.json)
		printf("%s  %s, and in no queue%s\n", lost->id, state, repaired(doctor));
}

static void on_lane(void *arg, const struct pl_doctor_lane *lane)
{
	struct doctor *doctor = arg;
	const char *stage = pl_stage_name(lane->stage);
	const char *priority = pl_priority_name(lane->priority);

	keep(doctor->lanes, json_pack("{s:s, s:s, s:s}", "host", lane->lane, "stage", stage,
				    "priority", priority));
	if (doctor->arguments.json)
		return;
	printf("the lane to %s ", stage);
	ask_print(stdout, lane->lane);
	printf(", priority %s, is served by nobody%s\n", priority, repaired(doctor));
}

static void on_host(void *arg, const struct pl_doctor_host *host)
{
	struct doctor *doctor = arg;
	const char *stage = pl_stage_name(host->stage);

	keep(doctor->hosts,
		json_pack("{s:s, s:s, s:I, s:I}", "host", host->lane, "stage", stage, "counted",
			(json_int_t)host->counted, "found", (json_int_t)host->found));
	if (doctor->arguments.json)
		return;
	printf("the host ");
	ask_print(stdout, host->lane);
	printf(" counts %" PRId64 " in flight to %s, there are %" PRId64 "%s\n", host->counted,
		stage, host->found, repaired(doctor));
}

static void on_count(void *arg, const struct pl_doctor_count *count)
{
	struct doctor *doctor = arg;
	json_int_t counted = count->counted, found = count->found;

	keep(doctor->counts, json_pack("{s:s, s:I, s:I}", "name", count->name, "counted", counted,
				     "found", found));
	if (!doctor->arguments.json)
		printf("the count \"%s\" says %" PRId64 ", there are %" PRId64 "%s\n", count->name,
			count->counted, count->found, repaired(doctor));
}

static void summary_print(const struct doctor *doctor, const struct pl_doctor_summary *summary)
{
	if (doctor->arguments.json) {
		json_t *all = json_pack("{s:I, s:I, s:O, s:O, s:O, s:O, s:b, s:b, s:b}", "records",
			(json_int_t)summary->records, "live", (json_int_t)summary->live, "lost",
			doctor->lost, "lanes", doctor->lanes, "hosts", doctor->hosts, "counts",
			doctor->counts, "countsCompared", summary->compared, "hostsCompared",
			summary->hosts_compared, "repaired", doctor->repairs);
		json_dumpf(all, stdout, JSON_COMPACT);
		putchar('\n');
		json_decref(all);
		return;
	}
	printf("%" PRIu64 " records, %" PRIu64 " of them live; %zu in no queue\n", summary->records,
		summary->live, json_array_size(doctor->lost));
	if (!summary->compared)
		puts("requests moved all the time, so the counts could not be compared");
	if (!summary->hosts_compared)
		puts("workers hold too many requests, so the hosts could not be compared");
}

/* ---- Redis ---- */

static void on_closed(void *arg)
{
	(void)arg; /* nothing keeps the loop any more */
}

static void end(struct doctor *doctor, int code)
{
	if (doctor->is_closing)
		return;
	doctor->is_closing = true;
	doctor->code = code;
	uv_close((uv_handle_t *)&doctor->patience, NULL);
	pl_queue_close(doctor->queue, on_closed, NULL);
}

static void on_done(
	void *arg, enum pl_err err, const char *why, const struct pl_doctor_summary *summary)
{
	struct doctor *doctor = arg;

	if (err != PL_OK) {
		fprintf(stderr, "fetchback doctor: Redis: %s\n", why);
		end(doctor, err == PL_ECONFLICT ? COMMAND_FAILED : COMMAND_UNREACHABLE);
		return;
	}
	summary_print(doctor, summary);
	bool well = json_array_size(doctor->lost) + json_array_size(doctor->lanes) +
			    json_array_size(doctor->hosts) + json_array_size(doctor->counts) ==
		    0;
	end(doctor, well ? COMMAND_OK : COMMAND_FAILED);
}

static void on_ready(void *arg, const struct pl_queue_redis *redis)
{
	struct doctor *doctor = arg;
	const struct pl_doctor_options options = {
		.repairs = doctor->repairs,
		.on_lost = on_lost,
		.on_lane = on_lane,
		.on_host = on_host,
		.on_count = on_count,
		.on_done = on_done,
		.arg = doctor,
	};

	(void)redis; /* whether it is durable is the services' business */
	if (doctor->begun)
		return; /* lost on the way: its calls have failed, and that has been told */
	doctor->begun = true;
	uv_timer_stop(&doctor->patience);
	pl_queue_doctor(doctor->queue, &options);
}

static void on_lost_redis(void *arg, const char *why)
{
	struct doctor *doctor = arg;

	snprintf(doctor->why, sizeof(doctor->why), "%s", why);
}

static void on_impatient(uv_timer_t *timer)
{
	struct doctor *doctor = timer->data;

	fprintf(stderr, "fetchback doctor: Redis can't be reached: %s\n", doctor->why);
	end(doctor, COMMAND_UNREACHABLE);
}

static int examine(struct doctor *doctor, const char *redis_url)
{
	const struct pl_queue_options options = {
		.redis_url = redis_url,
		.breaker_ms = PL_BREAKER_MS,
		.on_ready = on_ready,
		.on_lost = on_lost_redis,
		.arg = doctor,
	};
	const char *why;
	uv_loop_t loop;

	int failed = uv_loop_init(&loop);
	PL_ASSERT(failed == 0);
	if (pl_queue_new(&loop, &options, &doctor->queue, &why) != PL_OK) {
		fprintf(stderr, "fetchback doctor: REDIS_URL: %s\n", why);
		uv_loop_close(&loop);
		return COMMAND_USAGE;
	}
	doctor->lost = json_array();
	doctor->lanes = json_array();
	doctor->hosts = json_array();
	doctor->counts = json_array();
	uv_timer_init(&loop, &doctor->patience);
	doctor->patience.data = doctor;
	uv_timer_start(&doctor->patience, on_impatient, CONNECT_MS, 0);
	uv_run(&loop, UV_RUN_DEFAULT);
	uv_loop_close(&loop);
	json_decref(doctor->lost);
	json_decref(doctor->lanes);
	json_decref(doctor->hosts);
	json_decref(doctor->counts);
	return doctor->code;
}

/* ---- where it is ---- */

/* The URL of the Redis that an `up` keeps, to free(); NULL: has said why there is none. */
static char *private_url(const char *data_dir)
{
	char *usual = data_dir == NULL ? folder_default_path() : NULL;
	const char *folder = data_dir != NULL ? data_dir : usual;
	char *socket = folder != NULL ? folder_socket(folder) : NULL;
	char *url = NULL;

	if (socket == NULL) {
		fprintf(stderr,
			"fetchback doctor: no REDIS_URL, and no folder of a fetchback up%s%s; see "
			"fetchback doctor --help\n",
			folder != NULL ? ": " : "", folder != NULL ? folder : "");
	} else {
		size_t size = sizeof("unix:") + strlen(socket);
		url = pl_alloc(size);
		snprintf(url, size, "unix:%s", socket);
	}
	free(socket);
	free(usual);
	return url;
}

static int doctor_run(int argc, char **argv)
{
	struct doctor doctor = { .why = "no answer" };
	const char *redis_url = NULL, *data_dir = NULL;
	const struct argument_flag flags[] = {
		{ .name = "--repair", .is_given = &doctor.repairs },
		{ .name = "--redis-url", .value = &redis_url },
		{ .name = "--data-dir", .value = &data_dir },
		{ .name = NULL },
	};
	char *own_url = NULL;
	int code;

	if (!arguments_read(argc, argv, flags, 0, 0, &doctor.arguments))
		return COMMAND_USAGE;
	if (redis_url == NULL && data_dir == NULL)
		redis_url = arguments_environment("REDIS_URL");
	if (redis_url == NULL && data_dir == NULL)
		data_dir = arguments_environment("DATA_DIR");
	if (redis_url == NULL) {
		own_url = private_url(data_dir);
		redis_url = own_url;
	}
	code = redis_url != NULL ? examine(&doctor, redis_url) : COMMAND_UNREACHABLE;
	free(own_url);
	return code;
}

const struct command command_doctor = {
	.name = "doctor",
	.summary = "find requests that are in no queue, and put them back",
	.example = "fetchback doctor --repair",
	.help = doctor_help,
	.run = doctor_run,
};
