/* What a client may write: every spelling of an address is that address, or is refused. */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "pipeline/netpolicy.h"
#include "pipeline/url.h"

static struct pl_netpolicy *policy;
static unsigned forms; /* spellings judged, so that the table can't shrink unseen */

static int start(void **state)
{
	(void)state;
	const char *why;
	return (int)pl_netpolicy_new(&(struct pl_netpolicy_options) { 0 }, &policy, &why);
}

static int stop(void **state)
{
	(void)state;
	pl_netpolicy_free(policy);
	return 0;
}

static struct pl_url *parsed(const char *text)
{
	struct pl_url *url = NULL;
	const char *why = NULL;
	if (pl_url_parse(text, strlen(text), &url, &why) != PL_OK)
		fail_msg("\"%s\" %s", text, why);
	return url;
}

static void refused_bytes(const char *text, size_t len, const char *wanted)
{
	struct pl_url *url = NULL;
	const char *why = NULL;
	if (pl_url_parse(text, len, &url, &why) != PL_EINVAL)
		fail_msg("\"%s\" was taken as %s", text, pl_url_text(url));
	assert_null(url);
	assert_non_null(why);
	if (wanted != NULL && strstr(why, wanted) == NULL)
		fail_msg("\"%s\" %s; wanted: %s", text, why, wanted);
}

static void refused(const char *text, const char *wanted)
{
	refused_bytes(text, strlen(text), wanted);
}

/* Not taken, or seen as a literal address that the policy refuses. */
static void never_dialled(const char *text)
{
	struct pl_url *url = NULL;
	const char *why = NULL;
	struct sockaddr_storage address;
	forms++;
	if (pl_url_parse(text, strlen(text), &url, &why) != PL_OK)
		return;
	if (!pl_url_literal(url, &address))
		fail_msg("\"%s\" was taken for the name %s", text, pl_url_host(url));
	if (pl_netpolicy_judge(policy, (struct sockaddr *)&address, NULL, NULL) != PL_EBLOCKED)
		fail_msg("\"%s\" may be dialled as %s", text, pl_url_host(url));
	pl_url_free(url);
}

/* Taken as the address it means, and passed. */
static void dialled(const char *text, const unsigned char four[4])
{
	struct pl_url *url = parsed(text);
	struct sockaddr_storage address;
	char wanted[INET_ADDRSTRLEN];
	forms++;
	if (!pl_url_literal(url, &address))
		fail_msg("\"%s\" was taken for the name %s", text, pl_url_host(url));
	if (address.ss_family == AF_INET) {
		const struct sockaddr_in *v4 = (const struct sockaddr_in *)&address;
		assert_memory_equal(&v4->sin_addr, four, 4);
		inet_ntop(AF_INET, four, wanted, sizeof wanted);
		assert_string_equal(pl_url_host(url), wanted);
		assert_non_null(strstr(pl_url_text(url), wanted));
	} else {
		const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&address;
		assert_memory_equal(v6->sin6_addr.s6_addr + 12, four, 4);
	}
	if (pl_netpolicy_judge(policy, (struct sockaddr *)&address, NULL, NULL) != PL_OK)
		fail_msg("\"%s\" is refused", text);
	pl_url_free(url);
}

