/*
 * handlers: one per call, found by routes' table. id is the path's {id}, a valid one, or NULL. Each
 * answers exactly once.
 */
#ifndef API_HANDLERS_H
#define API_HANDLERS_H

#include "api.h"

/* accept.c */
void accept_one(struct api *api, struct pl_http_call *call, const char *id);
/* batch.c */
void batch_accept(struct api *api, struct pl_http_call *call, const char *id);
/* validate.c */
void validate_one(struct api *api, struct pl_http_call *call, const char *id);
/* requests.c */
void requests_show(struct api *api, struct pl_http_call *call, const char *id);
void requests_log(struct api *api, struct pl_http_call *call, const char *id);
/* lifecycle.c */
void lifecycle_cancel(struct api *api, struct pl_http_call *call, const char *id);
void lifecycle_pause(struct api *api, struct pl_http_call *call, const char *id);
void lifecycle_resume(struct api *api, struct pl_http_call *call, const char *id);
void lifecycle_redeliver(struct api *api, struct pl_http_call *call, const char *id);
void lifecycle_refetch(struct api *api, struct pl_http_call *call, const char *id);
void lifecycle_delete(struct api *api, struct pl_http_call *call, const char *id);
/* list.c */
void list_show(struct api *api, struct pl_http_call *call, const char *id);
/* bulk.c */
void bulk_cancel(struct api *api, struct pl_http_call *call, const char *id);
void bulk_redeliver(struct api *api, struct pl_http_call *call, const char *id);
void bulk_refetch(struct api *api, struct pl_http_call *call, const char *id);
/* queues.c */
void queues_show(struct api *api, struct pl_http_call *call, const char *id);
void queues_pause_requests(struct api *api, struct pl_http_call *call, const char *id);
void queues_resume_requests(struct api *api, struct pl_http_call *call, const char *id);
void queues_pause_responses(struct api *api, struct pl_http_call *call, const char *id);
void queues_resume_responses(struct api *api, struct pl_http_call *call, const char *id);
/* tails.c */
void tails_follow(struct api *api, struct pl_http_call *call, const char *id);
/* data.c */
void data_send(struct api *api, struct pl_http_call *call, const char *id);
/* health.c */
void health_alive(struct api *api, struct pl_http_call *call, const char *id);
void health_ready(struct api *api, struct pl_http_call *call, const char *id);
/* metrics.c */
void metrics_tell(struct api *api, struct pl_http_call *call, const char *id);
/* openapi.c */
void openapi_show(struct api *api, struct pl_http_call *call, const char *id);

/* Is it one of a signed link? Then the signature is what counts. */
bool data_has_signature(struct pl_http_call *call);

/* Finds the record, if the caller may see it; false: answered already. store_found_fini it. */
bool requests_find(
	struct api *api, struct pl_http_call *call, const char *id, struct store_found *found);

#endif
