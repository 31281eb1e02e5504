/*
 * fetch: the consumer's verb: one request's provider asked once, what it said stored.
 */
#ifndef CONSUMER_FETCH_H
#define CONSUMER_FETCH_H

#include "pipeline/settings.h"
#include "pipeline/worker.h"

extern const struct pl_work fetch_work;
extern const struct pl_setting fetch_settings[];

#endif