/* How an IPv4 address a.b.c.d can be written. */
enum { SPELLINGS = 32 };
static void spell(unsigned which, const unsigned char at[4], char *out, size_t size)
{
	unsigned a = at[0], b = at[1], c = at[2], d = at[3];
	unsigned cd = c << 8 | d, bcd = b << 16 | cd, all = a << 24 | bcd;
	switch (which) {
#define FORM(number, ...)                         \
	case number:                              \
		snprintf(out, size, __VA_ARGS__); \
		break
		FORM(0, "http://%u.%u.%u.%u/", a, b, c, d);
		FORM(1, "http://%u.%u.%u.%u", a, b, c, d);
		FORM(2, "http://%u.%u.%u.%u./", a, b, c, d);
		FORM(3, "http://%u.%u.%u.%u:80/", a, b, c, d);
		FORM(4, "http://%u.%u.%u.%u.:8080/x?y#z", a, b, c, d);
		FORM(5, "https://%u.%u.%u.%u?x", a, b, c, d);
		FORM(6, "http://0x%x.0x%x.0x%x.0x%x/", a, b, c, d);
		FORM(7, "http://0X%X.0X%X.0X%X.0X%X/", a, b, c, d);
		FORM(8, "http://0%o.0%o.0%o.0%o/", a, b, c, d);
		FORM(9, "http://000%o.000%o.000%o.000%o/", a, b, c, d);
		FORM(10, "http://0x%02x%02x%02x%02x/", a, b, c, d);
		FORM(11, "http://0X%08X./", all);
		FORM(12, "http://%u/", all);
		FORM(13, "http://%u./", all);
		FORM(14, "http://0%o/", all);
		FORM(15, "http://0000000000%o/", all);
		FORM(16, "http://0x00000000%x/", all);
		FORM(17, "http://%u.%u/", a, bcd);
		FORM(18, "http://%u.0x%x/", a, bcd);
		FORM(19, "http://0%o.%u./", a, bcd);
		FORM(20, "http://%u.%u.%u/", a, b, cd);
		FORM(21, "http://0x%x.0%o.%u/", a, b, cd);
		FORM(22, "http://%u.%u.0x%x.0%o/", a, b, c, d);
		FORM(23, "http://0%o.%u.%u.0x%X/", a, b, c, d);
		FORM(24, "http://[::ffff:%u.%u.%u.%u]/", a, b, c, d);
		FORM(25, "http://[::ffff:%x:%x]/", a << 8 | b, cd);
		FORM(26, "http://[::FFFF:%X:%X]:80/", a << 8 | b, cd);
		FORM(27, "http://[0:0:0:0:0:ffff:%u.%u.%u.%u]/", a, b, c, d);
		FORM(28, "http://[0000:0000:0000:0000:0000:ffff:%04x:%04x]/", a << 8 | b, cd);
		FORM(29, "http://[2606:4700::5efe:%u.%u.%u.%u]/", a, b, c, d);
		FORM(30, "HTTP://%u.%u.%u.%u:000080/", a, b, c, d);
		FORM(31, "http://0x%x.%u/", a, bcd);
#undef FORM
	default:
		fail();
	}
}

static void test_every_spelling_of_a_forbidden_address(void **state)
{
	(void)state;
	static const unsigned char forbidden[][4] = { { 127, 0, 0, 1 }, { 127, 255, 255, 254 },
		{ 10, 0, 0, 1 }, { 10, 255, 255, 255 }, { 192, 168, 1, 1 }, { 172, 16, 0, 1 },
		{ 172, 31, 255, 255 }, { 169, 254, 169, 254 }, { 100, 64, 0, 1 },
		{ 168, 63, 129, 16 }, { 192, 0, 2, 1 }, { 224, 0, 0, 1 }, { 255, 255, 255, 255 },
		{ 198, 18, 0, 1 } };
	for (size_t i = 0; i < sizeof forbidden / sizeof *forbidden; i++)
		for (unsigned form = 0; form < SPELLINGS; form++) {
			char text[128];
			spell(form, forbidden[i], text, sizeof text);
			never_dialled(text);
		}
	assert_true(forms > 300);
}

static void test_every_spelling_of_a_public_neighbour(void **state)
{
	(void)state;
	static const unsigned char neighbours[][4] = { { 126, 255, 255, 255 }, { 128, 0, 0, 0 },
		{ 9, 255, 255, 255 }, { 11, 0, 0, 0 }, { 192, 167, 255, 255 }, { 192, 169, 0, 0 },
		{ 172, 15, 255, 255 }, { 172, 32, 0, 0 }, { 169, 253, 255, 255 },
		{ 100, 63, 255, 255 }, { 100, 128, 0, 0 }, { 168, 63, 129, 17 },
		{ 223, 255, 255, 255 }, { 8, 8, 8, 8 } };
	for (size_t i = 0; i < sizeof neighbours / sizeof *neighbours; i++)
		for (unsigned form = 0; form < SPELLINGS; form++) {
			char text[128];
			spell(form, neighbours[i], text, sizeof text);
			dialled(text, neighbours[i]);
		}
}

