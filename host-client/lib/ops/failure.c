/* SPDX-License-Identifier: MIT */
/* Fetches the reason of a failed operation from the agent. */
#include "host-client/lib/ops/failure.h"

#include <errno.h>
#include <string.h>

#include "host-client/lib/session/request.h"

/* Asks for a tag's sentence (unlocks). Returns 0 and the text, or an errno of
 * pst_request(). */
static int ask(struct pst *c, uint64_t tag, uint64_t deadline_ns, char *buf,
	       size_t size, struct pst_error *err)
{
	const struct pst_wire_cancel w = {.tag = tag};
	PST_CLEANUP_FREE uint8_t *payload = NULL;
	struct pst_frame f = {.type = PST_WIRE_FAILURE, .reply = true};
	int r;

	r = pst_request(c, PST_WIRE_FAILURE, &w, sizeof(w), deadline_ns,
			&payload, &f.length, err);
	if (r < 0)
		return r;
	f.payload = payload;
	pst_frame_text(&f, buf, size);
	return 0;
}

void pst_failure_explain(struct pst *c, uint64_t tag, int r,
			 uint64_t deadline_ns, struct pst_error *err)
{
	const uint64_t max = pst_deadline(pst_now_ns(), c->conf.timeout_ns);
	char text[sizeof(err->text)] = "";

	/* Who cancelled knows why. */
	if (c->session.live && r != -ECANCELED)
		(void)ask(c, tag, deadline_ns < max ? deadline_ns : max, text,
			  sizeof(text), NULL);
	if (text[0])
		pst_error_set(err, r, "%s", text);
	else
		pst_error_set(err, r, "the agent's answer: %s",
			      pst_errno_text(r));
}

int pst_failure(struct pst *c, uint64_t tag, char *buf, size_t size)
{
	struct pst_error err = {0};
	int r;

	if (pst_is_forked(c))
		return pst_forked(c);
	if (size)
		buf[0] = '\0';
	pst_lock(c);
	r = c->session.live
		    ? ask(c, tag,
			  pst_deadline(pst_now_ns(), c->conf.timeout_ns), buf,
			  size, &err)
		    : pst_session_gone(&c->session, &err);
	pst_unlock(c);
	return pst_fail(c, r, &err);
}
