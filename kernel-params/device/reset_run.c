/* SPDX-License-Identifier: MIT */
/* Does the reset of a card, and waits for it to come back. */
#include <stdlib.h>
#include <string.h>

#include "kernel-params/device/act.h"
#include "kernel-params/device/reset.h"
#include "kernel-params/device/reset_int.h"

#define POLL_NS     (50 * PST_NS_PER_MS)
#define PROBE       "sys/bus/pci/drivers_probe"
#define AUTOPROBE   "sys/bus/pci/drivers_autoprobe"
#define RESCAN      "sys/bus/pci/rescan"
#define WAKE_ALARM  "sys/class/rtc/rtc0/wakealarm"
#define POWER_STATE "sys/power/state"
/* Seconds that the machine sleeps, and nanoseconds it may take in all. */
#define SLEEP_S  "+10"
#define SLEEP_NS (180 * PST_NS_PER_S)
/* PCI Express base specification, 7.5.1.3.13: Bridge Control, its Secondary Bus
 * Reset; 6.6.1: how long it is set, and how long nothing is asked after it. */
#define BRIDGE_CONTROL 0x3eU
#define BUS_RESET      0x40U
#define RESET_NS       (2 * PST_NS_PER_MS)
#define QUIET_NS       (100 * PST_NS_PER_MS)

struct job {
	const struct pst_host_reset *r;
	struct pst_host_record before;
	uint64_t timeout_ns;
};

static int write_attr(const struct job *j, const char *dir, const char *attr,
		      const char *text, struct pst_error *err)
{
	char path[PST_HOST_ROOT_PATH_MAX];

	if (pst_host_path(path, "%s/%s", dir, attr) < 0)
		return pst_error_set(err, -EMSGSIZE, "%s is too long", dir);
	return pst_host_act_write(j->r->host->root, path, text, err);
}

/* ---- Waiting ------------------------------------------------------------- */

static bool is_back(const struct job *j, struct pst_host_text *seen)
{
	struct pst_host_pci pci;
	struct pst_error err;
	bool good;

	*seen = (struct pst_host_text){0};
	if (pst_host_pci_scan(j->r->host->root, &pci, &err) < 0) {
		pst_host_text_add(seen, "%s", err.text);
		return false;
	}
	good = pst_host_record_compare(&j->before, j->r->host->root, &pci,
				       seen);
	pst_host_pci_done(&pci);
	return good;
}

static bool wait_back(const struct job *j, struct pst_host_text *seen)
{
	const uint64_t deadline = pst_now_ns() + j->timeout_ns;

	while (!is_back(j, seen)) {
		if (pst_now_ns() >= deadline)
			return false;
		pst_host_act_pause(POLL_NS);
	}
	return true;
}

/* ---- The ways ------------------------------------------------------------ */

static int by_function(const struct job *j, struct pst_error *err)
{
	const struct pst_host_card_state *s = &j->r->host->state;
	size_t i;
	int r = 0;

	for (i = 0; r == 0 && i < s->n; i++)
		if (pst_host_reset_can(s->fn[i].dev))
			r = write_attr(j, s->fn[i].dev->path, "reset", "1\n",
				       err);
	return r;
}

/* Sets the bit that resets the bus, and clears it again in any case. */
static int pulse_bit(const struct job *j, struct pst_error *err)
{
	const struct pst_host_root *root = j->r->host->root;
	char path[PST_HOST_ROOT_PATH_MAX];
	PST_CLEANUP_FD int fd = -1;
	uint8_t set[2], clear[2];
	int r = pst_host_path(path, "%s/config", j->r->host->state.port->path),
	    back;

	if (r == 0)
		fd = pst_host_root_open_file(root, path);
	if (r < 0 || fd < 0 ||
	    pread(fd, clear, sizeof(clear), BRIDGE_CONTROL) != sizeof(clear) ||
	    (clear[0] & clear[1]) == 0xff)
		return pst_error_set(err, -EIO,
				     "the bridge above the card does not "
				     "answer");
	clear[0] &= (uint8_t)~BUS_RESET;
	set[0] = (uint8_t)(clear[0] | BUS_RESET);
	set[1] = clear[1];
	r = pst_host_act_bytes(root, path, BRIDGE_CONTROL, set, sizeof(set),
			       PST_HOST_ACT_NS, err);
	if (r == 0)
		pst_host_act_pause(RESET_NS);
	back = pst_host_act_bytes(root, path, BRIDGE_CONTROL, clear,
				  sizeof(clear), PST_HOST_ACT_NS,
				  r == 0 ? err : NULL);
	pst_host_act_pause(QUIET_NS);
	return r ? r : back;
}

