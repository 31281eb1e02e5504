#include "pipeline/fault.h"

#include <stddef.h>
#include <string.h>

static const char *const names[] = {
	[PL_FAULT_NONE] = "",
	[PL_FAULT_DNS] = "dns",
	[PL_FAULT_CONNECT] = "connect",
	[PL_FAULT_TLS] = "tls",
	[PL_FAULT_TIMEOUT_CONNECT] = "timeout_connect",
	[PL_FAULT_TIMEOUT_IDLE] = "timeout_idle",
	[PL_FAULT_TIMEOUT_TOTAL] = "timeout_total",
	[PL_FAULT_RESET] = "reset",
	[PL_FAULT_HTTP_STATUS] = "http_status",
	[PL_FAULT_TOO_LARGE] = "too_large",
	[PL_FAULT_TRUNCATED] = "truncated",
	[PL_FAULT_REDIRECT] = "redirect",
	[PL_FAULT_ADDRESS_BLOCKED] = "address_blocked",
	[PL_FAULT_EXPIRED] = "expired",
	[PL_FAULT_CRASHED] = "crashed",
	[PL_FAULT_CANCELLED] = "cancelled",
	[PL_FAULT_SUPERSEDED] = "superseded",
	[PL_FAULT_DATA_EXPIRED] = "data_expired",
};
#define NAMES (sizeof names / sizeof *names)

const char *pl_fault_name(enum pl_fault fault)
{
	size_t i = (size_t)fault;
	return i < NAMES ? names[i] : "";
}

enum pl_fault pl_fault_parse(const char *name)
{
	for (size_t i = 0; i < NAMES; i++)
		if (strcmp(names[i], name) == 0)
			return (enum pl_fault)i;
	return PL_FAULT_NONE;
}
