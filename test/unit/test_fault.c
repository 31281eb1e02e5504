#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pipeline/fault.h"

static void every_fault_has_a_name_that_leads_back(void **state)
{
	(void)state;
	static const char *const names[] = { "dns", "connect", "tls", "timeout_connect",
		"timeout_idle", "timeout_total", "reset", "http_status", "too_large", "truncated",
		"redirect", "address_blocked", "expired", "crashed", "cancelled", "superseded",
		"data_expired" };
	for (int i = PL_FAULT_DNS; i <= PL_FAULT_DATA_EXPIRED; i++) {
		assert_string_equal(pl_fault_name((enum pl_fault)i), names[i - PL_FAULT_DNS]);
		assert_int_equal(pl_fault_parse(names[i - PL_FAULT_DNS]), i);
	}
}

static void what_is_no_fault_is_none(void **state)
{
	(void)state;
	assert_string_equal(pl_fault_name(PL_FAULT_NONE), "");
	assert_string_equal(pl_fault_name((enum pl_fault)999), "");
	assert_int_equal(pl_fault_parse(""), PL_FAULT_NONE);
	assert_int_equal(pl_fault_parse("DNS"), PL_FAULT_NONE);
	assert_int_equal(pl_fault_parse("dnss"), PL_FAULT_NONE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_fault_has_a_name_that_leads_back),
		cmocka_unit_test(what_is_no_fault_is_none),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
