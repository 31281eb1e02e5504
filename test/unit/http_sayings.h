/*
 * http_sayings: what the rig's server says, by path: every framing, and every way to break it.
 */
#ifndef HTTP_SAYINGS_H
#define HTTP_SAYINGS_H

#include <zlib.h>

#include "http_rig.h"

#define OK_HEAD "HTTP/1.1 200 OK\r\n"

static inline void say_hello(struct peer_conn *conn)
{
	peer_say(conn, OK_HEAD "Content-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello");
}

static inline void say_fields(struct peer_conn *conn)
{
	peer_say(conn, "HTTP/1.1 429 Slow down\r\n"
		       "content-type:application/json ; charset=utf-8\t\r\n"
		       "RETRY-AFTER:   120\r\n"
		       "ETag: \"abc\"\r\n"
		       "Last-Modified: Thu, 01 Jan 2026 00:00:00 GMT\r\n"
		       "Date: Thu, 01 Jan 2026 00:01:00 GMT\r\n"
		       "Accept-Ranges: bytes\r\n"
		       "Content-Range: bytes 0-1/2\r\n"
		       "X-Etag: no\r\n"
		       "Content-Length: 2\r\n\r\n{}");
}

static inline void say_chunks(struct peer_conn *conn)
{
	peer_say(conn, OK_HEAD "Transfer-Encoding: chunked\r\n\r\n"
			       "2;ext=1\r\nab\r\n3\r\ncde\r\n0\r\nEtag: late\r\n\r\n");
}

static inline void say_until_close(struct peer_conn *conn)
{
	peer_say(conn, OK_HEAD "\r\nall there is");
	peer_end(conn);
}

static inline void say_plainly_until_close(struct peer_conn *conn)
{
	peer_say(conn, OK_HEAD "Transfer-Encoding: identity\r\n\r\nall there is");
	peer_end(conn);
}

static inline void say_interim(struct peer_conn *conn)
{
	peer_say(conn, "HTTP/1.1 103 Early Hints\r\nETag: early\r\n\r\n" OK_HEAD
		       "Content-Length: 2\r\n\r\nok");
}

static inline void say_nothing_more(struct peer_conn *conn)
{
	peer_say(conn, "HTTP/1.1 204 No Content\r\n\r\n");
}

static inline void say_too_little(struct peer_conn *conn)
{
	peer_say(conn, OK_HEAD "Content-Length: 10\r\n\r\nhalf");
	peer_end(conn);
}

static inline void say_half_a_chunk(struct peer_conn *conn)
{
	peer_say(conn, OK_HEAD "Transfer-Encoding: chunked\r\n\r\n5\r\nab");
	peer_end(conn);
}

static inline void say_half_a_head(struct peer_conn *conn)
{
	peer_say(conn, OK_HEAD "Content-Le");
	peer_end(conn);
}

static inline void say_goodbye(struct peer_conn *conn)
{
	peer_end(conn);
}

static inline void reset_soon(struct peer_conn *conn)
{
	peer_reset(conn);
}

static inline void say_then_reset(struct peer_conn *conn)
{
	peer_say(conn, OK_HEAD "Content-Length: 10\r\n\r\nhalf");
	peer_later(conn, 20, peer_reset);
}

static inline void say_no_http(struct peer_conn *conn)
{
	peer_say(conn, "220 mail.example ESMTP\r\n");
	peer_end(conn);
}

static inline void say_old_http(struct peer_conn *conn)
{
	peer_say(conn, "<html>an HTTP/0.9 answer</html>");
	peer_end(conn);
}

static inline void say_odd_status(struct peer_conn *conn)
{
	peer_say(conn, "HTTP/1.1 999 Odd\r\nContent-Length: 2\r\n\r\nno");
}

static inline void say_long_heads(struct peer_conn *conn)
{
	char line[1024];
	memset(line, 'x', sizeof(line));
	memcpy(line, "X-Long: ", 8);
	memcpy(line + sizeof(line) - 3, "\r\n", 3);
	peer_say(conn, OK_HEAD);
	for (int i = 0; i < PL_HTTP_HEADERS_MAX / 1024 + 2; i++)
		peer_say(conn, line);
	peer_say(conn, "Content-Length: 0\r\n\r\n");
}

