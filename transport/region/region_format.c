/* SPDX-License-Identifier: MIT */
/* Writes and reads the stamp and the format line of a region. */
#include "transport/region/region.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "transport/base/util.h"
#include "transport/region/region_int.h"
#include "transport/shm.h"

int pst_region_write_stamp(struct pst_wire_header *h, uint64_t file_size,
			   uint8_t ret_uuid[16])
{
	struct pst_wire_stamp s = {
		.version = PST_STAMP_VERSION,
		.file_size = file_size,
	};
	int r;

	r = pst_random(s.uuid, sizeof(s.uuid));
	if (r < 0)
		return r;
	/* RFC 4122 section 4.4: version 4, variant 1. */
	s.uuid[6] = (uint8_t)((s.uuid[6] & 0x0f) | 0x40);
	s.uuid[8] = (uint8_t)((s.uuid[8] & 0x3f) | 0x80);

	pst_shm_write(&h->stamp, &s, sizeof(s));
	/* A reader of the magic reads the rest too: pairs with the acquire
	 * of the lock or rename(2) that made the region findable. */
	pst_shm_store_fence();
	pst_shm_store_release(&h->stamp.magic, PST_WIRE_STAMP_MAGIC);
	memcpy(ret_uuid, s.uuid, sizeof(s.uuid));
	return 0;
}

int pst_region_read_head(int fd, uint64_t off, struct pst_region_head *ret)
{
	const struct pst_wire_header *h;
	void *p;
	int r;

	r = pst_region_map_file(fd, off, PST_WIRE_CTL_SIZE, NULL, &p);
	if (r < 0)
		return r;
	h = p;
	pst_shm_read(&ret->stamp, &h->stamp, sizeof(ret->stamp));
	pst_shm_read(&ret->format, &h->format, sizeof(ret->format));
	munmap(p, PST_WIRE_CTL_SIZE);
	return 0;
}

int pst_region_take_stamp(struct pst_region *r, const char *name,
			  bool may_stamp, struct pst_error *err)
{
	struct pst_wire_stamp stamp;
	struct pst_error why;
	int rc;

	pst_shm_read(&stamp, &pst_region_header(r)->stamp, sizeof(stamp));
	rc = pst_stamp_check(&stamp, r->file_size, &why);
	memcpy(r->uuid, stamp.uuid, sizeof(r->uuid));
	if (rc == 0)
		return 0;
	/* A stamp that is there but wrong is somebody's; only none at all is
	 * made good. */
	if (!may_stamp || stamp.magic == PST_WIRE_STAMP_MAGIC)
		return pst_error_set(err, rc, "%s: %s", name, why.text);
	rc = pst_region_write_stamp(pst_region_header(r), r->file_size,
				    r->uuid);
	if (rc < 0)
		return pst_error_set_errno(err, rc, "cannot stamp %s", name);
	return 0;
}

static int new_epoch(uint64_t old, uint64_t *ret)
{
	int i, r;

	/* 0 and the last one are drawn once in 2^63 tries. */
	for (i = 0; i < 8; i++) {
		r = pst_random(ret, sizeof(*ret));
		if (r < 0)
			return r;
		if (*ret && *ret != old)
			return 0;
	}
	return -EIO;
}

int pst_region_format(struct pst_region *r, uint32_t n_lanes,
		      const struct pst_wire_limits *limits,
		      uint32_t heartbeat_ms, uint64_t *ret_epoch,
		      struct pst_error *err)
{
	struct pst_wire_header *h = pst_region_header(r);
	struct pst_wire_format f = {
		.version = PST_WIRE_VERSION,
		.features = PST_WIRE_FEATURES,
		.n_lanes = n_lanes,
		.n_slots = PST_WIRE_SLOTS,
		.arena_off = PST_WIRE_CTL_SIZE,
		.arena_size = r->size - PST_WIRE_CTL_SIZE,
		.agent_pid = (uint32_t)getpid(),
		.heartbeat_ms = heartbeat_ms,
	};
	uint64_t *word = (uint64_t *)(void *)r->base;
	size_t i;
	int rc;

	if (n_lanes < 1 || n_lanes > PST_WIRE_MAX_LANES || !heartbeat_ms)
		return pst_error_set(err, -EINVAL,
				     "a region has 1 to %u lanes and a "
				     "heartbeat",
				     PST_WIRE_MAX_LANES);
	rc = new_epoch(pst_shm_load(&h->format.epoch), &f.epoch);
	if (rc < 0)
		return pst_error_set_errno(err, rc, "no random numbers");

	/* The old format ends before anything of it is cleared. */
	pst_shm_store_release(&h->format.magic, 0);
	pst_shm_fence();
	for (i = sizeof(h->stamp) / 8; i < PST_WIRE_CTL_SIZE / 8; i++)
		pst_shm_store(&word[i], 0);
	pst_shm_write(&h->limits, limits, sizeof(*limits));
	pst_shm_write(&h->format, &f, sizeof(f));
	/* Pairs with the reader's load_acquire of the magic. */
	pst_shm_store_fence();
	pst_shm_store_release(&h->format.magic, PST_WIRE_FORMAT_MAGIC);
	*ret_epoch = f.epoch;
	return 0;
}