/* Where curl would have connected to; nothing is sent. */
static curl_socket_t no_socket(void *seen, curlsocktype purpose, struct curl_sockaddr *address)
{
	(void)purpose;
	memcpy(seen, &address->addr, address->addrlen);
	return CURL_SOCKET_BAD;
}

static void curl_agrees(CURL *curl, const char *text)
{
	struct sockaddr_storage wanted, seen = { 0 };
	struct pl_url *url = NULL;
	const char *why;
	if (pl_url_parse(text, strlen(text), &url, &why) != PL_OK)
		return;
	assert_true(pl_url_literal(url, &wanted));
	curl_easy_reset(curl);
	curl_easy_setopt(curl, CURLOPT_CURLU, pl_url_handle(url));
	curl_easy_setopt(curl, CURLOPT_PROXY, "");
	curl_easy_setopt(curl, CURLOPT_OPENSOCKETFUNCTION, no_socket);
	curl_easy_setopt(curl, CURLOPT_OPENSOCKETDATA, &seen);
	assert_int_not_equal(curl_easy_perform(curl), CURLE_OK);
	size_t size = wanted.ss_family == AF_INET ? sizeof(struct sockaddr_in)
						  : sizeof(struct sockaddr_in6);
	if (memcmp(&wanted, &seen, size) != 0)
		fail_msg("\"%s\": curl dials another address than %s", text, pl_url_lane(url));
	forms++;
	pl_url_free(url);
}

static void test_curl_dials_what_was_judged(void **state)
{
	(void)state;
	static const unsigned char addresses[][4] = { { 127, 0, 0, 1 }, { 10, 0, 0, 255 },
		{ 8, 8, 8, 8 }, { 169, 254, 169, 254 }, { 192, 167, 255, 255 } };
	CURL *curl = curl_easy_init();
	assert_non_null(curl);
	forms = 0;
	for (size_t i = 0; i < sizeof addresses / sizeof *addresses; i++)
		for (unsigned form = 0; form < SPELLINGS; form++) {
			char text[128];
			spell(form, addresses[i], text, sizeof text);
			curl_agrees(curl, text);
		}
	assert_int_equal(forms, 5 * SPELLINGS);
	curl_easy_cleanup(curl);
}