static inline void say_one_long_line(struct peer_conn *conn)
{
	char line[1024];
	memset(line, 'x', sizeof(line));
	peer_say(conn, OK_HEAD "X-Long: ");
	for (int i = 0; i < 400; i++)
		peer_say_bytes(conn, line, sizeof(line));
}

static inline void say_hints_for_ever(struct peer_conn *conn)
{
	for (int i = 0; i < 4000; i++)
		peer_say(conn, "HTTP/1.1 103 Early Hints\r\nLink: </>\r\n\r\n");
}

static inline void say_nothing(struct peer_conn *conn)
{
	(void)conn;
}

static inline void drip(struct peer_conn *conn)
{
	if (conn->said == 10)
		return;
	peer_say_bytes(conn, &"0123456789"[conn->said++], 1);
	peer_later(conn, 20, drip);
}

static inline void say_slowly(struct peer_conn *conn)
{
	conn->said = 0;
	peer_say(conn, OK_HEAD "Content-Length: 10\r\n\r\n");
	drip(conn);
}

static inline void say_half_then_wait(struct peer_conn *conn)
{
	peer_say(conn, OK_HEAD "Content-Length: 10\r\n\r\nhalf");
}

static inline void say_chunk_flood(struct peer_conn *conn)
{
	static char data[16 * 1024];
	peer_say(conn, OK_HEAD "Transfer-Encoding: chunked\r\n\r\n");
	for (int i = 0; i < 64; i++) {
		peer_say(conn, "4000\r\n");
		peer_say_bytes(conn, data, sizeof(data));
		peer_say(conn, "\r\n");
	}
}

static inline void say_packed(struct peer_conn *conn, const uint8_t *packed, size_t len)
{
	char head[256];
	snprintf(head, sizeof(head),
		OK_HEAD "Content-Encoding: gzip\r\nContent-Length: %zu\r\n\r\n", len);
	peer_say(conn, head);
	peer_say_bytes(conn, packed, len);
}

static const uint8_t packed_member[] = { /* "packed and unpacked" */
	0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x03, 0x2b, 0x48, 0x4c, 0xce, 0x4e,
	0x4d, 0x51, 0x48, 0xcc, 0x4b, 0x51, 0x28, 0xcd, 0x2b, 0x00, 0x73, 0x00, 0xf8, 0x0a, 0xa9,
	0xfa, 0x13, 0x00, 0x00, 0x00
};
#define PACKED_LEN sizeof(packed_member)

static inline void say_gzip(struct peer_conn *conn)
{
	say_packed(conn, packed_member, PACKED_LEN);
}

struct coded_saying { /* what a length that fits the bytes does not tell */
	const char *path, *status, *fields;
	size_t from, to; /* of two members, one behind the other */
	const char *behind;
};
#define GZIP "Content-Encoding: gzip\r\n"
static const struct coded_saying coded_sayings[] = {
	{ "/c/half ", "200 OK", GZIP, 0, PACKED_LEN / 2, "" },
	{ "/c/no-trailer ", "200 OK", GZIP, 0, PACKED_LEN - 8, "" },
	{ "/c/no-last-byte ", "200 OK", GZIP, 0, PACKED_LEN - 1, "" },
	{ "/c/empty ", "200 OK", GZIP, 0, 0, "" },
	{ "/c/twice ", "200 OK", GZIP, 0, 2 * PACKED_LEN, "" },
	{ "/c/once-and-a-half ", "200 OK", GZIP, 0, PACKED_LEN * 3 / 2, "" },
	{ "/c/behind ", "200 OK", GZIP, 0, PACKED_LEN, "garbage" },
	{ "/c/without-head ", "200 OK", GZIP, 10, PACKED_LEN, "" },
	{ "/c/x-gzip ", "200 OK", "content-encoding:X-GZip , identity\r\n", 0, PACKED_LEN, "" },
	{ "/c/identity ", "200 OK", "Content-Encoding: identity\r\n", 0, 0, "plain" },
	{ "/c/br ", "200 OK", "Content-Encoding: br\r\n", 0, 0, "squeezed" },
	{ "/c/deflate ", "200 OK", "Content-Encoding: deflate\r\n", 0, 0, "squeezed" },
	{ "/c/gzip-br ", "200 OK", "Content-Encoding: gzip, br\r\n", 0, PACKED_LEN, "" },
	{ "/c/gzip-gzip ", "200 OK", GZIP GZIP, 0, PACKED_LEN, "" },
	{ "/c/404 ", "404 Not Found", GZIP, 0, 0, "no gzip" },
	{ "/c/204 ", "204 No Content", GZIP, 0, 0, "" },
	{ "/c/part ", "206 Partial Content", GZIP, 10, 15, "" },
};

