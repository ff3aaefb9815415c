/* SPDX-License-Identifier: MIT */
/* An agent in a thread of the test that misbehaves as the test wants. */
#include "tests/proc/fake_agent.h"

#include <check.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "transport/base/util.h"
#include "transport/shm.h"
#include "transport/sock.h"

#define FAKE_FILE_SIZE (32ULL << 20)

static const struct pst_wire_limits limits = {
	.max_dim = 65536,
	.max_clients = 4,
	.max_elems = 1ULL << 32,
	.max_lease = 1ULL << 40,
};

static void send_bytes(struct fake *f, const void *p, size_t n, int fd)
{
	(void)!pst_sock_send(f->conn, p, n, fd, pst_now_ns() + PST_NS_PER_S,
			     NULL);
}

static void send_frame(struct fake *f, const struct pst_frame *fr, int fd)
{
	static uint8_t buf[PST_WIRE_MAX_PAYLOAD + 64];
	int64_t n = pst_frame_encode(fr, buf, sizeof(buf));

	ck_assert_int_gt(n, 0);
	send_bytes(f, buf, (size_t)n, fd);
}

static void greet(struct fake *f)
{
	struct pst_wire_challenge p = {
		.epoch = f->epoch,
		.nonce_slot = 3,
		.version_min = PST_WIRE_VERSION,
		.version_max = PST_WIRE_VERSION,
		.has_region_fd = !f->no_fd,
	};
	struct pst_frame fr = {
		.type = PST_WIRE_CHALLENGE,
		.payload = (uint8_t *)&p,
		.length = sizeof(p),
	};

	f->rx_n = 0;
	f->n_held = 0;
	f->has_lane = false;
	f->deaf = false;
	if (f->greeting) {
		send_bytes(f, f->greeting, f->greeting_n, -1);
		return;
	}
	if (f->challenge)
		f->challenge(&p);
	send_frame(f, &fr, f->no_fd ? -1 : f->region.fd);
}

static void welcome(struct fake *f, const struct pst_frame *in)
{
	struct pst_wire_hello hello;
	struct pst_wire_welcome p = {
		.version = PST_WIRE_VERSION,
		.epoch = f->epoch,
		.session = ++f->sessions,
		.lane = 1,
		.n_slots = PST_WIRE_SLOTS,
		.arena_off = PST_WIRE_CTL_SIZE,
		.arena_size = f->region.size - PST_WIRE_CTL_SIZE,
		.file_size = f->region.file_size,
		.limits = limits,
		.heartbeat_ms = 1,
		.agent_version = "fake",
		.provider = "memfd",
		.backend = "none",
	};
	struct pst_frame fr = {
		.type = PST_WIRE_HELLO,
		.reply = true,
		.seq = in->seq,
		.payload = (uint8_t *)&p,
		.length = sizeof(p),
	};

	ck_assert_int_eq(pst_frame_hello(in, &hello, NULL), 0);
	if (hello.flags & PST_WIRE_HELLO_CONTROL_ONLY)
		p.lane = UINT32_MAX;
	memcpy(p.region_uuid, f->region.uuid, sizeof(p.region_uuid));
	f->next_off = PST_WIRE_CTL_SIZE;
	pst_lane_agent_init(&f->lane, pst_region_lane(f->region.base, 1));
	f->has_lane = true;
	if (f->welcome)
		f->welcome(&fr, &p);
	send_frame(f, &fr, -1);
}

static void answer_lease(struct fake *f, const struct pst_frame *in)
{
	struct pst_wire_lease p;
	struct pst_frame fr = {
		.type = PST_WIRE_LEASE,
		.reply = true,
		.seq = in->seq,
		.payload = (uint8_t *)&p,
		.length = sizeof(p),
	};

	ck_assert_int_eq(pst_frame_lease(in, &p, NULL), 0);
	p.off = f->next_off;
	p.size = pst_round_up(p.size, PST_WIRE_UNIT);
	if (p.off + p.size > f->region.size) {
		fr.status = PST_WIRE_ENOSPC;
		fr.length = 0;
	} else {
		f->next_off += p.size;
		f->leases++;
	}
	if (f->lease)
		f->lease(&fr, &p);
	send_frame(f, &fr, -1);
}

