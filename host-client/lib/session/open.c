/* SPDX-License-Identifier: MIT */
/* Opens and closes a connection. */
#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>

#include "host-client/lib/plain/args.h"
#include "host-client/lib/plain/endpoint.h"
#include "host-client/lib/plain/interrupt.h"
#include "host-client/lib/plain/spawn.h"
#include "host-client/lib/session/registry.h"
#include "host-client/lib/session/session_open.h"

/* Between tries to open: at first, at most, give or take a half. */
#define PAUSE_FIRST_NS (5 * PST_NS_PER_MS)
#define PAUSE_MOST_NS  (200 * PST_NS_PER_MS)
/* On vsock a missing listener and a full backlog give the same error. */
#define REFUSED_NS (500 * PST_NS_PER_MS)

static int take_options(const struct pst_options *options,
			struct pst_options *ret, struct pst_error *err)
{
	static const struct pst_args_kind kind = {
		.init = "PST_OPTIONS_INIT",
		.size = sizeof(*options),
		.least = offsetof(struct pst_options, timeout_ns),
	};
	int r;

	*ret = (struct pst_options)PST_OPTIONS_INIT;
	if (!options)
		return 0;
	r = pst_args_take(&kind, options, ret, err);
	if (r < 0)
		return r;
	if (ret->flags & ~(PST_OPEN_CONTROL_ONLY | PST_OPEN_NO_SPIN |
			   PST_OPEN_WAIT | PST_OPEN_SINGLE_THREAD))
		return pst_error_set(err, -EINVAL,
				     "options.flags has an unknown bit");
	if (ret->queues > PST_WIRE_SESSION_LANES)
		return pst_error_set(err, -EINVAL,
				     "options.queues is %u; the maximum is %u",
				     ret->queues, PST_WIRE_SESSION_LANES);
	return 0;
}

static void apply_options(struct pst *c, const struct pst_options *o)
{
	const char *name = o->name ? o->name : program_invocation_short_name;
	size_t i;

	c->conf.timeout_ns = o->timeout_ns ? o->timeout_ns : PST_TIMEOUT_NS;
	c->conf.open_ns = c->conf.timeout_ns;
	if (c->conf.ep.scheme == PST_SCHEME_SPAWN &&
	    (!o->timeout_ns || o->timeout_ns > PST_SPAWN_OPEN_NS))
		c->conf.open_ns = PST_SPAWN_OPEN_NS;
	c->conf.dead_opt_ns = o->dead_ns;
	c->conf.spin_ns = o->spin_ns ? o->spin_ns : PST_SPIN_NS;
	if (o->flags & PST_OPEN_NO_SPIN)
		c->conf.spin_ns = 0;
	c->sleepers.spin_now_ns = c->conf.spin_ns;
	c->conf.control_only = o->flags & PST_OPEN_CONTROL_ONLY;
	c->conf.wait = o->flags & PST_OPEN_WAIT;
	if (o->flags & PST_OPEN_SINGLE_THREAD)
		pst_mutex_promise(&c->lock);
	for (i = 0; i < sizeof(c->conf.name) - 1 && name[i]; i++)
		c->conf.name[i] =
			name[i] > ' ' && name[i] < 0x7f ? name[i] : '_';
}

/* Private memory where the control area will be, at an address that fits any
 * page size up to PST_WIRE_UNIT. */
static uint8_t *reserve_ctl(void)
{
	uint64_t skip;
	uint8_t *p;

	p = mmap(NULL, PST_WIRE_CTL_SIZE + PST_WIRE_UNIT,
		 PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED)
		return NULL;
	skip = pst_round_up((uintptr_t)p, PST_WIRE_UNIT) - (uintptr_t)p;
	if (skip)
		munmap(p, skip);
	if (skip < PST_WIRE_UNIT)
		munmap(p + skip + PST_WIRE_CTL_SIZE, PST_WIRE_UNIT - skip);
	return p + skip;
}