static void test_forms_of_their_own(void **state)
{
	(void)state;
	static const char *const table[] = {
		"http://0/",
		"http://0./",
		"http://00/",
		"http://0x0/",
		"http://0x/",
		"http://0X./",
		"http://0.0/",
		"http://0.0.0.0:3001/",
		"http://1/",
		"http://127.1/",
		"http://127.1./",
		"http://127.0.1/",
		"http://127.00000000000001/",
		"http://0x7f.1/",
		"http://0x7f.0.0.0x1/",
		"http://0177.0.0.1/",
		"http://00000177.0.0.1/",
		"http://2130706433/",
		"http://017700000001/",
		"http://0x7f000001/",
		"http://0x0000007f000001/",
		"http://4294967295/",
		"http://127.0.0.1.../",
		"http://127.0.0.1../",
		"http://.127.0.0.1/",
		"http://127..1/",
		"http://127.0.0.1.nip./",
		"http://127.0.0.256/",
		"http://127.0.0.08/",
		"http://127.0.0.1.1/",
		"http://4294967296/",
		"http://4294967297/",
		"http://18446744071692263425/", /* 2^64 + 127.0.0.1 */
		"http://0x17f000001/",
		"http://127.16777217/",
		"http://a.127/",
		"http://a.0x7f/",
		"http://[::]/",
		"http://[::1]/",
		"http://[::1]:80/",
		"http://[0:0:0:0:0:0:0:1]/",
		"http://[0000::0001]/",
		"http://[::0.0.0.1]/",
		"http://[::127.0.0.1]/",
		"http://[::7f00:1]/",
		"http://[::ffff:0:127.0.0.1]/",
		"http://[::ffff:0.0.0.0]/",
		"http://[64:ff9b::127.0.0.1]/",
		"http://[64:ff9b::8.8.8.8]/",
		"http://[2002:7f00:1::]/",
		"http://[2001:0:1:2::3]/",
		"http://[2001:db8::1]/",
		"http://[3fff::1]/",
		"http://[fe80::1]/",
		"http://[fe80::1%25eth0]/",
		"http://[fe80::1%eth0]/",
		"http://[fe80::1%251]/",
		"http://[2606:4700::1%25lo]/",
		"http://[fc00::1]/",
		"http://[fd00:ec2::254]/",
		"http://[fec0::1]/",
		"http://[ff02::1]/",
		"http://[::1]./",
		"http://[::1].example/",
		"http://[::1/",
		"http://::1/",
		"http://::1]/",
		"http://[[::1]]/",
		"http://[127.0.0.1]/",
		"http://[localhost]/",
		"http://[v1.fe]/",
		"http://[]/",
		"http://127.0.0.1%2f@public.example/",
		"http://127%2e0%2e0%2e1/",
		"http://%31%32%37.0.0.1/",
		"http://%30/",
		"http://127.0.0.1%00.example/",
		"http://127.0.0.1%20/",
		"http://127.0.0.1%23.example/",
		"http://\xe2\x91\xa0\xe2\x91\xa1\xe2\x91\xa6.0.0.1/", /* circled digits */
		"http://127\xe3\x80\x82"
		"0\xe3\x80\x82"
		"0\xe3\x80\x82"
		"1/",                                                 /* full stops */
		"http://\xef\xbc\x91\xef\xbc\x92\xef\xbc\x97.0.0.1/", /* full width */
		"http://127.0.0.1\xc2\xad/",
		"http://public.example@127.0.0.1/",
		"http://public.example:80@127.0.0.1/",
		"http://127.0.0.1@public.example/",
		"http://@127.0.0.1/",
		"http://:@127.0.0.1/",
		"http://a:b@c:d@127.0.0.1/",
		"http://public.example\\@127.0.0.1/",
		"http://127.0.0.1\\@public.example/",
		"http:\\\\127.0.0.1\\",
		"http:/\\127.0.0.1/",
		"http://127.0.0.1\t/",
		"http://127.0.0.1\r\n.example/",
		"http:// 127.0.0.1/",
		" http://127.0.0.1/",
		"http://127.0.0.1/ ",
		"\thttp://127.0.0.1/",
		"http://127.0.0.1:80:80/",
		"http://127.0.0.1:/",
		"http://127.0.0.1:0/",
		"http://127.0.0.1:65536/",
		"http://127.0.0.1:-1/",
		"http://127.0.0.1:+80/",
		"http://127.0.0.1:8o/",
		"http:127.0.0.1/",
		"http:/127.0.0.1/",
		"http:///127.0.0.1/",
		"http:////127.0.0.1/",
		"//127.0.0.1/",
		"127.0.0.1",
		"127.0.0.1:80",
		"127.0.0.1/x",
		"/127.0.0.1",
		"?127.0.0.1",
		"http://#127.0.0.1",
		"http://?127.0.0.1",
		"http://127.0.0.1#@public.example/",
		"http://127.0.0.1?@public.example/",
		"http://127.0.0.1/@public.example/",
		"http://127.0.0.1;public.example/",
		"http://127.0.0.1,public.example/",
		"http://public.example,127.0.0.1/",
		"http://127.0.0.1&public.example/",
		"http://{127.0.0.1,public.example}/",
		"http://127.0.0.[1-9]/",
		"http://127.0.0.1`/",
		"http://127.0.0.1'/",
		"http://127.0.0.1\"/",
		"http://127.0.0.1^/",
		"http://$127.0.0.1/",
		"file:///etc/passwd",
		"file://127.0.0.1/etc/passwd",
		"ftp://127.0.0.1/",
		"gopher://127.0.0.1:6379/_FLUSHALL",
		"dict://127.0.0.1:6379/info",
		"ldap://127.0.0.1/",
		"smtp://127.0.0.1/",
		"telnet://127.0.0.1/",
		"tftp://127.0.0.1/",
		"ws://127.0.0.1/",
		"wss://127.0.0.1/",
		"unix:/run/redis.sock",
		"redis://127.0.0.1/",
		"javascript:alert(1)",
		"data:text/plain,x",
		"jar:http://127.0.0.1!/",
		"url:http://127.0.0.1/",
		"view-source:http://127.0.0.1/",
		"httpx://127.0.0.1/",
		"http+unix://127.0.0.1/",
		"hhttp://127.0.0.1/",
		"h\xc5\xbftp://127.0.0.1/",
		"http\xef\xbc\x9a//127.0.0.1/",
	};
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		if (strstr(table[i], ".nip.") != NULL) { /* a name in spite of its digits */
			pl_url_free(parsed(table[i]));
			continue;
		}
		never_dialled(table[i]);
	}
}

