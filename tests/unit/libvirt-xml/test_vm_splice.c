/* SPDX-License-Identifier: MIT */
/* A domain's text keeps every byte when something is added, and shows nobody
 * its secrets. */
#include <errno.h>
#include <string.h>

#include "kernel-params/edit/diff.h"
#include "libvirt-xml/xml/info.h"
#include "libvirt-xml/xml/patch.h"
#include "libvirt-xml/xml/secrets.h"
#include "tests/fixtures/unit.h"

static const struct pst_vm_config config = {
	.name = "win",
	.vcpus = 1,
	.node = -1,
	.gpu = {{.addr = {.bus = 1}, .bars = 272ULL << 20}},
	.n_gpu = 1,
	.cid = 7,
	.port = 7070,
	.vsock_socket = "/v",
	.vsock_uds = "/u",
	.region = {.via = PST_VM_VIA_IVSHMEM,
		   .path = "/dev/hugepages/penstock-win",
		   .size = 1ULL << 30,
		   .node = -1},
};

/* Whether all of part is in text, in that order. */
static bool is_within(const char *part, const char *text)
{
	for (; *part && *text; text++)
		part += *part == *text;
	return !*part;
}

static struct pst_vm_patched patched(const char *xml)
{
	struct pst_error err = {0};
	struct pst_vm_patched p;
	struct pst_vm_info info;
	int r = pst_vm_patch(xml, &config, &p, &err);

	ck_assert_msg(r == 0, "%s", err.text);
	ck_assert_int_eq(pst_vm_info_parse(p.after, &info, &err), 0);
	ck_assert(info.ours && info.n_hostdevs == 1 && info.agent_channel);
	return p;
}

/* ---- The text ----------------------------------------------------------- */

#define HEAD "<domain type='kvm'>\n  <name>win</name>\n"
#define TAIL                                                                   \
	"  <devices>\n    <emulator>/q</emulator>\n  </devices>\n</domain>\n"

static const char *const kept[] = {
	HEAD "  <memory>1048576</memory>\n" TAIL,
	/* Tabs, CRLF, double quotes, no newline at the end. */
	"<domain type=\"kvm\">\r\n\t<name>win</name>\r\n\t<devices>\r\n\t\t"
	"<emulator>/q</emulator>\r\n\t</devices>\r\n</domain>",
	/* All on one line, and nothing to be indented by. */
	"<domain type='kvm'><name>win</name><devices/></domain>",
	"<domain type='kvm'><name>win</name></domain>\n",
	/* An element that has white space only, and one that ends later. */
	HEAD "  <devices>\n  </devices>\n  <metadata\n  />\n</domain >\n",
	/* Comments and sections with what looks like tags. */
	"<?xml version='1.0'?>\n<!-- <domain> -->\n" HEAD
	"  <!-- </domain> <devices/> '\" -->\n  <title><![CDATA[</domain>]]>"
	"</title>\n" TAIL "<!-- > -->\n<?after x?>\n",
	/* A '>' in a value, entities, mixed quotes. */
	"<domain type='kvm' xmlns:a='urn:>'>\n  <name>win</name>\n  <metadata>\n"
	"    <a:b c=\"'/>'\">&lt;&amp;</a:b>\n  </metadata>\n" TAIL,
	/* The namespace is there under another name. */
	"<domain type='kvm' xmlns:q='http://libvirt.org/schemas/domain/qemu/1.0'>"
	"\n <name>win</name>\n <q:commandline>\n  <q:arg value='-S'/>\n"
	" </q:commandline>\n <devices>\n </devices>\n</domain>\n",
	/* Deeper than any tidy file. */
	"\t\t\t\t\t\t\t\t\t\t<domain type='kvm'>\n<name>win</name>\n        "
	"    <devices>\n</devices></domain>\n",
	/* UTF-8. */
	HEAD "  <description>\xc3\xbc</description>\n" TAIL,
};

START_TEST(every_byte_of_the_text_stays)
{
	PST_VM_CLEANUP_PATCHED struct pst_vm_patched p = patched(kept[_i]);

	ck_assert(!p.normalised);
	ck_assert_str_eq(p.before, kept[_i]);
	/* But for <a/>, which becomes <a></a>. */
	if (!strstr(kept[_i], "<devices/>") && !strstr(kept[_i], "<metadata\n"))
		ck_assert_msg(is_within(p.before, p.after), "%s", p.after);
}
END_TEST

START_TEST(additions_look_like_what_is_there)
{
	PST_VM_CLEANUP_PATCHED struct pst_vm_patched p = patched(kept[1]),
						     q = patched(kept[0]);
	const char *at;

	ck_assert_ptr_nonnull(
		strstr(p.after, "\r\n\t\t<hostdev mode=\"subsystem\""));
	ck_assert_ptr_nonnull(strstr(p.after, "\r\n\t\t\t<source>\r\n"));
	ck_assert_ptr_nonnull(strstr(p.after, "xmlns:qemu=\"http"));
	ck_assert_ptr_null(strchr(p.after, '\''));
	for (at = p.after; (at = strchr(at, '\n')); at++)
		ck_assert_int_eq(at[-1], '\r');
	ck_assert_ptr_nonnull(
		strstr(q.after, "\n    <hostdev mode='subsystem'"));
	ck_assert_ptr_null(strchr(q.after, '"'));
	ck_assert_ptr_null(strchr(q.after, '\r'));
}
END_TEST

/* What cannot be kept is compared in a copy, and that is said. */
static const char *const lost[] = {
	"<!DOCTYPE domain [<!ENTITY n 'win'>]>\n" HEAD TAIL,
	"<domain type='kvm'><name>win</name><devices><graphics type='vnc' "
	"passwd='hunter2'/></devices></domain>",
};