/* Without functions below it a bridge would fall asleep. */
static int pulse(const struct job *j, struct pst_error *err)
{
	const struct pst_host_pci_dev *port = j->r->host->state.port;
	struct pst_host_fn_state s;
	int r = 0, back = 0;

	pst_host_fn_state_read(j->r->host->root, port, false, &s);
	if (s.stays_on == 0)
		r = write_attr(j, port->path, "power/control", "on\n", err);
	if (r == 0)
		r = pulse_bit(j, err);
	if (s.stays_on == 0)
		back = write_attr(j, port->path, "power/control", "auto\n",
				  r == 0 ? err : NULL);
	return r ? r : back;
}

/* Takes a function from a driver that found it first: the kernel lets drivers
 * try what it finds before anybody can say which one is meant. */
static int unbind(const struct job *j, const struct pst_host_pci_dev *dev,
		  bool *ret_right, struct pst_error *err)
{
	char path[PST_HOST_ROOT_PATH_MAX], has[64];

	*ret_right = false;
	if (pst_host_path(path, "%s/driver", dev->path) < 0 ||
	    pst_host_root_link_name(j->r->host->root, path, has, sizeof(has)) <
		    0)
		return 0;
	*ret_right = strcmp(has, dev->driver) == 0;
	if (*ret_right ||
	    pst_host_path(path, "sys/bus/pci/drivers/%s/unbind", has) < 0)
		return 0;
	return pst_host_act_write(j->r->host->root, path, dev->name, err);
}

/* Gives a function that was found again the driver that it had. */
static int rebind(const struct job *j, const struct pst_host_pci_dev *dev,
		  struct pst_error *err)
{
	char text[80];
	bool right;
	int r, back;

	if (dev->bad & PST_HOST_PCI_BAD_DRIVER)
		return 0;
	if (!*dev->driver)
		return unbind(j, dev, &right, err);
	snprintf(text, sizeof(text), "%s\n", dev->driver);
	r = write_attr(j, dev->path, "driver_override", text, err);
	if (r == 0)
		r = unbind(j, dev, &right, err);
	if (r == 0 && !right)
		r = pst_host_act_write(j->r->host->root, PROBE, dev->name, err);
	snprintf(text, sizeof(text), "%s\n", dev->driver_override);
	back = write_attr(j, dev->path, "driver_override", text,
			  r == 0 ? err : NULL);
	return r ? r : back;
}

static bool is_there(const struct job *j, const struct pst_host_pci_dev *dev)
{
	return pst_host_root_exists(j->r->host->root, dev->path);
}

/* Removes functions, the last first, since function 0 takes none along. */
static int remove_all(const struct job *j,
		      const struct pst_host_pci_dev *const *dev, size_t n,
		      struct pst_error *err)
{
	int r = 0;

	while (r == 0 && n-- > 0)
		if (is_there(j, dev[n]))
			r = write_attr(j, dev[n]->path, "remove", "1\n", err);
	return r;
}

/* A switch below the bridge loses its bus numbers in a reset, so it has to be
 * found anew, too. */
static int remove_bridges(const struct job *j, struct pst_error *err)
{
	const struct pst_host *h = j->r->host;
	size_t i = h->pci.n;
	int r = 0;

	while (r == 0 && i-- > 0) {
		const struct pst_host_pci_dev *d = &h->pci.dev[i];

		if (pst_host_pci_is_bridge(d) &&
		    pst_host_pci_is_below(d, h->state.port))
			r = remove_all(j, &d, 1, err);
	}
	return r;
}

/* Has the kernel try no driver by itself with what it finds, or as before: it
 * follows this only since Linux 6.19, and before that rebind() takes back what
 * a driver of the host has taken. Whether it was so already. */
static bool try_drivers(const struct job *j, bool on)
{
	char text[8];

	if (pst_host_root_read_text(j->r->host->root, AUTOPROBE, text,
				    sizeof(text)) <= 0 ||
	    strcmp(text, on ? "1" : "0") == 0)
		return true;
	(void)!pst_host_act_write(j->r->host->root, AUTOPROBE,
				  on ? "1\n" : "0\n", NULL);
	return false;
}

