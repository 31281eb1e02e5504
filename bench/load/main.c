/*
 * fetchback-load: one thread that posts requests, answers for their providers, receives their
 * callbacks, and says whether every accepted one came back once and unchanged.
 */
#include <sys/prctl.h>
#include <time.h>

#include "ledger.h"
#include "options.h"
#include "process.h"
#include "report.h"
#include "roles.h"

#define CONNECT_LIMIT_S 10

struct run {
	struct options options;
	struct loop loop;
	struct ledger ledger;
	struct provider provider;
	struct receiver receiver;
	struct client client;
	struct measured_process processes[PROCESSES_MAX];
	uint64_t limit_ns;
};

static uint64_t earliest(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static void turn(struct run *run, uint64_t until_ns)
{
	uint64_t due_ns = earliest(client_due_ns(&run->client), provider_due_ns(&run->provider));

	loop_turn(&run->loop, earliest(due_ns, until_ns));
	client_tick(&run->client, run->loop.now_ns);
	provider_tick(&run->provider, run->loop.now_ns);
}

static bool over(const struct run *run)
{
	if (run->options.mode == MODE_ACCEPT)
		return ledger_answered(&run->ledger);
	return ledger_complete(&run->ledger);
}

static void connect_all(struct run *run)
{
	uint64_t limit_ns = loop_clock(&run->loop) + CONNECT_LIMIT_S * NS_PER_S;

	while (!client_connected(&run->client) && run->loop.now_ns < limit_ns)
		turn(run, limit_ns);
	if (!client_connected(&run->client))
		fail("the api did not take all connections");
}

static void linger(struct run *run)
{
	uint64_t until_ns =
		earliest(run->loop.now_ns + run->options.linger_ms * NS_PER_MS, run->limit_ns);

	while (run->loop.now_ns < until_ns)
		turn(run, until_ns);
}

static void measure(struct run *run, bool after)
{
	for (uint32_t i = 0; i < run->options.processes_count; i++) {
		struct measured_process *process = &run->processes[i];
		struct process_name *name = &run->options.processes[i];
		process->process = name;
		if (!name->name[0])
			process_command(name->pid, name->name, sizeof name->name);
		if (!process_read(name->pid, after ? &process->after : &process->before))
			process->gone = true;
	}
}

static double own_cpu_us(void)
{
	struct timespec used;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
	return (double)used.tv_sec * 1e6 + (double)used.tv_nsec / 1e3;
}

static bool passed(const struct run *run)
{
	const struct ledger *ledger = &run->ledger;

	if (ledger->wrong > 0 || !over(run))
		return false;
	return run->options.at_least_once ||
	       (ledger->duplicates == 0 && ledger->refused == 0 && ledger->unknown == 0);
}

int main(int argc, char **argv)
{
	static struct run run;

	options_parse(argc, argv, &run.options);
	/* A timer that is 50 us late, the system's default, would be read as latency. */
	prctl(PR_SET_TIMERSLACK, 1);
	loop_init(&run.loop);
	ledger_init(&run.ledger, run.options.requests);
	provider_open(&run.provider, &run.loop, &run.options, &run.ledger);
	receiver_open(&run.receiver, &run.loop, &run.options, &run.ledger);
	client_open(
		&run.client, &run.loop, &run.options, &run.ledger, &run.provider, &run.receiver);
	connect_all(&run);

	measure(&run, false);
	double cpu_before_us = own_cpu_us();
	client_start(&run.client, loop_clock(&run.loop));
	run.limit_ns = run.loop.now_ns + run.options.limit_s * NS_PER_S;
	client_tick(&run.client, run.loop.now_ns);
	while (!over(&run) && run.loop.now_ns < run.limit_ns)
		turn(&run, run.limit_ns);
	bool cut = !over(&run);
	linger(&run);
	measure(&run, true);

	report_print(&(struct report) { .options = &run.options,
		.ledger = &run.ledger,
		.processes = run.processes,
		.processes_count = run.options.processes_count,
		.own_cpu_us = own_cpu_us() - cpu_before_us,
		.cut = cut });
	client_close(&run.client);
	receiver_close(&run.receiver);
	provider_close(&run.provider);
	loop_fini(&run.loop);
	bool ok = passed(&run);
	ledger_fini(&run.ledger);
	return ok ? 0 : 1;
}
