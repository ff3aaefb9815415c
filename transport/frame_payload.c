/* SPDX-License-Identifier: MIT */
/* Copies payloads of control frames out and checks them. */
#include <string.h>

#include "transport/frame.h"
#include "transport/status.h"

/* NUL-terminated printable ASCII, zeros behind it. */
static bool is_text(const char *s, size_t size)
{
	size_t i = 0;

	while (i < size && s[i] >= ' ' && s[i] <= '~')
		i++;
	if (i == size)
		return false;
	for (; i < size; i++)
		if (s[i])
			return false;
	return true;
}

static bool is_zero(const uint8_t *p, size_t size)
{
	size_t i;

	for (i = 0; i < size; i++)
		if (p[i])
			return false;
	return true;
}

static int bad(const char *frame, const char *what, struct pst_error *err)
{
	return pst_error_set(err, -EPROTO, "%s with a bad %s", frame, what);
}

/*
 * Copies a fixed payload out. pst_frame_decode() checked its length, unless
 * the frame is a refusal or of another type than its reader believes.
 */
static int copy_out(const struct pst_frame *f, void *ret, size_t size,
		    struct pst_error *err)
{
	if (f->length < size)
		return bad(pst_frame_name(f->type), "length", err);
	memcpy(ret, f->payload, size);
	return 0;
}

int pst_frame_challenge(const struct pst_frame *f,
			struct pst_wire_challenge *ret, struct pst_error *err)
{
	struct pst_wire_challenge c;

	if (copy_out(f, &c, sizeof(c), err) < 0)
		return -EPROTO;
	if (c.version_min == 0 || c.version_min > c.version_max)
		return bad("CHALLENGE", "version range", err);
	/* Only other versions know what the rest means. */
	if (c.version_min <= PST_WIRE_VERSION &&
	    c.version_max >= PST_WIRE_VERSION) {
		if (c.epoch == 0)
			return bad("CHALLENGE", "epoch", err);
		if (c.nonce_slot >= PST_WIRE_NONCE_SLOTS)
			return bad("CHALLENGE", "nonce slot", err);
		if (c.has_region_fd > 1)
			return bad("CHALLENGE", "has_region_fd", err);
	}
	*ret = c;
	return 0;
}

int pst_frame_hello(const struct pst_frame *f, struct pst_wire_hello *ret,
		    struct pst_error *err)
{
	struct pst_wire_hello h;

	if (copy_out(f, &h, sizeof(h), err) < 0)
		return -EPROTO;
	if (h.version == 0)
		return bad("HELLO", "version", err);
	if (h.version == PST_WIRE_VERSION) {
		if (h.nonce_slot >= PST_WIRE_NONCE_SLOTS)
			return bad("HELLO", "nonce slot", err);
		if (h.flags & ~PST_WIRE_HELLO_CONTROL_ONLY)
			return bad("HELLO", "flag", err);
		if (h.reserved0)
			return bad("HELLO", "reserved field", err);
		if (!is_text(h.name, sizeof(h.name)))
			return bad("HELLO", "name", err);
	}
	*ret = h;
	return 0;
}

/* Whether file, control area and arena fit each other, so that no later sum
 * of offsets can wrap. */
static bool welcome_sizes(const struct pst_wire_welcome *w)
{
	if (w->file_size > PST_WIRE_MAX_FILE ||
	    w->file_size < PST_WIRE_MIN_FILE || w->file_size % PST_WIRE_UNIT)
		return false;
	if (w->arena_off != PST_WIRE_CTL_SIZE || w->arena_size == 0 ||
	    w->arena_size % PST_WIRE_UNIT)
		return false;
	return w->arena_size <=
	       w->file_size - PST_WIRE_PREAMBLE - PST_WIRE_CTL_SIZE;
}

