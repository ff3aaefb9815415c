/* SPDX-License-Identifier: MIT */
/* Fuzz target: files of a host to be edited, and the journal. What an editor
 * made it leaves alone. */
#include <errno.h>
#include <string.h>

#include "kernel-params/edit/diff.h"
#include "kernel-params/edit/dropins.h"
#include "kernel-params/edit/edit_array.h"
#include "kernel-params/edit/edit_grub.h"
#include "kernel-params/edit/edit_loader.h"
#include "kernel-params/edit/edit_modprobe.h"
#include "kernel-params/plan/plan.h"
#include "kernel-params/scan/rivals.h"
#include "kernel-params/syntax/cmdline.h"
#include "kernel-params/syntax/loader_text.h"
#include "kernel-params/syntax/settings.h"
#include "tests/fuzz/fuzz.h"

/* A failure says why; success gives a text. */
static bool came(int r, const char *text, const struct pst_error *err)
{
	FUZZ_CHECK(r == 0 || (r == -EINVAL || r == -EMSGSIZE));
	FUZZ_CHECK(r == 0 ? text != NULL : err->code == r && err->text[0]);
	return r == 0;
}

static void fill(struct pst_host_params *want)
{
	*want = (struct pst_host_params){
		.pool_pages = 5,
		.pool_node = 1,
		.n_nodes = 2,
	};
	FUZZ_CHECK(pst_host_params_add(want, "intel_iommu=on") == 0);
	FUZZ_CHECK(pst_host_params_add(want, "iommu=pt") == 0);
	FUZZ_CHECK(pst_host_params_add(want, "amd_iommu=") == 0);
	FUZZ_CHECK(pst_host_params_add(want, "rd.driver.pre=vfio-pci") == 0);
	FUZZ_CHECK(pst_host_params_add(want, "vfio-pci.ids=1:2,3:4") == 0);
	FUZZ_CHECK(pst_host_params_add(want, "isolcpus=2-3") == 0);
}

static void fuzz_grub(const char *text, const struct pst_host_params *want)
{
	struct pst_host_edit_file f[2] = {{"/etc/default/grub", strdup(text)},
					  {"/etc/default/grub.d/zz.cfg", NULL}};
	struct pst_error err = {0};
	char *once;
	int r = pst_host_edit_grub(f, 1, SIZE_MAX, want, &err);

	if (came(r, f[0].text, &err)) {
		once = strdup(f[0].text);
		FUZZ_CHECK(pst_host_edit_grub(f, 1, SIZE_MAX, want, &err) == 0);
		FUZZ_CHECK(strcmp(once, f[0].text) == 0);
		free(once);
	} else {
		FUZZ_CHECK(strcmp(text, f[0].text) == 0);
	}
	r = pst_host_edit_grub(f, 2, 1, want, &err);
	came(r, f[0].text, &err);
	free(f[0].text);
	free(f[1].text);
}

/* What an edit has put there, an evaluation finds. */
static void evaluated(const char *text)
{
	struct pst_host_setting s = {.name = "MODULES"};
	PST_HOST_CLEANUP_NAMES struct pst_host_names words = {0};
	char fault[PST_HOST_FAULT_MAX] = "";
	const char *const *want;
	size_t i;

	FUZZ_CHECK(pst_host_settings_take(text, "x", &s, 1, fault) == 0);
	FUZZ_CHECK(pst_host_setting_words(s.value, &words) == 0);
	pst_host_settings_done(&s, 1);
	for (want = pst_host_vfio_modules; *want && !*fault; want++) {
		for (i = 0; i < words.n; i++)
			if (pst_host_param_name_eq(words.name[i], *want))
				break;
		FUZZ_CHECK(i < words.n);
	}
}

static void fuzz_array(const char *text)
{
	struct pst_error err = {0};
	char *once = NULL, *twice = NULL;
	int r = pst_host_edit_array(text, "x", "MODULES", pst_host_vfio_modules,
				    pst_host_module_is_rival, &once, &err);

	(void)pst_host_array_has_rival(text, "MODULES");
	if (came(r, once, &err)) {
		evaluated(once);
		r = pst_host_edit_array(once, "x", "MODULES",
					pst_host_vfio_modules,
					pst_host_module_is_rival, &twice, &err);
		FUZZ_CHECK(r == 0 && strcmp(once, twice) == 0);
	}
	free(once);
	free(twice);
}

