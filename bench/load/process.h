/*
 * process: what other processes have used, as /proc tells it.
 */
#ifndef LOAD_PROCESS_H
#define LOAD_PROCESS_H

#include <stdbool.h>
#include <stdint.h>

struct process_usage {
	uint64_t cpu_us; /* user and system, with the children it has waited for */
	uint64_t rss_kb, peak_kb;
};

/* False when there is no such process (any more). */
bool process_read(int pid, struct process_usage *out);
void process_command(int pid, char *out, uint32_t size);

#endif