static void test_bytes_that_are_refused_wherever_they_stand(void **state)
{
	(void)state;
	char text[64];
	for (unsigned c = 0; c < 256; c++) {
		bool bad = c < 0x21 || c == 0x7f || c == '\\';
		static const char *const frames[] = { "http://a.example/x?", "http://a.example/x/",
			"http://a.example/x#" };
		for (size_t i = 0; i < sizeof frames / sizeof *frames; i++) {
			size_t len = (size_t)snprintf(text, sizeof text, "%s", frames[i]);
			text[len] = (char)c;
			memcpy(text + len + 1, "y", 2);
			if (bad)
				refused_bytes(text, len + 2, c == '\\' ? "backslash" : "white");
			else
				pl_url_free(parsed(text));
		}
		size_t len = (size_t)snprintf(text, sizeof text, "http://a");
		text[len] = (char)c;
		memcpy(text + len + 1, "b.example/", 11);
		if (bad || c >= 0x80 || c == '%' || c == '@')
			refused_bytes(text, len + 11, NULL);
	}
	refused_bytes("http://a.example/\0http://b.example/", 35, "control");
	refused_bytes("http://a.example/\0", 18, "control");
}

static void test_why(void **state)
{
	(void)state;
	refused("", "is empty");
	refused("a", "must begin with http");
	refused("a.example/x", "must begin with http");
	refused("ftp://a.example/", "must begin with http");
	refused("http:a.example/", "must begin with http");
	refused("http:/a.example/", "must begin with http");
	refused("HTTPS:/a.example/", "must begin with http");
	refused("http://", "has no host");
	refused("http:///a.example/", "has no host");
	refused("https:////a.example/", "has no host");
	refused("http://:80/", "has no host");
	refused("http://./", "empty label");
	refused("http://a.example../", "empty label");
	refused("http://a..example/", "empty label");
	refused("http://.example/", "empty label");
	refused("http://a.example:0/", "port");
	refused("http://a.example:00/", "port");
	refused("http://a.example:65536/", "port");
	refused("http://a.example:99999999999999999999/", "port");
	refused("http://a.example:x/", "port");
	refused("http://a:b@c.example/", "user information");
	refused("http://a@c.example/", "user information");
	refused("http://a%2eexample/", "escape");
	refused("http://b\xc3\xbc"
		"cher.example/",
		"punycode");
	refused("http://1.2.3.4.5/", "looks like a number");
	refused("http://a b/", "white space");
}

