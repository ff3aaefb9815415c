/* SPDX-License-Identifier: MIT */
/* Runs in the guest: maps a region's device, asks how it is mapped, drives the
 * edu device's DMA into it, runs a command as nobody of importance. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/vm/kmod/pst_probe.h"

#define UNIT (2ULL << 20)

/* QEMU, docs/specs/edu: registers of BAR 0, its buffer, its commands. */
#define EDU_DMA_SRC   0x80
#define EDU_DMA_DST   0x88
#define EDU_DMA_COUNT 0x90
#define EDU_DMA_CMD   0x98
#define EDU_BUFFER    0x40000U
#define EDU_START     1U
#define EDU_TO_MEMORY 2U
#define EDU_LOOKS     2000

static int fail(const char *what)
{
	printf("error %s: %s\n", what, strerror(errno));
	return 1;
}

/* By Linux' order of the PAT: bits PWT, PCD, PAT. */
static const char *caching(const struct pst_probe *p)
{
	static const char *const names[8] = {"WB", "WC", "UC-", "UC",
					     "WB", "WP", "UC-", "WT"};
	unsigned int i = 0;

	if (p->entry & 1U << 3)
		i |= 1;
	if (p->entry & 1U << 4)
		i |= 2;
	if (p->entry & (p->shift == 12 ? 1ULL << 7 : 1ULL << 12))
		i |= 4;
	return p->shift ? names[i] : "none";
}

static int map(const char *path, uint64_t off, uint64_t size, uint8_t **ret)
{
	int fd = open(path, O_RDWR | O_CLOEXEC | O_SYNC);
	uint8_t *room;
	void *p;

	if (fd < 0)
		return fail("open");
	room = mmap(NULL, size + UNIT, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS,
		    -1, 0);
	if (room == MAP_FAILED)
		return fail("room");
	room += UNIT - (uintptr_t)room % UNIT;
	p = mmap(room, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd,
		 (off_t)off);
	if (p == MAP_FAILED)
		return fail("mmap");
	*ret = p;
	close(fd);
	return 0;
}

/* "caching WB page 2097152 pinned 1"; with hold, keeps mapping and pin until
 * a line comes, then touches the mapping again. */
static int probe(const char *path, uint64_t off, uint64_t size, int hold)
{
	struct pst_probe p = {.hold = (uint32_t)hold};
	char line[16];
	uint8_t *at = NULL;
	int fd;

	if (map(path, off, size, &at))
		return 1;
	at += size / 2;
	*(volatile uint8_t *)at = *(volatile uint8_t *)at;
	fd = open("/dev/pst_probe", O_RDWR | O_CLOEXEC);
	p.addr = (uintptr_t)at;
	if (fd < 0 || ioctl(fd, PST_PROBE_IOCTL, &p))
		return fail("probe");
	printf("caching %s page %llu pinned %d\n", caching(&p),
	       p.shift ? 1ULL << p.shift : 0, p.pinned);
	fflush(stdout);
	if (!hold || !fgets(line, sizeof(line), stdin))
		return 0;
	close(fd);
	printf("unpinned\n");
	fflush(stdout);
	if (!fgets(line, sizeof(line), stdin))
		return 0;
	printf("read %u\n", *(volatile uint8_t *)at);
	return 0;
}

/* Maps more than there is, privately, past the end: all to be refused. */
static int limits(const char *path, uint64_t size)
{
	int fd = open(path, O_RDWR | O_CLOEXEC), bad = 0, again;
	const struct {
		uint64_t off, size;
		int flags;
	} wrong[] = {
		{0, size + 4096, MAP_SHARED},    {size, 4096, MAP_SHARED},
		{size - 4096, 8192, MAP_SHARED}, {0, 4096, MAP_PRIVATE},
		{1ULL << 50, 4096, MAP_SHARED},
	};
	size_t i;
	uint8_t *p;

	if (fd < 0)
		return fail("open");
	for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		if (mmap(NULL, wrong[i].size, PROT_READ, wrong[i].flags, fd,
			 (off_t)wrong[i].off) != MAP_FAILED) {
			printf("mapped %zu\n", i);
			bad = 1;
		}
	p = mmap(NULL, 8192, PROT_READ, MAP_SHARED, fd, (off_t)(size - 8192));
	if (p == MAP_FAILED)
		return fail("end");
	/* Nothing grows over the end. */
	if (mremap(p, 8192, 1 << 20, MREMAP_MAYMOVE) != MAP_FAILED) {
		printf("grew\n");
		bad = 1;
	}
	again = open(path, O_RDWR | O_CLOEXEC);
	printf("second open %s\n", again < 0 ? strerror(errno) : "works");
	printf("limits %s\n", bad ? "BROKEN" : "kept");
	return bad;
}

