/* SPDX-License-Identifier: MIT */
/* penstock host rom: reads and checks a card's expansion ROM. */
#include <string.h>

#include "host-client/cli/cmds.h"
#include "host-client/files/outfile.h"
#include "kernel-params/device/rom.h"
#include "kernel-params/scan/host.h"

enum { OPT_FILE = PST_OPT_OWN, OPT_ROOT };

static const struct pst_cmd_opt opts[] = {
	{'o', "output", "FILE", "write what was read there, if it is an image"},
	{OPT_FILE, "file", "FILE", "check this file instead of reading a card"},
	{OPT_ROOT, "root", "DIR", "the host's files are below DIR [/]"},
	PST_CMD_OPT_JSON,
	{0},
};

struct request {
	const char *addr, *output, *file, *root;
};

/* What is read, and checked. */
struct job {
	uint8_t *bytes;
	size_t size;
	struct pst_host_rom_want want;
	struct pst_host_rom rom;
	struct pst_host_findings fs;
};

static int read_file(const struct pst_cmd_ctx *ctx, const char *path,
		     struct job *j)
{
	FILE *f = fopen(path, "rbe");
	size_t n;
	int r = 0;

	if (!f)
		return pst_cmd_fail(ctx, "cannot open %s: %s", path,
				    strerror(errno));
	j->bytes = malloc(PST_HOST_ROM_MAX + 1);
	n = j->bytes ? fread(j->bytes, 1, PST_HOST_ROM_MAX + 1, f) : 0;
	if (!j->bytes)
		r = pst_cmd_fail(ctx, "out of memory");
	else if (ferror(f))
		r = pst_cmd_fail(ctx, "cannot read %s: %s", path,
				 strerror(errno));
	else if (n > PST_HOST_ROM_MAX)
		r = pst_cmd_fail(ctx, "%s is larger than any ROM", path);
	j->size = n;
	fclose(f);
	return r;
}

static int read_card(const struct pst_cmd_ctx *ctx, const struct request *q,
		     struct job *j)
{
	const struct pst_host_pci_dev *dev;
	struct pst_host_pci pci = {0};
	struct pst_host_root root;
	struct pst_error err = {0};
	int r = pst_host_root_open(q->root, &root, &err);

	if (r < 0)
		return pst_cmd_fail(ctx, "%s", err.text);
	r = pst_host_pci_scan(&root, &pci, &err);
	if (r == 0)
		r = pst_host_pci_select_gpu(&pci, q->addr, &dev, &err);
	if (r == 0) {
		j->want.vendor = dev->vendor;
		j->want.device = dev->device;
	}
	if (r == 0 && !q->file) {
		j->want.shadow = pst_host_rom_is_shadow(dev);
		r = pst_host_rom_read(&root, dev, &j->bytes, &j->size, &err);
	}
	pst_host_pci_done(&pci);
	pst_host_root_close(&root);
	return r < 0 ? pst_cmd_fail(ctx, "%s", err.text) : PST_EXIT_OK;
}

static int write_file(const struct pst_cmd_ctx *ctx, const char *path,
		      const struct job *j)
{
	struct pst_outfile o = {0};
	struct pst_error err;
	int r = pst_outfile_open(path, &o, &err);

	if (r == 0)
		r = pst_outfile_write(&o, j->bytes, j->size, &err);
	if (r == 0)
		r = pst_outfile_commit(&o, &err);
	else
		pst_outfile_abandon(&o);
	return r < 0 ? pst_cmd_fail(ctx, "%s", err.text) : PST_EXIT_OK;
}