static inline void say_coded(struct peer_conn *conn, const struct coded_saying *saying)
{
	static uint8_t twice[2 * PACKED_LEN];
	char head[256];
	size_t len = saying->to - saying->from + strlen(saying->behind);
	memcpy(twice, packed_member, PACKED_LEN);
	memcpy(twice + PACKED_LEN, packed_member, PACKED_LEN);
	snprintf(head, sizeof(head), "HTTP/1.1 %s\r\n%s", saying->status, saying->fields);
	peer_say(conn, head);
	if (strncmp(saying->status, "204", 3) != 0) {
		snprintf(head, sizeof(head), "Content-Length: %zu\r\n", len);
		peer_say(conn, head);
	}
	peer_say(conn, "\r\n");
	peer_say_bytes(conn, twice + saying->from, saying->to - saying->from);
	peer_say(conn, saying->behind);
}

#define MIXED_LEN (1024 * 1024)

/* Half of it packs to nothing, half not at all. */
static inline const char *mixed_text(void)
{
	static char text[MIXED_LEN + 1];
	uint32_t random = 1;
	for (size_t i = 0; i < MIXED_LEN && text[MIXED_LEN - 1] == '\0'; i++) {
		random = random * 1664525 + 1013904223;
		text[i] = (char)(i / 65536 % 2 == 0 ? 'a' : '0' + (random >> 24) % 64);
	}
	return text;
}

static inline void say_mixed_gzip(struct peer_conn *conn)
{
	static uint8_t out[2 * MIXED_LEN];
	z_stream stream = { .next_in = (Bytef *)(uintptr_t)mixed_text(),
		.avail_in = MIXED_LEN,
		.next_out = out,
		.avail_out = sizeof(out) };
	PL_ASSERT(deflateInit2(&stream, 1, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY) == Z_OK);
	PL_ASSERT(deflate(&stream, Z_FINISH) == Z_STREAM_END);
	say_packed(conn, out, sizeof(out) - stream.avail_out);
	deflateEnd(&stream);
}

/* A chunk that holds half a member: nobody asked for that either. */
static inline void say_gzip_transfer(struct peer_conn *conn)
{
	peer_say(conn, OK_HEAD "Transfer-Encoding: gzip, chunked\r\n\r\n10\r\n");
	peer_say_bytes(conn, packed_member, 16);
	peer_say(conn, "\r\n0\r\n\r\n");
}

/* A gzip head, one letter, then "the last byte 258 times more" (13 bits of fixed Huffman code) for
 * ever: 10 MiB in 64 KiB. */
static inline void say_bomb(struct peer_conn *conn)
{
	static uint8_t packed[64 * 1024] = { 0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff };
	static const char start[] = "01010101010", again[] = "1100010100000";
	const char *bits = start;
	for (size_t at = 80; at < sizeof(packed) * 8; at++) {
		if (*bits == '\0')
			bits = again;
		packed[at / 8] = (uint8_t)(packed[at / 8] | (*bits++ - '0') << at % 8);
	}
	say_packed(conn, packed, sizeof(packed));
}

