/*
 * follow: a request's log while it grows, until the request has come to its end.
 *
 *   connect -> events … -> end                     the exit code tells which end
 *      ^          |
 *      '-- wait <-'  the stream broke: again, from the event behind the last one (Last-Event-ID)
 *
 * So an api or a Redis that restarts costs no event, and none comes twice. Given up is an api that
 * has been away for FOLLOW_AWAY_S, or that has not answered even once.
 */
#ifndef CLI_FOLLOW_H
#define CLI_FOLLOW_H

#include "arguments.h"
#include "event_reader.h"

#define FOLLOW_AWAY_S    600
#define FOLLOW_SILENCE_S 45 /* three of the api's heartbeats */

/* on_event: each event of the log, in order, and each gap (name "gap"). Returns COMMAND_OK for a
 * delivered request, COMMAND_UNDELIVERED for another end; else has said what went wrong. */
int follow(const struct arguments *arguments, const char *id,
	void (*on_event)(void *arg, const struct event *event), void *arg);

#endif
