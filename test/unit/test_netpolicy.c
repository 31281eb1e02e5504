/* Which addresses may be dialled: every edge of every network, from both sides, in every form. */
#include <arpa/inet.h>
#include <ifaddrs.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "pipeline/netpolicy.h"

static struct sockaddr_storage address(const char *text, unsigned port)
{
	struct sockaddr_storage out = { 0 };
	struct sockaddr_in *v4 = (struct sockaddr_in *)&out;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&out;
	if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons((uint16_t)port);
	} else {
		assert_int_equal(inet_pton(AF_INET6, text, &v6->sin6_addr), 1);
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons((uint16_t)port);
	}
	return out;
}

static struct pl_netpolicy *policy_of(const struct pl_netpolicy_options *options)
{
	struct pl_netpolicy *policy = NULL;
	const char *why = NULL;
	if (pl_netpolicy_new(options, &policy, &why) != PL_OK)
		fail_msg("%s", why);
	return policy;
}

static void judged(const struct pl_netpolicy *policy, const char *text, unsigned port,
	const char *host, enum pl_err wanted, const char *wanted_rule)
{
	struct sockaddr_storage at = address(text, port);
	const char *rule = NULL;
	enum pl_err err = pl_netpolicy_judge(policy, (struct sockaddr *)&at, host, &rule);
	if (err != wanted)
		fail_msg("%s port %u: %s by \"%s\"", text, port, pl_err_name(err), rule);
	assert_non_null(rule);
	if (wanted_rule != NULL)
		assert_string_equal(rule, wanted_rule);
	assert_int_equal(pl_netpolicy_judge(policy, (struct sockaddr *)&at, host, NULL), wanted);
}

static void refuses(const struct pl_netpolicy *policy, const char *text, const char *rule)
{
	judged(policy, text, 80, NULL, PL_EBLOCKED, rule);
}

static void passes(const struct pl_netpolicy *policy, const char *text, const char *rule)
{
	judged(policy, text, 80, NULL, PL_OK, rule);
}

/* first..last is refused, before and behind (NULL: refused by a neighbour's rule) pass. */
static const struct {
	const char *rule, *before, *first, *middle, *last, *behind;
} v4_networks[] = {
	{ "0.0.0.0/8", NULL, "0.0.0.0", "0.1.2.3", "0.255.255.255", "1.0.0.0" },
	{ "10.0.0.0/8", "9.255.255.255", "10.0.0.0", "10.1.2.3", "10.255.255.255", "11.0.0.0" },
	{ "100.64.0.0/10", "100.63.255.255", "100.64.0.0", "100.100.100.200", "100.127.255.255",
		"100.128.0.0" },
	{ "127.0.0.0/8", "126.255.255.255", "127.0.0.0", "127.0.0.1", "127.255.255.255",
		"128.0.0.0" },
	{ "169.254.0.0/16", "169.253.255.255", "169.254.0.0", "169.254.169.254", "169.254.255.255",
		"169.255.0.0" },
	{ "172.16.0.0/12", "172.15.255.255", "172.16.0.0", "172.17.0.1", "172.31.255.255",
		"172.32.0.0" },
	{ "192.0.0.0/24", "191.255.255.255", "192.0.0.0", "192.0.0.170", "192.0.0.255",
		"192.0.1.0" },
	{ "192.0.2.0/24", "192.0.1.255", "192.0.2.0", "192.0.2.1", "192.0.2.255", "192.0.3.0" },
	{ "192.88.99.0/24", "192.88.98.255", "192.88.99.0", "192.88.99.1", "192.88.99.255",
		"192.88.100.0" },
	{ "192.168.0.0/16", "192.167.255.255", "192.168.0.0", "192.168.1.1", "192.168.255.255",
		"192.169.0.0" },
	{ "198.18.0.0/15", "198.17.255.255", "198.18.0.0", "198.19.0.1", "198.19.255.255",
		"198.20.0.0" },
	{ "198.51.100.0/24", "198.51.99.255", "198.51.100.0", "198.51.100.7", "198.51.100.255",
		"198.51.101.0" },
	{ "203.0.113.0/24", "203.0.112.255", "203.0.113.0", "203.0.113.9", "203.0.113.255",
		"203.0.114.0" },
	{ "224.0.0.0/4", "223.255.255.255", "224.0.0.0", "239.255.255.250", "239.255.255.255",
		NULL },
	{ "240.0.0.0/4", NULL, "240.0.0.0", "250.1.2.3", "255.255.255.255", NULL },
	{ "168.63.129.16/32", "168.63.129.15", "168.63.129.16", "168.63.129.16", "168.63.129.16",
		"168.63.129.17" },
};

