/* SPDX-License-Identifier: MIT */
/* Control frames: encode and decode, as pure functions over bytes. */
#include "transport/frame.h"

#include <inttypes.h>
#include <string.h>

#include "transport/base/util.h"

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
	LANES_SIZE = sizeof(struct pst_wire_lanes),
	FILL_SIZE = sizeof(struct pst_wire_model_fill),
	FILES_SIZE = sizeof(struct pst_wire_model_files),
	INFO_MIN = sizeof(struct pst_wire_model_info),
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
	[PST_WIRE_LANES] = {"LANES",
			    TYPE_TO_AGENT | TYPE_REPLIED,
			    {LANES_SIZE, LANES_SIZE},
			    {LANES_SIZE, LANES_SIZE}},
	[PST_WIRE_MODEL_STAGE] = {"MODEL_STAGE",
				  TYPE_TO_AGENT | TYPE_REPLIED,
				  {TENSOR_SIZE, TENSOR_SIZE},
				  {TENSOR_SIZE, TENSOR_SIZE}},
	[PST_WIRE_MODEL_UNSTAGE] = {"MODEL_UNSTAGE",
				    TYPE_TO_AGENT | TYPE_REPLIED,
				    {TENSOR_SIZE, TENSOR_SIZE},
				    {0, 0}},
	[PST_WIRE_MODEL_FILL] = {"MODEL_FILL",
				 TYPE_TO_AGENT | TYPE_REPLIED,
				 {FILL_SIZE, FILL_SIZE},
				 {0, 0}},
	[PST_WIRE_MODEL_LOAD_FILES] = {"MODEL_LOAD_FILES",
				       TYPE_TO_AGENT | TYPE_REPLIED,
				       {FILES_SIZE, FILES_SIZE},
				       {INFO_MIN, TEXT_MAX}},
	[PST_WIRE_MODEL_DESCRIBE] = {"MODEL_DESCRIBE",
				     TYPE_TO_AGENT | TYPE_REPLIED,
				     {MODEL_SIZE, MODEL_SIZE},
				     {INFO_MIN, TEXT_MAX}},
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
