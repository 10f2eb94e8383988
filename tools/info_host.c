/* SPDX-License-Identifier: MIT
 *
 * What art-info tells without a job: version, build, this host, settings.
 */
#include <art/art.h>
#include <string.h>
#include <unistd.h>

#include "api/config.h"
#include "tools/info.h"
#include "topo/quota.h"
#include "topo/topo.h"

json_t *info_version(void)
{
	int major, minor, patch;
	char text[40];

	if (art_get_version(&major, &minor, &patch) != ART_SUCCESS)
		info_die("the library does not tell its version");
	snprintf(text, sizeof(text), "%d.%d.%d", major, minor, patch);
	return info_must(json_string(text));
}

/* Versions are those of the headers that ART was built with. */
json_t *info_build(void)
{
	json_t *b = info_must(json_object());

#ifdef __clang__
	json_object_set_new(b, "compiler", json_string("clang " __clang_version__));
#else
	json_object_set_new(b, "compiler", json_string("gcc " __VERSION__));
#endif
	json_object_set_new(b, "flags", json_string(ART_INFO_CFLAGS));
	json_object_set_new(b, "sanitizers", json_string(ART_INFO_SANITIZERS));
	json_object_set_new(b, "hwloc", json_string(ART_INFO_HWLOC));
	json_object_set_new(b, "libsodium", json_string(ART_INFO_SODIUM));
	json_object_set_new(b, "xxhash", json_string(ART_INFO_XXHASH));
	json_object_set_new(b, "jansson", json_string(JANSSON_VERSION));
	json_object_set_new(b, "libibverbs", json_string(ART_INFO_VERBS));
	json_object_set_new(b, "transports",
			    json_string(strcmp(ART_INFO_VERBS, "no") ? "shm,tcp,rdma" : "shm,tcp"));
	return b;
}

static void add_size(json_t *o, const char *name, size_t bytes)
{
	char text[32];

	if (!bytes)
		return;
	if (bytes % (1u << 20) == 0)
		snprintf(text, sizeof(text), "%zu MiB", bytes >> 20);
	else
		snprintf(text, sizeof(text), "%zu KiB", bytes >> 10);
	json_object_set_new(o, name, json_string(text));
}

json_t *info_topology(void)
{
	json_t *t = info_must(json_object());
	struct art_locality l;
	struct art_caches c;
	char host[256] = "?";
	int quota = art__topo_quota("/");

	gethostname(host, sizeof(host) - 1);
	json_object_set_new(t, "host", json_string(host));
	if (art__topo_locality(&l) == 0) {
		json_object_set_new(t, "packages", json_integer(l.packages));
		json_object_set_new(t, "NUMA nodes", json_integer(l.numa_nodes));
		json_object_set_new(t, "usable cores", json_integer(l.cores));
		json_object_set_new(t, "usable threads", json_integer(l.pus));
	}
	json_object_set_new(t, "online threads", json_integer(sysconf(_SC_NPROCESSORS_ONLN)));
	if (art__topo_caches(&c) == 0) {
		add_size(t, "L1 data cache", c.l1_bytes);
		add_size(t, "L2 cache", c.l2_bytes);
		add_size(t, "L3 cache", c.l3_bytes);
	}
	add_size(t, "memory", (size_t)sysconf(_SC_PHYS_PAGES) / 256 * 256 *
			      (size_t)sysconf(_SC_PAGESIZE));
	json_object_set_new(t, "cgroup CPU quota", quota ? json_integer(quota) : json_null());
	return t;
}

json_t *info_settings(void)
{
	static struct art_config c;
	static char why[ART_CONFIG_WHY_MAX];
	json_t *all = info_must(json_array());

	if (art__config_read(&c, NULL, why, sizeof(why)))
		info_die("%s", why);
	for (size_t i = 0; i < art__settings_count; i++) {
		const struct art_setting *s = &art__settings[i];
		char origin[PATH_MAX + 16];

		art__config_origin(&c, i, origin, sizeof(origin));
		json_array_append_new(all, info_must(json_pack(
			"{s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "key", s->key, "variable", s->name,
			"value", c.given[i].text, "origin", origin, "default", s->preset, "help",
			s->help, "wants", s->wants)));
	}
	return all;
}
