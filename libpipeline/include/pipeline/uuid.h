/*
 * uuid: version 7 (RFC 9562), lower-case text. rand_a (12 bits) carries the shard.
 */
#ifndef PIPELINE_UUID_H
#define PIPELINE_UUID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PL_UUID_SIZE 37 /* 36 characters and the NUL */

/* Any thread, also after a fork. shard is at most 4095. Aborts when the kernel gives no randomness.
 */
void pl_uuid_new(char out[PL_UUID_SIZE], unsigned shard);
bool pl_uuid_valid(const char *text, size_t len); /* version 7, lower case */
uint64_t pl_uuid_time_ms(const char *uuid);       /* of a valid one */
unsigned pl_uuid_shard(const char *uuid);

#endif