static inline void say_bad_gzip(struct peer_conn *conn)
{
	peer_say(conn, OK_HEAD "Content-Encoding: gzip\r\nContent-Length: 9\r\n\r\nnot gzip!");
}

static inline void say_big(struct peer_conn *conn)
{
	static char data[1024 * 1024];
	char head[128];
	memset(data, 'b', sizeof(data));
	snprintf(head, sizeof(head), OK_HEAD "Content-Length: %zu\r\n\r\n", sizeof(data));
	peer_say(conn, head);
	peer_say_bytes(conn, data, sizeof(data));
}

static inline void say_back(struct peer_conn *conn)
{
	char head[128];
	snprintf(head, sizeof(head), OK_HEAD "Content-Length: %zu\r\n\r\n", conn->request_len);
	peer_say(conn, head);
	peer_say_bytes(conn, conn->in, conn->request_len);
}

static inline void say_hello_and_close(struct peer_conn *conn)
{
	peer_say(conn, OK_HEAD "Connection: close\r\nContent-Length: 5\r\n\r\nhello");
	peer_end(conn);
}

static inline void say_see_other(struct peer_conn *conn)
{
	peer_say(conn, "HTTP/1.1 303 See Other\r\nLocation: /hello\r\nContent-Length: 0\r\n\r\n");
}

static inline void say_once(struct peer_conn *conn)
{
	if (conn->served > 1)
		peer_close(conn);
	else
		peer_say(conn, OK_HEAD "Content-Length: 4\r\n\r\nonce");
}

static inline void serve_by_path(struct peer_conn *conn)
{
	static const struct {
		const char *path;
		void (*serve)(struct peer_conn *conn);
	} rows[] = {
		{ "/hello ", say_hello },
		{ "/fields ", say_fields },
		{ "/chunks ", say_chunks },
		{ "/until-close ", say_until_close },
		{ "/plainly ", say_plainly_until_close },
		{ "/interim ", say_interim },
		{ "/204 ", say_nothing_more },
		{ "/too-little ", say_too_little },
		{ "/half-a-chunk ", say_half_a_chunk },
		{ "/half-a-head ", say_half_a_head },
		{ "/goodbye ", say_goodbye },
		{ "/reset ", reset_soon },
		{ "/then-reset ", say_then_reset },
		{ "/no-http ", say_no_http },
		{ "/old-http ", say_old_http },
		{ "/odd-status ", say_odd_status },
		{ "/long-heads ", say_long_heads },
		{ "/long-line ", say_one_long_line },
		{ "/hints ", say_hints_for_ever },
		{ "/nothing ", say_nothing },
		{ "/slowly ", say_slowly },
		{ "/half ", say_half_then_wait },
		{ "/chunk-flood ", say_chunk_flood },
		{ "/gzip ", say_gzip },
		{ "/bomb ", say_bomb },
		{ "/bad-gzip ", say_bad_gzip },
		{ "/big ", say_big },
		{ "/back ", say_back },
		{ "/close ", say_hello_and_close },
		{ "/gzip-transfer ", say_gzip_transfer },
		{ "/mixed-gzip ", say_mixed_gzip },
		{ "/see-other ", say_see_other },
		{ "/once ", say_once },
	};
	const char *path = strchr(conn->in, '/');
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (strncmp(path, rows[i].path, strlen(rows[i].path)) != 0)
			continue;
		rows[i].serve(conn);
		return;
	}
	for (size_t i = 0; i < sizeof(coded_sayings) / sizeof(coded_sayings[0]); i++) {
		if (strncmp(path, coded_sayings[i].path, strlen(coded_sayings[i].path)) != 0)
			continue;
		say_coded(conn, &coded_sayings[i]);
		return;
	}
	peer_say(conn, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
}

static inline int open_by_path(void **state)
{
	rig_open(state);
	struct rig *rig = *state;
	rig->server.serve = serve_by_path;
	return 0;
}

#define PATHS_TEST(name) cmocka_unit_test_setup_teardown(name, open_by_path, rig_close)

#endif
