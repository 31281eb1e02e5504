/*
 * validate: what would become of a request, without accepting it. Names are resolved, which
 * acceptance does not do.
 *
 *   {"valid": true, "hosts": [{"pointer": "/provider", "host": "…",
 *     "addresses": [{"address": "10.0.0.1", "allowed": false, "rule": "10.0.0.0/8"}]}]}
 *
 * Which addresses a name has and what refuses them is the operator's to know: others could look
 * through the operator's network with it. They learn address_blocked, and no hosts.
 */
#include <stdio.h>
#include <string.h>

#include "accept.h"
#include "handlers.h"
#include "lookup.h"
#include "pipeline/clock.h"
#include "pipeline/url.h"

#define A_SECOND     10
#define URLS         3
#define ADDRESS_TEXT INET6_ADDRSTRLEN

struct target {
	const char *pointer, *text;
	struct pl_url *url; /* NULL: not given */
};

static bool is_operator(const struct pl_http_call *call)
{
	const struct caller *caller = caller_of(call);
	if (caller->kind != CALLER_ANYBODY)
		return caller->kind == CALLER_ADMIN;
	return strncmp(pl_http_call_peer(call), "127.", 4) == 0;
}

static const char *address_text(const struct sockaddr_storage *address, char out[ADDRESS_TEXT])
{
	const void *bytes =
		address->ss_family == AF_INET6
			? (const void *)&((const struct sockaddr_in6 *)address)->sin6_addr
			: (const void *)&((const struct sockaddr_in *)address)->sin_addr;
	return inet_ntop(address->ss_family, bytes, out, ADDRESS_TEXT);
}

static const char *judge(const struct api *api, const struct lookup *lookup,
	const struct sockaddr_storage *address, bool *allowed)
{
	const char *rule = "";
	*allowed = pl_netpolicy_judge(api->policy, (const struct sockaddr *)address, lookup->host,
			   &rule) == PL_OK;
	return rule;
}

static void write_host(struct json_writer *w, const struct api *api, const char *pointer,
	const struct lookup *lookup)
{
	json_open(w, NULL, '{');
	json_text(w, "pointer", pointer);
	json_text(w, "host", lookup->host);
	json_open(w, "addresses", '[');
	for (size_t i = 0; i < lookup->count; i++) {
		char text[ADDRESS_TEXT];
		bool allowed;
		const char *rule = judge(api, lookup, &lookup->addresses[i], &allowed);
		json_open(w, NULL, '{');
		json_text(w, "address", address_text(&lookup->addresses[i], text));
		json_bool(w, "allowed", allowed);
		json_text(w, "rule", rule);
		json_close(w, '}');
	}
	json_close(w, ']');
	if (lookup->err != PL_OK)
		json_text(w, "error", "dns");
	json_close(w, '}');
}

/* One forbidden address among a host's forbids all: which of them is dialled, nobody knows. */
static void find_blocked(const struct api *api, const struct target *target,
	const struct lookup *lookup, bool tells, struct pl_faults *faults)
{
	for (size_t i = 0; i < lookup->count; i++) {
		char text[ADDRESS_TEXT];
		bool allowed;
		const char *rule = judge(api, lookup, &lookup->addresses[i], &allowed);
		if (allowed)
			continue;
		if (tells)
			pl_faults_add(faults, target->pointer,
				"address_blocked: %s is %s, refused by %s", lookup->host,
				address_text(&lookup->addresses[i], text), rule);
		else
			pl_faults_add(faults, target->pointer, "address_blocked");
		return;
	}
}

static size_t find_targets(const struct pl_request *request, struct target targets[URLS])
{
	const struct target all[URLS] = {
		{ "/provider", request->provider, NULL },
		{ "/callbackUrl", request->callback_url, NULL },
		{ "/failureCallbackUrl", request->failure_callback_url, NULL },
	};
	size_t count = 0;
	for (size_t i = 0; i < URLS; i++) {
		const char *why;
		if (all[i].text == NULL)
			continue;
		targets[count] = all[i];
		enum pl_err err =
			pl_url_parse(all[i].text, strlen(all[i].text), &targets[count].url, &why);
		PL_ASSERT(err == PL_OK); /* the request was read by the same */
		count++;
	}
	return count;
}

/* False when the service is stopping. */
static bool resolve(
	struct api *api, const struct target *targets, struct lookup *lookups, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		lookups[i].host = pl_url_host(targets[i].url);
		lookups[i].port = pl_url_port(targets[i].url);
		lookups[i].count = pl_url_literal(targets[i].url, &lookups[i].addresses[0]);
	}
	lookups_run(&api->lookups, lookups, count);
	for (size_t i = 0; i < count; i++)
		if (lookups[i].err == PL_ECLOSED)
			return false;
	return true;
}

static void answer_found(const struct api *api, struct pl_http_call *call,
	const struct target *targets, const struct lookup *lookups, size_t count,
	struct pl_faults *faults)
{
	bool tells = is_operator(call);
	for (size_t i = 0; i < count; i++)
		find_blocked(api, &targets[i], &lookups[i], tells, faults);
	if (faults->count > 0) {
		problem_input(call, PL_EBLOCKED, faults);
	} else {
		struct json_writer w = { .out = pl_http_call_scratch(call) };
		json_open(&w, NULL, '{');
		json_bool(&w, "valid", true);
		if (tells)
			json_open(&w, "hosts", '[');
		for (size_t i = 0; tells && i < count; i++)
			write_host(&w, api, targets[i].pointer, &lookups[i]);
		if (tells)
			json_close(&w, ']');
		json_close(&w, '}');
		PL_ASSERT(w.err == PL_OK);
		pl_http_call_answer(call, 200, "application/json", NULL, w.out->data, w.out->len);
	}
}

static void answer(struct api *api, struct pl_http_call *call, const struct pl_request *request,
	struct pl_faults *faults)
{
	struct target targets[URLS];
	struct lookup lookups[URLS];
	size_t count = find_targets(request, targets);
	if (resolve(api, targets, lookups, count))
		answer_found(api, call, targets, lookups, count, faults);
	else
		problem_answer(call, &(struct problem) {
					     .status = 503,
					     .detail = "The service is stopping.",
					     .headers = PROBLEM_RETRY_SOON,
				     });
	for (size_t i = 0; i < count; i++)
		pl_url_free(targets[i].url);
}

void validate_one(struct api *api, struct pl_http_call *call, const char *id)
{
	(void)id;
	if (!rate_take(&api->validations, A_SECOND, pl_clock_mono_us())) {
		problem_answer(
			call, &(struct problem) {
				      .status = 429,
				      .detail = "At most 10 requests a second are validated.",
				      .headers = PROBLEM_RETRY_SOON,
			      });
		return;
	}
	size_t len;
	struct pl_request *request;
	const char *body = pl_http_call_body(call, &len);
	struct pl_faults *faults = accept_take_faults(api);
	/* Without the policy: addresses are judged below, literal ones too. */
	enum pl_err err = pl_request_parse(body, len, NULL, &request, faults);
	if (err == PL_OK) {
		answer(api, call, request, faults);
		pl_request_free(request);
	} else {
		problem_input(call, err, faults);
	}
	accept_give_faults(api, faults);
}
