/* SPDX-License-Identifier: MIT */
/* penstock host report: one file with what check read, to be sent. */
#include <fcntl.h>
#include <string.h>

#include "host-client/cli/cmd.h"
#include "host-client/cli/cmds.h"
#include "kernel-params/report/report.h"

enum {
	OPT_ROOT = PST_OPT_OWN,
};

static const struct pst_cmd_opt opts[] = {
	{'o', "output", "FILE", "a new file; needed"},
	{OPT_ROOT, "root", "DIR",
	 "the root of a host, or a copy of another's files [/]"},
	PST_CMD_OPT_JSON,
	{0},
};

static int say(const struct pst_cmd_ctx *ctx, const char *path,
	       const struct pst_host_report *report)
{
	size_t i;

	for (i = 0; i < report->kept.n; i++)
		fprintf(stderr,
			"%s: the name %s is not masked: settings use that word "
			"too\n",
			ctx->path, report->kept.name[i]);
	if (ctx->json)
		return pst_cmd_print_json(
			ctx,
			json_pack("{s:o, s:I, s:I}", "path", pst_cmd_text(path),
				  "files", (json_int_t)report->n_files, "cards",
				  (json_int_t)report->n_cards));
	printf("%s: what was read of %zu files, for %zu cards. Look into it "
	       "before you send it: tar -xOf %s | less\n",
	       path, report->n_files, report->n_cards, path);
	return PST_EXIT_OK;
}

/* The file is the user's alone until he sends it. */
static int write_report(const struct pst_cmd_ctx *ctx,
			struct pst_host_root *root, const char *path)
{
	int rc, fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	FILE *f = fd < 0 ? NULL : fdopen(fd, "w");
	struct pst_host_report report;
	struct pst_error err = {0};

	if (!f) {
		rc = errno;
		pst_close_fd(fd);
		return pst_cmd_fail(ctx, "cannot create %s: %s", path,
				    strerror(rc));
	}
	rc = pst_host_report_write(root, f, &report, &err);
	if (fclose(f) && rc == 0) {
		rc = pst_error_set_errno(&err, errno, "cannot write %s", path);
		pst_host_report_done(&report);
	}
	if (rc < 0) {
		unlink(path);
		return pst_cmd_fail(ctx, "%s", err.text);
	}
	rc = say(ctx, path, &report);
	pst_host_report_done(&report);
	return rc;
}

static int run(const struct pst_cmd_ctx *ctx, int argc, char **argv)
{
	const char *path = NULL, *dir = "/";
	struct pst_host_root root;
	struct pst_error err;
	int opt, rc;

	while ((opt = pst_cmd_getopt(ctx, argc, argv)) != -1) {
		if (opt == 'o')
			path = optarg;
		else if (opt == OPT_ROOT)
			dir = optarg;
		else
			return PST_EXIT_USAGE;
	}
	if (!path)
		return pst_cmd_usage(ctx, "-o FILE is needed");
	if (pst_host_root_open(dir, &root, &err) < 0)
		return pst_cmd_fail(ctx, "%s", err.text);
	rc = write_report(ctx, &root, path);
	pst_host_root_close(&root);
	return rc;
}

const struct pst_cmd pst_cmd_host_report = {
	.name = "report",
	.args = "-o FILE",
	.summary = "Write what check read into one file, to be sent",
	.help = "Writes a tar with what check and plan read of this host, for "
		"each card. Who gets it\nunpacks it into an empty folder and "
		"runs penstock host check --root there, with\nthe same "
		"findings. Serial numbers, hardware addresses, UUIDs, "
		"passwords and names of host\nand users are replaced. Run it as "
		"root: what it cannot read is not in it.\n",
	.example = "penstock host report -o host.tar\n",
	.opts = opts,
	.run = run,
};
