/*
 * url: what a client may write as provider or callback, judged by the parser that will dial it.
 *
 * Parsing is libcurl's curl_url, so that checker and fetcher never disagree; the refusals on
 * top of it are docs/PIPELINE.md "Addresses". Only http and https.
 * Threads  any; a pl_url belongs to one thread at a time.
 */
#ifndef PIPELINE_URL_H
#define PIPELINE_URL_H

#include <curl/curl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pipeline/buf.h"

#define PL_URL_MAX  (8 * 1024)
#define PL_LANE_MAX 264 /* "host:port": 253 + brackets + ':' + 5, and the NUL */

struct pl_url;

/* Judges spelling, never DNS and never the address: that is netpolicy's, by pl_url_literal.
 * PL_OK or PL_EINVAL; then *why is what is wrong, static text to follow the field's name
 * ("has no host"). */
PL_MUST_CHECK enum pl_err pl_url_parse(
	const char *text, size_t len, struct pl_url **out, const char **why);
void pl_url_free(struct pl_url *url);

/* Borrowed until pl_url_free. */
const char *pl_url_host(const struct pl_url *url); /* lower case, no brackets, no trailing dot */
const char *pl_url_lane(const struct pl_url *url); /* "host:port", an IPv6 host in brackets */
unsigned pl_url_port(const struct pl_url *url);
bool pl_url_is_https(const struct pl_url *url);
/* The literal address of the host, if it is one in any spelling curl dials as an address. */
bool pl_url_literal(const struct pl_url *url, struct sockaddr_storage *out);
CURLU *pl_url_handle(const struct pl_url *url);    /* for CURLOPT_CURLU; still ours */
const char *pl_url_text(const struct pl_url *url); /* as curl will dial it, no fragment */

/* A Location header against the URL that answered with it (RFC 3986 5); the result is judged
 * as pl_url_parse does. */
PL_MUST_CHECK enum pl_err pl_url_resolve(
	const struct pl_url *base, const char *location, struct pl_url **out, const char **why);
bool pl_url_same_origin(const struct pl_url *a, const struct pl_url *b);

/* For people: without user info, "?…" for a query, no fragment; never fails on stored text. */
PL_MUST_CHECK enum pl_err pl_url_show(const char *text, size_t len, struct pl_buf *out);

#endif
