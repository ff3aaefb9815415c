/* SPDX-License-Identifier: MIT */
/* The agent that fuzz_client's library talks to, and the system that both
 * stand on: time, the socket, sleep. */
#include "tests/fuzz/client_agent.h"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "tests/fixtures/agent_fixture.h"
#include "tests/fuzz/client_sys.h"
#include "tests/fuzz/fuzz.h"
#include "transport/shm.h"
#include "transport/sock.h"

/* A turn below this is an honest one. */
#define HONEST 0xb0
/* The library reads the clock while it spins: the agent works meanwhile. */
#define TURN_READS 8
/* Of one input, far above what any needs: more is a loop without end. */
#define READS_MAX (1UL << 20)

enum lie {
	NOTHING,    /* a turn without doing anything */
	NO_WORK,    /* frames are answered, operations wait */
	NO_FRAMES,  /* the other way round */
	COMPLETION, /* how (1), which (1), status (1): one that is made up */
	BYTES,      /* length (1), bytes: to the client's socket */
	FRAME,      /* type, sequence, status, length (1 each) */
	HALF_CLOSE, /* the client's sends fail */
	CLOSE,      /* the client reads the end */
	FULL,       /* turns (1) for which the client's socket takes nothing */
	CHANGE,     /* offset (2), bits (1): in the next frame */
	CUT,        /* offset (2): so long is the next frame */
	POKE,       /* where (1), offset (2), value (8): a shared word */
	LOADS,      /* number (1) of loads that may be lied to */
	STOP,       /* no heartbeat from now on, or again one */
	WAKES,      /* number (1) */
	DROP,       /* what was sent and not yet read */
	AGAIN,      /* the last frame once more */
	N_LIES
};

struct script script;
uint64_t fuzz_now_ns;

static struct pst_region region;
static struct pst_wire_header header; /* as formatted */
static uint64_t epoch;
static struct fixture fix;
static struct fixture_peer peer;
static const struct agent_peer *client;
static void *(*watcher)(void *);
static void *watched;

/* On their way to the agent, and to the client. */
static uint8_t up[1 << 16], down[4 << 20];
static size_t n_up, n_down;
/* The connection, and what the script does to it. */
static struct {
	bool half_closed, closed, silent, in_agent, change, cut;
	unsigned int full, loads;
	unsigned long reads;
	uint16_t at;
	uint8_t bits;
	size_t last, n_last; /* the last frame in down */
} wire;

void script_take(void *ret, size_t n)
{
	size_t have = n < script.n ? n : script.n;

	memset(ret, 0, n);
	memcpy(ret, script.data, have);
	script.data += have;
	script.n -= have;
}

uint8_t script_u8(void)
{
	uint8_t v;

	script_take(&v, sizeof(v));
	return v;
}

uint16_t script_u16(void)
{
	uint16_t v;

	script_take(&v, sizeof(v));
	return v;
}

void agent_peer(const struct agent_peer *p)
{
	client = p;
}

uint64_t pst_shm_hook(const void *addr, uint64_t value);

/* A value near the truth, or none at all; only the library is lied to. */
uint64_t pst_shm_hook(const void *addr, uint64_t value)
{
	uint8_t how;

	if (wire.in_agent || wire.loads == 0)
		return value;
	wire.loads--;
	how = script_u8();
	switch (how & 7) {
	case 4:
		return value + (how >> 3);
	case 5:
		return value - (how >> 3);
	case 6:
		return value ^ 1ULL << 2 * (how >> 3);
	case 7:
		return UINT64_MAX - (how >> 3);
	default:
		return value;
	}
}

static void send_down(const void *buf, size_t n)
{
	if (n > sizeof(down) - n_down)
		return;
	memcpy(down + n_down, buf, n);
	n_down += n;
}

static void send_frame(const struct pst_frame *f)
{
	static uint8_t buf[PST_WIRE_MAX_PAYLOAD + 64];
	int64_t n = pst_frame_encode(f, buf, sizeof(buf));

	FUZZ_CHECK(n > 0);
	if (wire.change && wire.at < n)
		buf[wire.at] ^= wire.bits;
	if (wire.cut && wire.at < n)
		n = wire.at;
	wire.change = wire.cut = false;
	wire.last = n_down;
	wire.n_last = (size_t)n;
	send_down(buf, (size_t)n);
}