/* The same address as plain IPv4, mapped, and wrapped in the forms that tunnels use. */
static void refuses_in_all_forms(
	const struct pl_netpolicy *policy, const char *v4, const char *rule)
{
	char text[INET6_ADDRSTRLEN + 32];
	unsigned char b[4];
	assert_int_equal(inet_pton(AF_INET, v4, b), 1);
	refuses(policy, v4, rule);
	snprintf(text, sizeof text, "::ffff:%s", v4);
	refuses(policy, text, rule);
	snprintf(text, sizeof text, "2606:4700:1:2:0:5efe:%s", v4);
	refuses(policy, text, rule);
	snprintf(text, sizeof text, "2606:4700:1:2:200:5efe:%s", v4);
	refuses(policy, text, rule);
	snprintf(text, sizeof text, "64:ff9b::%s", v4);
	refuses(policy, text, rule);
	snprintf(text, sizeof text, "::%s", v4);
	refuses(policy, text, NULL);
	snprintf(text, sizeof text, "2002:%x:%x::1", b[0] << 8 | b[1], b[2] << 8 | b[3]);
	refuses(policy, text, NULL);
}

static void passes_where_it_may(const struct pl_netpolicy *policy, const char *v4)
{
	char text[INET6_ADDRSTRLEN + 32];
	if (v4 == NULL)
		return;
	passes(policy, v4, "public");
	snprintf(text, sizeof text, "::ffff:%s", v4);
	passes(policy, text, "public");
	snprintf(text, sizeof text, "2606:4700:1:2:0:5efe:%s", v4);
	passes(policy, text, "public");
}

static void test_ipv4_networks_edge_by_edge(void **state)
{
	(void)state;
	struct pl_netpolicy *policy = policy_of(&(struct pl_netpolicy_options) { 0 });
	for (size_t i = 0; i < sizeof v4_networks / sizeof *v4_networks; i++) {
		const char *rule = v4_networks[i].rule;
		passes_where_it_may(policy, v4_networks[i].before);
		refuses_in_all_forms(policy, v4_networks[i].first, rule);
		refuses_in_all_forms(policy, v4_networks[i].middle, rule);
		refuses_in_all_forms(policy, v4_networks[i].last, rule);
		passes_where_it_may(policy, v4_networks[i].behind);
	}
	pl_netpolicy_free(policy);
}

static void test_ipv6_networks_edge_by_edge(void **state)
{
	(void)state;
	static const char *const refused[] = {
		"::",
		"::1",
		"::2",
		"::ffff:0:127.0.0.1", /* SIIT */
		"64:ff9b::1.1.1.1",
		"64:ff9b:1::1",
		"100::1",
		"1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
		"2001::",
		"2001::1",
		"2001:0:4136:e378:8000:63bf:3fff:fdd2", /* Teredo */
		"2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff",
		"2001:db8::",
		"2001:db8::1",
		"2001:db8:ffff:ffff:ffff:ffff:ffff:ffff",
		"2002::",
		"2002:808:808::1",
		"2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
		"3fff::",
		"3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff",
		"4000::",
		"5f00::1",
		"8000::1",
		"fc00::1",
		"fd00::1",
		"fd00:ec2::254", /* a cloud's metadata */
		"fe80::1",
		"fe80::5efe:8.8.8.8",
		"febf::1",
		"fec0::1",
		"ff00::1",
		"ff02::1",
		"ff0e::1",
		"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
	};
	static const char *const passing[] = {
		"2000::",
		"2000::1",
		"2000:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
		"2001:200::",
		"2001:4860:4860::8888",
		"2001:db7:ffff:ffff:ffff:ffff:ffff:ffff",
		"2001:db9::",
		"2001:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
		"2003::",
		"2606:4700:4700::1111",
		"2a00:1450:4001:81b::200e",
		"2a00:1450::5efe",
		"3ffe:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
		"3fff:1000::",
		"3fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
	};
	struct pl_netpolicy *policy = policy_of(&(struct pl_netpolicy_options) { 0 });
	for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
		refuses(policy, refused[i], NULL);
	for (size_t i = 0; i < sizeof passing / sizeof *passing; i++)
		passes(policy, passing[i], "public");
	assert_false(pl_netpolicy_opens(policy));
	pl_netpolicy_free(policy);
}

