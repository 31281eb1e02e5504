/*
 * Any text as REDIS_URL: what is taken has a place to go to, comes back when spelled out again,
 * and never shows its password in the start-up log.
 */
#include <stdio.h>

#include "input.h"
#include "pipeline/settings.h"
#include "redis_url.h"

#define SECRET "Only-Us" /* no URL holds it by chance */

static bool same_text(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static enum pl_err add_escaped(struct pl_buf *out, const char *text)
{
	enum pl_err err = PL_OK;
	for (; err == PL_OK && text != NULL && *text != '\0'; text++)
		err = pl_buf_format(out, "%%%02x", (unsigned char)*text);
	return err;
}

static enum pl_err spell(const struct pl_redis_url *url, struct pl_buf *out)
{
	if (url->path != NULL)
		return pl_buf_format(out, "unix:%s?db=%u", url->path, url->db);
	enum pl_err err = pl_buf_text(out, url->tls ? "rediss://" : "redis://");
	if (err == PL_OK && url->password != NULL) {
		err = add_escaped(out, url->user);
		if (err == PL_OK)
			err = pl_buf_text(out, ":");
		if (err == PL_OK)
			err = add_escaped(out, url->password);
		if (err == PL_OK)
			err = pl_buf_text(out, "@");
	}
	bool v6 = strchr(url->host, ':') != NULL;
	return err != PL_OK ? err
			    : pl_buf_format(out, v6 ? "[%s]:%u/%u" : "%s:%u/%u", url->host,
				      url->port, url->db);
}

static void same_again(const struct pl_redis_url *url)
{
	struct pl_buf text;
	struct pl_redis_url again;
	const char *why;
	pl_buf_init(&text, 4 * PL_REDIS_URL_MAX);
	PL_ASSERT(spell(url, &text) == PL_OK);
	if (text.len <= PL_REDIS_URL_MAX) { /* escapes made it longer than one may write */
		PL_ASSERT(pl_redis_url_parse(text.data, &again, &why) == PL_OK);
		PL_ASSERT(again.tls == url->tls && again.port == url->port && again.db == url->db);
		PL_ASSERT(same_text(again.path, url->path) && same_text(again.host, url->host));
		PL_ASSERT(same_text(again.user, url->user));
		PL_ASSERT(same_text(again.password, url->password));
		pl_redis_url_fini(&again);
	}
	pl_buf_fini(&text);
}

static bool parses(const char *text, struct pl_redis_url *url)
{
	const char *why = NULL;
	if (pl_redis_url_parse(text, url, &why) != PL_OK) {
		PL_ASSERT(why != NULL && *why != '\0');
		return false;
	}
	PL_ASSERT((url->path != NULL) != (url->host != NULL));
	PL_ASSERT(url->path == NULL || url->path[0] == '/');
	PL_ASSERT(url->host == NULL || (url->host[0] != '\0' && url->port > 0));
	PL_ASSERT(url->user == NULL || url->password != NULL);
	return true;
}

/* The start-up log of a service with this URL. */
static void shown(const char *text)
{
	static const struct pl_setting rows[] = { { .name = "REDIS_URL", .help = "Where." },
		{ 0 } };
	static const struct pl_setting *const tables[] = { rows, NULL };
	struct pl_settings *settings = NULL;
	char *errors = NULL, *argv[] = { (char *)(uintptr_t) "fuzz",
		(char *)(uintptr_t) "--redis-url", (char *)(uintptr_t)text };
	struct pl_buf line;
	pl_buf_init(&line, 64 * 1024);
	PL_ASSERT(pl_settings_read(tables, 3, argv, &settings, &errors) == PL_OK);
	PL_ASSERT(pl_settings_changes(settings, &line) == PL_OK);
	PL_ASSERT(line.len > 0 && strstr(line.data, SECRET) == NULL);
	pl_settings_free(settings);
	pl_buf_fini(&line);
}

/* The input as the rest of a password and what follows it. */
static void password_hides(const char *rest)
{
	struct pl_redis_url url;
	struct pl_buf text;
	pl_buf_init(&text, strlen(rest) + 64);
	PL_ASSERT(pl_buf_format(&text, "redis://:" SECRET "%s", rest) == PL_OK);
	if (parses(text.data, &url)) {
		PL_ASSERT(url.password != NULL);
		if (strstr(url.host, SECRET) == NULL) /* behind an @ it is no password */
			shown(text.data);
		pl_redis_url_fini(&url);
	}
	pl_buf_fini(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = input_of(data, size);
	struct pl_redis_url url;
	char *text = input_text(&in);
	if (parses(text, &url)) {
		same_again(&url);
		pl_redis_url_fini(&url);
	}
	password_hides(text);
	free(text);
	return 0;
}