static int init_locks(struct pst *c)
{
	pthread_condattr_t attr;
	int r;

	r = pthread_condattr_init(&attr);
	if (r)
		return -r;
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	r = pthread_cond_init(&c->sleepers.cond, &attr);
	if (!r) {
		r = pthread_cond_init(&c->mem.room, &attr);
		if (r)
			pthread_cond_destroy(&c->sleepers.cond);
	}
	pthread_condattr_destroy(&attr);
	if (r)
		return -r;
	r = pst_mutex_init(&c->lock);
	if (r)
		pthread_cond_destroy(&c->mem.room);
	if (r)
		pthread_cond_destroy(&c->sleepers.cond);
	return r;
}

static void done_memory(struct pst_memory *m)
{
	size_t i;

	for (i = 0; i < m->heap.n; i++)
		munmap(m->heap.extents[i]->addr, m->heap.extents[i]->size);
	pst_heap_done(&m->heap);
	pst_tensor_table_done(&m->tensors);
	munmap(m->ctl, PST_WIRE_CTL_SIZE);
}

static int conn_new(struct pst **ret, struct pst_error *err)
{
	static atomic_uint_least64_t ids;
	struct pst *c = calloc(1, sizeof(*c));
	int r = -ENOMEM;

	if (!c)
		goto nothing;
	if (pst_process_number(&c->conf.process, &c->conf.process_number) < 0)
		goto free_conn;
	c->channel.sock = c->events.epfd = c->events.notice = -1;
	c->conf.id = atomic_fetch_add(&ids, 1) + 1;
	c->mem.lost = &c->session.lost;
	c->mem.limits = &c->session.welcome.limits;
	c->channel.rx.buf = malloc(PST_RX_SIZE);
	if (!c->channel.rx.buf)
		goto free_conn;
	c->mem.ctl = reserve_ctl();
	if (!c->mem.ctl)
		goto free_rx;
	c->watcher.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	r = c->watcher.fd < 0 ? -errno : init_locks(c);
	if (r < 0)
		goto unmap_ctl;
	*ret = c;
	return 0;
unmap_ctl:
	pst_close_fd(c->watcher.fd);
	munmap(c->mem.ctl, PST_WIRE_CTL_SIZE);
free_rx:
	free(c->channel.rx.buf);
free_conn:
	free(c);
nothing:
	return r == -ENOMEM ? pst_oom(err)
			    : pst_error_set_errno(err, r,
						  "cannot make a connection");
}

void pst_close(struct pst *c)
{
	if (!c)
		return;
	pst_registry_remove(c);
	if (pst_is_forked(c)) {
		pst_forked_close(c);
		return;
	}
	pst_lock(c);
	c->session.closing = true;
	/* A courtesy; the socket's end says the same. */
	if (c->session.live)
		(void)pst_post(&c->channel, PST_WIRE_BYE, NULL, 0);
	pst_unlock(c);
	pst_watch_stop(&c->watcher);
	/* Unmapped before the agent can lease it to others. */
	done_memory(&c->mem);
	if (c->session.live)
		pst_region_map_close(&c->mem.map);
	pst_close_fd(c->events.epfd);
	pst_close_fd(c->events.notice);
	pst_close_fd(c->watcher.fd);
	pst_close_fd(c->channel.sock);
	pst_spawn_reap(c->session.child, PST_SPAWN_REAP_NS);
	pthread_cond_destroy(&c->mem.room);
	pthread_cond_destroy(&c->sleepers.cond);
	pst_mutex_done(&c->lock);
	free(c->channel.rx.buf);
	free(c->queue);
	free(c->memo);
	free(c);
}

/* Whether another try may do: the agent was full, or had no time. */
static bool may_heal(const struct pst_conf *conf, int r, uint64_t since_ns)
{
	if (conf->ep.scheme == PST_SCHEME_SPAWN)
		return false;
	/* The socket, the region's file or the VM may be on its way. */
	if (conf->wait && (r == -ECONNREFUSED || r == -ENOENT || r == -ENODEV ||
			   r == -ETIMEDOUT))
		return true;
	if (r == -ECONNREFUSED && conf->ep.scheme == PST_SCHEME_VSOCK)
		return pst_now_ns() - since_ns < REFUSED_NS;
	return r == -EBUSY || r == -ECONNRESET;
}

