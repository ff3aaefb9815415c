/* SPDX-License-Identifier: MIT */
/* Checks private copies of a region's stamp and format line. */
#include "transport/region/region.h"

#include <errno.h>
#include <inttypes.h>

#include "transport/region/region_int.h"

static bool all_zero(const void *p, size_t n)
{
	const uint8_t *b = p;
	size_t i;

	for (i = 0; i < n; i++)
		if (b[i])
			return false;
	return true;
}

static_assert(PST_REGION_UNIT == PST_WIRE_UNIT &&
		      PST_REGION_MIN == PST_WIRE_MIN_FILE &&
		      PST_REGION_MAX == PST_WIRE_MAX_FILE,
	      "the base knows no wire");

int pst_stamp_check(const struct pst_wire_stamp *stamp, uint64_t file_size,
		    struct pst_error *err)
{
	if (stamp->magic != PST_WIRE_STAMP_MAGIC)
		return pst_error_set(err, -EPROTO,
				     "not a Penstock region: it has no stamp");
	if (stamp->version != PST_STAMP_VERSION)
		return pst_error_set(err, -EPROTO,
				     "the region's stamp has version %" PRIu32
				     ", known is %u",
				     stamp->version, PST_STAMP_VERSION);
	if (stamp->reserved0 ||
	    !all_zero(stamp->reserved1, sizeof(stamp->reserved1)))
		return pst_error_set(err, -EPROTO,
				     "the region's stamp has reserved bytes "
				     "set");
	if (stamp->file_size != file_size)
		return pst_error_set(err, -EMSGSIZE,
				     "the region was made with %" PRIu64
				     " bytes, but has %" PRIu64 " now",
				     stamp->file_size, file_size);
	if (pst_region_check_size(file_size, err))
		return -EMSGSIZE;
	return 0;
}

static const char *format_fault(const struct pst_wire_format *f,
				uint64_t file_size)
{
	const uint64_t before_arena = PST_WIRE_PREAMBLE + PST_WIRE_CTL_SIZE;

	if (!f->epoch)
		return "epoch 0";
	if (f->n_lanes < 1 || f->n_lanes > PST_WIRE_MAX_LANES)
		return "a wrong number of lanes";
	if (f->n_slots != PST_WIRE_SLOTS)
		return "a wrong number of slots";
	if (f->arena_off != PST_WIRE_CTL_SIZE)
		return "a wrong arena offset";
	if (file_size < before_arena || !f->arena_size ||
	    f->arena_size % PST_WIRE_UNIT ||
	    f->arena_size > file_size - before_arena)
		return "a wrong arena size";
	if (!f->heartbeat_ms)
		return "no heartbeat interval";
	if (f->reserved0)
		return "reserved bytes set";
	return NULL;
}

int pst_format_check(const struct pst_wire_format *f, uint64_t file_size,
		     struct pst_error *err)
{
	const char *fault;

	if (f->magic != PST_WIRE_FORMAT_MAGIC)
		return pst_error_set(err, -EAGAIN,
				     "no agent has formatted the region yet");
	if (f->version != PST_WIRE_VERSION)
		return pst_error_set(err, -EPROTONOSUPPORT,
				     "the region is formatted for protocol "
				     "version %" PRIu32 ", known is %u",
				     f->version, PST_WIRE_VERSION);
	/* Unknown feature bits are no fault: HELLO settles what is used. */
	fault = format_fault(f, file_size);
	if (fault)
		return pst_error_set(err, -EPROTO,
				     "the region's format line has %s", fault);
	return 0;
}
