/* SPDX-License-Identifier: MIT */
/* Endpoint and region settings of a domain: what is written, and read again. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "host-client/lib/plain/endpoint.h"
#include "libvirt-xml/config/vm_files.h"
#include "tests/fixtures/tmpdir.h"
#include "tests/fixtures/unit.h"

static struct pst_error err;

/* ---- The samples -------------------------------------------------------- */

static void check_sample(const char *vsock, const char *region, const char *uri)
{
	static struct pst_vm_config c;
	static char text[PST_VM_FILE_MAX], got[PST_VM_FILE_MAX];
	struct pst_endpoint ep;
	uint64_t cid = 0;

	memset(&c, 0, sizeof(c));
	c.port = 7070;
	snprintf(c.region.path, sizeof(c.region.path), "%s", region);
	if (vsock[0] == '/')
		c.vsock_socket = c.vsock_uds = vsock;
	else
		ck_assert_int_eq(pst_parse_u64(vsock, 0, UINT32_MAX, &cid), 0);
	c.cid = (uint32_t)cid;
	/* What is written ... */
	ck_assert_int_eq(pst_vm_config_endpoint(&c, got, sizeof(got), &err), 0);
	ck_assert_str_eq(got, uri);
	ck_assert_int_eq(pst_vm_files_endpoint(uri, text, sizeof(text), &err),
			 0);
	/* ... is what is read. */
	ck_assert_msg(pst_endpoint_conf_parse(text, strlen(text), got,
					      sizeof(got), &err) == 0,
		      "%s: %s", uri, err.text);
	ck_assert_str_eq(got, uri);
	ck_assert_msg(pst_endpoint_parse(got, &ep, &err) == 0, "%s: %s", uri,
		      err.text);
	ck_assert_str_eq(ep.region, region);
	ck_assert_uint_eq(ep.port, 7070);
	ck_assert_uint_eq(ep.cid, c.cid);
	ck_assert_str_eq(ep.path, vsock[0] == '/' ? vsock : "");
}

START_TEST(what_define_writes_is_what_the_library_reads)
{
	char line[512], path[PATH_MAX], *region, *uri;
	const char *top = getenv("PST_TOP_SRCDIR");
	int n = 0;
	FILE *f;

	snprintf(path, sizeof(path), "%s/tests/data/endpoints.txt",
		 top ? top : ".");
	f = fopen(path, "r");
	ck_assert_msg(f != NULL, "%s", path);
	while (fgets(line, sizeof(line), f)) {
		if (line[0] == '#')
			continue;
		line[strcspn(line, "\n")] = '\0';
		region = strchr(line, '\t');
		ck_assert_ptr_nonnull(region);
		*region++ = '\0';
		uri = strchr(region, '\t');
		ck_assert_ptr_nonnull(uri);
		*uri++ = '\0';
		check_sample(line, region, uri);
		n++;
	}
	fclose(f);
	ck_assert_int_gt(n, 5);
}
END_TEST

/* ---- Files -------------------------------------------------------------- */

static const char ours[] =
	"# Written by penstock vm define; penstock vm undefine removes it.\n"
	"endpoint = vsock://3:7070?region=/r\n";

static int write_conf(const char *text)
{
	return pst_vm_files_write(tmpdir_path("conf"), "endpoints.d", "vm",
				  text, &err);
}

static int remove_conf(void)
{
	return pst_vm_files_remove(tmpdir_path("conf"), "endpoints.d", "vm",
				   &err);
}

static void read_conf(char *buf, size_t size)
{
	ck_assert_int_ge(pst_read_text(tmpdir_path("conf/endpoints.d/vm.conf"),
				       buf, size),
			 0);
}

static void write_foreign(const char *text)
{
	FILE *f = fopen(tmpdir_path("conf/endpoints.d/vm.conf"), "w");

	ck_assert_ptr_nonnull(f);
	fputs(text, f);
	ck_assert_int_eq(fclose(f), 0);
}

START_TEST(a_file_of_ours_is_written_replaced_and_removed)
{
	char text[256];
	struct stat st;

	tmpdir_make();
	ck_assert_int_eq(remove_conf(), 0);
	ck_assert_int_eq(write_conf(ours), 0);
	ck_assert_int_eq(write_conf(ours), 0);
	ck_assert_int_eq(stat(tmpdir_path("conf/endpoints.d/vm.conf"), &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0644);
	ck_assert_int_eq(write_conf("# Written by penstock vm define; penstock "
				    "vm undefine removes it.\nother\n"),
			 0);
	read_conf(text, sizeof(text));
	ck_assert_ptr_nonnull(strstr(text, "other"));
	ck_assert_int_eq(remove_conf(), 0);
	ck_assert_int_lt(stat(tmpdir_path("conf/endpoints.d/vm.conf"), &st), 0);
	tmpdir_remove();
}
END_TEST

START_TEST(a_file_of_others_stays)
{
	char text[256];

	tmpdir_make();
	ck_assert_int_eq(write_conf(ours), 0);
	write_foreign("endpoint = spawn:\n");
	ck_assert_int_eq(write_conf(ours), -EEXIST);
	ck_assert_int_eq(remove_conf(), 1);
	read_conf(text, sizeof(text));
	ck_assert_str_eq(text, "endpoint = spawn:");
	/* One that says the same has not to be written. */
	write_foreign(ours);
	ck_assert_int_eq(write_conf(ours), 0);
	tmpdir_remove();
}
END_TEST

START_TEST(the_regions_file_is_known_from_the_units_settings)
{
	const struct pst_vm_region r = {
		.path = "/mnt/huge/penstock-vm",
		.size = 64ULL << 20,
		.node = 1,
		.group = "kvm",
	};
	char text[512], region[PATH_MAX];

	tmpdir_make();
	ck_assert(pst_vm_files_unit_fits("vm", &r));
	ck_assert(!pst_vm_files_unit_fits("other", &r));
	ck_assert_int_eq(pst_vm_files_region(&r, text, sizeof(text), &err), 0);
	ck_assert_int_eq(pst_vm_files_left(tmpdir_path("conf"), "vm", region),
			 0);
	ck_assert_int_eq(pst_vm_files_write(tmpdir_path("conf"), "regions.d",
					    "vm", text, &err),
			 0);
	ck_assert_int_eq(write_conf(ours), 0);
	ck_assert_int_eq(pst_vm_files_left(tmpdir_path("conf"), "vm", region),
			 2);
	ck_assert_str_eq(region, r.path);
	tmpdir_remove();
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_test(tc, what_define_writes_is_what_the_library_reads);
	tcase_add_test(tc, a_file_of_ours_is_written_replaced_and_removed);
	tcase_add_test(tc, a_file_of_others_stays);
	tcase_add_test(tc, the_regions_file_is_known_from_the_units_settings);
}

int main(void)
{
	return pst_unit_run("vm_files", add, 10);
}