static void edu_write(volatile uint8_t *bar, unsigned int reg, uint64_t v)
{
	*(volatile uint64_t *)(bar + reg) = v;
}

static int edu_run(volatile uint8_t *bar, uint64_t src, uint64_t dst,
		   uint64_t n, unsigned int cmd)
{
	int i;

	edu_write(bar, EDU_DMA_SRC, src);
	edu_write(bar, EDU_DMA_DST, dst);
	edu_write(bar, EDU_DMA_COUNT, n);
	edu_write(bar, EDU_DMA_CMD, cmd | EDU_START);
	for (i = 0; i < EDU_LOOKS; i++) {
		if (!(*(volatile uint64_t *)(bar + EDU_DMA_CMD) & EDU_START))
			return 0;
		usleep(1000);
	}
	printf("error edu does not end\n");
	return 1;
}

/* Lets the device read n bytes at physical address from and write them to
 * to. dir is its directory in sysfs. */
static int edu(const char *dir, uint64_t from, uint64_t to, uint64_t n)
{
	volatile uint8_t *bar;
	uint16_t command;
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "%s/enable", dir);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, "1", 1) != 1)
		return fail("enable");
	close(fd);
	snprintf(path, sizeof(path), "%s/config", dir);
	fd = open(path, O_RDWR | O_CLOEXEC);
	/* PCI command register, bit 2: bus master. */
	if (fd < 0 || pread(fd, &command, 2, 4) != 2)
		return fail("config");
	command |= 4;
	if (pwrite(fd, &command, 2, 4) != 2)
		return fail("bus master");
	close(fd);
	snprintf(path, sizeof(path), "%s/resource0", dir);
	fd = open(path, O_RDWR | O_CLOEXEC | O_SYNC);
	bar = fd < 0 ? MAP_FAILED
		     : mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
			    0);
	if (bar == MAP_FAILED)
		return fail("resource0");
	if (edu_run(bar, from, EDU_BUFFER, n, 0) ||
	    edu_run(bar, EDU_BUFFER, to, n, EDU_TO_MEMORY))
		return 1;
	printf("copied %" PRIu64 "\n", n);
	return 0;
}

/* COMMAND as a user and group that may nothing. */
static int run_as(uint64_t id, char **command)
{
	if (setgroups(0, NULL) < 0 || setgid((gid_t)id) < 0 ||
	    setuid((uid_t)id) < 0)
		return fail("setuid");
	execvp(command[0], command);
	return fail(command[0]);
}

static uint64_t number(const char *text)
{
	return strtoull(text, NULL, 0);
}

int main(int argc, char **argv)
{
	if (argc == 5 && strcmp(argv[1], "map") == 0)
		return probe(argv[2], number(argv[3]), number(argv[4]), 0);
	if (argc == 5 && strcmp(argv[1], "hold") == 0)
		return probe(argv[2], number(argv[3]), number(argv[4]), 1);
	if (argc == 4 && strcmp(argv[1], "limits") == 0)
		return limits(argv[2], number(argv[3]));
	if (argc == 6 && strcmp(argv[1], "edu") == 0)
		return edu(argv[2], number(argv[3]), number(argv[4]),
			   number(argv[5]));
	if (argc >= 4 && strcmp(argv[1], "as") == 0)
		return run_as(number(argv[2]), argv + 3);
	printf("usage: region_probe map|hold PATH OFF SIZE | limits PATH SIZE "
	       "| edu DIR FROM TO BYTES | as ID COMMAND...\n");
	return 2;
}
