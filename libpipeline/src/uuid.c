#include "pipeline/uuid.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/random.h>

#include "pipeline/clock.h"
#include "pipeline/err.h"
#include "pipeline/text.h"

#define RANDOM_BYTES 8 /* rand_b: 62 bits of them stay */
#define SHARD_MAX    0xfff

/* Randomness in stock: one system call for as many ids as fit, of which each thread has its own.
 * 256 bytes are what getrandom gives whole, whatever signals come. */
static _Thread_local struct {
	unsigned char bytes[256];
	size_t left;
} stock;

/* Only the thread that forked lives on in the child, and it must not repeat its parent's ids. */
static void forget_stock(void)
{
	stock.left = 0;
}

static void register_fork(void)
{
	PL_ASSERT(pthread_atfork(NULL, NULL, forget_stock) == 0);
}

static void fill_stock(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	pthread_once(&once, register_fork);
	ssize_t got;
	do
		got = getrandom(stock.bytes, sizeof stock.bytes, 0);
	while (got < 0 && errno == EINTR);
	PL_ASSERT(got == (ssize_t)sizeof stock.bytes);
	stock.left = sizeof stock.bytes;
}

static void take_random(unsigned char out[RANDOM_BYTES])
{
	if (stock.left < RANDOM_BYTES)
		fill_stock();
	stock.left -= RANDOM_BYTES;
	memcpy(out, stock.bytes + stock.left, RANDOM_BYTES);
}

/*
 *   bytes 0-5   Unix time in ms        6-7   version 7 and rand_a, the shard
 *   bytes 8-15  variant 10 and rand_b, 62 random bits
 */
void pl_uuid_new(char out[PL_UUID_SIZE], unsigned shard)
{
	PL_ASSERT(shard <= SHARD_MAX);
	unsigned char bytes[16];
	uint64_t now_ms = pl_clock_wall_ms();
	for (int i = 5; i >= 0; i--, now_ms >>= 8)
		bytes[i] = (unsigned char)(now_ms & 0xff);
	bytes[6] = (unsigned char)(0x70 | shard >> 8);
	bytes[7] = (unsigned char)(shard & 0xff);
	take_random(bytes + 8);
	bytes[8] = (unsigned char)(0x80 | (bytes[8] & 0x3f));

	char hex[2 * sizeof bytes + 1];
	pl_hex(bytes, sizeof bytes, hex);
	static const struct {
		int from, to, len;
	} groups[] = { { 0, 0, 8 }, { 8, 9, 4 }, { 12, 14, 4 }, { 16, 19, 4 }, { 20, 24, 12 } };
	memset(out, '-', PL_UUID_SIZE - 1);
	for (size_t i = 0; i < sizeof groups / sizeof *groups; i++)
		memcpy(out + groups[i].to, hex + groups[i].from, (size_t)groups[i].len);
	out[PL_UUID_SIZE - 1] = '\0';
}

/* -1 when c is no lower-case hex digit. */
static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool pl_uuid_valid(const char *text, size_t len)
{
	if (len != PL_UUID_SIZE - 1)
		return false;
	for (size_t i = 0; i < len; i++) {
		bool dash = i == 8 || i == 13 || i == 18 || i == 23;
		if (dash ? text[i] != '-' : hex_value(text[i]) < 0)
			return false;
	}
	return text[14] == '7' && (hex_value(text[19]) & 0xc) == 0x8;
}

/* The number that the hex digits in uuid[from..to) spell, dashes passed over. */
static uint64_t digits_between(const char *uuid, size_t from, size_t to)
{
	uint64_t number = 0;
	for (size_t i = from; i < to; i++)
		if (uuid[i] != '-')
			number = number << 4 | (uint64_t)hex_value(uuid[i]);
	return number;
}

uint64_t pl_uuid_time_ms(const char *uuid)
{
	return digits_between(uuid, 0, 13);
}

unsigned pl_uuid_shard(const char *uuid)
{
	return (unsigned)digits_between(uuid, 15, 18);
}