static int show(const struct pst_cmd_ctx *ctx, const struct job *j)
{
	json_t *list;
	size_t i;
	int r = 0;

	for (i = 0; i < j->fs.n && !ctx->json; i++) {
		const struct pst_host_finding *f = &j->fs.f[i];

		printf("%s  %-13s  %s.%s%s%s%s%s%s\n",
		       pst_host_finding_status_name(f->status), f->id, f->seen,
		       f->status == PST_HOST_PASS ? "" : " Why: ",
		       f->status == PST_HOST_PASS ? "" : f->why,
		       f->status == PST_HOST_PASS ? "" : ".",
		       *f->fix ? " Remedy: " : "", f->fix, *f->fix ? "." : "");
	}
	if (!ctx->json)
		return PST_EXIT_OK;
	list = json_array();
	for (i = 0; i < j->fs.n; i++)
		r |= json_array_append_new(
			list,
			json_pack(
				"{s:s, s:s, s:s, s:s, s:s}", "id",
				j->fs.f[i].id, "status",
				pst_host_finding_status_name(j->fs.f[i].status),
				"seen", j->fs.f[i].seen, "why", j->fs.f[i].why,
				"remedy", j->fs.f[i].fix));
	if (r) {
		json_decref(list);
		return pst_cmd_print_json(ctx, NULL);
	}
	return pst_cmd_print_json(ctx, json_pack("{s:I, s:i, s:b, s:o}", "size",
						 (json_int_t)j->size, "images",
						 (int)j->rom.n, "efi",
						 j->rom.efi, "findings", list));
}

static int check(const struct pst_cmd_ctx *ctx, const struct request *q,
		 struct job *j)
{
	int r = PST_EXIT_OK;

	if (q->addr)
		r = read_card(ctx, q, j);
	if (r == PST_EXIT_OK && q->file)
		r = read_file(ctx, q->file, j);
	if (r != PST_EXIT_OK)
		return r;
	pst_host_rom_check(j->bytes, j->size, &j->want, &j->rom, &j->fs);
	if (j->fs.no_memory)
		return pst_cmd_fail(ctx, "out of memory");
	r = show(ctx, j);
	if (r == PST_EXIT_OK && q->output && !j->rom.n)
		return pst_cmd_fail(ctx, "nothing is written: no image was "
					 "found");
	if (r == PST_EXIT_OK && q->output)
		r = write_file(ctx, q->output, j);
	if (r == PST_EXIT_OK &&
	    pst_host_findings_count(&j->fs, PST_HOST_PASS) != j->fs.n)
		r = PST_EXIT_FINDINGS;
	return r;
}

static int run(const struct pst_cmd_ctx *ctx, int argc, char **argv)
{
	struct request q = {.root = "/"};
	struct pst_host_pci_addr addr;
	struct job *j;
	int opt, r;

	while ((opt = pst_cmd_getopt(ctx, argc, argv)) != -1)
		switch (opt) {
		case 'o':
			q.output = optarg;
			break;
		case OPT_FILE:
			q.file = optarg;
			break;
		case OPT_ROOT:
			q.root = optarg;
			break;
		}
	q.addr = argv[optind];
	if (!q.addr && !q.file)
		return pst_cmd_usage(ctx, "name a card, such as 0000:01:00.0, "
					  "or a file with --file");
	if (q.addr && pst_host_pci_addr_parse(q.addr, &addr) < 0)
		return pst_cmd_usage(ctx,
				     "%s is no PCI address like 0000:01:00.0; "
				     "a file is checked by --file",
				     q.addr);
	if (q.file && q.output)
		return pst_cmd_usage(ctx, "--file and -o exclude each other");
	j = calloc(1, sizeof(*j));
	if (!j)
		return pst_cmd_fail(ctx, "out of memory");
	r = check(ctx, &q, j);
	pst_host_findings_done(&j->fs);
	free(j->bytes);
	free(j);
	return r;
}

const struct pst_cmd pst_cmd_host_rom = {
	.name = "rom",
	.args = "[ADDR]",
	.summary = "Read and check a card's ROM, or check a file of one",
	.help = "Reads what the kernel shows of the card's ROM, and checks it: "
		"signature, ids, the\nchain of images, checksum, an image for "
		"UEFI, and whether it is but a copy. Never\nchanges a byte. "
		"Exits 3 when something is not as it should be.\n",
	.example = "penstock host rom 0000:01:00.0 -o titan.rom\n",
	.opts = opts,
	.max_args = 1,
	.run = run,
};