static void test_what_is_no_internet_address_is_refused(void **state)
{
	(void)state;
	struct pl_netpolicy *policy = policy_of(&(struct pl_netpolicy_options) { 0 });
	struct sockaddr_storage at = { .ss_family = AF_UNIX };
	const char *rule = NULL;
	assert_int_equal(
		pl_netpolicy_judge(policy, (struct sockaddr *)&at, NULL, &rule), PL_EBLOCKED);
	assert_string_equal(rule, "no internet address");
	pl_netpolicy_free(policy);
}

static void test_allowed_networks_open_what_they_name_and_no_more(void **state)
{
	(void)state;
	struct pl_netpolicy *policy = policy_of(&(struct pl_netpolicy_options) {
		.allow_networks = " 127.0.0.0/8,::1/128\t10.1.2.3 , ::ffff:192.168.4.0/118" });
	passes(policy, "127.0.0.1", "ALLOW_NETWORKS 127.0.0.0/8");
	passes(policy, "::ffff:127.0.0.1", "ALLOW_NETWORKS 127.0.0.0/8");
	passes(policy, "::1", "ALLOW_NETWORKS ::1/128");
	refuses(policy, "::2", "outside 2000::/3");
	passes(policy, "10.1.2.3", "ALLOW_NETWORKS 10.1.2.3");
	refuses(policy, "10.1.2.2", "10.0.0.0/8");
	refuses(policy, "10.1.2.4", "10.0.0.0/8");
	passes(policy, "192.168.4.0", NULL);
	passes(policy, "192.168.7.255", NULL);
	refuses(policy, "192.168.3.255", "192.168.0.0/16");
	refuses(policy, "192.168.8.0", "192.168.0.0/16");
	/* The tunnel forms of an allowed address stay what they were. */
	refuses(policy, "2606:4700:1:2:0:5efe:127.0.0.1", "127.0.0.0/8");
	refuses(policy, "64:ff9b::127.0.0.1", NULL);
	assert_true(pl_netpolicy_opens(policy));
	pl_netpolicy_free(policy);
}

static void test_all_of_ipv4_is_none_of_ipv6(void **state)
{
	(void)state;
	struct pl_netpolicy *v4 =
		policy_of(&(struct pl_netpolicy_options) { .allow_networks = "0.0.0.0/0" });
	passes(v4, "127.0.0.1", NULL);
	passes(v4, "::ffff:10.0.0.1", NULL);
	refuses(v4, "::1", NULL);
	pl_netpolicy_free(v4);
	struct pl_netpolicy *v6 =
		policy_of(&(struct pl_netpolicy_options) { .allow_networks = "::/0" });
	passes(v6, "::1", NULL);
	refuses(v6, "127.0.0.1", NULL);
	refuses(v6, "::ffff:127.0.0.1", NULL);
	pl_netpolicy_free(v6);
}

static void test_denied_networks_win_over_allowed(void **state)
{
	(void)state;
	struct pl_netpolicy *policy = policy_of(
		&(struct pl_netpolicy_options) { .allow_networks = "10.0.0.0/8, 64:ff9b::/96",
			.deny_networks = "10.9.0.0/16, 8.8.8.0/24, 2606:4700::/32",
			.allow_hosts = "a.example" });
	passes(policy, "10.8.255.255", "ALLOW_NETWORKS 10.0.0.0/8");
	refuses(policy, "10.9.0.0", "DENY_NETWORKS 10.9.0.0/16");
	judged(policy, "10.9.0.1", 80, "a.example", PL_EBLOCKED, "DENY_NETWORKS 10.9.0.0/16");
	refuses(policy, "8.8.8.8", "DENY_NETWORKS 8.8.8.0/24");
	refuses(policy, "::ffff:8.8.8.8", "DENY_NETWORKS 8.8.8.0/24");
	refuses(policy, "2a00:1:2:3:0:5efe:8.8.8.8", "DENY_NETWORKS 8.8.8.0/24");
	refuses(policy, "64:ff9b::8.8.8.8", "DENY_NETWORKS 8.8.8.0/24");
	passes(policy, "64:ff9b::8.8.9.8", "ALLOW_NETWORKS 64:ff9b::/96");
	passes(policy, "8.8.9.8", "public");
	refuses(policy, "2606:4700::1", "DENY_NETWORKS 2606:4700::/32");
	passes(policy, "2606:4701::1", "public");
	pl_netpolicy_free(policy);
}