/* Looks for them until all are there, or for as long as a card is waited for.
 * One that is ready late is found by a later look. */
static int find_again(const struct job *j,
		      const struct pst_host_pci_dev *const *dev, size_t n,
		      struct pst_error *err)
{
	const struct pst_host_pci_dev *port = j->r->host->state.port;
	const uint64_t deadline = pst_now_ns() + j->timeout_ns;
	uint64_t pause = POLL_NS;
	size_t i;
	int r;

	for (;;) {
		r = port ? write_attr(j, port->path, "rescan", "1\n", err)
			 : pst_host_act_write(j->r->host->root, RESCAN, "1\n",
					      err);
		if (r < 0)
			return r;
		for (i = 0; i < n && is_there(j, dev[i]); i++)
			;
		if (i == n || pst_now_ns() >= deadline)
			break;
		pst_host_act_pause(pause);
		pause = pause < PST_NS_PER_S ? pause * 2 : pause;
	}
	if (i < n)
		return pst_error_set(err, -ENODEV, "%s is not found again",
				     dev[i]->name);
	return 0;
}

static int by_rescan(const struct job *j,
		     const struct pst_host_pci_dev *const *dev, size_t n,
		     bool with_pulse, struct pst_error *err)
{
	struct pst_error later;
	bool was_off;
	size_t i;
	int r = remove_all(j, dev, n, err), one;

	if (r == 0 && with_pulse)
		r = remove_bridges(j, err);
	if (r == 0 && with_pulse)
		r = pulse(j, err);
	/* Whatever failed, what was removed is looked for. */
	was_off = try_drivers(j, false);
	one = find_again(j, dev, n, r == 0 ? err : &later);
	r = r ? r : one;
	for (i = 0; i < n; i++) {
		if (!is_there(j, dev[i]))
			continue;
		one = rebind(j, dev[i], r == 0 ? err : &later);
		r = r ? r : one;
	}
	if (!was_off)
		try_drivers(j, true);
	return r;
}

static int by_bus(const struct job *j, struct pst_error *err)
{
	const struct pst_host_reset *r = j->r;
	int rc = -ENOTTY;

	/* It gives up on a bridge that does not tell when its link is up. */
	if (r->subordinate)
		rc = write_attr(j, r->host->state.port->path,
				"reset_subordinate", "1\n", err);
	if (rc == -ENOTTY)
		rc = by_rescan(j, r->touched, r->n_touched, true, err);
	return rc;
}

static int by_suspend(const struct job *j, struct pst_error *err)
{
	const struct pst_host_root *root = j->r->host->root;
	int r;

	/* An alarm that is set already keeps a new one out. */
	r = pst_host_act_write(root, WAKE_ALARM, "0\n", err);
	if (r == 0)
		r = pst_host_act_write(root, WAKE_ALARM, SLEEP_S "\n", err);
	if (r == 0)
		r = pst_host_act_bytes(root, POWER_STATE, 0, "mem\n", 4,
				       SLEEP_NS, err);
	return r;
}

static int go(const struct job *j, unsigned int way, struct pst_error *err)
{
	const struct pst_host_card_state *s = &j->r->host->state;
	const struct pst_host_pci_dev *card[PST_HOST_PCI_MAX_FN];
	size_t i;

	switch (way) {
	case PST_HOST_RESET_FUNCTION:
		return by_function(j, err);
	case PST_HOST_RESET_BUS:
		return by_bus(j, err);
	case PST_HOST_RESET_RESCAN:
		for (i = 0; i < s->n; i++)
			card[i] = s->fn[i].dev;
		return by_rescan(j, card, s->n, false, err);
	}
	return by_suspend(j, err);
}

/* ---- Looking again -------------------------------------------------------
 */

static bool was_planned(const struct pst_host_reset *r, const char *name)
{
	size_t i;

	for (i = 0; i < r->n_touched; i++)
		if (strcmp(r->touched[i]->name, name) == 0)
			return true;
	return false;
}

/* What is planned now is what was planned, and nothing uses it. */
static int compare(const struct pst_host_reset *r,
		   const struct pst_host_reset *now, struct pst_error *err)
{
	size_t i;

	if (now->n_blockers)
		return pst_error_set(err, -EBUSY, "%s is in use now: %s",
				     now->blocker[0].dev->name,
				     now->blocker[0].why);
	for (i = 0; i < now->n_touched; i++)
		if (!was_planned(r, now->touched[i]->name))
			return pst_error_set(err, -EBUSY,
					     "%s has come below the bridge "
					     "meanwhile: look again",
					     now->touched[i]->name);
	return 0;
}

