/* SPDX-License-Identifier: MIT */
/* Errors: each thread's last one on each of a few connections; and versions. */
#include "host-client/lib/plain/last_error.h"

#include <stdio.h>

#include "host-client/penstock.h"

/* Connections whose last error a thread remembers. */
#define ERROR_SLOTS 4

struct last_error {
	uint64_t id;
	bool touched; /* the call may have written to C */
	char text[sizeof(((struct pst_error *)0)->text)];
};

static _Thread_local struct {
	struct last_error slot[ERROR_SLOTS];
	unsigned int next;
} last;

static struct last_error *find_error(uint64_t id)
{
	int i;

	for (i = 0; i < ERROR_SLOTS; i++)
		if (last.slot[i].id == id)
			return &last.slot[i];
	return NULL;
}

int pst_last_error_set(uint64_t id, int r, const struct pst_error *err)
{
	struct last_error *e;

	if (r >= 0)
		return r;
	e = find_error(id);
	if (!e)
		e = &last.slot[last.next++ % ERROR_SLOTS];
	e->id = id;
	e->touched = false;
	snprintf(e->text, sizeof(e->text), "%s",
		 err->text[0] ? err->text : pst_errno_text(r));
	return r;
}

void pst_last_error_touch(uint64_t id)
{
	struct last_error *e = find_error(id);

	if (e)
		e->touched = true;
}

bool pst_last_error_touched(uint64_t id)
{
	const struct last_error *e = find_error(id);

	/* What is not remembered any more may have been anything. */
	return !e || e->touched;
}

const char *pst_last_error_text(uint64_t id)
{
	const struct last_error *e = find_error(id);

	return e ? e->text : "";
}

const char *pst_version(void)
{
	return PACKAGE_VERSION;
}

const char *pst_strerror(int error)
{
	return pst_errno_text(error);
}