static const char *welcome_bad(const struct pst_wire_welcome *w)
{
	if (w->version != PST_WIRE_VERSION)
		return "version";
	if (w->features & ~PST_WIRE_FEATURES)
		return "feature";
	if (w->epoch == 0)
		return "epoch";
	if (w->session == 0)
		return "session";
	if (w->lane >= PST_WIRE_MAX_LANES && w->lane != UINT32_MAX)
		return "lane";
	if (w->n_slots != PST_WIRE_SLOTS)
		return "number of slots";
	if (!welcome_sizes(w))
		return "file, arena offset or size";
	if (!w->limits.max_dim || !w->limits.max_elems || !w->limits.max_lease)
		return "limit of 0";
	if (!is_zero(w->limits.reserved0, sizeof(w->limits.reserved0)))
		return "reserved field";
	if (w->emulated > 1)
		return "emulated";
	if (!is_text(w->agent_version, sizeof(w->agent_version)))
		return "agent version";
	if (!is_text(w->provider, sizeof(w->provider)))
		return "provider";
	if (!is_text(w->backend, sizeof(w->backend)))
		return "backend";
	if (!is_text(w->driver, sizeof(w->driver)))
		return "driver";
	if (!is_text(w->cuda, sizeof(w->cuda)))
		return "CUDA version";
	if (!is_text(w->cublas, sizeof(w->cublas)))
		return "cuBLAS version";
	return NULL;
}

int pst_frame_welcome(const struct pst_frame *f, struct pst_wire_welcome *ret,
		      struct pst_error *err)
{
	struct pst_wire_welcome w;
	const char *what;

	if (copy_out(f, &w, sizeof(w), err) < 0)
		return -EPROTO;
	what = welcome_bad(&w);
	if (what)
		return bad("WELCOME", what, err);
	*ret = w;
	return 0;
}

int pst_frame_lease(const struct pst_frame *f, struct pst_wire_lease *ret,
		    struct pst_error *err)
{
	const char *name = pst_frame_name(f->type);
	struct pst_wire_lease l;

	if (copy_out(f, &l, sizeof(l), err) < 0)
		return -EPROTO;
	if (f->type == PST_WIRE_LEASE && !f->reply) {
		/* The size asked for is the arena's to refuse. */
		if (l.off)
			return bad(name, "offset", err);
	} else {
		if (l.off % PST_WIRE_UNIT || l.off < PST_WIRE_CTL_SIZE ||
		    l.off > PST_WIRE_MAX_FILE)
			return bad(name, "offset", err);
		if (l.size == 0 || l.size % PST_WIRE_UNIT ||
		    l.size > PST_WIRE_MAX_FILE - l.off)
			return bad(name, "size", err);
	}
	*ret = l;
	return 0;
}

int pst_frame_cancel(const struct pst_frame *f, struct pst_wire_cancel *ret,
		     struct pst_error *err)
{
	return copy_out(f, ret, sizeof(*ret), err);
}

/* Whether the n lanes are different ones, and nothing is behind them. */
static bool is_lane_list(const struct pst_wire_lanes *l)
{
	uint32_t seen = 0;
	uint32_t i;

	for (i = 0; i < l->n; i++) {
		if (l->lane[i] >= PST_WIRE_MAX_LANES || seen >> l->lane[i] & 1)
			return false;
		seen |= 1U << l->lane[i];
	}
	return is_zero((const uint8_t *)(l->lane + i),
		       sizeof(l->lane) - i * sizeof(l->lane[0]));
}

int pst_frame_lanes(const struct pst_frame *f, struct pst_wire_lanes *ret,
		    struct pst_error *err)
{
	const char *name = pst_frame_name(f->type);
	struct pst_wire_lanes l;

	if (copy_out(f, &l, sizeof(l), err) < 0)
		return -EPROTO;
	if (l.reserved0)
		return bad(name, "reserved field", err);
	if (!f->reply && !is_zero((const uint8_t *)l.lane, sizeof(l.lane)))
		return bad(name, "list of lanes", err);
	if (f->reply && (l.n < 1 || l.n > PST_WIRE_SESSION_LANES))
		return bad(name, "number of lanes", err);
	if (f->reply && !is_lane_list(&l))
		return bad(name, "list of lanes", err);
	*ret = l;
	return 0;
}

int pst_frame_tensor(const struct pst_frame *f, struct pst_wire_tensor *ret,
		     struct pst_error *err)
{
	const char *name = pst_frame_name(f->type);
	const bool create = f->type == PST_WIRE_TENSOR_CREATE ||
			    f->type == PST_WIRE_MODEL_STAGE;
	struct pst_wire_tensor t;