/* What the session has said goes to the client, through the script's hands. */
static void collect(void)
{
	struct pst_frame f;

	while (fixture_recv(&peer, &f) > 0)
		send_frame(&f);
	if (pst_agent_session_state(peer.session) == PST_AGENT_SESSION_CLOSED)
		wire.closed = true;
}

static void serve_frames(void)
{
	if (!peer.session)
		return;
	fixture_input(&peer, up, n_up, fuzz_now_ns);
	n_up = 0;
	pst_agent_session_tick(peer.session, fuzz_now_ns);
	collect();
}

static void serve_lanes(void)
{
	int i;

	for (i = 0; i < 5000 && pst_agent_executor_run(fix.agent.executor); i++)
		;
	pst_agent_settle_late(&fix.agent);
	if (peer.session)
		collect();
}

/* An entry of the completion ring that no operation has written. */
static void forge(void)
{
	const uint8_t how = script_u8(), which = script_u8();
	struct pst_wire_cqe cqe = {.status = script_u8() % 32, .result = how};
	struct pst_wire_cqe *slot;
	struct agent_sight see;
	uint64_t at;

	if (!client || !client->inspect(which, &see))
		return;
	at = see.cq_head + (how >> 5 & 3);
	slot = &pst_region_lane(region.base, see.lane)->cq[at % PST_WIRE_SLOTS];
	cqe.tag = see.tag;
	cqe.compute_ns = which * 10000ULL;
	if (how & 1)
		cqe.tag += (uint64_t)(how >> 1 & 3) << 32;
	if (how & 8)
		cqe.flags = which;
	cqe.seq = at + 1 + (how & 16);
	memcpy(slot, &cqe, sizeof(cqe));
}

static void say(void)
{
	static const uint8_t zeros[256];
	const uint8_t type = script_u8(), seq = script_u8();
	struct agent_sight see = {0};
	struct pst_frame f = {
		.type = type & 0x1f,
		.reply = type & 0x80,
		.status = script_u8() % 32,
		.payload = zeros,
		.length = script_u8(),
	};

	if (client)
		(void)client->inspect(0, &see);
	f.seq = see.seq + 1 - seq % 8;
	if (pst_frame_encode(&f, (uint8_t[512]){0}, 512) > 0)
		send_frame(&f);
}

static void poke(void)
{
	const uint8_t where = script_u8();
	const uint16_t off = script_u16();
	struct pst_wire_header *h = pst_region_header(&region);
	uint64_t v;

	script_take(&v, sizeof(v));
	switch (where % 4) {
	case 0:
		pst_shm_store(&h->format.epoch, epoch + v);
		break;
	case 1:
		pst_shm_store(&h->agent_wake.value, v);
		break;
	case 2:
		pst_shm_store((uint64_t *)h + off % (sizeof(*h) / 8), v);
		break;
	default:
		pst_shm_store((uint64_t *)pst_region_lane(region.base, 0) +
				      off % (sizeof(struct pst_wire_lane) / 8),
			      v);
	}
}

static void wakes(void)
{
	const struct pst_frame f = {.type = PST_WIRE_WAKE};
	unsigned int i, n = script_u8();

	for (i = 0; i < n; i++)
		send_frame(&f);
}

static void lie(enum lie how)
{
	uint8_t buf[256];
	size_t n;

	switch (how) {
	case NO_WORK:
		serve_frames();
		break;
	case NO_FRAMES:
		serve_lanes();
		break;
	case COMPLETION:
		forge();
		break;
	case BYTES:
		n = script_u8();
		script_take(buf, n);
		send_down(buf, n);
		break;
	case FRAME:
		say();
		break;
	case HALF_CLOSE:
		wire.half_closed = true;
		break;
	case CLOSE:
		wire.closed = true;
		break;
	case FULL:
		wire.full = script_u8();
		break;
	case CHANGE:
		wire.change = true;
		wire.at = script_u16();
		wire.bits = script_u8();
		break;
	case CUT:
		wire.cut = true;
		wire.at = script_u16();
		break;
	case POKE:
		poke();
		break;
	case LOADS:
		wire.loads = script_u8();
		break;
	case STOP:
		wire.silent = !wire.silent;
		break;
	case WAKES:
		wakes();
		break;
	case DROP:
		n_down = 0;
		wire.n_last = 0;
		break;
	case AGAIN:
		if (wire.last + wire.n_last <= n_down)
			send_down(down + wire.last, wire.n_last);
		break;
	case NOTHING:
	case N_LIES:
		break;
	}
}

