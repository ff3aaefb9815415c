/* SPDX-License-Identifier: MIT */
/* A session's life: opened when needed, looked at, lost. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>

#include "host-client/lib/conn.h"
#include "host-client/lib/spawn.h"
#include "transport/shm.h"

/* A gap between two looks longer than this was not watched: this process was
 * stopped, or its machine. It counts as this long only. */
#define LOOK_GAP_NS (2 * PST_TICK_NS)

/* Takes over what the handshake brought. */
static int install(struct pst *c, struct pst_session *s, struct pst_error *err)
{
	const struct pst_wire_welcome *w = &s->welcome;
	struct pst_wire_header *hdr = pst_ctl_header(c);

	if (c->sock < 0) {
		c->sock = s->sock;
	} else {
		/* Threads may be polling the old number: it is replaced, not
		 * closed and given to somebody else. */
		if (dup3(s->sock, c->sock, O_CLOEXEC) < 0)
			return pst_error_set_errno(err, errno,
						   "cannot keep the socket");
		close(s->sock);
	}
	c->child = s->child;
	c->map = s->map;
	c->welcome = *w;
	c->dead_ns = c->dead_opt_ns;
	if (!c->dead_ns)
		c->dead_ns = w->emulated ? PST_DEAD_EMULATED_NS : PST_DEAD_NS;
	if (!c->control_only)
		pst_lane_client_init(&c->lane, pst_region_lane(c->ctl, w->lane),
				     &hdr->agent_wake);
	c->beat = pst_shm_load(&hdr->heartbeat.value);
	c->look_ns = pst_now_ns();
	c->silence_ns = 0;
	c->tx_n = 0;
	c->unanswered = 0;
	c->n_wakes = 0;
	c->n_idle = 0;
	c->failed = 0;
	c->serial++;
	c->live = true;
	pst_fd_attach(c);
	pst_watch_kick(c);
	return 0;
}

static void discard(struct pst *c, struct pst_session *s)
{
	/* On failure the memory is inaccessible, which is as safe. */
	(void)pst_region_map_detach(c->ctl, PST_WIRE_CTL_SIZE);
	pst_region_map_close(&s->map);
	close(s->sock);
	pst_spawn_reap(s->child, PST_NS_PER_S);
}

int pst_session_ensure(struct pst *c, uint64_t deadline_ns,
		       struct pst_error *err)
{
	struct pst_session s;
	pid_t old;
	int r;

	while (!c->live && c->connecting) {
		if (pst_now_ns() >= deadline_ns)
			return pst_error_set(err, -ETIMEDOUT,
					     "another thread still connects");
		pst_wait_cond(c, deadline_ns);
	}
	if (c->live)
		return 0;
	c->connecting = true;
	old = c->child;
	c->child = 0;
	pst_unlock(c);
	pst_spawn_reap(old, PST_NS_PER_S);
	r = pst_handshake(c, deadline_ns, &s, err);
	pst_lock(c);
	if (!r) {
		r = install(c, &s, err);
		if (r < 0)
			discard(c, &s);
	}
	c->connecting = false;
	pst_wake_followers(c);
	return r;
}

int pst_session_gone(struct pst *c, struct pst_error *err)
{
	return pst_error_set(err, -ESTALE, "the session is lost: %s",
			     c->lost.text);
}

/* Pending operations complete with code; so do those that are done but whose
 * results, not seen yet, have just been taken from under them. */
static void end_operations(struct pst *c, int code)
{
	struct pst_record *rec;
	uint32_t i;

	for (i = 0; i < PST_WIRE_SLOTS; i++) {
		rec = &c->ops.rec[i];
		switch (rec->state) {
		case PST_RECORD_PENDING:
			rec->done.status = code;
			rec->lost = true;
			pst_optab_complete(&c->ops, rec);
			pst_record_unref(c, rec);
			break;
		case PST_RECORD_DONE:
			if (rec->writes && !rec->done.status) {
				rec->done.status = code;
				rec->lost = true;
			}
			break;
		case PST_RECORD_ABANDONED:
			pst_optab_put(&c->ops, rec);
			pst_record_unref(c, rec);
			break;
		case PST_RECORD_FREE:
			break;
		}
	}
}

/* Pending operations complete with the failure's code, buffers become stale
 * and private, sleepers wake. */
void pst_session_lose(struct pst *c)
{
	const int code = c->failed;

	c->lost = c->failure;
	c->lost_code = code;
	c->failed = 0;
	c->live = false;
	/* First of all nothing may reach the peer any more. */
	pst_buffers_detach(c);
	(void)pst_region_map_detach(c->ctl, PST_WIRE_CTL_SIZE);
	pst_region_map_close(&c->map);
	pst_fd_detach(c);
	/* Whoever polls the socket wakes; its number stays taken. */
	shutdown(c->sock, SHUT_RDWR);
	end_operations(c, code);
	pst_pace_forget(&c->pace);
	c->lost_unseen = true;
	pst_notify(c);
	pst_wake_followers(c);
}

void pst_session_look(struct pst *c, uint64_t now_ns)
{
	const struct pst_wire_header *hdr = pst_ctl_header(c);
	uint64_t beat, gap;

	if (c->live && pst_shm_load(&hdr->format.epoch) != c->welcome.epoch)
		pst_channel_fail(c, -ESTALE,
				 "another agent has taken the region");
	pst_session_settle(c);
	if (!c->live)
		return;
	/* The caller may have read the clock before another thread did that
	 * has looked already. */
	if (now_ns < c->look_ns)
		now_ns = c->look_ns;
	beat = pst_shm_load(&hdr->heartbeat.value);
	gap = now_ns - c->look_ns;
	if (beat != c->beat)
		c->silence_ns = 0;
	else
		c->silence_ns += gap < LOOK_GAP_NS ? gap : LOOK_GAP_NS;
	c->beat = beat;
	c->look_ns = now_ns;
}
