/*
 * fault: why an attempt or a request went wrong, as docs/API.md words it in records and callbacks.
 */
#ifndef PIPELINE_FAULT_H
#define PIPELINE_FAULT_H

enum pl_fault {
	PL_FAULT_NONE = 0,
	PL_FAULT_DNS,
	PL_FAULT_CONNECT,
	PL_FAULT_TLS,
	PL_FAULT_TIMEOUT_CONNECT,
	PL_FAULT_TIMEOUT_IDLE,
	PL_FAULT_TIMEOUT_TOTAL,
	PL_FAULT_RESET,
	PL_FAULT_HTTP_STATUS,
	PL_FAULT_TOO_LARGE,
	PL_FAULT_TRUNCATED,
	PL_FAULT_REDIRECT,
	PL_FAULT_ADDRESS_BLOCKED,
	PL_FAULT_EXPIRED,
	PL_FAULT_CRASHED,
	PL_FAULT_CANCELLED,
	PL_FAULT_SUPERSEDED,
	PL_FAULT_DATA_EXPIRED,
};

/* "dns", "timeout_idle", …; "" for none. */
const char *pl_fault_name(enum pl_fault fault);
/* PL_FAULT_NONE when the name is not one of ours. */
enum pl_fault pl_fault_parse(const char *name);

#endif
