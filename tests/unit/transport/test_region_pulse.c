/* SPDX-License-Identifier: MIT */
/* The heartbeat in a region's header, seen from outside. */
#include <errno.h>

#include "tests/fixtures/tmpdir.h"
#include "tests/fixtures/unit.h"
#include "transport/region/region.h"
#include "transport/region/region_pulse.h"
#include "transport/shm.h"

static struct pst_error err;

START_TEST(a_pulse_is_a_heartbeat_that_moves)
{
	const struct pst_region_create create = {
		.file_size = 8ULL << 20,
		.mode = 0600,
		.uid = (uid_t)-1,
		.gid = (gid_t)-1,
		.node = -1,
	};
	struct pst_region_pulse p;
	struct pst_wire_header *h;
	uint8_t uuid[16];

	tmpdir_make();
	ck_assert_int_eq(
		pst_region_create_file(tmpdir_path("r"), &create, uuid, &err),
		0);
	ck_assert_int_eq(pst_region_pulse_open(tmpdir_path("r"), &p, &err), 0);
	ck_assert(!pst_region_pulse_beats(&p));
	h = p.ctl;
	pst_shm_store(&h->heartbeat.value, p.first + 1);
	ck_assert(pst_region_pulse_beats(&p));
	/* It did once. */
	pst_shm_store(&h->heartbeat.value, p.first);
	ck_assert(pst_region_pulse_beats(&p));
	pst_region_pulse_close(&p);
	ck_assert_int_eq(pst_region_pulse_open(tmpdir_path("none"), &p, &err),
			 -ENOENT);
	ck_assert(!pst_region_pulse_beats(&p));
	pst_region_pulse_close(&p);
	tmpdir_remove();
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_test(tc, a_pulse_is_a_heartbeat_that_moves);
}

int main(void)
{
	return pst_unit_run("region_pulse", add, 10);
}
