#include "report.h"

#include <stdio.h>

#include "loop.h"

static double per_second(double count, uint64_t from_ns, uint64_t to_ns)
{
	return to_ns > from_ns ? count * (double)NS_PER_S / (double)(to_ns - from_ns) : 0;
}

struct rates {
	double accepted, delivered, middle;
};

static struct rates rates_of(const struct ledger *ledger)
{
	return (struct rates) {
		.accepted =
			per_second(ledger->accepted, ledger->first_post_ns, ledger->last_answer_ns),
		.delivered = per_second(
			ledger->delivered, ledger->first_post_ns, ledger->last_delivery_ns),
		.middle = ledger->nine_tenths_ns
				  ? per_second(ledger->size - 2 * (ledger->size / 10),
					    ledger->tenth_ns, ledger->nine_tenths_ns)
				  : 0,
	};
}

static double cpu_us(const struct measured_process *process)
{
	return process->gone ? 0 : (double)(process->after.cpu_us - process->before.cpu_us);
}

/* What a figure per request is divided by. */
static double requests(const struct report *report)
{
	const struct ledger *ledger = report->ledger;
	uint32_t count =
		report->options->mode == MODE_ACCEPT ? ledger->accepted : ledger->delivered;

	return count > 0 ? count : 1;
}

static double total_cpu_us(const struct report *report)
{
	double total = 0;

	for (uint32_t i = 0; i < report->processes_count; i++)
		total += cpu_us(&report->processes[i]);
	return total;
}

static void print_spread(const char *name, struct spread spread, const char *end)
{
	printf("\"%s\":{\"p50\":%.3f,\"p99\":%.3f,\"p999\":%.3f,\"max\":%.3f}%s", name,
		spread.p50_ms, spread.p99_ms, spread.p999_ms, spread.max_ms, end);
}

static void print_json(const struct report *report)
{
	const struct ledger *ledger = report->ledger;
	struct rates rates = rates_of(ledger);

	printf("{\"mode\":\"%s\",\"requests\":%u,\"connections\":%u,\"cut\":%s,",
		mode_name(report->options->mode), ledger->size, report->options->connections,
		report->cut ? "true" : "false");
	printf("\"posted\":%u,\"accepted\":%u,\"refused\":%u,\"unknown\":%u,\"delivered\":%u,"
	       "\"lost\":%u,\"duplicates\":%u,\"wrong\":%u,\"refetches\":%u,",
		ledger->posted, ledger->accepted, ledger->refused, ledger->unknown,
		ledger->delivered, ledger_lost(ledger), ledger->duplicates, ledger->wrong,
		ledger->refetches);
	printf("\"accepted_per_s\":%.1f,\"delivered_per_s\":%.1f,\"delivered_per_s_middle\":%.1f,",
		rates.accepted, rates.delivered, rates.middle);
	print_spread("latency_ms", ledger_latency(ledger), ",");
	print_spread("lateness_ms", ledger_lateness(ledger), ",");
	printf("\"own_cpu_us_per_request\":%.1f,\"cpu_us_per_request\":%.1f,\"processes\":[",
		report->own_cpu_us / requests(report), total_cpu_us(report) / requests(report));
	for (uint32_t i = 0; i < report->processes_count; i++) {
		const struct measured_process *process = &report->processes[i];
		printf("%s{\"name\":\"%s\",\"pid\":%d,\"gone\":%s,\"cpu_us_per_request\":%.1f,"
		       "\"rss_kb\":%llu,\"peak_kb\":%llu}",
			i ? "," : "", process->process->name, process->process->pid,
			process->gone ? "true" : "false", cpu_us(process) / requests(report),
			(unsigned long long)process->after.rss_kb,
			(unsigned long long)process->after.peak_kb);
	}
	printf("]}\n");
}

static void print_text(const struct report *report)
{
	const struct ledger *ledger = report->ledger;
	struct rates rates = rates_of(ledger);
	struct spread latency = ledger_latency(ledger), lateness = ledger_lateness(ledger);

	if (report->cut)
		printf("cut       the limit of %u s ended the run\n", report->options->limit_s);
	printf("posted    %u: accepted %u, refused %u, unknown %u\n", ledger->posted,
		ledger->accepted, ledger->refused, ledger->unknown);
	if (report->options->mode != MODE_ACCEPT)
		printf("delivered %u: lost %u, duplicates %u, wrong %u, fetched again %u\n",
			ledger->delivered, ledger_lost(ledger), ledger->duplicates, ledger->wrong,
			ledger->refetches);
	printf("rate      accepted %.0f/s, delivered %.0f/s (middle %.0f/s)\n", rates.accepted,
		rates.delivered, rates.middle);
	printf("latency   p50 %.2f ms, p99 %.2f ms, p99.9 %.2f ms, max %.2f ms\n", latency.p50_ms,
		latency.p99_ms, latency.p999_ms, latency.max_ms);
	if (report->options->mode == MODE_RATE)
		printf("lateness  p50 %.2f ms, p99 %.2f ms (intended to really posted)\n",
			lateness.p50_ms, lateness.p99_ms);
	for (uint32_t i = 0; i < report->processes_count; i++) {
		const struct measured_process *process = &report->processes[i];
		printf("cpu       %-12s %8.1f us a request, %llu kB resident, %llu kB at most%s\n",
			process->process->name, cpu_us(process) / requests(report),
			(unsigned long long)process->after.rss_kb,
			(unsigned long long)process->after.peak_kb, process->gone ? " (gone)" : "");
	}
	if (report->processes_count > 0)
		printf("cpu       %-12s %8.1f us a request\n", "all",
			total_cpu_us(report) / requests(report));
	printf("cpu       %-12s %8.1f us a request\n", "load itself",
		report->own_cpu_us / requests(report));
}

void report_print(const struct report *report)
{
	if (report->options->json)
		print_json(report);
	else
		print_text(report);
}