static void answer_why(struct fake *f, const struct pst_frame *in)
{
	const char *why = f->why;
	const struct pst_frame fr = {
		.type = PST_WIRE_WHY,
		.reply = true,
		.seq = in->seq,
		.status = why ? PST_WIRE_OK : PST_WIRE_ENOENT,
		.payload = (const uint8_t *)why,
		.length = why ? (uint32_t)strlen(why) : 0,
	};

	f->whys++;
	if (!f->mute)
		send_frame(f, &fr, -1);
}

static void answer_tensor(struct fake *f, const struct pst_frame *in)
{
	struct pst_wire_tensor p = {0};
	struct pst_frame fr = {
		.type = in->type,
		.reply = true,
		.seq = in->seq,
		.payload = (uint8_t *)&p,
		.length = in->type == PST_WIRE_TENSOR_CREATE ? sizeof(p) : 0,
	};

	ck_assert_int_eq(pst_frame_tensor(in, &p, NULL), 0);
	if (in->type == PST_WIRE_TENSOR_CREATE)
		p.handle = (uint64_t)++f->tensors << 32 | 1;
	if (in->type == PST_WIRE_TENSOR_DESTROY)
		f->destroys++;
	if (f->tensor)
		f->tensor(&fr, &p);
	if (!f->mute)
		send_frame(f, &fr, -1);
}

static void take_frame(struct fake *f, const struct pst_frame *in)
{
	struct pst_frame fr = {
		.type = in->type,
		.reply = true,
		.seq = in->seq,
	};

	switch (in->type) {
	case PST_WIRE_HELLO:
		welcome(f, in);
		return;
	case PST_WIRE_WAKE:
		f->wakes++;
		return;
	case PST_WIRE_LEASE:
		if (!f->mute)
			answer_lease(f, in);
		return;
	case PST_WIRE_WHY:
		answer_why(f, in);
		return;
	case PST_WIRE_TENSOR_CREATE:
	case PST_WIRE_TENSOR_DESTROY:
	case PST_WIRE_TENSOR_LIST:
		answer_tensor(f, in);
		return;
	case PST_WIRE_RELEASE:
		f->releases++;
		break;
	case PST_WIRE_CANCEL:
		f->cancels++;
		break;
	case PST_WIRE_BYE:
		f->byes++;
		break;
	case PST_WIRE_PING:
		fr.payload = in->payload;
		fr.length = in->length;
		break;
	default:
		fr.payload = (const uint8_t *)"{\"fake\":true}";
		fr.length = 13;
	}
	if (f->reply)
		f->reply(&fr);
	if (!f->mute)
		send_frame(f, &fr, -1);
}

static void finish_one(struct fake *f, const struct pst_wire_sqe *s)
{
	struct pst_wire_cqe cqe = {.tag = s->tag, .compute_ns = 7};
	void (*complete)(struct pst_wire_cqe *) = f->complete;
	const struct pst_frame wake = {.type = PST_WIRE_WAKE};

	if (s->op == PST_WIRE_OP_FILL)
		memset(f->region.base + s->off_a, (int)s->alpha, s->length);
	if (s->op == PST_WIRE_OP_GEMM)
		f->region.base[s->off_c]++;
	if (complete)
		complete(&cqe);
	pst_lane_agent_post(&f->lane, &cqe);
	if (pst_lane_agent_must_wake(&f->lane))
		send_frame(f, &wake, -1);
}

static void finish_held(struct fake *f)
{
	unsigned int i;

	for (i = 0; i < f->n_held; i++)
		finish_one(f, &f->held[i]);
	f->n_held = 0;
}

