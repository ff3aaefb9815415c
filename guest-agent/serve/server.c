/* SPDX-License-Identifier: MIT */
/* The serving thread: sets the agent up, serves lanes and sockets, drains. */
#include "guest-agent/serve/server.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "guest-agent/backends/backend_load.h"
#include "guest-agent/region/fault.h"
#include "guest-agent/region/heartbeat.h"
#include "guest-agent/region/takeover.h"
#include "guest-agent/serve/cpu_move.h"
#include "guest-agent/serve/models/onnx_dir.h"
#include "guest-agent/serve/spin.h"
#include "guest-agent/serve/state/agent.h"
#include "guest-agent/service/log.h"
#include "transport/base/notify.h"
#include "transport/base/thread.h"
#include "transport/base/util.h"
#include "transport/frame.h"
#include "transport/region/numa.h"
#include "transport/ring.h"
#include "transport/status.h"

/* The interval for polling sockets while lanes keep the thread busy. */
#define POLL_NS (50 * PST_NS_PER_US)
/* The longest sleep if nothing is due. Wake-ups come as WAKE frames; this only
 * bounds the cost of a mistake. */
#define MAX_SLEEP_NS PST_NS_PER_S
/* The same while a device works, for an agent that does not spin. */
#define DEVICE_NS (50 * PST_NS_PER_US)
/* Polls of the lanes between two readings of the clock, which costs more than
 * one. */
#define POLLS_A_CLOCK 8
/* The interval of housekeeping while the thread is busy. */
#define TICK_NS PST_NS_PER_MS
/* Housekeeping is deferred for at most this time while a client calls back to
 * back, */
#define BETWEEN_NS (20 * PST_NS_PER_US)
/* and for at most this number of operations. Sockets are polled after this
 * time. */
#define PUT_OFF_MOST 8U
#define POLL_LATE_NS PST_NS_PER_MS
/* Signs of life within the service manager's time; one may be late. */
#define PINGS 3
/* How long clients may go on submitting into a draining agent. */
#define LATE_NS (100 * PST_NS_PER_MS)

enum phase {
	SERVING,
	DRAINING,      /* operations in flight end, others get ESHUTDOWN */
	DISCONNECTING, /* sessions have got ERROR, their sockets close */
};

struct pst_agent_server {
	struct pst_agent agent;
	struct pst_agent_conns conns;
	struct pst_loop *loop;
	struct pst_agent_heartbeat *heartbeat;
	struct pst_agent_spin spin;
	struct pst_agent_aside aside;
	uint64_t wake_gen; /* private copy of header.agent_wake */
	struct pst_agent_listeners listeners;
	int stop_fd;
	struct pst_source *stop_src;
	bool once; /* one client, on this kernel: ends with its connection */
	enum phase phase;
	uint64_t drain_ns;
	uint64_t drain_due_ns; /* operations are given up at that time */
	/* Until then operations are still answered; 0: one is still running. */
	uint64_t drain_late_ns;
	uint64_t idle_since_ns; /* 0: not idle */
	bool slept;             /* since then */
	uint64_t device_ns;     /* how long to sleep beside a device; 0: none */
	uint64_t last_poll_ns;
	uint64_t next_tick_ns;
	unsigned int put_off;  /* operations since the tick was due */
	uint64_t ping_ns;      /* between signs of life; 0: none */
	uint64_t next_ping_ns; /* UINT64_MAX: none */
};

static int open_region(struct pst_agent_server *s,
		       const struct pst_agent_server_config *c,
		       struct pst_error *err)
{
	struct pst_agent *a = &s->agent;
	struct pst_agent_claim claim;
	uint64_t arena;
	int r;

	r = pst_region_open(c->region, c->sysfs, &a->region, err);
	if (r < 0)
		return r;
	arena = a->region.size - PST_WIRE_CTL_SIZE;
	a->config.limits = c->limits;
	if (!a->config.limits.max_lease && !s->once)
		a->config.limits.max_lease =
			pst_agent_lease_each(&a->config.limits, arena);
	if (!a->config.limits.max_lease || a->config.limits.max_lease > arena)
		a->config.limits.max_lease = arena;
	r = pst_agent_claim_region(&a->region, a->config.limits.max_clients,
				   &a->config.limits, PST_AGENT_HEARTBEAT_MS,
				   &claim, err);
	if (r < 0) {
		pst_region_close(&a->region);
		return r;
	}
	a->epoch = claim.epoch;
	a->settled_ns = claim.settled_ns;
	a->config.max_models = c->max_models;
	a->config.max_model_bytes = c->max_model_bytes;
	a->config.scrub = c->scrub;
	a->config.max_run_bytes = c->onnx.max_run_bytes;
	pst_agent_measure_region(&a->region, &a->facts.measure);
	return pst_agent_fault_watch(&a->region, err);
}

