/* SPDX-License-Identifier: MIT */
/* penstock host region create: makes a region file, on hugepages by default. */
#include <inttypes.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "host-client/cli/cmd_progress.h"
#include "host-client/cli/cmds.h"
#include "kernel-params/machine/hugepages.h"
#include "kernel-params/machine/mounts.h"
#include "transport/base/group.h"
#include "transport/base/text.h"
#include "transport/base/util.h"
#include "transport/region/region.h"

enum {
	OPT_SIZE = PST_OPT_OWN,
	OPT_NODE,
	OPT_GROUP,
	OPT_MODE,
	OPT_PATH,
	OPT_REPLACE,
	OPT_IF_MISSING,
};

static const struct pst_cmd_opt opts[] = {
	{OPT_SIZE, "size", "S", "bytes, such as 512M or 4G; needed"},
	{OPT_NODE, "node", "N",
	 "NUMA node that the memory comes from; any: no matter [any]"},
	{OPT_GROUP, "group", "G",
	 "group that may use it, by name or number [the caller's]"},
	{OPT_MODE, "mode", "MODE", "octal; never writable by all [0660]"},
	{OPT_PATH, "path", "DIR",
	 "directory [the first hugetlbfs mount with pages of 2 MiB]"},
	{OPT_REPLACE, "replace", NULL,
	 "replace a file of that name; whoever uses it keeps the old one"},
	{OPT_IF_MISSING, "if-missing", NULL,
	 "a region of that name and size is good already"},
	PST_CMD_OPT_JSON,
	{0},
};

struct request {
	const char *name;
	const char *dir; /* NULL: to be found */
	struct pst_region_create create;
	bool if_missing;
};

static bool arg_mode(const struct pst_cmd_ctx *ctx, const char *text,
		     mode_t *ret)
{
	unsigned int mode;
	int used = 0;

	if (strlen(text) > 4 || strspn(text, "01234567") != strlen(text) ||
	    sscanf(text, "%o%n", &mode, &used) != 1 || mode > 0777 ||
	    mode & 0002) {
		pst_cmd_usage(ctx,
			      "--mode %.80s is not an octal mode like 0660, "
			      "without writing for everybody",
			      text);
		return false;
	}
	*ret = mode;
	return true;
}

static bool arg_node(const struct pst_cmd_ctx *ctx, const char *text, int *ret)
{
	uint64_t node;

	if (strcmp(text, "any") == 0) {
		*ret = -1;
		return true;
	}
	if (!pst_cmd_arg_u64(ctx, "--node", text, 0, 1023, &node))
		return false;
	*ret = (int)node;
	return true;
}

static bool arg_group(const struct pst_cmd_ctx *ctx, const char *text,
		      gid_t *ret)
{
	if (pst_group_find(text, ret) == 0)
		return true;
	pst_cmd_usage(ctx, "there is no group %s", text);
	return false;
}

static bool parse_option(const struct pst_cmd_ctx *ctx, int opt,
			 struct request *r)
{
	struct pst_region_create *c = &r->create;

	switch (opt) {
	case OPT_SIZE:
		return pst_cmd_arg_region(ctx, "--size", optarg, &c->file_size);
	case OPT_NODE:
		return arg_node(ctx, optarg, &c->node);
	case OPT_GROUP:
		return arg_group(ctx, optarg, &c->gid);
	case OPT_MODE:
		return arg_mode(ctx, optarg, &c->mode);
	case OPT_PATH:
		r->dir = optarg;
		return true;
	case OPT_REPLACE:
		c->replace = true;
		return true;
	case OPT_IF_MISSING:
		r->if_missing = true;
		return true;
	}
	return false;
}

/* Mount point of a hugetlbfs with pages of 2 MiB, the first of the table. */
static bool find_hugetlbfs(char *ret, size_t size)
{
	const struct pst_host_hugetlbfs *at;
	struct pst_host_memory memory;
	struct pst_host_mounts mounts;
	struct pst_host_root root;
	struct pst_error err;

	if (pst_host_root_open("/", &root, &err) < 0)
		return false;
	if (pst_host_memory_scan(&root, &memory, &err) < 0) {
		pst_host_root_close(&root);
		return false;
	}
	pst_host_mounts_read(&root, memory.default_hugepage, &mounts);
	at = pst_host_mounts_2m(&mounts);
	if (at)
		snprintf(ret, size, "%s", at->path);
	pst_host_memory_done(&memory);
	pst_host_root_close(&root);
	return at;
}

