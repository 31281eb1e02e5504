#include "pipeline/request.h"

#include <stdio.h>
#include <stdlib.h>

#include "request_private.h"

void pl_faults_init(struct pl_faults *faults)
{
	faults->count = 0;
	faults->dropped = 0;
	faults->malformed = false;
}

void pl_faults_add(struct pl_faults *faults, const char *pointer, const char *format, ...)
{
	if (faults->count == PL_FAULTS_MAX) {
		faults->dropped++;
		return;
	}
	size_t i = faults->count++;
	snprintf(faults->list[i].pointer, sizeof faults->list[i].pointer, "%s", pointer);
	va_list args;
	va_start(args, format);
	vsnprintf(faults->list[i].detail, sizeof faults->list[i].detail, format, args);
	va_end(args);
}

void pl_request_blank(struct pl_request *request)
{
	for (size_t i = 0; i < PL_STAGES; i++)
		request->stage[i] = (struct pl_stage_options) { .retries = -1 };
	request->failure_callback_url = NULL;
	request->priority = PL_PRIORITY_DEFAULT;
	request->delay_ms = 0;
	request->not_before_ms = 0;
	request->expires_after_ms = 0;
	request->dedupe_key = NULL;
	request->dedupe_window_ms = 0;
	request->dedupe_mode = PL_DEDUPE_DROP;
	request->labels_count = 0;
	request->meta = NULL;
	request->options = NULL;
}

void pl_request_clear(struct pl_request *request)
{
	for (size_t i = 0; i < PL_STAGES; i++) {
		free(request->stage[i].headers);
		free(request->stage[i].schedule);
	}
	json_decref(request->options);
	pl_request_blank(request);
}

void pl_request_free(struct pl_request *request)
{
	if (request == NULL)
		return;
	pl_request_clear(request);
	free(request); /* the URLs lie behind it in the same block */
}
