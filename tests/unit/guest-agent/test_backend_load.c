/* SPDX-License-Identifier: MIT */
/* What "auto" opens: a card that is there and cannot be used is a failure. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "guest-agent/backends/backend_load.h"
#include "tests/fixtures/tmpdir.h"
#include "tests/fixtures/unit.h"

static const struct pst_backend_ops *ops;
static struct pst_backend *backend;
static struct pst_error err;
static uint8_t region[4096];

static void make_dirs(const char *function)
{
	ck_assert_int_eq(mkdir(tmpdir_path("bus"), 0777), 0);
	ck_assert_int_eq(mkdir(tmpdir_path("bus/pci"), 0777), 0);
	ck_assert_int_eq(mkdir(tmpdir_path("bus/pci/devices"), 0777), 0);
	ck_assert_int_eq(mkdir(tmpdir_path(function), 0777), 0);
}

static void write_text(const char *name, const char *text)
{
	FILE *f = fopen(tmpdir_path(name), "w");

	ck_assert_ptr_nonnull(f);
	fprintf(f, "%s\n", text);
	ck_assert_int_eq(fclose(f), 0);
}

/* A tree with one function, bound to driver (NULL: to none). */
static void make_function(const char *vendor, const char *class,
			  const char *driver)
{
	char to[64];

	tmpdir_make();
	make_dirs("bus/pci/devices/0000:01:00.0");
	write_text("bus/pci/devices/0000:01:00.0/vendor", vendor);
	write_text("bus/pci/devices/0000:01:00.0/class", class);
	if (!driver)
		return;
	snprintf(to, sizeof(to), "../../drivers/%s", driver);
	ck_assert_int_eq(
		symlink(to, tmpdir_path("bus/pci/devices/0000:01:00.0/driver")),
		0);
}

static int open_auto(void)
{
	int r = pst_backend_open(&pst_backend_auto, NULL, tmpdir, region,
				 sizeof(region), 1, &ops, &backend, &err);

	if (r == 0)
		ops->close(backend);
	tmpdir_remove();
	return r;
}

/* Without a driver, with one but without a module, with the wrong driver. */
START_TEST(a_card_that_cannot_be_used_is_a_failure)
{
	static const struct {
		const char *dir, *class, *driver, *says;
	} with[] = {
		{NULL, "0x030000", NULL, "(driver: none)"},
		{NULL, "0x030200", "nouveau", "(driver: nouveau)"},
		{"/nonexistent", "0x030000", "nvidia",
		 "/nonexistent/penstock-backend-cuda.so"},
	};

	if (with[_i].dir)
		setenv("PENSTOCK_BACKEND_DIR", with[_i].dir, 1);
	make_function("0x10de", with[_i].class, with[_i].driver);
	ck_assert_int_eq(open_auto(), -ENODEV);
	ck_assert_ptr_nonnull(strstr(err.text, "0000:01:00.0"));
	ck_assert_ptr_nonnull(strstr(err.text, "--backend cpu"));
	ck_assert_msg(strstr(err.text, with[_i].says), "%s", err.text);
}
END_TEST

/* A guest's alone, the sound of a card, another maker's. */
START_TEST(without_a_card_to_use_the_cpu_computes)
{
	static const char *const with[][3] = {
		{"0x10de", "0x030000", "vfio-pci"},
		{"0x10de", "0x030000", "pci-stub"},
		{"0x10de", "0x040300", NULL},
		{"0x1002", "0x030000", NULL},
	};

	make_function(with[_i][0], with[_i][1], with[_i][2]);
	ck_assert_msg(open_auto() == 0, "%s", err.text);
	ck_assert_str_eq(ops->name, "cpu");
}
END_TEST

START_TEST(without_a_sysfs_the_cpu_computes)
{
	tmpdir_make();
	ck_assert_int_eq(open_auto(), 0);
	ck_assert_str_eq(ops->name, "cpu");
}
END_TEST

static void add_tests(TCase *tc)
{
	tcase_add_loop_test(tc, a_card_that_cannot_be_used_is_a_failure, 0, 3);
	tcase_add_loop_test(tc, without_a_card_to_use_the_cpu_computes, 0, 4);
	tcase_add_test(tc, without_a_sysfs_the_cpu_computes);
}

int main(void)
{
	return pst_unit_run("opening a backend", add_tests, 60);
}
