#include "api.h"

#define THREADS_MAX     4096
#define TAILS_CEILING   4096
#define CONNECTIONS_MAX 65535
#define QUEUE_CEILING   100000000
#define RATE_CEILING    10000 /* rate.c counts whole microseconds */

const struct pl_setting api_settings[] = {
	{ .name = "PORT",
		.type = PL_SETTING_NUMBER,
		.fallback = "3001",
		.min = 0,
		.max = 65535,
		.help = "The port to listen on; 0 takes any that is free." },
	{ .name = "BIND",
		.type = PL_SETTING_TEXT,
		.fits = pl_setting_fits_ipv4,
		.fallback = "127.0.0.1",
		.help = "The IPv4 address to listen on; 0.0.0.0 for all." },
	{ .name = "PUBLIC_URL",
		.type = PL_SETTING_TEXT,
		.fits = pl_setting_fits_base_url,
		.help = "The URL by which clients reach the api; unset: http://127.0.0.1:<PORT>." },
	{ .name = "API_THREADS",
		.type = PL_SETTING_NUMBER,
		.fallback = "256",
		.min = 1,
		.max = THREADS_MAX,
		.help = "Connections served at a time; each has a thread." },
	{ .name = "TAILS_MAX",
		.type = PL_SETTING_NUMBER,
		.fallback = "100",
		.min = 0,
		.max = TAILS_CEILING,
		.help = "Logs followed at a time, each on a thread beside API_THREADS; half of "
			"them by one name of API_KEYS." },
	{ .name = "CONNECTIONS_PER_ADDRESS",
		.type = PL_SETTING_NUMBER,
		.fallback = "128",
		.min = 0,
		.max = CONNECTIONS_MAX,
		.help = "Connections that one client address may hold; 0 is any number." },
	{ .name = "API_RATE",
		.type = PL_SETTING_NUMBER,
		.fallback = "0",
		.min = 0,
		.max = RATE_CEILING,
		.help = "Calls a second that one name of API_KEYS may make to this process; 0 is "
			"any number." },
	{ .name = "QUEUE_MAX",
		.type = PL_SETTING_NUMBER,
		.fallback = "1000000",
		.min = 1,
		.max = QUEUE_CEILING,
		.help = "Requests under way at most; above it none is accepted." },
	{ .name = "DEDUPE_WINDOW",
		.type = PL_SETTING_DURATION,
		.fallback = "5m",
		.min = 1,
		.max = PL_DELAY_MAX_MS,
		.help = "How long a dedupeKey stands where the request says nothing else." },
	{ .name = NULL },
};