void agent_turn(void)
{
	struct pst_wire_header *h = pst_region_header(&region);
	uint8_t what;

	if (wire.in_agent)
		return;
	wire.in_agent = true;
	what = script_u8();
	if (wire.full)
		wire.full--;
	if (!wire.silent)
		pst_shm_store(&h->heartbeat.value, h->heartbeat.value + 1);
	if (what < HONEST) {
		serve_frames();
		serve_lanes();
	} else {
		lie((what - HONEST) % N_LIES);
	}
	wire.in_agent = false;
}

/* ---- what the library asks of the system ---- */

int fuzz_clock_gettime(clockid_t clock, struct timespec *ret)
{
	fuzz_now_ns += 1000;
	FUZZ_CHECK(++wire.reads < READS_MAX);
	if (wire.reads % TURN_READS == 0)
		agent_turn();
	ret->tv_sec = (time_t)(fuzz_now_ns / PST_NS_PER_S);
	ret->tv_nsec = (long)(fuzz_now_ns % PST_NS_PER_S);
	return 0;
}

static uint64_t ns_of(const struct timespec *ts)
{
	return (uint64_t)ts->tv_sec * PST_NS_PER_S + (uint64_t)ts->tv_nsec;
}

int fuzz_nanosleep(const struct timespec *ts, struct timespec *rest)
{
	fuzz_now_ns += ns_of(ts);
	agent_turn();
	return 0;
}

static bool readable(void)
{
	return n_down || wire.closed || wire.half_closed;
}

int fuzz_ppoll(struct pollfd *p, nfds_t n, const struct timespec *timeout,
	       const sigset_t *mask)
{
	agent_turn();
	if (n_down || wire.closed) {
		p->revents = POLLIN;
		return 1;
	}
	if (p->events & POLLOUT && !wire.full) {
		p->revents = POLLOUT;
		return 1;
	}
	fuzz_now_ns += ns_of(timeout);
	return 0;
}

/* The watcher goes round once. */
int fuzz_poll(struct pollfd *p, nfds_t n, int timeout_ms)
{
	static bool second;

	second = !second;
	if (!second || n < 2) {
		client->stop(true);
		second = false;
		return 0;
	}
	p[0].revents = 0;
	p[1].revents = wire.closed ? POLLRDHUP : 0;
	return wire.closed;
}

ssize_t fuzz_send(int fd, const void *buf, size_t n, int flags)
{
	if (wire.half_closed || wire.closed) {
		errno = EPIPE;
		return -1;
	}
	if (wire.full || n_up == sizeof(up)) {
		errno = EAGAIN;
		return -1;
	}
	if (n > sizeof(up) - n_up)
		n = sizeof(up) - n_up;
	/* A socket may take a part only. */
	if (n > 40 && script.n && *script.data == 0xff)
		n = 40;
	memcpy(up + n_up, buf, n);
	n_up += n;
	return (ssize_t)n;
}

ssize_t fuzz_recv(int fd, void *buf, size_t n, int flags)
{
	if (n_down == 0 && wire.closed)
		return 0;
	if (n_down == 0) {
		errno = EAGAIN;
		return -1;
	}
	if (n > n_down)
		n = n_down;
	memcpy(buf, down, n);
	n_down -= n;
	memmove(down, down + n, n_down);
	wire.n_last = 0;
	return (ssize_t)n;
}

int fuzz_cond_timedwait(pthread_cond_t *cond, pthread_mutex_t *lock,
			const struct timespec *until)
{
	if (ns_of(until) > fuzz_now_ns)
		fuzz_now_ns = ns_of(until);
	agent_turn();
	return ETIMEDOUT;
}

