/*
 * greeting: what `up` says when all works: where to post, and examples that go when they are
 * pasted.
 */
#ifndef CLI_GREETING_H
#define CLI_GREETING_H

#include <stdbool.h>
#include <stdio.h>

struct greeting {
	const char *address;   /* the api's, as it is told to clients */
	const char *here;      /* ... as this machine reaches it */
	bool reaches_loopback; /* the pipeline does: provider and callback may be on this machine */
	bool wants_key;
};

void greeting_print(FILE *out, const struct greeting *greeting);

#endif
