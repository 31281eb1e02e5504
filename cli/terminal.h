/*
 * terminal: where people look: colours, its size, a picture that is drawn again and again.
 */
#ifndef CLI_TERMINAL_H
#define CLI_TERMINAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#define TERMINAL_WATCH_MS 2000
#define TERMINAL_AWAY_S   600 /* a watch whose api has been away for so long ends */

/* Is stdout a terminal, and NO_COLOR unset or empty (no-color.org)? */
bool terminal_has_colors(void);
/* Lines of stdout's terminal; 0: it is none. */
size_t terminal_lines(void);
/* What a state is told in, "" without colours; TERMINAL_PLAIN behind it. */
const char *terminal_state_color(const char *state);
const char *terminal_plain(void);

/* Has frame write what there is to see, at once and every TERMINAL_WATCH_MS: on a terminal over the
 * last one, elsewhere behind it. Ends with the code of the first frame that fails, or when frames
 * have failed for TERMINAL_AWAY_S. frame says on stderr why it fails. */
int terminal_watch(int (*frame)(void *arg, FILE *out), void *arg);

/* Is there a person to answer? */
bool terminal_can_ask(void);
/* True for y or yes; anything else, and the end of input, is a no. */
bool terminal_agrees(const char *question);

#endif