static void test_lengths(void **state)
{
	(void)state;
	char label[65], host[300], text[PL_URL_MAX + 2];
	memset(label, 'a', sizeof label);
	snprintf(text, sizeof text, "http://%.63s/", label);
	pl_url_free(parsed(text));
	snprintf(text, sizeof text, "http://%.64s/", label);
	refused(text, "63 bytes");
	snprintf(host, sizeof host, "%.63s.%.63s.%.63s.%.61s", label, label, label, label);
	assert_int_equal(strlen(host), 253);
	snprintf(text, sizeof text, "https://%s.:65535/", host);
	struct pl_url *url = parsed(text);
	assert_string_equal(pl_url_host(url), host);
	assert_true(strlen(pl_url_lane(url)) < PL_LANE_MAX);
	pl_url_free(url);
	snprintf(text, sizeof text, "http://%sa/", host);
	refused(text, "253 bytes");
	memset(text, 'x', sizeof text);
	memcpy(text, "http://a.example/", 17);
	text[PL_URL_MAX] = '\0';
	pl_url_free(parsed(text));
	text[PL_URL_MAX] = 'x';
	text[PL_URL_MAX + 1] = '\0';
	refused(text, "8 KiB");
}

static void test_parts(void **state)
{
	(void)state;
	static const struct {
		const char *text, *host, *lane, *shown;
		unsigned port;
		bool https;
	} table[] = {
		{ "http://a.example", "a.example", "a.example:80", "http://a.example/", 80, false },
		{ "HTTPS://A.Example", "a.example", "a.example:443", "https://A.Example/", 443,
			true },
		{ "http://a.example:8080/x?y=1#z", "a.example", "a.example:8080",
			"http://a.example:8080/x?y=1", 8080, false },
		{ "http://a.example./", "a.example", "a.example:80", "http://a.example/", 80,
			false },
		{ "http://localhost:3000/", "localhost", "localhost:3000", "http://localhost:3000/",
			3000, false },
		{ "https://x.localhost", "x.localhost", "x.localhost:443", "https://x.localhost/",
			443, true },
		{ "http://a_b-c.example:/", "a_b-c.example", "a_b-c.example:80",
			"http://a_b-c.example/", 80, false },
		{ "http://127.0.0.1.nip.example/", "127.0.0.1.nip.example",
			"127.0.0.1.nip.example:80", "http://127.0.0.1.nip.example/", 80, false },
		{ "http://0x7f.example/", "0x7f.example", "0x7f.example:80", "http://0x7f.example/",
			80, false },
		{ "http://1e3/", "1e3", "1e3:80", "http://1e3/", 80, false },
		{ "http://8.8.8.8:81/", "8.8.8.8", "8.8.8.8:81", "http://8.8.8.8:81/", 81, false },
		{ "http://[2606:4700:0:0::1111]:81/", "2606:4700::1111", "[2606:4700::1111]:81",
			"http://[2606:4700::1111]:81/", 81, false },
		{ "http://a.example/%7e%zz?%41+b", "a.example", "a.example:80",
			"http://a.example/%7e%zz?%41+b", 80, false },
		{ "http://a.example/\xc3\xbc", "a.example", "a.example:80",
			"http://a.example/%c3%bc", 80, false },
		{ "http://a.example/x@y:z", "a.example", "a.example:80", "http://a.example/x@y:z",
			80, false },
		{ "http://a.example?u=http://b@c/", "a.example", "a.example:80",
			"http://a.example/?u=http://b@c/", 80, false },
	};
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		struct pl_url *url = parsed(table[i].text);
		assert_string_equal(pl_url_host(url), table[i].host);
		assert_string_equal(pl_url_lane(url), table[i].lane);
		assert_string_equal(pl_url_text(url), table[i].shown);
		assert_int_equal(pl_url_port(url), table[i].port);
		assert_int_equal(pl_url_is_https(url), table[i].https);
		char *dialled_text = NULL;
		assert_int_equal(
			curl_url_get(pl_url_handle(url), CURLUPART_URL, &dialled_text, 0), 0);
		assert_string_equal(dialled_text, pl_url_text(url));
		curl_free(dialled_text);
		pl_url_free(url);
	}
	pl_url_free(NULL);
}

