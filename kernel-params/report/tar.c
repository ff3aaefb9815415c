/* SPDX-License-Identifier: MIT */
/* Writes a tar: ustar (POSIX.1-1988, "ustar Interchange Format"), and type L or
 * K before an entry whose name or link is longer. */
#include "kernel-params/report/tar.h"

#include <assert.h>
#include <string.h>

struct header {
	char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], sum[8];
	char type, link[100], magic[6], version[2], rest[247];
};
static_assert(sizeof(struct header) == 512, "a header is a block");

static void put_header(FILE *f, char type, const char *name, const char *link,
		       size_t size)
{
	struct header h = {.type = type, .magic = "ustar", .version = "00"};
	const unsigned char *p = (const unsigned char *)&h;
	unsigned int sum = 0;
	size_t i;

	/* What does not fit was written before. */
	memcpy(h.name, name, strnlen(name, sizeof(h.name)));
	memcpy(h.link, link, strnlen(link, sizeof(h.link)));
	snprintf(h.mode, sizeof(h.mode), "%07o", type == '5' ? 0755U : 0644U);
	snprintf(h.uid, sizeof(h.uid), "%07o", 0U);
	snprintf(h.gid, sizeof(h.gid), "%07o", 0U);
	snprintf(h.size, sizeof(h.size), "%011zo", size & 077777777777);
	snprintf(h.mtime, sizeof(h.mtime), "%011o", 0U);
	memset(h.sum, ' ', sizeof(h.sum));
	for (i = 0; i < sizeof(h); i++)
		sum += p[i];
	snprintf(h.sum, sizeof(h.sum), "%06o", sum);
	fwrite(&h, sizeof(h), 1, f);
}

static void put_data(FILE *f, const char *data, size_t len)
{
	static const char zeros[512];
	size_t over = len % sizeof(zeros);

	fwrite(data, 1, len, f);
	if (over)
		fwrite(zeros, 1, sizeof(zeros) - over, f);
}

static void put_long(FILE *f, char type, const char *text)
{
	size_t len = strlen(text) + 1;

	if (len <= 100)
		return;
	put_header(f, type, "././@LongLink", "", len);
	put_data(f, text, len);
}

static void put_entry(FILE *f, char type, const char *path, const char *link,
		      size_t size)
{
	put_long(f, 'K', link);
	put_long(f, 'L', path);
	put_header(f, type, path, link, size);
}

void pst_host_tar_dir(FILE *f, const char *path)
{
	put_entry(f, '5', path, "", 0);
}

void pst_host_tar_link(FILE *f, const char *path, const char *target)
{
	put_entry(f, '2', path, target, 0);
}

void pst_host_tar_file(FILE *f, const char *path, const char *data, size_t len)
{
	put_entry(f, '0', path, "", len);
	put_data(f, data, len);
}

void pst_host_tar_end(FILE *f)
{
	static const char zeros[1024];

	fwrite(zeros, sizeof(zeros), 1, f);
}
