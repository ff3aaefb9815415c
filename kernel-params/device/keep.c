/* SPDX-License-Identifier: MIT */
/* Keeps how a guest's functions were when it started, until it has ended. */
#include "kernel-params/device/keep.h"

#include <string.h>

#include "kernel-params/device/act.h"
#include "kernel-params/root/hostfile.h"

#define POLL_NS (100 * PST_NS_PER_MS)

static int write_file(const struct pst_host_root *root, const char *path,
		      const char *text, struct pst_error *err)
{
	struct pst_host_file f;
	int r = pst_host_file_mkdir(root, "run", err);

	if (r == 0)
		r = pst_host_file_mkdir(root, PST_HOST_KEEP_DIR, err);
	if (r == 0)
		r = pst_host_file_open(root, path, &f, err);
	if (r < 0)
		return r;
	r = pst_host_file_write(&f, text, 0644, err);
	if (r == 0)
		r = pst_host_file_commit(&f, err);
	pst_host_file_close(&f);
	return r;
}

static int path_of(const char *name, char ret[PST_HOST_ROOT_PATH_MAX])
{
	return pst_host_path(ret, PST_HOST_KEEP_DIR "/%s.card", name);
}

int pst_host_keep(const struct pst_host_root *root, const char *name,
		  const struct pst_host_pci_addr *addr, size_t n,
		  struct pst_host_text *seen, struct pst_error *err)
{
	char path[PST_HOST_ROOT_PATH_MAX], text[PST_HOST_RECORD_MAX];
	struct pst_host_record record = {0};
	struct pst_host_fn_state s;
	struct pst_host_pci pci;
	size_t i;
	int r = pst_host_pci_scan(root, &pci, err);

	if (r < 0)
		return r;
	for (i = 0; i < n; i++) {
		const struct pst_host_pci_dev *d =
			pst_host_pci_find(&pci, &addr[i]);

		if (!d)
			continue;
		pst_host_fn_state_read(root, d, true, &s);
		if (!pst_host_record_add(&record, &s))
			break;
		if (s.config.answer == PST_HOST_ANSWER_NONE)
			pst_host_text_add(seen, "%s%s does not answer",
					  seen->len ? "; " : "", d->name);
	}
	pst_host_pci_done(&pci);
	r = path_of(name, path);
	if (r == 0)
		r = pst_host_record_format(&record, text);
	if (r < 0)
		return pst_error_set_errno(err, -r, "cannot record the card");
	return write_file(root, path, text, err);
}

static bool compare(const struct pst_host_root *root,
		    const struct pst_host_record *before, uint64_t timeout_ns,
		    struct pst_host_text *seen)
{
	const uint64_t deadline = pst_now_ns() + timeout_ns;
	struct pst_host_pci pci;
	struct pst_error err;
	bool back;

	for (;;) {
		*seen = (struct pst_host_text){0};
		if (pst_host_pci_scan(root, &pci, &err) < 0) {
			pst_host_text_add(seen, "%s", err.text);
			return false;
		}
		back = pst_host_record_compare(before, root, &pci, seen);
		pst_host_pci_done(&pci);
		if (back || pst_now_ns() >= deadline)
			return back;
		pst_host_act_pause(POLL_NS);
	}
}

int pst_host_recall(const struct pst_host_root *root, const char *name,
		    uint64_t timeout_ns, bool *ret_back,
		    struct pst_host_text *seen,
		    char ret_addr[PST_HOST_PCI_ADDR_LEN], struct pst_error *err)
{
	char path[PST_HOST_ROOT_PATH_MAX];
	PST_CLEANUP_FREE char *text = NULL;
	struct pst_host_record before;
	struct pst_host_file f;
	size_t len;
	int r = path_of(name, path);

	if (r == 0)
		r = pst_host_root_read(root, path, PST_HOST_RECORD_MAX, &text,
				       &len);
	if (r == 0)
		r = pst_host_record_parse(text, &before);
	if (r == 0 && !before.n)
		r = -EPROTO;
	if (r < 0)
		return pst_error_set_errno(err, -r, "cannot use /%s", path);
	*ret_back = compare(root, &before, timeout_ns, seen);
	pst_host_pci_addr_format(&before.fn[0].addr, ret_addr);
	/* Who may not remove it has read it all the same. */
	if (pst_host_file_open(root, path, &f, err) == 0) {
		r = pst_host_file_remove(&f, err);
		pst_host_file_close(&f);
	}
	return r == -EACCES || r == -EPERM || r == -EROFS ? 0 : r;
}
