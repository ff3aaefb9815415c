/* SPDX-License-Identifier: MIT */
/* Fuzz target: a host's files. The first byte chooses the parser. */
#include <errno.h>
#include <string.h>

#include "kernel-params/boot/initramfs.h"
#include "kernel-params/config/claims.h"
#include "kernel-params/config/software.h"
#include "kernel-params/config/vfio_ids.h"
#include "kernel-params/machine/cpu.h"
#include "kernel-params/machine/display.h"
#include "kernel-params/machine/iommu.h"
#include "kernel-params/machine/kernel.h"
#include "kernel-params/syntax/xml_text.h"
#include "tests/fuzz/fuzz.h"

static void cmdline(const char *text, size_t n)
{
	struct pst_host_cmdline c;
	size_t i;
	int r = pst_host_cmdline_parse(text, n, &c);

	FUZZ_CHECK(r == 0 || r == -EMSGSIZE || r == -EPROTO);
	if (r < 0)
		return;
	for (i = 0; i < c.n; i++) {
		const char *end = c.text + n + 1;
		const struct pst_host_param *p = &c.param[i];

		FUZZ_CHECK(p->name >= c.text && p->name < end);
		FUZZ_CHECK(!p->value || (p->value >= c.text && p->value < end));
		/* The last of that name, whatever the name is. */
		FUZZ_CHECK(pst_host_cmdline_get(&c, p->name) >= p);
		if (p->value && *p->value && !strchr(p->value, ','))
			FUZZ_CHECK(pst_host_cmdline_has(&c, p->name, p->value));
	}
	pst_host_cmdline_done(&c);
}

static void modconf(const char *text, size_t n)
{
	struct pst_host_modconf c = {0};
	int r = pst_host_modconf_parse(text, n, "file", &c);
	size_t i;

	FUZZ_CHECK(r == 0 || r == -EMSGSIZE);
	for (i = 0; i < c.n && i < 50; i++) {
		const struct pst_host_modconf_line *l = &c.line[i];

		FUZZ_CHECK(!strpbrk(l->module, " \t\n"));
		FUZZ_CHECK(l->line >= 1);
		free(pst_host_modconf_option(&c, l->module, "ids"));
		if (l->kind == PST_HOST_MODCONF_BLACKLIST)
			FUZZ_CHECK(pst_host_modconf_blacklisted(&c, l->module));
		if (pst_host_modconf_softdep_pre(&c, l->module, "vfio-pci"))
			FUZZ_CHECK(*l->module || l->kind);
		(void)pst_host_modconf_disabled(&c, l->module);
	}
	pst_host_modconf_done(&c);
}

static void pci(const char *text)
{
	struct pst_host_pci_bar bar[PST_HOST_PCI_BARS];
	struct pst_host_pci_dev dev = {.vendor = 0x10de, .device = 0x17c2};
	struct pst_host_pci_addr a, b;
	char buf[PST_HOST_PCI_ADDR_LEN];
	size_t i;

	if (pst_host_pci_resource_parse(text, bar) == 0)
		for (i = 0; i < PST_HOST_PCI_BARS; i++)
			FUZZ_CHECK(bar[i].end >= bar[i].start);
	if (pst_host_pci_addr_parse(text, &a) == 0) {
		FUZZ_CHECK(pst_host_pci_addr_parse(
				   pst_host_pci_addr_format(&a, buf), &b) == 0);
		FUZZ_CHECK(pst_host_pci_addr_cmp(&a, &b) == 0);
	}
	(void)pst_host_vfio_ids_cover(text, &dev);
}

