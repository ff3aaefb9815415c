/* SPDX-License-Identifier: MIT */
/* The firmware descriptors: which one a q35 domain gets. */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "libvirt-xml/plan/firmware.h"
#include "tests/fixtures/tmpdir.h"
#include "tests/fixtures/unit.h"

/* A descriptor of code and variables with features and a machine. */
static const char *descriptor(const char *code, const char *features,
			      const char *machine)
{
	static char text[1024];

	snprintf(text, sizeof(text),
		 "{\"interface-types\": [\"uefi\"], \"mapping\": {\"device\": "
		 "\"flash\", \"executable\": {\"filename\": \"%s\", "
		 "\"format\": \"raw\"}, \"nvram-template\": {\"filename\": "
		 "\"/vars\", \"format\": \"raw\"}}, \"targets\": "
		 "[{\"architecture\": \"x86_64\", \"machines\": [\"%s\"]}], "
		 "\"features\": [%s], \"tags\": []}",
		 code, machine, features);
	return text;
}

/* Writes a file and the directories on its way below the root. */
static void put(const char *path, const char *text)
{
	char full[PATH_MAX], *p;
	FILE *f;

	snprintf(full, sizeof(full), "%s/%s", tmpdir, path);
	for (p = full + strlen(tmpdir) + 1; (p = strchr(p, '/')); p++) {
		*p = '\0';
		mkdir(full, 0755);
		*p = '/';
	}
	f = fopen(full, "w");
	ck_assert_ptr_nonnull(f);
	fputs(text, f);
	fclose(f);
}

static int find(struct pst_vm_firmware *ret)
{
	struct pst_host_root root;
	int r;

	ck_assert_int_eq(pst_host_root_open(tmpdir, &root, NULL), 0);
	r = pst_vm_firmware_find(&root, "/home/u/.config", ret, NULL);
	pst_host_root_close(&root);
	return r;
}

START_TEST(what_is_signed_or_for_others_is_passed_over)
{
	struct pst_vm_firmware f;
	const char *text;

	text = descriptor("/code", "\"acpi-s3\"", "pc-q35-*");
	ck_assert_int_eq(pst_vm_firmware_parse(text, strlen(text), &f, NULL),
			 1);
	ck_assert_str_eq(f.code, "/code");
	ck_assert_str_eq(f.vars_template, "/vars");
	ck_assert_str_eq(f.format, "raw");
	text = descriptor("/code", "\"secure-boot\"", "pc-q35-*");
	ck_assert_int_eq(pst_vm_firmware_parse(text, strlen(text), &f, NULL),
			 0);
	text = descriptor("/code", "\"requires-smm\"", "pc-q35-*");
	ck_assert_int_eq(pst_vm_firmware_parse(text, strlen(text), &f, NULL),
			 0);
	text = descriptor("/code", "", "pc-i440fx-*");
	ck_assert_int_eq(pst_vm_firmware_parse(text, strlen(text), &f, NULL),
			 0);
	text = descriptor("code", "", "pc-q35-*");
	ck_assert_int_eq(pst_vm_firmware_parse(text, strlen(text), &f, NULL),
			 0);
}
END_TEST

START_TEST(what_is_no_descriptor_is_an_error)
{
	static const char *const bad[] = {"", "[]", "{", "\"uefi\"",
					  "{\"a\": 1, \"a\": 2}"};
	static const char odd[] = "{\"mapping\": 7, \"targets\": {}}";
	struct pst_vm_firmware f;
	size_t i;

	for (i = 0; i < PST_ARRAY_SIZE(bad); i++)
		ck_assert_int_eq(
			pst_vm_firmware_parse(bad[i], strlen(bad[i]), &f, NULL),
			-EPROTO);
	ck_assert_int_eq(pst_vm_firmware_parse("{}", 2, &f, NULL), 0);
	ck_assert_int_eq(pst_vm_firmware_parse(odd, strlen(odd), &f, NULL), 0);
}
END_TEST

START_TEST(the_first_name_wins_whatever_the_directory)
{
	struct pst_vm_firmware f;

	put("a", "");
	put("b", "");
	put("vars", "");
	put("usr/share/qemu/firmware/60-b.json",
	    descriptor("/b", "", "pc-q35-*"));
	put("usr/share/qemu/firmware/50-a.json",
	    descriptor("/a", "", "pc-q35-*"));
	put("usr/share/qemu/firmware/10-gone.json",
	    descriptor("/gone", "", "pc-q35-*"));
	ck_assert_int_eq(find(&f), 0);
	ck_assert_str_eq(f.code, "/a");
	ck_assert(f.uefi && !f.by_libvirt);
	/* The administrator hides it; the user brings it back. */
	put("etc/qemu/firmware/50-a.json", "");
	ck_assert_int_eq(find(&f), 0);
	ck_assert_str_eq(f.code, "/b");
	put("home/u/.config/qemu/firmware/50-a.json",
	    descriptor("/a", "", "pc-q35-*"));
	ck_assert_int_eq(find(&f), 0);
	ck_assert_str_eq(f.code, "/a");
}
END_TEST

START_TEST(without_descriptors_the_usual_places_count)
{
	struct pst_vm_firmware f;

	ck_assert_int_eq(find(&f), 1);
	ck_assert(f.uefi && f.by_libvirt);
	put("usr/share/edk2/x64/OVMF_CODE.4m.fd", "");
	ck_assert_int_eq(find(&f), 1);
	put("usr/share/edk2/x64/OVMF_VARS.4m.fd", "");
	ck_assert_int_eq(find(&f), 0);
	ck_assert_str_eq(f.code, "/usr/share/edk2/x64/OVMF_CODE.4m.fd");
	ck_assert(!f.by_libvirt);
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_checked_fixture(tc, tmpdir_make, tmpdir_remove);
	tcase_add_test(tc, what_is_signed_or_for_others_is_passed_over);
	tcase_add_test(tc, what_is_no_descriptor_is_an_error);
	tcase_add_test(tc, the_first_name_wins_whatever_the_directory);
	tcase_add_test(tc, without_descriptors_the_usual_places_count);
}

int main(void)
{
	return pst_unit_run("vm_firmware", add, 10);
}
