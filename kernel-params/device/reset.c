/* SPDX-License-Identifier: MIT */
/* Plans the reset of a card: the ways that there are, and what they reset. */
#include "kernel-params/device/reset.h"

#include <stdarg.h>
#include <string.h>

#include "kernel-params/check/reset.h"
#include "kernel-params/device/reset_int.h"

const char *pst_host_reset_way_name(unsigned int number)
{
	static const char *const names[] = {"function", "bus", "rescan",
					    "suspend"};

	return names[number];
}

static void skip(struct pst_host_reset *r, unsigned int way, const char *fmt,
		 ...) __attribute__((format(printf, 3, 4)));

static void skip(struct pst_host_reset *r, unsigned int way, const char *fmt,
		 ...)
{
	va_list ap;
	unsigned int i;

	r->ways &= ~way;
	for (i = 0; way >> (i + 1); i++)
		;
	va_start(ap, fmt);
	vsnprintf(r->skipped[i], sizeof(r->skipped[i]), fmt, ap);
	va_end(ap);
}

static bool has(const struct pst_host *h, const char *dir, const char *name)
{
	char path[PST_HOST_ROOT_PATH_MAX];

	return pst_host_path(path, "%s/%s", dir, name) == 0 &&
	       pst_host_root_exists(h->root, path);
}

static void look_at_function(struct pst_host_reset *r)
{
	const struct pst_host *h = r->host;
	const struct pst_host_pci_dev *main =
		pst_host_reset_main(&h->state, h->gpu);
	size_t i;

	if (pst_host_reset_flr_fails(main) &&
	    (!main->knows_reset_method || pst_host_reset_has(main, "flr"))) {
		skip(r, PST_HOST_RESET_FUNCTION,
		     "%s would be reset by flr, from which GB202 does not come "
		     "back",
		     main->name);
		return;
	}
	for (i = 0; i < h->state.n; i++)
		if (pst_host_reset_can(h->state.fn[i].dev))
			return;
	skip(r, PST_HOST_RESET_FUNCTION, "no function of %s has a method",
	     h->gpu->name);
}

static void look_at_suspend(struct pst_host_reset *r)
{
	char text[64];

	if (pst_host_root_read_text(r->host->root, "sys/power/state", text,
				    sizeof(text)) <= 0 ||
	    !strstr(text, "mem"))
		skip(r, PST_HOST_RESET_SUSPEND,
		     "this machine cannot suspend to memory");
	else if (!has(r->host, "sys/class/rtc/rtc0", "wakealarm"))
		skip(r, PST_HOST_RESET_SUSPEND,
		     "there is no clock that wakes it (rtc0/wakealarm)");
}

static int touch(struct pst_host_reset *r, const struct pst_host_pci_dev *dev,
		 struct pst_error *err)
{
	size_t i;

	for (i = 0; i < r->n_touched; i++)
		if (r->touched[i] == dev)
			return 0;
	if (r->n_touched == PST_HOST_RESET_TOUCHED)
		return pst_error_set(err, -ENOSPC,
				     "more than %d functions would be reset",
				     PST_HOST_RESET_TOUCHED);
	r->touched[r->n_touched++] = dev;
	return 0;
}

static int touch_all(struct pst_host_reset *r, struct pst_error *err)
{
	const struct pst_host *h = r->host;
	const struct pst_host_pci_dev *port = h->state.port;
	size_t i;
	int rc = 0;

	for (i = 0; rc == 0 && i < h->state.n; i++)
		rc = touch(r, h->state.fn[i].dev, err);
	if (!(r->ways & PST_HOST_RESET_BUS))
		return rc;
	for (i = 0; rc == 0 && i < h->pci.n; i++) {
		const struct pst_host_pci_dev *d = &h->pci.dev[i];

		if (pst_host_pci_is_below(d, port) &&
		    !pst_host_pci_is_bridge(d))
			rc = touch(r, d, err);
	}
	return rc;
}

static void find_blockers(struct pst_host_reset *r)
{
	size_t i;

	for (i = 0; i < r->n_touched && r->n_blockers < PST_HOST_RESET_BLOCKERS;
	     i++)
		r->n_blockers += pst_host_find_blocker(
			r->host, r->touched[i], &r->blocker[r->n_blockers],
			&r->unseen);
}

int pst_host_reset_plan(const struct pst_host *h, unsigned int ways,
			struct pst_host_reset *ret, struct pst_error *err)
{
	const struct pst_host_pci_dev *port = h->state.port;
	unsigned int i;
	int rc;

	*ret = (struct pst_host_reset){.host = h, .ways = ways};
	if (ways & PST_HOST_RESET_FUNCTION)
		look_at_function(ret);
	if (ways & PST_HOST_RESET_BUS && !port)
		skip(ret, PST_HOST_RESET_BUS,
		     "no bridge is seen above %s, so its bus cannot be reset",
		     h->gpu->name);
	if (ways & PST_HOST_RESET_SUSPEND)
		look_at_suspend(ret);
	ret->subordinate = port && has(h, port->path, "reset_subordinate");
	if (!ret->ways) {
		for (i = 0; i < PST_HOST_RESET_WAYS - 1; i++)
			if (*ret->skipped[i])
				break;
		return pst_error_set(err, -EOPNOTSUPP, "%s", ret->skipped[i]);
	}
	rc = touch_all(ret, err);
	if (rc == 0)
		find_blockers(ret);
	return rc;
}
