/*
 * listening: the addresses that the services will listen on, looked at before anything is started.
 */
#ifndef CLI_LISTENING_H
#define CLI_LISTENING_H

#include <stdbool.h>
#include <stddef.h>

bool listening_is_loopback(const char *bind);
/* False having said why nobody can listen there; setting: which one says so. */
bool listening_check(const char *setting, const char *bind, unsigned port);
/* Where a person on this machine finds it. */
void listening_url(const char *bind, const char *port, char *out, size_t size);

/* Whether a port of 127.0.0.1 can be listened on now. */
bool listening_is_free(unsigned port);

#endif