static void test_hosts_by_name(void **state)
{
	(void)state;
	struct pl_netpolicy *policy = policy_of(
		&(struct pl_netpolicy_options) { .allow_hosts = "Intra.example, *.Lab.example" });
	judged(policy, "10.0.0.1", 80, "intra.example", PL_OK, "ALLOW_HOSTS Intra.example");
	judged(policy, "10.0.0.1", 80, "INTRA.example", PL_OK, NULL);
	judged(policy, "10.0.0.1", 80, "intra.example.", PL_OK, NULL);
	judged(policy, "10.0.0.1", 80, "a.intra.example", PL_EBLOCKED, NULL);
	judged(policy, "10.0.0.1", 80, "xintra.example", PL_EBLOCKED, NULL);
	judged(policy, "10.0.0.1", 80, "x.lab.example", PL_OK, "ALLOW_HOSTS *.Lab.example");
	judged(policy, "10.0.0.1", 80, "x.y.lab.example", PL_OK, NULL);
	judged(policy, "10.0.0.1", 80, "lab.example", PL_EBLOCKED, NULL);
	judged(policy, "10.0.0.1", 80, ".lab.example", PL_EBLOCKED, NULL);
	judged(policy, "10.0.0.1", 80, "xlab.example", PL_EBLOCKED, NULL);
	judged(policy, "10.0.0.1", 80, "x.lab.example.org", PL_EBLOCKED, NULL);
	judged(policy, "10.0.0.1", 80, "", PL_EBLOCKED, NULL);
	judged(policy, "10.0.0.1", 80, NULL, PL_EBLOCKED, NULL);
	assert_true(pl_netpolicy_opens(policy));
	pl_netpolicy_free(policy);
}

static void test_redis_and_the_api_never(void **state)
{
	(void)state;
	struct sockaddr_storage never[] = { address("127.0.0.1", 3001), address("10.0.0.9", 6379),
		address("::", 3002), { .ss_family = AF_UNIX } };
	struct pl_netpolicy *policy =
		policy_of(&(struct pl_netpolicy_options) { .allow_networks = "0.0.0.0/0, ::/0",
			.allow_hosts = "a.example",
			.never = never,
			.never_count = sizeof never / sizeof *never });
	static const char *const here[] = { "127.0.0.1", "127.0.0.2", "127.255.255.255", "0.0.0.0",
		"::1", "::", "::ffff:127.0.0.1", "::ffff:0.0.0.0" };
	for (size_t i = 0; i < sizeof here / sizeof *here; i++) {
		judged(policy, here[i], 3001, NULL, PL_EBLOCKED, "Redis or the api");
		judged(policy, here[i], 3002, "a.example", PL_EBLOCKED, "Redis or the api");
		judged(policy, here[i], 3003, NULL, PL_OK, NULL);
		judged(policy, here[i], 6379, NULL, PL_OK, NULL);
	}
	judged(policy, "10.0.0.9", 6379, "a.example", PL_EBLOCKED, "Redis or the api");
	judged(policy, "::ffff:10.0.0.9", 6379, NULL, PL_EBLOCKED, "Redis or the api");
	judged(policy, "10.0.0.9", 6380, NULL, PL_OK, NULL);
	judged(policy, "10.0.0.8", 6379, NULL, PL_OK, NULL);
	judged(policy, "10.0.0.8", 3001, NULL, PL_OK, NULL);
	pl_netpolicy_free(policy);
}

/* In place of the system's: a machine whose interfaces have public addresses. */
int getifaddrs(struct ifaddrs **first)
{
	static struct sockaddr_storage addresses[2];
	static struct ifaddrs list[3];
	addresses[0] = address("1.2.3.4", 0);
	addresses[1] = address("2606:4700::5", 0);
	list[0] = (struct ifaddrs) { .ifa_next = &list[1] }; /* one without an address */
	for (size_t i = 0; i < 2; i++)
		list[i + 1] = (struct ifaddrs) { .ifa_next = i == 0 ? &list[2] : NULL,
			.ifa_addr = (struct sockaddr *)&addresses[i] };
	*first = list;
	return 0;
}

void freeifaddrs(struct ifaddrs *first)
{
	assert_non_null(first);
}

static void test_own_interfaces(void **state)
{
	(void)state;
	struct pl_netpolicy *policy = policy_of(&(struct pl_netpolicy_options) {
		.own_interfaces = true, .allow_hosts = "a.example" });
	refuses(policy, "1.2.3.4", "own interface");
	refuses(policy, "::ffff:1.2.3.4", "own interface");
	refuses(policy, "2606:4700::5", "own interface");
	passes(policy, "1.2.3.5", "public");
	passes(policy, "2606:4700::4", "public");
	judged(policy, "1.2.3.4", 80, "a.example", PL_OK, NULL);
	pl_netpolicy_free(policy);
	policy = policy_of(&(struct pl_netpolicy_options) { 0 });
	passes(policy, "1.2.3.4", "public");
	pl_netpolicy_free(policy);
}

