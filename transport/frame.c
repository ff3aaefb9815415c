/* SPDX-License-Identifier: MIT */
/* Control frames: encode, decode and check, as pure functions over bytes. */
#include "transport/frame.h"

#include <inttypes.h>
#include <string.h>

#include "transport/base/util.h"
#include "transport/status.h"

#define TYPE_ANY_VERSION (1U << 0) /* its own fields negotiate the version */
#define TYPE_TO_AGENT    (1U << 1)
#define TYPE_TO_CLIENT   (1U << 2) /* unasked */
#define TYPE_REPLIED     (1U << 3) /* the client gets a reply to it */

#define PING_MAX 4096U
/* The shortest JSON object. */
#define JSON_MIN 2U

enum {
	CHALLENGE_SIZE = sizeof(struct pst_wire_challenge),
	HELLO_SIZE = sizeof(struct pst_wire_hello),
	WELCOME_SIZE = sizeof(struct pst_wire_welcome),
	LEASE_SIZE = sizeof(struct pst_wire_lease),
	CANCEL_SIZE = sizeof(struct pst_wire_cancel),
	TENSOR_SIZE = sizeof(struct pst_wire_tensor),
	LIST_MAX = PST_WIRE_LIST_MAX * sizeof(struct pst_wire_tensor),
	MODEL_LOAD_SIZE = sizeof(struct pst_wire_model_load),
	MODEL_SIZE = sizeof(struct pst_wire_model),
	TEXT_MAX = PST_WIRE_MAX_PAYLOAD,
};

struct range {
	uint32_t min, max;
};

/* What may travel which way, with how much payload: request, then reply. */
static const struct {
	const char *name;
	unsigned int flags;
	struct range request;
	struct range reply;
} types[PST_WIRE_N_TYPES] = {
	[PST_WIRE_CHALLENGE] = {"CHALLENGE",
				TYPE_TO_CLIENT | TYPE_ANY_VERSION,
				{CHALLENGE_SIZE, CHALLENGE_SIZE},
				{0, 0}},
	[PST_WIRE_HELLO] = {"HELLO",
			    TYPE_TO_AGENT | TYPE_REPLIED | TYPE_ANY_VERSION,
			    {HELLO_SIZE, HELLO_SIZE},
			    {WELCOME_SIZE, WELCOME_SIZE}},
	[PST_WIRE_PING] = {"PING",
			   TYPE_TO_AGENT | TYPE_REPLIED,
			   {0, PING_MAX},
			   {0, PING_MAX}},
	[PST_WIRE_INFO] = {"INFO",
			   TYPE_TO_AGENT | TYPE_REPLIED,
			   {0, 0},
			   {JSON_MIN, TEXT_MAX}},
	[PST_WIRE_HEALTH] = {"HEALTH",
			     TYPE_TO_AGENT | TYPE_REPLIED,
			     {0, 0},
			     {JSON_MIN, TEXT_MAX}},
	[PST_WIRE_STATS] = {"STATS",
			    TYPE_TO_AGENT | TYPE_REPLIED,
			    {0, 0},
			    {JSON_MIN, TEXT_MAX}},
	[PST_WIRE_LEASE] = {"LEASE",
			    TYPE_TO_AGENT | TYPE_REPLIED,
			    {LEASE_SIZE, LEASE_SIZE},
			    {LEASE_SIZE, LEASE_SIZE}},
	[PST_WIRE_RELEASE] = {"RELEASE",
			      TYPE_TO_AGENT | TYPE_REPLIED,
			      {LEASE_SIZE, LEASE_SIZE},
			      {0, 0}},
	[PST_WIRE_CANCEL] = {"CANCEL",
			     TYPE_TO_AGENT | TYPE_REPLIED,
			     {CANCEL_SIZE, CANCEL_SIZE},
			     {0, 0}},
	[PST_WIRE_WAKE] = {"WAKE",
			   TYPE_TO_AGENT | TYPE_TO_CLIENT,
			   {0, 0},
			   {0, 0}},
	[PST_WIRE_BYE] = {"BYE", TYPE_TO_AGENT | TYPE_REPLIED, {0, 0}, {0, 0}},
	[PST_WIRE_ERROR] = {"ERROR",
			    TYPE_TO_CLIENT | TYPE_ANY_VERSION,
			    {0, TEXT_MAX},
			    {0, 0}},
	[PST_WIRE_FAILURE] = {"FAILURE",
			      TYPE_TO_AGENT | TYPE_REPLIED,
			      {CANCEL_SIZE, CANCEL_SIZE},
			      {0, TEXT_MAX}},
	[PST_WIRE_TENSOR_CREATE] = {"TENSOR_CREATE",
				    TYPE_TO_AGENT | TYPE_REPLIED,
				    {TENSOR_SIZE, TENSOR_SIZE},
				    {TENSOR_SIZE, TENSOR_SIZE}},
	[PST_WIRE_TENSOR_DESTROY] = {"TENSOR_DESTROY",
				     TYPE_TO_AGENT | TYPE_REPLIED,
				     {TENSOR_SIZE, TENSOR_SIZE},
				     {0, 0}},
	[PST_WIRE_TENSOR_LIST] = {"TENSOR_LIST",
				  TYPE_TO_AGENT | TYPE_REPLIED,
				  {TENSOR_SIZE, TENSOR_SIZE},
				  {0, LIST_MAX}},
	[PST_WIRE_MODEL_LOAD] = {"MODEL_LOAD",
				 TYPE_TO_AGENT | TYPE_REPLIED,
				 {MODEL_LOAD_SIZE, MODEL_LOAD_SIZE},
				 {MODEL_SIZE, MODEL_SIZE}},
	[PST_WIRE_MODEL_OPEN] = {"MODEL_OPEN",
				 TYPE_TO_AGENT | TYPE_REPLIED,
				 {MODEL_SIZE, MODEL_SIZE},
				 {MODEL_SIZE, MODEL_SIZE}},
	[PST_WIRE_MODEL_UNLOAD] = {"MODEL_UNLOAD",
				   TYPE_TO_AGENT | TYPE_REPLIED,
				   {MODEL_SIZE, MODEL_SIZE},
				   {0, 0}},
	[PST_WIRE_MODEL_LIST] = {"MODEL_LIST",
				 TYPE_TO_AGENT | TYPE_REPLIED,
				 {0, 0},
				 {JSON_MIN, TEXT_MAX}},
};

