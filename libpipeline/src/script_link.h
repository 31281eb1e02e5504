/*
 * script_link: a verb's script, with those parts of lib.lua that it uses and no others.
 */
#ifndef PIPELINE_SCRIPT_LINK_H
#define PIPELINE_SCRIPT_LINK_H

/*
 * A part of `lib` begins at the left margin with "local" and ends before the next. What only functions
 * whose first line ends with "-- rarely" use stands inside these. `verb` begins with the line
 * "#!lua flags". The result is the caller's to free.
 */
char *script_link(const char *lib, const char *verb);

#endif
