#include "pipeline/settings.h"

#include <stdlib.h>
#include <string.h>

#include "pipeline/clock.h"
#include "pipeline/hosts_file.h"
#include "pipeline/keys.h"
#include "pipeline/netpolicy.h"
#include "redis_url.h"
#include "setting_fits.h"

#define SECOND_MS 1000ull
#define HOUR_MS   (60 * 60 * SECOND_MS)
#define MIB       (1024ull * 1024)

static bool fits_redis_url(const char *text, const char **why)
{
	struct pl_redis_url url;
	if (pl_redis_url_parse(text, &url, why) != PL_OK)
		return false;
	pl_redis_url_fini(&url);
	return true;
}

static bool fits_policy(const struct pl_netpolicy_options *options, const char **why)
{
	struct pl_netpolicy *policy;
	if (pl_netpolicy_new(options, &policy, why) != PL_OK) {
		const char *sentence =
			strstr(*why, ": "); /* behind the name, which is told anyway */
		*why = sentence != NULL ? sentence + 2 : *why;
		return false;
	}
	pl_netpolicy_free(policy);
	return true;
}

static bool fits_allowed_networks(const char *text, const char **why)
{
	return fits_policy(&(struct pl_netpolicy_options) { .allow_networks = text }, why);
}

static bool fits_denied_networks(const char *text, const char **why)
{
	return fits_policy(&(struct pl_netpolicy_options) { .deny_networks = text }, why);
}

static bool fits_hosts(const char *text, const char **why)
{
	return fits_policy(&(struct pl_netpolicy_options) { .allow_hosts = text }, why);
}

static bool fits_keys(const char *path, const char **why)
{
	struct pl_keys *keys;
	if (pl_keys_read(path, &keys, why) != PL_OK)
		return false;
	pl_keys_free(keys);
	return true;
}

static bool fits_hosts_file(const char *path, const char **why)
{
	struct pl_host_limit *limits;
	size_t count;
	if (pl_hosts_file_read(path, &limits, &count, why) != PL_OK)
		return false;
	free(limits);
	return true;
}

const struct pl_setting pl_settings_keys[] = {
	{ .name = "API_KEYS",
		.type = PL_SETTING_TEXT,
		.fits = fits_keys,
		.help = "The file of who may use the api, name:sha256[:admin][:whsec_…] a line; "
			"read anew on SIGHUP." },
	{ .name = NULL },
};