const char *pst_frame_name(uint16_t type)
{
	if (type < PST_ARRAY_SIZE(types) && types[type].name)
		return types[type].name;
	return "?";
}

/* Whether this reader may get such a frame at all. */
static bool may_arrive(const struct pst_frame *f, enum pst_frame_reader reader)
{
	unsigned int flags;

	if (f->type >= PST_ARRAY_SIZE(types))
		return false;
	flags = types[f->type].flags;
	if (reader == PST_READER_AGENT)
		return !f->reply && (flags & TYPE_TO_AGENT);
	return f->reply ? flags & TYPE_REPLIED : flags & TYPE_TO_CLIENT;
}

/* Another version's frame of a type that negotiates: only its beginning is
 * ours to judge. A HELLO that was accepted is of the version we asked for. */
static bool is_foreign(const struct pst_frame *f, uint16_t version)
{
	return version != PST_WIRE_VERSION &&
	       (types[f->type].flags & TYPE_ANY_VERSION) &&
	       !(f->reply && f->status == PST_WIRE_OK);
}

static int check_status(const struct pst_frame *f, struct pst_error *err)
{
	if (f->reply)
		return 0;
	if ((f->type == PST_WIRE_ERROR) == (f->status != PST_WIRE_OK))
		return 0;
	return pst_error_set(err, -EPROTO,
			     "%s frame with status %" PRIu32
			     ", which it cannot have",
			     pst_frame_name(f->type), f->status);
}

static int check_length(const struct pst_frame *f, bool foreign,
			struct pst_error *err)
{
	struct range r = types[f->type].request;