/* Time has passed since it was planned: looks at the host once more, when
 * nobody can get a group any more. */
static int look_again(const struct pst_host_reset *r, struct pst_error *err)
{
	const struct pst_host_request request = {.gpu = r->host->gpu->name};
	struct pst_host_reset *now = calloc(1, sizeof(*now));
	struct pst_host *h = calloc(1, sizeof(*h));
	int rc = now && h ? pst_host_scan(r->host->root, &request, h, err)
			  : pst_oom(err);

	if (rc == 0) {
		rc = h->gpu ? pst_host_reset_plan(h, r->ways, now, err)
			    : pst_error_set(err, -ENODEV, "%s is gone",
					    request.gpu);
		if (rc == 0)
			rc = compare(r, now, err);
		pst_host_done(h);
	}
	free(h);
	free(now);
	return rc;
}

/* Before a further way: a driver of the host may have got what the former one
 * has found again. */
static int check_drivers(const struct job *j, struct pst_error *err)
{
	const struct pst_host_reset *r = j->r;
	char path[PST_HOST_ROOT_PATH_MAX], has[64];
	size_t i;

	for (i = 0; i < r->n_touched; i++)
		if (pst_host_path(path, "%s/driver", r->touched[i]->path) ==
			    0 &&
		    pst_host_root_link_name(r->host->root, path, has,
					    sizeof(has)) > 0 &&
		    strcmp(has, "vfio-pci") != 0 &&
		    strcmp(has, r->touched[i]->driver) != 0)
			return pst_error_set(err, -EBUSY,
					     "%s of the host has taken %s", has,
					     r->touched[i]->name);
	return 0;
}

/* ---- All of it ----------------------------------------------------------- */

static void try_ways(const struct job *j, struct pst_host_reset_result *ret)
{
	unsigned int i;
	bool taken;

	for (i = 0; i < PST_HOST_RESET_WAYS && !ret->back; i++) {
		struct pst_host_text seen;
		struct pst_error err = {0};
		int r;

		if (!(j->r->ways & 1U << i))
			continue;
		r = ret->n ? check_drivers(j, &err) : 0;
		taken = r < 0;
		r = r < 0 ? r : go(j, 1U << i, &err);
		ret->tried[ret->n].way = i;
		/* What could not be done may have done a part of it. */
		ret->back = wait_back(j, &seen) && r == 0;
		ret->tried[ret->n].back = ret->back;
		snprintf(ret->tried[ret->n].text,
			 sizeof(ret->tried[ret->n].text), "%.200s%s%.300s",
			 r < 0 ? err.text : "", r < 0 && seen.len ? "; " : "",
			 seen.buf);
		ret->n++;
		/* The kernel is still at it: a second one would wait, too. */
		if (r == -ETIMEDOUT || taken)
			return;
	}
}

static int hold_all(const struct pst_host_reset *r,
		    struct pst_host_holds *holds, struct pst_error *err)
{
	size_t i;
	int rc = 0;

	for (i = 0; rc == 0 && i < r->n_touched; i++)
		rc = pst_host_hold(r->host->root, r->touched[i], holds, err);
	return rc;
}

int pst_host_reset_run(const struct pst_host_reset *r, uint64_t timeout_ns,
		       struct pst_host_reset_result *ret, struct pst_error *err)
{
	struct job j = {.r = r, .timeout_ns = timeout_ns};
	struct pst_host_holds holds = {0};
	sigset_t former;
	size_t i;
	int rc;

	*ret = (struct pst_host_reset_result){0};
	if (!r->host->root->live)
		return pst_error_set(err, -EOPNOTSUPP,
				     "only the running machine's card can be "
				     "reset");
	if (r->n_blockers)
		return pst_error_set(err, -EBUSY, "%s is in use: %s",
				     r->blocker[0].dev->name,
				     r->blocker[0].why);
	for (i = 0; i < r->host->state.n; i++)
		pst_host_record_add(&j.before, &r->host->state.fn[i]);
	rc = hold_all(r, &holds, err);
	if (rc == 0)
		rc = look_again(r, err);
	if (rc == 0) {
		pst_host_act_begin(&former);
		try_ways(&j, ret);
		pst_host_act_end(&former);
	}
	pst_host_holds_done(&holds);
	return rc;
}
