/*
 * command: what every subcommand of `fetchback` is: a row in main.c's table and a file.
 */
#ifndef CLI_COMMAND_H
#define CLI_COMMAND_H

#include <stdio.h>

#define COMMAND_OK          0
#define COMMAND_FAILED      1 /* the api said no (not found, refused, malformed), or stdout is lost */
#define COMMAND_USAGE       2  /* of the command itself */
#define COMMAND_UNDELIVERED 3  /* the request that was followed has failed or was cancelled */
#define COMMAND_UNREACHABLE 69 /* no api answered (EX_UNAVAILABLE of sysexits.h) */

struct command {
	const char *name;
	const char *summary;               /* one line of `fetchback --help` */
	const char *example;               /* how it is used, as one would type it */
	void (*help)(FILE *out);           /* `fetchback NAME --help`, its example aside */
	int (*run)(int argc, char **argv); /* argv[0] is the subcommand's name */
};

extern const struct command command_up;
extern const struct command command_send;
extern const struct command command_status;
extern const struct command command_logs;
extern const struct command command_health;
extern const struct command command_listen;
extern const struct command command_list;
extern const struct command command_cancel;
extern const struct command command_pause;
extern const struct command command_resume;
extern const struct command command_redeliver;
extern const struct command command_refetch;
extern const struct command command_delete;
extern const struct command command_queues;
extern const struct command command_doctor;
extern const struct command command_verify;

#endif
