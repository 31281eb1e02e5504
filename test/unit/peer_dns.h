/*
 * peer_dns: a name server on the test's own loop, on 127.0.0.1 and a free port. Its behaviour is
 * a table; a test may change the table between two questions (rebinding).
 */
#ifndef PEER_DNS_H
#define PEER_DNS_H

#include <arpa/inet.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <uv.h>

#define PEER_DNS_PACKET 1500
#define PEER_DNS_SILENT 255 /* as rcode: no answer at all */

struct peer_dns_name {
	const char *name;
	const char *addresses; /* "127.0.0.1 ::1", each in the answer to its type */
	uint32_t ttl;
	uint8_t rcode;
};

struct peer_dns {
	uv_udp_t udp;
	char where[32];                    /* "127.0.0.1:12345" */
	const struct peer_dns_name *names; /* ends with a NULL name; others do not exist */
	unsigned questions;                /* of type A: each lookup asks one */
	char packet[PEER_DNS_PACKET];
	bool closed;
};

static inline void peer_dns_room(uv_handle_t *handle, size_t size, uv_buf_t *out)
{
	(void)size;
	struct peer_dns *dns = handle->data;
	*out = uv_buf_init(dns->packet, sizeof(dns->packet));
}

/* The question's name as text; returns the bytes of name, type and class, 0 when there is none. */
static inline size_t peer_dns_question(
	const uint8_t *at, size_t len, char name[256], uint16_t *type)
{
	size_t used = 0, out = 0;
	while (used < len && at[used] != 0) {
		size_t label = at[used++];
		if (used + label >= len || out + label + 1 >= 256)
			return 0;
		if (out > 0)
			name[out++] = '.';
		memcpy(name + out, at + used, label);
		out += label;
		used += label;
	}
	if (used + 5 > len || used > 256)
		return 0;
	name[out] = '\0';
	*type = (uint16_t)(at[used + 1] << 8 | at[used + 2]);
	return used + 5;
}

static inline size_t peer_dns_record(
	uint8_t *out, uint16_t type, uint32_t ttl, const void *data, size_t len)
{
	const uint8_t head[12] = { 0xc0, 12, (uint8_t)(type >> 8), (uint8_t)type, 0, 1,
		(uint8_t)(ttl >> 24), (uint8_t)(ttl >> 16), (uint8_t)(ttl >> 8), (uint8_t)ttl, 0,
		(uint8_t)len };
	memcpy(out, head, sizeof(head));
	memcpy(out + sizeof(head), data, len);
	return sizeof(head) + len;
}

static inline const struct peer_dns_name *peer_dns_find(
	const struct peer_dns *dns, const char *name)
{
	for (const struct peer_dns_name *row = dns->names; row != NULL && row->name != NULL; row++)
		if (strcasecmp(row->name, name) == 0)
			return row;
	return NULL;
}

static inline size_t peer_dns_answers(
	uint8_t *out, const struct peer_dns_name *row, uint16_t type, uint8_t *count)
{
	char list[1024];
	size_t used = 0;
	snprintf(list, sizeof(list), "%s", row->addresses != NULL ? row->addresses : "");
	char *rest = NULL;
	for (char *one = strtok_r(list, " ", &rest); one; one = strtok_r(NULL, " ", &rest)) {
		uint8_t binary[16];
		bool v6 = strchr(one, ':') != NULL;
		if (v6 != (type == 28) || inet_pton(v6 ? AF_INET6 : AF_INET, one, binary) != 1)
			continue;
		used += peer_dns_record(out + used, type, row->ttl, binary, v6 ? 16 : 4);
		(*count)++;
	}
	return used;
}

static inline void peer_dns_on_packet(uv_udp_t *udp, ssize_t got, const uv_buf_t *buf,
	const struct sockaddr *from, unsigned flags)
{
	(void)flags;
	struct peer_dns *dns = udp->data;
	if (got < 17 || from == NULL)
		return;
	uint8_t reply[PEER_DNS_PACKET];
	char name[256];
	uint16_t type;
	const uint8_t *in = (const uint8_t *)buf->base;
	size_t used = 12 + peer_dns_question(in + 12, (size_t)got - 12, name, &type);
	if (used == 12)
		return;
	const struct peer_dns_name *row = peer_dns_find(dns, name);
	dns->questions += type == 1;
	if (row != NULL && row->rcode == PEER_DNS_SILENT)
		return;
	memcpy(reply, in, used);
	uint8_t count = 0;
	uint8_t rcode = row == NULL ? 3 : row->rcode;
	if (rcode == 0)
		used += peer_dns_answers(reply + used, row, type, &count);
	const uint8_t rest[10] = { 0x81, (uint8_t)(0x80 | rcode), 0, 1, 0, count };
	memcpy(reply + 2, rest, sizeof(rest));
	uv_buf_t out = uv_buf_init((char *)reply, (unsigned)used);
	uv_udp_try_send(udp, &out, 1, from);
}

static inline void peer_dns_open(
	struct peer_dns *dns, uv_loop_t *loop, const struct peer_dns_name *names)
{
	struct sockaddr_in any;
	int size = sizeof(any);
	memset(dns, 0, sizeof(*dns));
	dns->names = names;
	uv_udp_init(loop, &dns->udp);
	dns->udp.data = dns;
	uv_ip4_addr("127.0.0.1", 0, &any);
	uv_udp_bind(&dns->udp, (struct sockaddr *)&any, 0);
	uv_udp_getsockname(&dns->udp, (struct sockaddr *)&any, &size);
	snprintf(dns->where, sizeof(dns->where), "127.0.0.1:%u", ntohs(any.sin_port));
	uv_udp_recv_start(&dns->udp, peer_dns_room, peer_dns_on_packet);
}

static inline void peer_dns_close(struct peer_dns *dns)
{
	uv_close((uv_handle_t *)&dns->udp, NULL);
}

#endif
