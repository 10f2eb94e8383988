/* SPDX-License-Identifier: MIT
 *
 * What a process may run on: this machine, machines recorded as XML (synthetic ones, exported by
 * hwloc), and quotas of control groups in a directory made for the purpose. The part with XML is
 * skipped, and the exit code then 77, where the library was built without hwloc.
 *
 *   test_locality [DIRECTORY OF THE XML FILES]
 */
#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <CUnit/Basic.h>
#include <art/status.h>

#include "topo/quota.h"
#include "topo/topo.h"

static char topologies[PATH_MAX];
static char tmp[PATH_MAX];
static bool without_hwloc;

static void test_machine(void)
{
	struct art_locality l = { -1, -1, -1, -1 };

	CU_ASSERT_EQUAL_FATAL(art__topo_locality(&l), ART_SUCCESS);
	CU_ASSERT(l.cores >= 1 && l.cores <= l.pus);
	CU_ASSERT(l.numa_nodes >= 1 && l.packages >= 1);
}

/* A binding to one CPU is respected. */
static void test_bound(void)
{
	cpu_set_t before, one;
	struct art_locality l;
	int cpu = 0;

	CU_ASSERT_EQUAL_FATAL(sched_getaffinity(0, sizeof(before), &before), 0);
	while (cpu < CPU_SETSIZE - 1 && !CPU_ISSET(cpu, &before))
		cpu++;
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	CU_ASSERT_EQUAL_FATAL(sched_setaffinity(0, sizeof(one), &one), 0);
	CU_ASSERT_EQUAL(art__topo_locality(&l), ART_SUCCESS);
	CU_ASSERT(l.cores == 1 && l.pus == 1 && l.packages == 1);
	CU_ASSERT_EQUAL(sched_setaffinity(0, sizeof(before), &before), 0);
}