static void test_the_api_on_all_addresses(void **state)
{
	(void)state;
	struct sockaddr_storage never = address("0.0.0.0", 3001);
	struct pl_netpolicy *policy =
		policy_of(&(struct pl_netpolicy_options) { .never = &never, .never_count = 1 });
	judged(policy, "1.2.3.4", 3001, NULL, PL_EBLOCKED, "Redis or the api");
	judged(policy, "2606:4700::5", 3001, NULL, PL_EBLOCKED, "Redis or the api");
	judged(policy, "1.2.3.4", 3002, NULL, PL_OK, "public");
	judged(policy, "1.2.3.5", 3001, NULL, PL_OK, "public");
	pl_netpolicy_free(policy);
}

static void test_faulty_settings_are_named(void **state)
{
	(void)state;
	static const char *const networks[] = {
		"10.0.0.0/33",
		"10.0.0.0/",
		"10.0.0.0/-1",
		"10.0.0.0/+8",
		"10.0.0.0/ 8",
		"10.0.0.0/0x8",
		"10.0.0.0/8x",
		"10.0.0.0/4294967304",
		"10.0.0.1/8",
		"10.0.0",
		"010.0.0.0/8",
		"10.0.0.0.0",
		"/8",
		"localhost",
		"fd00::/129",
		"fd00::1/8",
		"[fd00::]/8",
		"fe80::1%eth0",
		"::ffff:10.0.0.0/8",
		"::ffff:0.0.0.0/95",
		"*",
		"10.0.0.0/8;11.0.0.0/8",
		"\"10.0.0.0/8\"",
	};
	static const char *const hosts[] = { "*", "*.", ".a", "a..b", "a.*", "*.*.a", "a*.b",
		"http://a", "a:80", "127.0.0.1", "127.1", "[::1]", "a/b", "a@b", "\xc3\xbc" };
	struct pl_netpolicy *policy = (struct pl_netpolicy *)(uintptr_t)1;
	for (size_t i = 0; i < sizeof networks / sizeof *networks; i++) {
		const char *why = NULL;
		struct pl_netpolicy_options allow = { .allow_networks = networks[i] };
		struct pl_netpolicy_options deny = { .deny_networks = networks[i] };
		if (pl_netpolicy_new(&allow, &policy, &why) != PL_EINVAL)
			fail_msg("%s was taken", networks[i]);
		assert_non_null(strstr(why, "ALLOW_NETWORKS: \""));
		assert_int_equal(pl_netpolicy_new(&deny, &policy, &why), PL_EINVAL);
		assert_non_null(strstr(why, "DENY_NETWORKS: \""));
	}
	for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++) {
		const char *why = NULL;
		struct pl_netpolicy_options allow = { .allow_hosts = hosts[i] };
		if (pl_netpolicy_new(&allow, &policy, &why) != PL_EINVAL)
			fail_msg("%s was taken", hosts[i]);
		assert_non_null(strstr(why, "ALLOW_HOSTS: \""));
	}
	assert_ptr_equal(policy, (struct pl_netpolicy *)(uintptr_t)1);
	char entry[1000];
	memset(entry, 'a', sizeof entry);
	entry[sizeof entry - 1] = '\0';
	const char *why = NULL;
	assert_int_equal(pl_netpolicy_new(&(struct pl_netpolicy_options) { .allow_hosts = entry },
				 &policy, &why),
		PL_EINVAL);
	assert_non_null(strstr(why, "too long"));
	pl_netpolicy_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ipv4_networks_edge_by_edge),
		cmocka_unit_test(test_ipv6_networks_edge_by_edge),
		cmocka_unit_test(test_what_is_no_internet_address_is_refused),
		cmocka_unit_test(test_allowed_networks_open_what_they_name_and_no_more),
		cmocka_unit_test(test_all_of_ipv4_is_none_of_ipv6),
		cmocka_unit_test(test_denied_networks_win_over_allowed),
		cmocka_unit_test(test_hosts_by_name),
		cmocka_unit_test(test_redis_and_the_api_never),
		cmocka_unit_test(test_own_interfaces),
		cmocka_unit_test(test_the_api_on_all_addresses),
		cmocka_unit_test(test_faulty_settings_are_named),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