static int open_backend(struct pst_agent_server *s,
			const struct pst_agent_server_config *c,
			struct pst_error *err)
{
	struct pst_agent *a = &s->agent;
	int r;

	r = pst_backend_open(c->backend, c->backend_options, c->sysfs,
			     a->region.base, a->region.size, c->threads,
			     &a->compute.ops, &a->compute.backend, err);
	if (r < 0)
		return r;
	r = pst_agent_init(a, c->sysfs, err);
	if (r < 0)
		a->compute.ops->close(a->compute.backend);
	else
		pst_agent_reach_read(c->sysfs, "/proc", &a->region,
				     a->facts.device.pci,
				     a->facts.device.sm_major, &a->facts.reach);
	return r;
}

static int open_listeners(struct pst_agent_server *s,
			  const struct pst_agent_server_config *c,
			  struct pst_error *err)
{
	unsigned int i;
	int r = 0;

	for (i = 0; r == 0 && i < c->n_passed; i++)
		r = pst_agent_listeners_add(&s->listeners, s->loop, &s->conns,
					    c->passed[i], NULL, err);
	for (i = 0; r == 0 && i < c->n_listens; i++)
		r = pst_agent_listeners_open(&s->listeners, s->loop, &s->conns,
					     &c->listens[i], err);
	return r;
}

static int open_loop(struct pst_agent_server *s,
		     const struct pst_agent_server_config *c,
		     struct pst_error *err)
{
	struct pst_agent *a = &s->agent;
	const char *why;
	int r;

	r = pst_loop_open(c->loop, &s->loop, err);
	if (r < 0)
		return r;
	why = pst_loop_why(s->loop);
	snprintf(a->facts.loop_text, sizeof(a->facts.loop_text), "%s%s%s",
		 pst_loop_kind(s->loop) == PST_LOOP_URING ? "io_uring" : "poll",
		 why[0] ? ": " : "", why);
	r = pst_agent_conns_init(&s->conns, a, s->loop);
	if (r < 0)
		return pst_oom(err);
	memcpy(s->conns.cids, c->cids, sizeof(s->conns.cids));
	s->conns.n_cids = c->n_cids;
	return 0;
}

/* Models of files, those of models_dir first. */
static int open_models(struct pst_agent_server *s,
		       const struct pst_agent_server_config *c,
		       struct pst_error *err)
{
	struct pst_agent_onnx_config config = c->onnx;
	unsigned int i;
	int r;

	config.local = s->once;
	for (i = 0; i < c->n_listens; i++)
		config.local |= c->listens[i].scheme == PST_SCHEME_UNIX;
	r = pst_agent_onnx_open(&s->agent, &config, s->loop, err);
	if (r == 0 && config.models_dir)
		pst_agent_onnx_dir_load(&s->agent, config.models_dir);
	return r;
}

static void log_start(const struct pst_agent_server *s)
{
	const struct pst_agent *a = &s->agent;
	char where[512], remedy[PST_AGENT_MEASURE_REMEDY],
		high[PST_AGENT_REACH_WARNING];

	pst_agent_listeners_describe(&s->listeners, where, sizeof(where));
	pst_agent_log(
		PST_AGENT_LOG_INFO,
		"%s: region %s %s, %" PRIu64
		" MiB arena, %u KiB pages, %s, read "
		"%.2f and written %.2f GB/s, GPU registration %s; %s; listens "
		"on%s; loop %s; epoch %016" PRIx64,
		PACKAGE_VERSION, pst_provider_name(a->region.provider),
		a->region.name, (a->region.size - PST_WIRE_CTL_SIZE) >> 20,
		a->region.page_size >> 10, pst_caching_name(a->region.caching),
		a->facts.measure.read_gbps, a->facts.measure.write_gbps,
		pst_agent_compute_registration(&a->compute),
		a->facts.backend_text, where[0] ? where : " a passed socket",
		a->facts.loop_text, a->epoch);
	if (pst_agent_compute_registration_why(&a->compute)[0])
		pst_agent_log(
			PST_AGENT_LOG_WARNING,
			"the GPU registration of the region is %s, since %s",
			pst_agent_compute_registration(&a->compute),
			pst_agent_compute_registration_why(&a->compute));
	pst_agent_measure_remedy(&a->region, &a->facts.measure, remedy);
	if (remedy[0])
		pst_agent_log(PST_AGENT_LOG_WARNING, "%s", remedy);
	pst_agent_reach_warning(&a->facts.reach, high);
	if (high[0])
		pst_agent_log(PST_AGENT_LOG_WARNING, "%s", high);
}