/* Whether path is such a region already: 0, 1 (is), or -errno with err. */
static int already_there(const char *path, const struct request *r,
			 uint8_t ret_uuid[16], struct pst_error *err)
{
	struct pst_region_map m;
	int rc;

	if (!r->if_missing)
		return 0;
	rc = pst_region_map_open(path, &m, err);
	if (rc == -ENOENT)
		return 0;
	if (rc < 0)
		return rc;
	memcpy(ret_uuid, m.uuid, sizeof(m.uuid));
	if (m.file_size == r->create.file_size)
		rc = 1;
	else
		rc = pst_error_set(err, -EEXIST,
				   "%s is a region of %" PRIu64 " MiB already",
				   path, m.file_size >> 20);
	pst_region_map_close(&m);
	return rc;
}

static int report(const struct pst_cmd_ctx *ctx, const struct request *r,
		  const char *path, const uint8_t uuid[16], bool created)
{
	struct statfs fs;
	char text[37];
	long page = 0;

	if (statfs(path, &fs) == 0)
		page = fs.f_bsize;
	pst_uuid_format(uuid, text);
	if (ctx->json)
		return pst_cmd_print_json(
			ctx,
			json_pack("{s:s, s:s, s:s, s:I, s:I, s:b}", "name",
				  r->name, "path", path, "uuid", text, "size",
				  (json_int_t)r->create.file_size, "page_size",
				  (json_int_t)page, "created", created));
	printf("%s  %" PRIu64 " MiB in pages of %ld KiB  %s%s\n", path,
	       r->create.file_size >> 20, page >> 10, text,
	       created ? "" : "  (was there)");
	return PST_EXIT_OK;
}

static int create(const struct pst_cmd_ctx *ctx, const struct request *r)
{
	char dir[PATH_MAX], path[PATH_MAX + PST_NAME_MAX + 16];
	struct pst_error err;
	uint8_t uuid[16];
	int rc;

	if (r->dir)
		snprintf(dir, sizeof(dir), "%s", r->dir);
	else if (!find_hugetlbfs(dir, sizeof(dir)))
		return pst_cmd_fail(ctx,
				    "no hugetlbfs with pages of 2 MiB is "
				    "mounted: " PST_HOST_MOUNT_2M ", or name "
				    "a directory with --path (/dev/shm does, "
				    "more slowly)");
	snprintf(path, sizeof(path), "%s/penstock-%s", dir, r->name);
	rc = already_there(path, r, uuid, &err);
	if (rc > 0)
		return report(ctx, r, path, uuid, false);
	if (rc == 0) {
		pst_cmd_progress(ctx, "taking memory for the region");
		rc = pst_region_create_file(path, &r->create, uuid, &err);
		pst_cmd_progress(ctx, NULL);
	}
	if (rc == -EINVAL)
		return pst_cmd_usage(ctx, "%s", err.text);
	if (rc == -EEXIST && !r->if_missing)
		return pst_cmd_fail(ctx, "%s; --replace replaces it", err.text);
	if (rc < 0)
		return pst_cmd_fail(ctx, "%s", err.text);
	return report(ctx, r, path, uuid, true);
}

static int run(const struct pst_cmd_ctx *ctx, int argc, char **argv)
{
	struct request r = {
		.create = {.mode = 0660,
			   .uid = (uid_t)-1,
			   .gid = (gid_t)-1,
			   .node = -1,
			   .prefault = true},
	};
	uint64_t size;
	int opt, rc;

	while ((opt = pst_cmd_getopt(ctx, argc, argv)) != -1)
		if (!parse_option(ctx, opt, &r))
			return PST_EXIT_USAGE;
	r.name = argv[optind];
	size = r.create.file_size;
	if (!pst_name_is_good(r.name))
		return pst_cmd_usage(ctx,
				     "\"%s\" is no name: 1 to %u letters, "
				     "digits, \"-\", \"_\" and \".\", a letter "
				     "or digit first",
				     r.name, PST_NAME_MAX);
	if (!size)
		return pst_cmd_usage(ctx,
				     "--size is needed, 6M to 64T, such as 4G");
	if (r.create.replace && r.if_missing)
		return pst_cmd_usage(
			ctx, "--replace and --if-missing exclude each other");
	rc = create(ctx, &r);
	if (rc == PST_EXIT_OK && size & (size - 1))
		fprintf(stderr,
			"%s: note: an ivshmem device needs a power of two, "
			"other uses do not mind\n",
			ctx->path);
	return rc;
}

const struct pst_cmd pst_cmd_host_region_create = {
	.name = "create",
	.args = "NAME --size S",
	.summary = "Create a region, the memory that host and guest share",
	.help = "Writes DIR/penstock-NAME: allocates all its pages, stamps it, "
		"and gives it its name\nonly when it is whole. hugetlbfs is "
		"empty after each boot: the unit\npenstock-region@NAME.service "
		"creates the region before libvirtd starts, with SIZE,\nNODE, "
		"GROUP and MODE from /etc/penstock/regions.d/NAME.conf.\n",
	.example = "penstock host region create titan --size 4G\n",
	.opts = opts,
	.min_args = 1,
	.max_args = 1,
	.run = run,
};
