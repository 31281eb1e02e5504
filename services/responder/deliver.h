/*
 * deliver: the responder's verb: one request's data posted to its callback once.
 */
#ifndef RESPONDER_DELIVER_H
#define RESPONDER_DELIVER_H

#include "pipeline/settings.h"
#include "pipeline/worker.h"

extern const struct pl_work deliver_work;
extern const struct pl_setting deliver_settings[];

#endif
