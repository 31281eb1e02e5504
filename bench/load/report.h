/*
 * report: what a run has come to, for people or as one JSON object.
 */
#ifndef LOAD_REPORT_H
#define LOAD_REPORT_H

#include <stdbool.h>

#include "ledger.h"
#include "options.h"
#include "process.h"

struct measured_process {
	const struct process_name *process;
	struct process_usage before, after;
	bool gone;
};

struct report {
	const struct options *options;
	const struct ledger *ledger;
	const struct measured_process *processes;
	uint32_t processes_count;
	double own_cpu_us; /* of the load program, from first post to the end */
	bool cut;          /* the time limit ended it */
};

void report_print(const struct report *report);

#endif