static int open_all(struct pst_agent_server *s,
		    const struct pst_agent_server_config *c,
		    struct pst_error *err)
{
	struct pst_agent *a = &s->agent;
	int serve_fd = c->serve_fd;
	int r;

	/* First: threads to come inherit it, and new memory comes from where
	 * the CPU is that asks for it. A BLAS has some threads already. */
	if (c->numa_node >= 0) {
		r = pst_numa_bind_threads(c->numa_node, err);
		if (r < 0)
			return r;
	}
	r = open_region(s, c, err);
	if (r < 0)
		return r;
	r = pst_agent_heartbeat_start(&pst_region_header(&a->region)->heartbeat,
				      PST_AGENT_HEARTBEAT_MS, &s->heartbeat,
				      err);
	if (r < 0)
		return r;
	a->heartbeat = s->heartbeat;
	r = open_backend(s, c, err);
	if (r < 0)
		return r;
	r = open_loop(s, c, err);
	if (r == 0)
		r = open_models(s, c, err);
	if (r < 0)
		return r;
	r = open_listeners(s, c, err);
	if (r < 0 || serve_fd < 0)
		return r;
	return pst_agent_conns_serve(&s->conns, serve_fd, err);
}

/* Tells the program that started this agent why it does not serve. */
static void tell_failure(int fd, int r, const struct pst_error *err)
{
	const struct pst_frame f = {
		.type = PST_WIRE_ERROR,
		.status = pst_status_from_errno(r),
		.payload = (const uint8_t *)err->text,
		.length = (uint32_t)strlen(err->text),
	};
	uint8_t buf[sizeof(struct pst_wire_frame) + sizeof(err->text)];
	int64_t n = pst_frame_encode(&f, buf, sizeof(buf));

	if (n > 0)
		(void)send(fd, buf, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void watch_dog(struct pst_agent_server *s, uint64_t watchdog_ns)
{
	s->ping_ns = watchdog_ns / PINGS;
	s->next_ping_ns = watchdog_ns ? 0 : UINT64_MAX;
}

int pst_agent_server_open(const struct pst_agent_server_config *config,
			  struct pst_agent_server **ret, struct pst_error *err)
{
	struct pst_agent_server *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return pst_oom(err);
	s->stop_fd = -1;
	s->once = config->n_listens == 0 && config->n_passed == 0;
	s->drain_ns = config->drain_ns;
	pst_agent_spin_init(&s->spin, config->spin_ns);
	watch_dog(s, config->watchdog_ns);
	r = open_all(s, config, err);
	if (r < 0) {
		if (config->serve_fd >= 0 && s->conns.n == 0)
			tell_failure(config->serve_fd, r, err);
		pst_agent_server_close(s);
		return r;
	}
	log_start(s);
	*ret = s;
	return 0;
}

void pst_agent_server_close(struct pst_agent_server *s)
{
	struct pst_agent *a;

	if (!s)
		return;
	a = &s->agent;
	if (s->loop) {
		pst_agent_conns_done(&s->conns);
		pst_agent_listeners_close(&s->listeners, s->loop);
		pst_loop_remove(s->loop, s->stop_src);
	}
	if (a->executor) {
		pst_agent_done(a);
		pst_agent_onnx_close(a->onnx);
		a->compute.ops->close(a->compute.backend);
	}
	if (s->loop)
		pst_loop_close(s->loop);
	pst_agent_heartbeat_stop(s->heartbeat);
	if (a->region.base)
		pst_region_close(&a->region);
	free(s);
}

static void on_stop(void *arg)
{
	struct pst_agent_server *s = arg;
	uint64_t v;

	/* Emptied, so that the loop does not report it again and again. */
	if (read(s->stop_fd, &v, sizeof(v)) < 0 || s->phase != SERVING)
		return;
	pst_agent_log(PST_AGENT_LOG_INFO, "stopping");
	s->phase = DRAINING;
	s->drain_due_ns = pst_now_ns() + s->drain_ns;
	s->agent.draining = true;
	pst_agent_executor_drain(s->agent.executor);
	pst_agent_listeners_close(&s->listeners, s->loop);
}

int pst_agent_server_watch_stop(struct pst_agent_server *s, int stop_fd,
				struct pst_error *err)
{
	s->stop_fd = stop_fd;
	s->stop_src = pst_loop_add_ready(s->loop, stop_fd, on_stop, s);
	if (!s->stop_src)
		return pst_oom(err);
	return 0;
}

/* Does what is due by time. Returns the time of the next such thing. */
static uint64_t tick(struct pst_agent_server *s, uint64_t now_ns)
{
	const uint64_t late = now_ns + TICK_NS;
	uint64_t due = pst_agent_conns_tick(&s->conns, now_ns);

	/* Here and by no other thread: it is this one that must not hang. */
	if (now_ns >= s->next_ping_ns) {
		pst_service_notify("WATCHDOG=1");
		s->next_ping_ns = now_ns + s->ping_ns;
	}
	if (due > s->next_ping_ns)
		due = s->next_ping_ns;
	due = pst_min_u64(due, pst_agent_onnx_tick(&s->agent, now_ns));
	if (s->once)
		pst_agent_aside_check(&s->aside, now_ns);
	pst_agent_settle_late(&s->agent);
	s->next_tick_ns = late;
	s->put_off = 0;
	/* While draining, while a device does not give up an operation, and
	 * while memory is scrubbed, nothing comes that would wake the thread.
	 */
	if (s->phase != SERVING ||
	    pst_agent_holdings_scrubs(&s->agent.holdings) ||
	    pst_agent_executor_stuck_since(s->agent.executor))
		return due < late ? due : late;
	return due;
}

static int sleep_until_work(struct pst_agent_server *s, uint64_t now_ns)
{
	struct pst_agent *a = &s->agent;
	struct pst_wire_word *word = &pst_region_header(&a->region)->agent_wake;
	const bool waits = s->device_ns != 0;
	uint64_t due = tick(s, now_ns), wait = 0;
	int r = 0;

	if (due > now_ns)
		wait = due - now_ns < MAX_SLEEP_NS ? due - now_ns
						   : MAX_SLEEP_NS;
	if (waits && wait > s->device_ns)
		wait = s->device_ns;
	/* tick() may have closed the last connection. */
	if (s->once && s->conns.n == 0)
		wait = 0;
	/* Nor has a rest ended without the frames being handled. */
	if (pst_agent_turns_wait(&a->turns))
		wait = 0;
	pst_agent_executor_away(a->executor);
	pst_agent_wake_arm(word, &s->wake_gen);
	/* Every lane again: what was submitted before the word was seen armed
	 * sends no WAKE. */
	if (!pst_agent_executor_ready(a->executor))
		r = pst_loop_run(s->loop, wait);
	pst_agent_wake_disarm(word, &s->wake_gen);
	s->slept = true;
	s->last_poll_ns = pst_now_ns();
	/* A short sleep beside a busy device tells nothing about clients. */
	if (!waits &&
	    pst_agent_spin_slept(&s->spin, s->last_poll_ns,
				 s->last_poll_ns - now_ns,
				 pst_agent_executor_ready(a->executor)) &&
	    s->once && pst_agent_aside_leave(&s->aside, s->last_poll_ns))
		pst_agent_spin_moved(&s->spin);
	return r < 0 ? r : 0;
}

/* Whether the thread should sleep instead of spinning on. A device's end wakes
 * nobody: beside it the clients' window tells nothing. */
static bool spun_enough(struct pst_agent_server *s, uint64_t now_ns)
{
	uint64_t begun_ns = 0, due_ns;

	if (!s->idle_since_ns)
		s->idle_since_ns = now_ns;
	due_ns = pst_agent_executor_due(s->agent.executor, &begun_ns);
	s->device_ns = 0;
	if (due_ns && s->spin.max_ns) {
		s->device_ns = pst_agent_spin_device(now_ns, begun_ns, due_ns);
		return s->device_ns != 0;
	}
	if (due_ns)
		s->device_ns = DEVICE_NS;
	else if (pst_agent_executor_is_told(s->agent.executor) &&
		 !pst_agent_onnx_may_spin(&s->agent))
		return true;
	return now_ns - s->idle_since_ns >= s->spin.now_ns;
}

/* Whether no operation follows the last one at once. */
static bool is_quiet(const struct pst_agent_server *s, uint64_t now_ns)
{
	return s->idle_since_ns && now_ns - s->idle_since_ns >= BETWEEN_NS;
}

static bool poll_is_due(const struct pst_agent_server *s, uint64_t now_ns)
{
	/* The executor's clock may be older than the last poll. */
	if (now_ns <= s->last_poll_ns || now_ns - s->last_poll_ns < POLL_NS)
		return false;
	return now_ns - s->last_poll_ns >= POLL_LATE_NS || is_quiet(s, now_ns);
}

/* Whether housekeeping runs now. After every product of 20 ms it would be due,
 * and with cold caches it would delay the next product, which the client has
 * submitted meanwhile. */
static bool tick_is_due(struct pst_agent_server *s, bool worked,
			uint64_t now_ns)
{
	if (now_ns < s->next_tick_ns)
		return false;
	s->put_off += worked;
	return s->phase != SERVING || s->put_off > PUT_OFF_MOST ||
	       is_quiet(s, now_ns);
}

/* Whether running operations have ended and waiting ones were answered. A
 * client that continues to submit delays the end only briefly. */
static bool drain_is_over(struct pst_agent_server *s, bool worked,
			  uint64_t now_ns)
{
	if (now_ns >= s->drain_due_ns)
		return true;
	if (!pst_agent_executor_drained(s->agent.executor))
		return false;
	if (!s->drain_late_ns)
		s->drain_late_ns = now_ns + LATE_NS;
	return !worked || now_ns >= s->drain_late_ns;
}

static void disconnect(struct pst_agent_server *s)
{
	s->phase = DISCONNECTING;
	pst_agent_conns_refuse_all(&s->conns, PST_WIRE_ESHUTDOWN,
				   "the agent is shutting down");
}

/* The end, step by step. Returns 1 when it is reached, 0, or -ETIMEDOUT. */
static int advance(struct pst_agent_server *s, bool worked,
		   struct pst_error *err)
{
	struct pst_agent_executor *ex = s->agent.executor;
	const uint64_t now = pst_agent_executor_now(ex);
	const uint64_t stuck = pst_agent_executor_stuck_since(ex);
	const struct pst_agent *a = &s->agent;
	struct pst_error why;

	if (a->compute.ops->lost &&
	    a->compute.ops->lost(a->compute.backend, &why))
		return pst_error_set(err, -EIO, "%s", why.text);
	if (stuck && now > stuck && now - stuck > s->drain_ns)
		return pst_error_set(err, -ETIMEDOUT,
				     "the backend does not give up a cancelled "
				     "operation");
	if (s->once && s->conns.n == 0 && s->phase == SERVING)
		return 1;
	if (s->phase == DRAINING && drain_is_over(s, worked, now))
		disconnect(s);
	return s->phase == DISCONNECTING && s->conns.n == 0;
}

/* Polls the lanes a few times, as a part of the spin. */
static void poll_lanes(const struct pst_agent_executor *ex)
{
	int i;

	for (i = 0; i < POLLS_A_CLOCK; i++) {
		pst_cpu_relax();
		if (pst_agent_executor_ready(ex))
			return;
	}
}

/* If lanes have work as well, frames get as much time as the last slice took.
 * At least one frame is handled. */
static void handle_frames(struct pst_agent_server *s)
{
	struct pst_agent_executor *ex = s->agent.executor;

	pst_agent_executor_away(ex);
	pst_agent_turns_run(&s->agent, pst_agent_executor_slice(ex));
}

int pst_agent_server_run(struct pst_agent_server *s, struct pst_error *err)
{
	struct pst_agent_executor *ex = s->agent.executor;
	uint64_t now;
	bool worked, ticked;
	int r = 0, end;

	pst_thread_wake_soon();
	for (;;) {
		ticked = false;
		worked = pst_agent_executor_run(ex);
		now = pst_agent_executor_now(ex);
		if (worked) {
			if (s->idle_since_ns && !s->slept)
				pst_agent_spin_found(&s->spin);
			s->idle_since_ns = 0;
			s->slept = false;
		} else if (spun_enough(s, now) &&
			   !pst_agent_turns_wait(&s->agent.turns)) {
			r = sleep_until_work(s, now);
			ticked = true;
		} else {
			poll_lanes(ex);
		}
		if (poll_is_due(s, now)) {
			pst_agent_executor_away(ex);
			r = pst_loop_run(s->loop, 0);
			s->last_poll_ns = now;
		}
		if (r < 0)
			return pst_error_set_errno(err, r, "event loop");
		if (pst_agent_turns_wait(&s->agent.turns))
			handle_frames(s);
		if (!ticked && tick_is_due(s, worked, now)) {
			tick(s, now);
			ticked = true;
		}
		if (!ticked && s->phase == SERVING)
			continue;
		end = advance(s, worked, err);
		if (end)
			return end < 0 ? end : 0;
	}
}
