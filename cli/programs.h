/*
 * programs: where the programs are that this one starts. Paths to free().
 */
#ifndef CLI_PROGRAMS_H
#define CLI_PROGRAMS_H

/* Beside this one, wherever that is; NULL, having said so, when the system does not tell. */
char *programs_beside(const char *name);
/* In PATH; NULL when it is nowhere there. */
char *programs_in_path(const char *name);

#endif