static void test_literal_carries_its_port(void **state)
{
	(void)state;
	struct sockaddr_storage address;
	struct pl_url *url = parsed("https://8.8.8.8/");
	assert_true(pl_url_literal(url, &address));
	assert_int_equal(ntohs(((struct sockaddr_in *)&address)->sin_port), 443);
	pl_url_free(url);
	url = parsed("http://[2606:4700::1]:99/");
	assert_true(pl_url_literal(url, &address));
	assert_int_equal(address.ss_family, AF_INET6);
	assert_int_equal(ntohs(((struct sockaddr_in6 *)&address)->sin6_port), 99);
	pl_url_free(url);
	url = parsed("http://localhost/");
	assert_false(pl_url_literal(url, &address));
	pl_url_free(url);
}

/* RFC 3986 5.4, and what a hostile server may answer; NULL: refused. */
static void test_resolve(void **state)
{
	(void)state;
	static const struct {
		const char *location, *wanted;
	} table[] = {
		{ "g", "http://a.example/b/c/g" },
		{ "./g", "http://a.example/b/c/g" },
		{ "g/", "http://a.example/b/c/g/" },
		{ "/g", "http://a.example/g" },
		{ "//g.example", "http://g.example/" },
		{ "?y", "http://a.example/b/c/d;p?y" },
		{ "g?y", "http://a.example/b/c/g?y" },
		{ "#s", "http://a.example/b/c/d;p?q" },
		{ "g#s", "http://a.example/b/c/g" },
		{ ";x", "http://a.example/b/c/;x" },
		{ ".", "http://a.example/b/c/" },
		{ "..", "http://a.example/b/" },
		{ "../g", "http://a.example/b/g" },
		{ "../../g", "http://a.example/g" },
		{ "../../../g", "http://a.example/g" },
		{ "g.", "http://a.example/b/c/g." },
		{ "./../g", "http://a.example/b/g" },
		{ "g?y/../x", "http://a.example/b/c/g?y/../x" },
		{ "/x?u=http://b.example/", "http://a.example/x?u=http://b.example/" },
		{ "https://b.example:444/x#y", "https://b.example:444/x" },
		{ "//b.example:81/x", "http://b.example:81/x" },
		{ "//0x7f.1/", "http://127.0.0.1/" }, /* judged as an address later */
		{ "HTTP://b.example", "http://b.example/" },
		{ "/\xc3\xbc", "http://a.example/%c3%bc" },
		{ "", NULL },
		{ " /g", NULL },
		{ "/g h", NULL },
		{ "/g\r\nX: y", NULL },
		{ "/\\b.example/", NULL },
		{ "\\\\b.example/", NULL },
		{ "//u:p@b.example/", NULL },
		{ "//b%2eexample/", NULL },
		{ "http://u@b.example/", NULL },
		{ "http://b%2eexample/", NULL },
		{ "http:g", NULL },
		{ "mailto:a@b.example", NULL },
		{ "file:///etc/passwd", NULL },
		{ "x:80", NULL },
		{ "//b.example:0/", NULL },
		{ "//[fe80::1%25lo]/", NULL },
	};
	struct pl_url *base = parsed("http://a.example/b/c/d;p?q#f");
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		struct pl_url *url = NULL;
		const char *why = NULL;
		enum pl_err err = pl_url_resolve(base, table[i].location, &url, &why);
		if (table[i].wanted == NULL) {
			if (err != PL_EINVAL)
				fail_msg("\"%s\" led to %s", table[i].location, pl_url_text(url));
			assert_non_null(why);
			continue;
		}
		if (err != PL_OK)
			fail_msg("\"%s\" %s", table[i].location, why);
		assert_string_equal(pl_url_text(url), table[i].wanted);
		pl_url_free(url);
	}
	assert_string_equal(pl_url_text(base), "http://a.example/b/c/d;p?q");
	char location[PL_URL_MAX + 1];
	memset(location, '/', sizeof location);
	location[PL_URL_MAX] = '\0';
	struct pl_url *url = NULL;
	const char *why = NULL;
	assert_int_equal(pl_url_resolve(base, location, &url, &why), PL_EINVAL);
	pl_url_free(base);
}