START_TEST(a_text_that_cannot_be_kept_gives_a_copy)
{
	PST_VM_CLEANUP_PATCHED struct pst_vm_patched p = patched(lost[_i]);
	PST_CLEANUP_FREE char *diff = NULL;

	ck_assert(p.normalised);
	ck_assert_int_eq(
		pst_host_diff_without("x", p.before, p.after, p.secret, &diff),
		0);
	ck_assert_ptr_null(strstr(diff, "hunter2"));
	ck_assert_ptr_nonnull(strstr(diff, "+    <channel"));
}
END_TEST

/* ---- Secrets ------------------------------------------------------------ */

/* Each at the end of <devices> or of <domain>, where something is added. */
static const struct {
	const char *devices, *domain;
} secrets[] = {
	{"<graphics type='spice' autoport='yes' passwd='hunter2'/>", ""},
	{"<graphics type='vnc'\n passwd\n =\n 'hunter2'/>", ""},
	{"<graphics type='rdp' username='u' PassWd='hunter2'/>", ""},
	{"<disk type='network'><source protocol='https' name='u'>\n<cookies>\n"
	 "<cookie name='x'>\nhunter2\n</cookie>\n</cookies></source></disk>",
	 ""},
	{"<disk type='network'><source name='https://u:hunter2@host/x'/></disk>",
	 ""},
	{"<disk type='file'><auth username='hunter2'>\n<secret type='ceph' "
	 "uuid='hunter2'/></auth></disk>",
	 ""},
	{"<disk type='file'>\n<serial>hunter2</serial>\n</disk>", ""},
	{"<!-- old: passwd='hunter2' -->", ""},
	{"<!-- the password\n is hunter2 -->", ""},
	{"", "<sysinfo type='smbios'><system>\n<entry name='serial'>hunter2"
	     "</entry>\n</system></sysinfo>"},
	{"", "<sysinfo type='fwcfg'>\n<entry name='opt/x'>hunter2</entry>\n"
	     "</sysinfo>"},
	{"", "<description>the usual one,\nhunter2\n</description>"},
	{"", "<q:commandline xmlns:q='http://libvirt.org/schemas/domain/qemu/"
	     "1.0'>\n<q:arg value='-device'/>\n<q:arg value='isa-applesmc,"
	     "osk=hunter2'/>\n<q:env name='X' value='hunter2'/>\n"
	     "</q:commandline>"},
	{"", "<metadata>\n<a:b xmlns:a='urn:a'>\n<a:c>hunter2</a:c>\n</a:b>\n"
	     "</metadata>"},
	{"", "<os><type>hvm</type>\n<cmdline>root=x luks=hunter2</cmdline>\n"
	     "</os>"},
	{"", "<launchSecurity type='sev'>\n<session>hunter2</session>\n"
	     "</launchSecurity>"},
};

START_TEST(no_secret_is_shown_around_a_change)
{
	PST_CLEANUP_FREE char *diff = NULL;
	struct pst_vm_patched p;
	char xml[2048];

	snprintf(xml, sizeof(xml),
		 HEAD "  <devices>\n    <emulator>/q</emulator>\n%s\n"
		      "  </devices>\n%s\n</domain>\n",
		 secrets[_i].devices, secrets[_i].domain);
	p = patched(xml);
	ck_assert(!p.normalised);
	ck_assert_int_eq(
		pst_host_diff_without("x", p.before, p.after, p.secret, &diff),
		0);
	ck_assert_msg(!strstr(diff, "hunter2"), "%s", diff);
	ck_assert_ptr_nonnull(strstr(p.after, "hunter2"));
	pst_vm_patched_done(&p);
}
END_TEST

START_TEST(what_is_no_secret_is_shown)
{
	static const char xml[] =
		HEAD "  <devices>\n    <serial type='pty'/>\n"
		     "    <input type='keyboard' bus='ps2'/>\n"
		     "    <graphics type='vnc' port='-1' keymap='de'/>\n"
		     "  </devices>\n</domain>\n";
	bool *secret;
	long i, n = pst_vm_secret_lines(xml, &secret);

	ck_assert_int_eq(n, 9);
	for (i = 0; i < n; i++)
		ck_assert(!secret[i]);
	free(secret);
}
END_TEST

/* Of what is no XML nothing is shown from there on, and nothing is read
 * behind its end. */
static const char *const broken[] = {
	"<", "</", "<a", "<a b='", "<!--", "<![CDATA[", "<?", "<!x", "<a b='>'",
};

START_TEST(what_cannot_be_split_is_a_secret)
{
	PST_CLEANUP_FREE char *text = NULL;
	bool *secret;

	ck_assert_int_ge(asprintf(&text, "<a>\n\n%s\nx\ny", broken[_i]), 0);
	ck_assert_int_eq(pst_vm_secret_lines(text, &secret), 5);
	ck_assert(!secret[0] && secret[2] && secret[4]);
	free(secret);
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_loop_test(tc, every_byte_of_the_text_stays, 0,
			    PST_ARRAY_SIZE(kept));
	tcase_add_test(tc, additions_look_like_what_is_there);
	tcase_add_loop_test(tc, a_text_that_cannot_be_kept_gives_a_copy, 0,
			    PST_ARRAY_SIZE(lost));
	tcase_add_loop_test(tc, no_secret_is_shown_around_a_change, 0,
			    PST_ARRAY_SIZE(secrets));
	tcase_add_test(tc, what_is_no_secret_is_shown);
	tcase_add_loop_test(tc, what_cannot_be_split_is_a_secret, 0,
			    PST_ARRAY_SIZE(broken));
}

int main(void)
{
	return pst_unit_run("vm_splice", add, 20);
}