static void serve_lane(struct fake *f)
{
	struct pst_wire_sqe sqe;

	while (f->has_lane && f->n_held < PST_WIRE_SLOTS &&
	       pst_lane_agent_take(&f->lane, &sqe) > 0) {
		f->held[f->n_held++] = sqe;
		f->taken++;
	}
	if (!f->hold)
		finish_held(f);
}

static void disconnect(struct fake *f)
{
	close(f->conn);
	f->conn = -1;
	f->has_lane = false;
}

static void serve_socket(struct fake *f)
{
	struct pst_frame fr;
	ssize_t got;
	int64_t n;

	got = recv(f->conn, f->rx + f->rx_n, sizeof(f->rx) - f->rx_n,
		   MSG_DONTWAIT);
	if (got < 0 && errno == EAGAIN)
		return;
	if (got <= 0) {
		disconnect(f);
		return;
	}
	f->rx_n += (size_t)got;
	while ((n = pst_frame_decode(f->rx, f->rx_n, PST_READER_AGENT, &fr,
				     NULL)) > 0) {
		take_frame(f, &fr);
		f->rx_n -= (size_t)n;
		memmove(f->rx, f->rx + n, f->rx_n);
	}
	ck_assert_int_eq(n, 0);
}

static void step(struct fake *f)
{
	struct pst_wire_header *h = pst_region_header(&f->region);
	struct pollfd p = {
		.fd = f->conn < 0 ? f->listener : f->conn,
		.events = POLLIN,
	};
	const void *inject;

	(void)poll(&p, 1, 1);
	if (f->frozen) {
		usleep(1000);
		return;
	}
	pst_shm_store(&h->heartbeat.value,
		      pst_shm_load(&h->heartbeat.value) + 1);
	if (f->conn < 0) {
		f->conn = accept4(f->listener, NULL, NULL, SOCK_CLOEXEC);
		if (f->conn >= 0)
			greet(f);
		return;
	}
	if (f->hang_up) {
		f->hang_up = false;
		disconnect(f);
		return;
	}
	if (f->deafen) {
		shutdown(f->conn, SHUT_RD);
		if (!f->mute)
			finish_held(f);
		f->deaf = true;
		f->deafen = false;
	}
	if (f->deaf)
		return;
	inject = atomic_exchange(&f->inject, NULL);
	if (inject)
		send_bytes(f, inject, f->inject_n, -1);
	serve_lane(f);
	if (!f->no_read)
		serve_socket(f);
}

static void *run(void *arg)
{
	struct fake *f = arg;

	while (!f->stop)
		step(f);
	if (f->conn >= 0)
		disconnect(f);
	return NULL;
}

void fake_reformat(struct fake *f)
{
	ck_assert_int_eq(
		pst_region_format(&f->region, 4, &limits, 1, &f->epoch, NULL),
		0);
}

void fake_open(struct fake *f)
{
	struct pst_listen l = {.scheme = PST_SCHEME_UNIX};
	struct pst_error err = {0};
	char spec[32];
	bool huge;
	int fd, r;

	r = pst_region_create_memfd(FAKE_FILE_SIZE, &fd, &huge, &err);
	ck_assert_msg(r == 0, "%s", err.text);
	snprintf(spec, sizeof(spec), "fd:%d", fd);
	r = pst_region_open(spec, "/sys", &f->region, &err);
	ck_assert_msg(r == 0, "%s", err.text);
	fake_reformat(f);
	snprintf(f->path, sizeof(f->path), "/tmp/pst-fake-%d.sock",
		 (int)getpid());
	snprintf(f->uri, sizeof(f->uri), "unix://%s", f->path);
	memcpy(l.path, f->path, sizeof(f->path));
	f->listener = pst_sock_listen(&l, &err);
	ck_assert_msg(f->listener >= 0, "%s", err.text);
	f->conn = -1;
	f->stop = false;
	ck_assert_int_eq(pthread_create(&f->thread, NULL, run, f), 0);
}

void fake_close(struct fake *f)
{
	f->stop = true;
	pthread_join(f->thread, NULL);
	close(f->listener);
	unlink(f->path);
	pst_region_close(&f->region);
}
