/* SPDX-License-Identifier: MIT
 *
 * What unit tests share: the end of main() of one whose cases are a table, and how many descriptors are open.
 */
#ifndef ART_TESTS_LIB_UNIT_H
#define ART_TESTS_LIB_UNIT_H

#include <CUnit/Basic.h>
#include <dirent.h>

/* That of the look itself included. */
static inline int unit_open_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int n = 0;

	while (dir && readdir(dir))
		n++;
	if (dir)
		closedir(dir);
	return n;
}

/* Runs @tests, which end with CU_TEST_INFO_NULL. Returns the exit status. */
static inline int unit_run(const char *name, CU_TestInfo *tests)
{
	CU_SuiteInfo suites[] = {
		{ name, NULL, NULL, NULL, NULL, tests },
		CU_SUITE_INFO_NULL,
	};
	unsigned failed;

	if (CU_initialize_registry() || CU_register_suites(suites))
		return 1;
	CU_basic_set_mode(CU_BRM_NORMAL);
	CU_basic_run_tests();
	failed = CU_get_number_of_failures();
	CU_cleanup_registry();
	return failed ? 1 : 0;
}

#endif
