#include "process.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static bool read_cpu(int pid, uint64_t *cpu_us)
{
	char path[64], line[1024];
	unsigned long long user, system, children_user, children_system;

	snprintf(path, sizeof path, "/proc/%d/stat", pid);
	FILE *file = fopen(path, "re");
	if (!file)
		return false;
	bool read = fgets(line, sizeof line, file) != NULL;
	fclose(file);
	/* The name may hold anything, parentheses too; the fields begin after its last one. */
	const char *fields = read ? strrchr(line, ')') : NULL;
	if (!fields || sscanf(fields + 1,
			       " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu %llu %llu",
			       &user, &system, &children_user, &children_system) != 4)
		return false;
	*cpu_us = (user + system + children_user + children_system) * 1000000ull /
		  (unsigned long long)sysconf(_SC_CLK_TCK);
	return true;
}

bool process_read(int pid, struct process_usage *out)
{
	struct process_usage usage = { 0 };
	char path[64], line[256];
	unsigned long long kb;

	if (!read_cpu(pid, &usage.cpu_us))
		return false;
	snprintf(path, sizeof path, "/proc/%d/status", pid);
	FILE *file = fopen(path, "re");
	if (!file)
		return false;
	while (fgets(line, sizeof line, file)) {
		if (sscanf(line, "VmRSS: %llu", &kb) == 1)
			usage.rss_kb = kb;
		else if (sscanf(line, "VmHWM: %llu", &kb) == 1)
			usage.peak_kb = kb;
	}
	fclose(file);
	*out = usage;
	return true;
}

void process_command(int pid, char *out, uint32_t size)
{
	char path[64];

	snprintf(path, sizeof path, "/proc/%d/comm", pid);
	FILE *file = fopen(path, "re");
	if (!file || !fgets(out, (int)size, file))
		snprintf(out, size, "%d", pid);
	if (file)
		fclose(file);
	out[strcspn(out, "\n")] = '\0';
}