static void fuzz_list(const char *text)
{
	char *once = NULL, *twice = NULL;

	FUZZ_CHECK(pst_host_edit_module_list(text, pst_host_vfio_modules,
					     pst_host_module_is_rival,
					     &once) == 0);
	FUZZ_CHECK(pst_host_edit_module_list(once, pst_host_vfio_modules,
					     pst_host_module_is_rival,
					     &twice) == 0);
	FUZZ_CHECK(strcmp(once, twice) == 0);
	free(once);
	free(twice);
}

static void fuzz_loader(const char *text, const struct pst_host_params *want,
			int (*edit)(const char *old,
				    const struct pst_host_params *want,
				    char **ret, struct pst_error *err))
{
	struct pst_error err = {0};
	char *once = NULL, *twice = NULL;
	int r;

	(void)pst_host_entry_is_linux(text);
	r = edit(text, want, &once, &err);
	if (came(r, once, &err)) {
		FUZZ_CHECK(edit(once, want, &twice, &err) == 0);
		FUZZ_CHECK(strcmp(once, twice) == 0);
	}
	free(once);
	free(twice);
}

static void fuzz_modprobe(const char *text)
{
	static const char *const modules[] = {"nvidia", "nouveau", NULL};
	const struct pst_host_modprobe_want want = {"1:2,3:4", modules};
	const struct pst_host_modconf_line *line;
	struct pst_host_modconf conf = {0};
	struct pst_error err = {0};
	char *out = NULL;
	int r;

	if (pst_host_modconf_parse(text, strlen(text), "x", &conf) == 0) {
		FUZZ_CHECK(pst_host_edit_modprobe(&conf, &want, &out) == 0);
		free(out);
		out = NULL;
		line = pst_host_modprobe_ids_line(&conf);
		if (line) {
			r = pst_host_edit_modprobe_ids(text, line, want.ids,
						       &out, &err);
			came(r, out, &err);
		}
		free(out);
	}
	pst_host_modconf_done(&conf);
}

static void fuzz_journal(const char *bytes, size_t len)
{
	struct pst_host_journal j = {0}, again = {0};
	char *out;
	size_t n;

	if (pst_host_journal_parse(bytes, len, &j) == 0) {
		FUZZ_CHECK(pst_host_journal_format(&j, &out, &n) == 0);
		FUZZ_CHECK(pst_host_journal_parse(out, n, &again) == 0);
		FUZZ_CHECK(again.n == j.n && again.n_dirs == j.n_dirs);
		free(out);
	}
	pst_host_journal_clear(&j);
	pst_host_journal_clear(&again);
}

/* Two texts with a byte 1 between them. */
static void fuzz_diff(char *text)
{
	char *b = strchr(text, 1), *out;

	if (b)
		*b++ = '\0';
	FUZZ_CHECK(pst_host_diff_unified("x", text, b, &out) == 0);
	FUZZ_CHECK(!*out == pst_host_text_same(text, b));
	free(out);
}

static void fuzz_request(const char *text)
{
	struct pst_host_plan_request r;
	char *copy;

	if (pst_host_plan_request_parse(text, &r, &copy) == 0)
		free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	char *text = calloc(1, n + 1);
	struct pst_host_params want;

	FUZZ_CHECK(text);
	if (n > 1)
		memcpy(text, data + 1, n - 1);
	fill(&want);
	switch (n ? data[0] : 0) {
	case 'G':
		fuzz_grub(text, &want);
		break;
	case 'A':
		fuzz_array(text);
		break;
	case 'L':
		fuzz_list(text);
		break;
	case 'E':
		fuzz_loader(text, &want, pst_host_edit_entry);
		break;
	case 'K':
		fuzz_loader(text, &want, pst_host_edit_kernel_cmdline);
		break;
	case 'M':
		fuzz_modprobe(text);
		break;
	case 'J':
		fuzz_journal(text, n ? n - 1 : 0);
		break;
	case 'D':
		fuzz_diff(text);
		break;
	case 'R':
		fuzz_request(text);
		break;
	}
	pst_host_params_done(&want);
	free(text);
	return 0;
}