const struct pl_setting pl_settings_shared[] = {
	{ .name = "REDIS_URL",
		.type = PL_SETTING_TEXT,
		.fits = fits_redis_url,
		.fallback = "redis://127.0.0.1:6379/0",
		.help = "Where Redis is: redis://, rediss:// or unix:, user and password "
			"included." },
	{ .name = "DURABILITY",
		.type = PL_SETTING_CHOICE,
		.fallback = "strict",
		.choices = "strict|relaxed",
		.help = "strict accepts nothing unless Redis syncs every write to its append-only "
			"file, "
			"evicts nothing and is a master; relaxed accepts, and says so in "
			"/readyz." },
	{ .name = "SHARDS",
		.type = PL_SETTING_NUMBER,
		.fallback = "1",
		.min = 1,
		.max = 1,
		.help = "Into how many parts the queues are divided." },
	{ .name = "LEASE",
		.type = PL_SETTING_DURATION,
		.fallback = "30s",
		.min = SECOND_MS,
		.max = HOUR_MS,
		.help = "How long a worker that falls silent keeps what it holds." },
	{ .name = "HOST_CONCURRENCY",
		.type = PL_SETTING_NUMBER,
		.fallback = "32",
		.min = 1,
		.max = 10000,
		.help = "Exchanges with one host at a time at most, over all workers of a stage." },
	{ .name = "HOST_RATE",
		.type = PL_SETTING_NUMBER,
		.fallback = "0",
		.max = 1000000,
		.help = "Requests a second to one host at most, over all workers of a stage; 0: "
			"any." },
	{ .name = "DRAIN_TIMEOUT",
		.type = PL_SETTING_DURATION,
		.fallback = "8s",
		.min = 0,
		.max = HOUR_MS,
		.help = "How long a service that was told to end may finish what runs." },
	{ .name = "ALLOW_NETWORKS",
		.type = PL_SETTING_TEXT,
		.fits = fits_allowed_networks,
		.help = "Private networks that providers and callbacks may be in, such as "
			"10.0.0.0/8,::1." },
	{ .name = "DENY_NETWORKS",
		.type = PL_SETTING_TEXT,
		.fits = fits_denied_networks,
		.help = "Networks that are never reached, whatever else is allowed." },
	{ .name = "ALLOW_HOSTS",
		.type = PL_SETTING_TEXT,
		.fits = fits_hosts,
		.help = "Names of hosts that are allowed in whatever network they are." },
	{ .name = "RETENTION_DATA",
		.type = PL_SETTING_DURATION,
		.fallback = "72h",
		.min = SECOND_MS,
		.max = PL_DURATION_MAX_MS,
		.help = "How long fetched data is kept after its request has ended." },
	{ .name = "RETENTION_RECORD",
		.type = PL_SETTING_DURATION,
		.fallback = "7d",
		.min = SECOND_MS,
		.max = PL_DURATION_MAX_MS,
		.help = "How long the record and log of a request are kept after it has ended." },
	{ .name = "RETENTION_DEAD",
		.type = PL_SETTING_DURATION,
		.fallback = "30d",
		.min = SECOND_MS,
		.max = PL_DURATION_MAX_MS,
		.help = "How long a failed request is kept, with all it has." },
	{ .name = "RETENTION_MEMORY",
		.type = PL_SETTING_BYTES,
		.fallback = "0",
		.max = 1024 * 1024 * MIB,
		.help = "Redis memory that finished requests may use, the oldest go first; 0: half "
			"of "
			"maxmemory." },
	{ .name = "LOG_LEVEL",
		.type = PL_SETTING_CHOICE,
		.fallback = "info",
		.choices = "debug|info|warn|error",
		.help = "The lowest level that is logged." },
	{ .name = "LOG_FORMAT",
		.type = PL_SETTING_CHOICE,
		.fallback = "json",
		.choices = "json|text",
		.help = "How a line on standard output is written." },
	{ .name = "METRICS_PORT",
		.type = PL_SETTING_NUMBER,
		.fallback = "0",
		.min = 0,
		.max = 65535,
		.help = "The port a worker serves its metrics on; 0 serves none." },
	{ .name = "TIME_SCALE",
		.type = PL_SETTING_NUMBER,
		.fallback = "1",
		.min = 1,
		.max = 100000,
		.help = "For tests: divides schedules, delays, windows and retention; refused "
			"unless Redis "
			"is on this machine." },
	{ .name = "DNS_SERVERS",
		.type = PL_SETTING_TEXT,
		.fits = setting_fits_name_servers,
		.help = "Addresses of the name servers to ask, with commas between; unset: the "
			"system's." },
	{ .name = NULL },
};

const struct pl_setting pl_settings_worker[] = {
	{ .name = "BIND",
		.type = PL_SETTING_TEXT,
		.fits = pl_setting_fits_ipv4,
		.fallback = "127.0.0.1",
		.help = "The IPv4 address that METRICS_PORT listens on; 0.0.0.0 for all." },
	{ .name = "PREFETCH",
		.type = PL_SETTING_NUMBER,
		.fallback = "1024",
		.min = 1,
		.max = 100000,
		.help = "Requests that one process has in flight at most; half of them to "
			"hosts of which nothing good is known." },
	{ .name = "BODY_MEMORY",
		.type = PL_SETTING_BYTES,
		.fallback = "64MiB",
		.min = MIB,
		.max = 1024 * 1024 * MIB,
		.help = "Memory for bodies in one process at most; half of it for hosts of "
			"which nothing good is known." },
	{ .name = "HOSTS_FILE",
		.type = PL_SETTING_TEXT,
		.help = "A file of limits for named hosts: host[:port] concurrency=N rate=N; read "
			"anew on SIGHUP.",
		.fits = fits_hosts_file },
	{ .name = "PUBLIC_URL",
		.type = PL_SETTING_TEXT,
		.fits = pl_setting_fits_base_url,
		.fallback = "http://127.0.0.1:3001",
		.help = "Where the api is reached: dataUrl begins with it; no provider or callback "
			"may be there." },
	{ .name = "CA_FILE",
		.type = PL_SETTING_TEXT,
		.fits = setting_fits_authorities,
		.help = "A file of the certificate authorities to trust; unset: the system's." },
	{ .name = NULL },
};

uint64_t pl_settings_data_ms(const struct pl_settings *settings)
{
	uint64_t data_ms = pl_settings_number(settings, "RETENTION_DATA");
	uint64_t record_ms = pl_settings_number(settings, "RETENTION_RECORD");
	return (data_ms < record_ms ? data_ms : record_ms) /
	       pl_settings_number(settings, "TIME_SCALE");
}