/* Sleeps for ns unless interrupted (unlocks). */
static int rest(struct pst *c, uint64_t ns, struct pst_error *err)
{
	const uint64_t end = pst_deadline(pst_now_ns(), ns);
	uint64_t now, until;
	int r;

	while ((now = pst_now_ns()) < end) {
		r = pst_interrupt_ask(c, err);
		if (r < 0)
			return r;
		until = pst_interrupt_next();
		if (until > end)
			until = end;
		if (until > now)
			pst_sleep(c, until - now);
	}
	return 0;
}

/* The first session (unlocks). */
static int open_session(struct pst *c, struct pst_error *err)
{
	const uint64_t since = pst_now_ns(), deadline = pst_control_deadline(c);
	uint64_t pause = PAUSE_FIRST_NS, random = 0, wait;
	struct pst_error full;
	bool was_full = false;
	int r;

	for (;;) {
		r = pst_session_ensure(c, deadline, err);
		/* The last try had what the others left of the time: what an
		 * agent said in those tells more. */
		if (r == -ETIMEDOUT && was_full) {
			if (err)
				*err = full;
			r = -EBUSY;
		}
		if (!r || !may_heal(&c->conf, r, since))
			return r;
		was_full = r == -EBUSY;
		if (was_full && err)
			full = *err;
		/* Or all that were refused come at once again. */
		if (pst_random(&random, sizeof(random)) < 0)
			random = pst_now_ns();
		wait = pause / 2 + random % pause;
		if (wait >= deadline || pst_now_ns() >= deadline - wait)
			return r;
		r = rest(c, wait, err);
		if (r < 0)
			return r;
		pause = pause < PAUSE_MOST_NS / 2 ? 2 * pause : PAUSE_MOST_NS;
	}
}

static int make_queues(struct pst *c, const struct pst_options *o,
		       struct pst_error *err)
{
	const uint32_t n = o->queues && !c->conf.control_only ? o->queues : 1;
	uint32_t i;

	c->queue = aligned_alloc(PST_WIRE_LINE, n * sizeof(*c->queue));
	if (!c->queue)
		return pst_oom(err);
	memset(c->queue, 0, n * sizeof(*c->queue));
	for (i = 0; i < n; i++)
		pst_pending_init(&c->queue[i].ops, i * PST_WIRE_SLOTS);
	c->conf.n_queues = n;
	return 0;
}

static int conn_open(struct pst *c, const char *endpoint,
		     const struct pst_options *options, struct pst_error *err)
{
	struct pst_options o;
	int r;

	if ((r = take_options(options, &o, err)) < 0 ||
	    (r = pst_endpoint_resolve(endpoint, &c->conf.ep, err)) < 0)
		return r;
	apply_options(c, &o);
	r = make_queues(c, &o, err);
	if (r < 0)
		return r;
	pst_lock(c);
	r = open_session(c, err);
	pst_unlock(c);
	/* Without extents there is nothing to protect from a lost session. */
	if (!r && !c->conf.control_only)
		r = pst_watch_start(c, err);
	return r;
}

static void say(const struct pst_error *err, int code, char *text, size_t size)
{
	if (text && size)
		snprintf(text, size, "%s",
			 err->text[0] ? err->text : pst_errno_text(code));
}

int pst_endpoint_check(const char *endpoint, char *error_text,
		       size_t error_size)
{
	struct pst_error err = {0};
	struct pst_endpoint ep;
	int r = pst_endpoint_resolve(endpoint, &ep, &err);

	if (r < 0)
		say(&err, r, error_text, error_size);
	return r;
}

int pst_open(const char *endpoint, const struct pst_options *options,
	     struct pst **ret, char *error_text, size_t error_size)
{
	struct pst_error err = {0};
	struct pst *c = NULL;
	int r;

	*ret = NULL;
	r = conn_new(&c, &err);
	if (!r)
		r = conn_open(c, endpoint, options, &err);
	if (r < 0) {
		pst_close(c);
		say(&err, r, error_text, error_size);
		return r;
	}
	pst_registry_add(c);
	*ret = c;
	return 0;
}
