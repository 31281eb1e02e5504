/*
 * listening: the address that the api will listen on, looked at before anything is started.
 */
#ifndef CLI_LISTENING_H
#define CLI_LISTENING_H

#include <stdbool.h>
#include <stddef.h>

bool listening_is_loopback(const char *bind);
/* 0, or PL_EXIT_SETTING having said why nobody can listen there. */
int listening_check(const char *bind, const char *port);
/* Where a person on this machine finds it. */
void listening_url(const char *bind, const char *port, char *out, size_t size);

/* Whether a port of 127.0.0.1 can be listened on now. */
bool listening_is_free(unsigned port);

#endif