	if (copy_out(f, &t, sizeof(t), err) < 0)
		return -EPROTO;
	/* The size asked for, and a handle, are the table's to refuse. */
	if (create && !f->reply && t.handle)
		return bad(name, "handle", err);
	if (!create && t.size)
		return bad(name, "size", err);
	if (f->reply && (!t.handle || !t.size))
		return bad(name, t.handle ? "size" : "handle", err);
	*ret = t;
	return 0;
}

int pst_frame_tensor_list(const struct pst_frame *f, uint64_t after,
			  struct pst_wire_tensor ret[PST_WIRE_LIST_MAX],
			  struct pst_error *err)
{
	const char *name = pst_frame_name(f->type);
	const size_t n = f->length / sizeof(ret[0]);
	size_t i;

	if (f->length % sizeof(ret[0]) || n > PST_WIRE_LIST_MAX)
		return bad(name, "length", err);
	if (n)
		memcpy(ret, f->payload, f->length);
	for (i = 0; i < n; i++) {
		if (ret[i].handle <= (i ? ret[i - 1].handle : after))
			return bad(name, "handle", err);
		if (!ret[i].size)
			return bad(name, "size", err);
	}
	return (int)n;
}

int pst_frame_model_load(const struct pst_frame *f,
			 struct pst_wire_model_load *ret, struct pst_error *err)
{
	const char *name = pst_frame_name(f->type);
	struct pst_wire_model_load l;

	if (copy_out(f, &l, sizeof(l), err) < 0)
		return -EPROTO;
	if (!is_text(l.name, sizeof(l.name)))
		return bad(name, "name", err);
	if (l.header_off % sizeof(uint64_t) || l.header_off > PST_WIRE_MAX_FILE)
		return bad(name, "offset", err);
	if (l.reserved0)
		return bad(name, "reserved field", err);
	*ret = l;
	return 0;
}

/* Whether all but the name is zero. */
static bool is_only_name(const struct pst_wire_model *m)
{
	return is_zero((const uint8_t *)m + sizeof(m->name),
		       sizeof(*m) - sizeof(m->name));
}

int pst_frame_model(const struct pst_frame *f, struct pst_wire_model *ret,
		    struct pst_error *err)
{
	const char *name = pst_frame_name(f->type);
	struct pst_wire_model m;

	if (copy_out(f, &m, sizeof(m), err) < 0)
		return -EPROTO;
	if (!is_text(m.name, sizeof(m.name)))
		return bad(name, "name", err);
	if (!f->reply && !is_only_name(&m))
		return bad(name, "reserved field", err);
	if (f->reply && (!m.handle || !m.size || m.reserved0))
		return bad(name, "handle, size or reserved field", err);
	if (f->reply && (!m.n_in || !m.n_out || !m.max_batch || !m.n_layers))
		return bad(name, "number of elements, rows or layers", err);
	*ret = m;
	return 0;
}

bool pst_model_name_is_valid(const char *name)
{
	const size_t n = strlen(name);

	return n >= 1 && n < PST_WIRE_MODEL_NAME &&
	       strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
			    "abcdefghijklmnopqrstuvwxyz0123456789._-") == n;
}

size_t pst_frame_text(const struct pst_frame *f, char *buf, size_t size)
{
	size_t i, n = 0;

	/* ASCII only: UTF-8 can carry terminal controls too (U+009B). */
	for (i = 0; i < f->length && n + 1 < size; i++) {
		uint8_t c = f->payload[i];

		if (c >= 0x80 && c < 0xc0)
			continue; /* one '?' a character */
		buf[n++] = c >= ' ' && c <= '~' ? (char)c : '?';
	}
	if (size)
		buf[n] = '\0';
	return n;
}

int pst_frame_failure(const struct pst_frame *f, struct pst_error *err)
{
	char text[sizeof(((struct pst_error *)0)->text)];
	size_t n;
	int code;

	if (f->status == PST_WIRE_OK)
		return 0;
	code = pst_status_to_errno(f->status);
	n = pst_frame_text(f, text, sizeof(text));
	return pst_error_set(err, code, "%s", n ? text : pst_errno_text(code));
}