static void numbers(const char *text, size_t n)
{
	static char buf[PST_HOST_CPU_MAX * 6];
	struct pst_host_kernel_version v;
	struct pst_host_cpuset s, again;
	char version[16];
	size_t i = 0;

	if (pst_host_cpuset_parse(text, &s) == 0) {
		pst_host_cpuset_format(&s, buf, sizeof(buf));
		FUZZ_CHECK(pst_host_cpuset_parse(buf, &again) == 0);
		FUZZ_CHECK(memcmp(&s, &again, sizeof(s)) == 0);
	}
	if (pst_host_kernel_version_parse(text, &v) == 0)
		while (pst_host_vsock_fix_missing(&v, i))
			FUZZ_CHECK(++i < 100);
	pst_host_version_upstream(text, version, sizeof(version));
	FUZZ_CHECK(strlen(version) < sizeof(version));
	FUZZ_CHECK(pst_host_iommu_dmar_width(text, n) <= 256);
	FUZZ_CHECK(pst_host_iommu_ivrs_width(text, n) <= 127);
}

static void early(const char *text)
{
	static const char *const names[] = {"MODULES", "initrd.kernelModules",
					    "kernelModules", NULL};
	PST_HOST_CLEANUP_NAMES struct pst_host_names words = {0};
	struct pst_host_setting s[] = {{.name = "MODULES"}, {.name = "A"}};
	char fault[PST_HOST_FAULT_MAX] = "";
	size_t i;

	FUZZ_CHECK(pst_host_settings_take(text, "file", s, PST_ARRAY_SIZE(s),
					  fault) == 0);
	FUZZ_CHECK(pst_host_setting_words(s[0].value, &words) == 0);
	pst_host_settings_done(s, PST_ARRAY_SIZE(s));
	pst_host_names_done(&words);
	FUZZ_CHECK(pst_host_early_words(text, names, &words) == 0);
	for (i = 0; i < words.n; i++)
		FUZZ_CHECK(*words.name[i] && !strpbrk(words.name[i], " \t\n"));
}

static void iomem(const char *text)
{
	struct pst_host_display d = {0};
	size_t i;

	pst_host_display_parse_iomem(text, &d);
	FUZZ_CHECK(d.n_ranges <= PST_HOST_FB_RANGES);
	for (i = 0; i < d.n_ranges; i++)
		FUZZ_CHECK(d.range[i].end >= d.range[i].start);
}

/* Every byte belongs to one token, whatever the text is. */
static void xml(const char *text)
{
	struct pst_host_xml x = {.end = text};
	const char *end = text;
	char value[16];

	for (pst_host_xml_next(&x); x.kind != PST_HOST_XML_DONE;
	     pst_host_xml_next(&x)) {
		FUZZ_CHECK(x.begin == end && x.end > x.begin);
		end = x.end;
		if (x.kind == PST_HOST_XML_START)
			(void)pst_host_xml_attr(&x, "unit", value,
						sizeof(value));
		if (x.kind == PST_HOST_XML_BAD)
			FUZZ_CHECK(!*x.end);
	}
	FUZZ_CHECK(!*end);
}

static void claims(const char *text)
{
	struct pst_host_claims c = {0};
	char what[PST_HOST_CLAIM_TEXT];
	size_t i;

	pst_host_claims_file(&c, text, true);
	FUZZ_CHECK(c.n <= PST_HOST_CLAIMS);
	for (i = 0; i < c.n; i++)
		FUZZ_CHECK(c.claim[i].bytes && c.claim[i].page_size);
	(void)pst_host_claims_others(&c, -1, 2, what);
	FUZZ_CHECK(strlen(what) < sizeof(what));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	char *text = malloc(n + 1);

	FUZZ_CHECK(text);
	if (n) {
		memcpy(text, data + 1, n - 1);
		text[n - 1] = '\0';
		switch (data[0]) {
		case 'c':
			cmdline(text, n - 1);
			break;
		case 'm':
			modconf(text, n - 1);
			break;
		case 'p':
			pci(text);
			break;
		case 'n':
			numbers(text, n - 1);
			break;
		case 'e':
			early(text);
			break;
		case 'i':
			iomem(text);
			break;
		case 'x':
			xml(text);
			break;
		case 'h':
			claims(text);
			break;
		}
	}
	free(text);
	return 0;
}