static int read_xml(const char *file, struct art_locality *l)
{
	char path[2 * PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", topologies, file);
	return art__topo_locality_xml(path, l);
}

static void check_xml(const char *file, struct art_locality want)
{
	struct art_locality l = { -1, -1, -1, -1 };

	int rc = read_xml(file, &l);
	if (rc != ART_SUCCESS || memcmp(&l, &want, sizeof(l)) != 0)
		printf("\n    %s: status %d, %d cores, %d pus, %d nodes, %d packages\n", file, rc,
		       l.cores, l.pus, l.numa_nodes, l.packages);
	CU_ASSERT_EQUAL(rc, ART_SUCCESS);
	CU_ASSERT_EQUAL(l.cores, want.cores);
	CU_ASSERT_EQUAL(l.pus, want.pus);
	CU_ASSERT_EQUAL(l.numa_nodes, want.numa_nodes);
	CU_ASSERT_EQUAL(l.packages, want.packages);
}

static void test_recorded(void)
{
	if (without_hwloc)
		return;
	check_xml("laptop.xml", (struct art_locality){ 4, 4, 1, 1 });
	check_xml("server.xml", (struct art_locality){ 32, 64, 4, 2 });
	/* 2 packages of 4 cores of 2 threads, of which threads 3-9 are allowed. */
	check_xml("cgroup.xml", (struct art_locality){ 4, 7, 2, 2 });
	/* A guest that is told of threads and nothing else. */
	check_xml("guest.xml", (struct art_locality){ 6, 6, 1, 1 });
	/* 2 cores of 2 threads, 4 of one. */
	check_xml("hybrid.xml", (struct art_locality){ 6, 8, 1, 1 });
	check_xml("one_core.xml", (struct art_locality){ 1, 1, 1, 1 });
	/* Of 2 packages of 4 cores of 2 threads the second is allowed, and its memory is near. */
	check_xml("second_package.xml", (struct art_locality){ 4, 8, 1, 1 });
}

static void write_file(const char *name, const char *text)
{
	char path[2 * PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", tmp, name);
	FILE *f = fopen(path, "we");
	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	CU_ASSERT(fputs(text, f) >= 0);
	CU_ASSERT_EQUAL(fclose(f), 0);
}

static void test_bad_xml(void)
{
	struct art_locality l = { -1, -1, -1, -1 };
	char path[2 * PATH_MAX];

	if (without_hwloc)
		return;
	write_file("bad.xml", "<?xml version=\"1.0\"?><topology version=\"2.0\"><object type=\"M");
	snprintf(path, sizeof(path), "%s/bad.xml", tmp);
	CU_ASSERT_EQUAL(art__topo_locality_xml(path, &l), ART_ERR_INTERNAL);
	CU_ASSERT_EQUAL(read_xml("there-is-no-such.xml", &l), ART_ERR_INTERNAL);
	CU_ASSERT(l.cores == -1 && l.pus == -1 && l.numa_nodes == -1 && l.packages == -1);
}

static void make_dir(const char *name)
{
	char path[2 * PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", tmp, name);
	CU_ASSERT_FATAL(mkdir(path, 0700) == 0 || errno == EEXIST);
}

/* Control groups /job/step below tmp, in which this process is. */
static void test_quota(void)
{
	static const char *const dirs[] = { "proc", "proc/self", "sys", "sys/fs", "sys/fs/cgroup",
					    "sys/fs/cgroup/job", "sys/fs/cgroup/job/step" };

	for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++)
		make_dir(dirs[i]);
	CU_ASSERT_EQUAL(art__topo_quota(tmp), 0);
	write_file("proc/self/cgroup", "3:cpu:/old\n0::/job/step\n");
	CU_ASSERT_EQUAL(art__topo_quota(tmp), 0);
	write_file("sys/fs/cgroup/job/step/cpu.max", "max 100000\n");
	CU_ASSERT_EQUAL(art__topo_quota(tmp), 0);
	write_file("sys/fs/cgroup/job/cpu.max", "250000 100000\n");
	CU_ASSERT_EQUAL(art__topo_quota(tmp), 3);
	write_file("sys/fs/cgroup/job/step/cpu.max", "800000 100000\n");
	CU_ASSERT_EQUAL(art__topo_quota(tmp), 3);
	write_file("sys/fs/cgroup/job/step/cpu.max", "50000 100000\n");
	CU_ASSERT_EQUAL(art__topo_quota(tmp), 1);
	write_file("sys/fs/cgroup/cpu.max", "10000 100000000\n");
	write_file("sys/fs/cgroup/job/step/cpu.max", "-5 0\n");
	CU_ASSERT_EQUAL(art__topo_quota(tmp), 1);
	write_file("proc/self/cgroup", "0::/\n");
	CU_ASSERT_EQUAL(art__topo_quota(tmp), 1);
	write_file("sys/fs/cgroup/cpu.max", "9223372036854775807 1\n");
	CU_ASSERT_EQUAL(art__topo_quota(tmp), INT_MAX);
	write_file("sys/fs/cgroup/cpu.max", "rubbish\n");
	CU_ASSERT_EQUAL(art__topo_quota(tmp), 0);
}

static void test_quota_limit(void)
{
	struct art_locality l = { .cores = 8, .pus = 16, .numa_nodes = 2, .packages = 1 };

	art__topo_quota_limit(&l, 0);
	CU_ASSERT(l.cores == 8 && l.pus == 16);
	art__topo_quota_limit(&l, 12);
	CU_ASSERT(l.cores == 8 && l.pus == 12);
	art__topo_quota_limit(&l, 3);
	CU_ASSERT(l.cores == 3 && l.pus == 3 && l.numa_nodes == 2 && l.packages == 1);
}

/* What the tests leave behind, in the order in which it can go. */
static int remove_tmp(void)
{
	static const char *const left[] = {
		"bad.xml", "proc/self/cgroup", "proc/self", "proc",
		"sys/fs/cgroup/job/step/cpu.max", "sys/fs/cgroup/job/step",
		"sys/fs/cgroup/job/cpu.max", "sys/fs/cgroup/job",
		"sys/fs/cgroup/cpu.max", "sys/fs/cgroup", "sys/fs", "sys", "",
	};
	char path[2 * PATH_MAX];

	for (size_t i = 0; i < sizeof(left) / sizeof(left[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", tmp, left[i]);
		if (remove(path) && errno != ENOENT)
			return -1;
	}
	return 0;
}

static int make_tmp(void)
{
	const char *base = getenv("TMPDIR");

	snprintf(tmp, sizeof(tmp), "%s/art-locality.XXXXXX", base && *base ? base : "/tmp");
	return mkdtemp(tmp) ? 0 : -1;
}

/* automake sets srcdir; without it the test is run at the top of the source tree. */
static void find_topologies(int argc, char **argv)
{
	const char *srcdir = getenv("srcdir");

	if (argc > 1)
		snprintf(topologies, sizeof(topologies), "%s", argv[1]);
	else
		snprintf(topologies, sizeof(topologies), "%s/tests/unit/topologies",
			 srcdir && *srcdir ? srcdir : ".");
}

int main(int argc, char **argv)
{
	struct art_locality l;

	find_topologies(argc, argv);
	/* No other failure has this code. */
	without_hwloc = read_xml("laptop.xml", &l) == ART_ERR_ARG;
	if (make_tmp() || CU_initialize_registry() != CUE_SUCCESS)
		return 1;
	CU_pSuite s = CU_add_suite("locality", NULL, NULL);
	if (!s || !CU_add_test(s, "this machine", test_machine) ||
	    !CU_add_test(s, "bound to one cpu", test_bound) ||
	    !CU_add_test(s, "recorded machines", test_recorded) ||
	    !CU_add_test(s, "files that are not machines", test_bad_xml) ||
	    !CU_add_test(s, "quota of control groups", test_quota) ||
	    !CU_add_test(s, "quota applied", test_quota_limit))
		return 1;
	CU_basic_set_mode(CU_BRM_VERBOSE);
	CU_basic_run_tests();
	int bad = CU_get_number_of_failures() != 0;
	CU_cleanup_registry();
	if (remove_tmp()) {
		fprintf(stderr, "%s: %s\n", tmp, strerror(errno));
		bad = 1;
	}
	if (!bad && without_hwloc)
		printf("built without hwloc: recorded machines skipped\n");
	return bad ? 1 : without_hwloc ? 77 : 0;
}