	if (f->reply)
		r = types[f->type].reply;
	/* A refusal is a sentence, whatever was asked. */
	if (f->reply && f->status != PST_WIRE_OK)
		r = (struct range){0, PST_WIRE_MAX_PAYLOAD};
	/* Later versions keep version 1's fields in front. */
	if (foreign)
		r.max = PST_WIRE_MAX_PAYLOAD;
	if (f->length >= r.min && f->length <= r.max)
		return 0;
	return pst_error_set(
		err, -EPROTO, "%s%s frame with %" PRIu32 " bytes of payload",
		pst_frame_name(f->type), f->reply ? " reply" : "", f->length);
}

static int check_header(const struct pst_wire_frame *h,
			const struct pst_frame *f, enum pst_frame_reader reader,
			struct pst_error *err)
{
	bool foreign;
	int r;

	if (!may_arrive(f, reader))
		return pst_error_set(
			err, -EPROTO, "unexpected frame of type %u (%s%s)",
			(unsigned int)f->type, pst_frame_name(f->type),
			f->reply ? " reply" : "");
	foreign = is_foreign(f, h->version);
	if (h->version == 0 || (h->version != PST_WIRE_VERSION && !foreign))
		return pst_error_set(err, -EPROTONOSUPPORT,
				     "%s frame of protocol version %u, not %u",
				     pst_frame_name(f->type),
				     (unsigned int)h->version,
				     PST_WIRE_VERSION);
	if (!foreign && (h->reserved0 || h->reserved1))
		return pst_error_set(err, -EPROTO,
				     "%s frame with a reserved field set",
				     pst_frame_name(f->type));
	r = check_status(f, err);
	return r < 0 ? r : check_length(f, foreign, err);
}

int64_t pst_frame_decode(const uint8_t *buf, size_t n,
			 enum pst_frame_reader reader, struct pst_frame *ret,
			 struct pst_error *err)
{
	struct pst_wire_frame h;
	struct pst_frame f;
	int r;

	if (n < sizeof(h))
		return 0;
	memcpy(&h, buf, sizeof(h));
	if (h.magic != PST_WIRE_FRAME_MAGIC)
		return pst_error_set(err, -EPROTO,
				     "no Penstock frame: magic %08" PRIx32,
				     h.magic);
	if (h.length > PST_WIRE_MAX_PAYLOAD)
		return pst_error_set(err, -EMSGSIZE,
				     "frame with %" PRIu32
				     " bytes of payload, above %u",
				     h.length, PST_WIRE_MAX_PAYLOAD);
	f = (struct pst_frame){
		.type = (uint16_t)(h.type & ~PST_WIRE_REPLY),
		.reply = h.type & PST_WIRE_REPLY,
		.seq = h.seq,
		.status = h.status,
		.payload = buf + sizeof(h),
		.length = h.length,
	};
	r = check_header(&h, &f, reader, err);
	if (r < 0)
		return r;
	if (n - sizeof(h) < h.length)
		return 0;
	*ret = f;
	return (int64_t)(sizeof(h) + h.length);
}

int64_t pst_frame_encode(const struct pst_frame *f, uint8_t *buf, size_t size)
{
	struct pst_wire_frame h = {
		.magic = PST_WIRE_FRAME_MAGIC,
		.version = PST_WIRE_VERSION,
		.type = (uint16_t)(f->type | (f->reply ? PST_WIRE_REPLY : 0)),
		.length = f->length,
		.seq = f->seq,
		.status = f->status,
	};

	if (f->length > PST_WIRE_MAX_PAYLOAD || size < sizeof(h) ||
	    size - sizeof(h) < f->length)
		return -EMSGSIZE;
	memcpy(buf, &h, sizeof(h));
	if (f->length)
		memcpy(buf + sizeof(h), f->payload, f->length);
	return (int64_t)(sizeof(h) + f->length);
}

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

int pst_frame_tensor(const struct pst_frame *f, struct pst_wire_tensor *ret,
		     struct pst_error *err)
{
	const char *name = pst_frame_name(f->type);
	const bool create = f->type == PST_WIRE_TENSOR_CREATE;
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