static void test_https_keeps_its_scheme(void **state)
{
	(void)state;
	struct pl_url *base = parsed("https://a.example/");
	struct pl_url *url = NULL;
	const char *why;
	assert_int_equal(pl_url_resolve(base, "//b.example/", &url, &why), PL_OK);
	assert_string_equal(pl_url_text(url), "https://b.example/");
	pl_url_free(url);
	assert_int_equal(pl_url_resolve(base, "http://b.example/", &url, &why), PL_OK);
	assert_false(pl_url_is_https(url));
	pl_url_free(url);
	pl_url_free(base);
}

static void test_same_origin(void **state)
{
	(void)state;
	static const struct {
		const char *a, *b;
		bool same;
	} table[] = {
		{ "http://a.example/x", "http://A.example.:80/y?z", true },
		{ "https://a.example", "https://a.example:443", true },
		{ "http://127.0.0.1/", "http://0x7f.1/", true },
		{ "http://[::1]/", "http://[0::1]:80/", true },
		{ "http://a.example", "https://a.example", false },
		{ "http://a.example:443", "https://a.example", false },
		{ "http://a.example", "http://a.example:81", false },
		{ "http://a.example", "http://b.example", false },
		{ "http://a.example", "http://x.a.example", false },
	};
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		struct pl_url *a = parsed(table[i].a), *b = parsed(table[i].b);
		assert_int_equal(pl_url_same_origin(a, b), table[i].same);
		assert_int_equal(pl_url_same_origin(b, a), table[i].same);
		pl_url_free(a);
		pl_url_free(b);
	}
}

static void test_show(void **state)
{
	(void)state;
	static const struct {
		const char *text, *shown;
	} table[] = {
		{ "https://a.example/x", "https://a.example/x" },
		{ "https://a.example/x?token=secret", "https://a.example/x?\u2026" },
		{ "https://a.example?token=secret#f", "https://a.example?\u2026" },
		{ "https://a.example/x#secret?y", "https://a.example/x" },
		{ "https://u:p@a.example/x", "https://a.example/x" },
		{ "https://u:p@q@a.example:81/x", "https://a.example:81/x" },
		{ "https:/u:p@a.example/x", "https:/a.example/x" },
		{ "https://a.example/@x?", "https://a.example/@x?\u2026" },
		{ "https://a.example?@b", "https://a.example?\u2026" },
		{ "https://u@", "https://" },
		{ "https:", "https:" },
		{ "u:p@a.example/x", "a.example/x" },
		{ "//u:p@a.example/x", "//a.example/x" },
		{ "u@a.example", "a.example" },
		{ "x", "x" },
		{ "?x", "?\u2026" },
		{ "", "" },
	};
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		struct pl_buf out;
		pl_buf_init(&out, PL_URL_MAX + 4);
		size_t len = strlen(table[i].text);
		char *exact = malloc(len + 1); /* a read beyond len is seen by the sanitizer */
		memcpy(exact, table[i].text, len);
		assert_int_equal(pl_url_show(exact, len, &out), PL_OK);
		assert_string_equal(out.len > 0 ? out.data : "", table[i].shown);
		free(exact);
		pl_buf_fini(&out);
	}
	struct pl_buf small;
	pl_buf_init(&small, 3);
	assert_int_equal(pl_url_show("https://a.example/", 18, &small), PL_ELIMIT);
	pl_buf_fini(&small);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_spelling_of_a_forbidden_address),
		cmocka_unit_test(test_every_spelling_of_a_public_neighbour),
		cmocka_unit_test(test_curl_dials_what_was_judged),
		cmocka_unit_test(test_forms_of_their_own),
		cmocka_unit_test(test_bytes_that_are_refused_wherever_they_stand),
		cmocka_unit_test(test_why),
		cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_parts),
		cmocka_unit_test(test_literal_carries_its_port),
		cmocka_unit_test(test_resolve),
		cmocka_unit_test(test_https_keeps_its_scheme),
		cmocka_unit_test(test_same_origin),
		cmocka_unit_test(test_show),
	};
	return cmocka_run_group_tests(tests, start, stop);
}