int fuzz_thread_start(pthread_t *ret, const pthread_attr_t *attr,
		      void *(*run)(void *), void *arg)
{
	memset(ret, 0, sizeof(*ret));
	watcher = run;
	watched = arg;
	return 0;
}

void agent_watch(void)
{
	if (!client || !watcher)
		return;
	watcher(watched);
	client->stop(false);
}

int fuzz_thread_join(pthread_t thread, void **ret)
{
	watcher = NULL;
	return 0;
}

int fuzz_sock_connect(const struct pst_endpoint *ep, uint64_t timeout_ns,
		      struct pst_error *err)
{
	const unsigned long reads = wire.reads;
	bool silent = wire.silent;

	wire.in_agent = true;
	pst_agent_session_free(peer.session);
	peer.session = NULL;
	serve_lanes();
	memset(&wire, 0, sizeof(wire));
	wire.reads = reads;
	wire.silent = silent;
	n_up = n_down = 0;
	pst_shm_store(&pst_region_header(&region)->format.epoch, epoch);
	if (fixture_connect(&fix, &peer, fuzz_now_ns) == 0)
		collect();
	return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
}

int fuzz_sock_check_peer(int fd, const char *path, uid_t *ret,
			 struct pst_error *err)
{
	*ret = geteuid();
	return 0;
}

int fuzz_sock_send(int fd, const void *buf, size_t n, int pass_fd,
		   uint64_t deadline_ns, struct pst_error *err)
{
	if (fuzz_send(fd, buf, n, 0) == (ssize_t)n)
		return 0;
	return pst_error_set(err, -ECONNRESET, "the script has ended it");
}

int fuzz_sock_recv(int fd, void *buf, size_t n, int *ret_fd,
		   uint64_t deadline_ns, struct pst_error *err)
{
	int i;

	for (i = 0; i < 3 && !readable(); i++)
		agent_turn();
	*ret_fd = -1;
	if (n_down == 0 && readable())
		return pst_error_set(err, -ECONNRESET,
				     "the script has ended "
				     "it");
	if (n_down == 0) {
		if (fuzz_now_ns < deadline_ns)
			fuzz_now_ns = deadline_ns;
		return pst_error_set(err, -ETIMEDOUT, "the script is silent");
	}
	*ret_fd = fcntl(region.fd, F_DUPFD_CLOEXEC, 0);
	return (int)fuzz_recv(fd, buf, n, 0);
}

/* ---- its life ---- */

static void open_region(void)
{
	static const struct pst_wire_limits limits = {.max_dim = 1};
	bool huge;
	char spec[32];
	int fd;

	FUZZ_CHECK(pst_region_create_memfd(PST_WIRE_PREAMBLE +
						   PST_WIRE_CTL_SIZE +
						   FIXTURE_ARENA,
					   &fd, &huge, NULL) == 0);
	snprintf(spec, sizeof(spec), "fd:%d", fd);
	FUZZ_CHECK(pst_region_open(spec, "/sys", &region, NULL) == 0);
	FUZZ_CHECK(pst_region_format(&region, 4, &limits, 1, &epoch, NULL) ==
		   0);
	memcpy(&header, region.base, sizeof(header));
}

void agent_begin(void)
{
	if (!region.base)
		open_region();
	memset(&wire, 0, sizeof(wire));
	fuzz_now_ns = PST_NS_PER_S;
	n_up = n_down = 0;
	peer.session = NULL;
	client = NULL;
	watcher = NULL;
	wire.in_agent = true;
	FUZZ_CHECK(fixture_init(&fix, region.base) == 0);
	memcpy(region.base, &header, sizeof(header));
	fix.agent.region = region;
	fix.agent.epoch = epoch;
	fix.agent.settled_ns = 0;
	wire.in_agent = false;
}

void agent_end(void)
{
	wire.in_agent = true;
	pst_agent_session_free(peer.session);
	peer.session = NULL;
	serve_lanes();
	pst_agent_done(&fix.agent);
	wire.in_agent = false;
}
