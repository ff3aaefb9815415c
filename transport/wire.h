/* SPDX-License-Identifier: MIT */
/* Protocol 1: every byte that a host process and the agent share. */
#ifndef PST_TRANSPORT_WIRE_H
#define PST_TRANSPORT_WIRE_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

/*
 * All integers are little-endian and of fixed width; all reserved bytes are
 * zero when written and checked to be zero when read. Offsets ("off") count
 * from the region header unless said otherwise.
 *
 * The backing file, the same with every provider:
 *
 *   file offset 0        2 MiB                          4 MiB          size
 *   +--------------------+------------------------------+-------- ... -+
 *   | preamble           | control area                 | arena        |
 *   | (device-DAX block  | header | lane 0 | .. | 30     | extents of   |
 *   |  at 4 KiB)         | 64 KiB | 64 KiB each          | 2 MiB units  |
 *   +--------------------+------------------------------+-------- ... -+
 *   wire offset          0        64 KiB                2 MiB
 *
 * The header, 4 KiB of the first 64 KiB:
 *
 *   0     stamp        by the host that made the region; never rewritten
 *   64    format       by the agent; magic written last
 *   128   limits       by the agent
 *   192   heartbeat    by the agent's heartbeat thread
 *   256   agent_wake   by the agent's serving thread
 *   320   reserved
 *   1024  nonce slots  by the agent, 16 x 64 bytes
 *   2048  reserved
 */

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
	      "the wire is read and written in place");

#define PST_WIRE_VERSION 1U
#define PST_VSOCK_PORT   7070U

/* One cache line; one writer each. */
#define PST_WIRE_LINE 64U
/* The largest page a provider may map with, and the arena's unit. */
#define PST_WIRE_UNIT     (2U << 20)
#define PST_WIRE_PREAMBLE (2U << 20)
/* Control area: header and lanes, mapped apart from the arena. */
#define PST_WIRE_CTL_SIZE    (2U << 20)
#define PST_WIRE_HEADER_SIZE (64U << 10)
#define PST_WIRE_LANE_STRIDE (64U << 10)
#define PST_WIRE_MAX_LANES   31U
#define PST_WIRE_SLOTS       256U
/* Lanes of one session. */
#define PST_WIRE_SESSION_LANES 8U
/* Preamble, control area and one unit of arena. */
#define PST_WIRE_MIN_FILE (6U << 20)
/* Larger files are refused, so that no sum of offsets can wrap. */
#define PST_WIRE_MAX_FILE (1ULL << 46)

#define PST_WIRE_NONCE_SLOTS 16U
#define PST_WIRE_NONCE_SIZE  16U

#define PST_WIRE_STAMP_MAGIC  0x314e474552545350ULL /* "PSTREGN1" */
#define PST_WIRE_FORMAT_MAGIC 0x31544d4652545350ULL /* "PSTRFMT1" */
#define PST_WIRE_FRAME_MAGIC  0x4b545350U           /* "PSTK" */

/* Feature bits: those that the agent knows in the format line, those that the
 * client knows in HELLO, those that both know in WELCOME. */
#define PST_WIRE_FEATURE_LANES 1U /* LANES */
/* RUN, MODEL_STAGE to MODEL_DESCRIBE. */
#define PST_WIRE_FEATURE_RUN 2U
#define PST_WIRE_FEATURES    (PST_WIRE_FEATURE_LANES | PST_WIRE_FEATURE_RUN)

/* Stamp: what makes a block of memory a Penstock region. */
struct pst_wire_stamp {
	uint64_t magic;   /* PST_WIRE_STAMP_MAGIC, written last */
	uint32_t version; /* layout of the stamp: 1 */
	uint32_t reserved0;
	uint8_t uuid[16];   /* RFC 4122 bytes of the region's UUID */
	uint64_t file_size; /* bytes of the backing file, preamble included */
	uint8_t reserved1[24];
};
static_assert(sizeof(struct pst_wire_stamp) == 64, "one line");

/* Format: written by an agent each time it takes the region. */
struct pst_wire_format {
	uint64_t magic; /* PST_WIRE_FORMAT_MAGIC, written last */
	uint32_t version;
	uint32_t features;
	uint64_t epoch;      /* random, never 0 */
	uint32_t n_lanes;    /* 1..31 */
	uint32_t n_slots;    /* of each SQ and CQ, PST_WIRE_SLOTS */
	uint64_t arena_off;  /* PST_WIRE_CTL_SIZE */
	uint64_t arena_size; /* multiple of PST_WIRE_UNIT */
	uint32_t agent_pid;  /* to name the owner; never trusted */
	uint32_t heartbeat_ms;
	uint64_t reserved0;
};
static_assert(sizeof(struct pst_wire_format) == 64, "one line");

/* Limits: a copy for readers of the header; WELCOME's are the ones that
 * count. */
struct pst_wire_limits {
	uint32_t max_dim;     /* largest m, n, k, ld */
	uint32_t max_clients; /* lanes; a session has one or more */
	uint64_t max_elems;   /* elements of one operand */
	uint64_t max_lease;   /* bytes leased to one session */
	/* Resident tensors of one session: bytes in all, and their number;
	 * 0: the backend has none. */
	uint64_t max_tensor_bytes;
	uint32_t max_tensors;
	uint32_t max_batch; /* products in one GEMM_STRIDED_BATCHED */
	uint8_t reserved0[24];
};
static_assert(sizeof(struct pst_wire_limits) == 64, "one line");

/* A word alone in its line. */
struct pst_wire_word {
	uint64_t value;
	uint8_t pad[56];
};
static_assert(sizeof(struct pst_wire_word) == 64, "one line");

struct pst_wire_nonce {
	uint8_t bytes[PST_WIRE_NONCE_SIZE];
	uint8_t reserved0[48];
};
static_assert(sizeof(struct pst_wire_nonce) == 64, "one line");

struct pst_wire_header {
	struct pst_wire_stamp stamp;
	struct pst_wire_format format;
	struct pst_wire_limits limits;
	struct pst_wire_word heartbeat; /* grows by 1 each heartbeat_ms */
	/* need_wake generation of the agent: odd while it sleeps. */
	struct pst_wire_word agent_wake;
	uint8_t reserved0[704];
	struct pst_wire_nonce nonce[PST_WIRE_NONCE_SLOTS];
	uint8_t reserved1[2048];
};
static_assert(offsetof(struct pst_wire_header, format) == 64, "");
static_assert(offsetof(struct pst_wire_header, limits) == 128, "");
static_assert(offsetof(struct pst_wire_header, heartbeat) == 192, "");
static_assert(offsetof(struct pst_wire_header, agent_wake) == 256, "");
static_assert(offsetof(struct pst_wire_header, nonce) == 1024, "");
static_assert(sizeof(struct pst_wire_header) == 4096, "one page");

/*
 * A lane: a pair of rings, of which a session may have several.
 *
 *   0      client_cq_head  CQEs consumed so far        written by the client
 *   64     client_wake     its need_wake generation    written by the client
 *   128    agent_sq_head   SQEs taken so far           written by the agent
 *   192    reserved
 *   256    SQ: 256 x 128 bytes                         written by the client
 *   33024  CQ: 256 x  64 bytes                         written by the agent
 *   49408  end
 *
 * Slot i of a ring is used by entries i, i + n_slots, i + 2 n_slots ...; entry
 * e is there once its slot's seq word reads e + 1 (64 bits, never wraps). A
 * lane is zeroed before it is leased, and entries count from 0 again.
 */

/* Element types. */
enum pst_wire_dtype {
	PST_WIRE_F32 = 1,
	PST_WIRE_F64 = 2,
	PST_WIRE_F16 = 3,
	PST_WIRE_BF16 = 4,
	PST_WIRE_I8 = 5,
	PST_WIRE_I32 = 6,
	/* Of RUN only. */
	PST_WIRE_I64 = 7,
	PST_WIRE_U8 = 8,
	PST_WIRE_BOOL = 9, /* a byte, 0 or 1 */
	PST_WIRE_I16 = 10,
	PST_WIRE_U16 = 11,
	PST_WIRE_U32 = 12,
	PST_WIRE_U64 = 13,
	PST_WIRE_N_DTYPES
};

/* Operations. */
enum pst_wire_op {
	PST_WIRE_OP_NOP = 1,
	PST_WIRE_OP_GEMM = 2,
	PST_WIRE_OP_FILL = 3,     /* span[i] = low bits of pattern */
	PST_WIRE_OP_CHECKSUM = 4, /* CQE result = XXH3 64-bit of the span */
	PST_WIRE_OP_GEMM_STRIDED_BATCHED = 5,
	PST_WIRE_OP_COPY = 6,  /* between region and tensors, either way */
	PST_WIRE_OP_INFER = 7, /* rows through a loaded model */
	PST_WIRE_OP_RUN = 8,   /* named tensors through a loaded model */
};

/* SQE trans: bits. */
#define PST_WIRE_TRANSA 1U
#define PST_WIRE_TRANSB 2U
/* SQE order. */
#define PST_WIRE_ROW_MAJOR 0U
#define PST_WIRE_COL_MAJOR 1U

/* SQE flags: the operand's off_x is the handle of a resident tensor, not an
 * offset. The operand begins with the tensor (COPY: see stride_b, stride_c).
 */
#define PST_WIRE_A_TENSOR    1U
#define PST_WIRE_B_TENSOR    2U
#define PST_WIRE_C_TENSOR    4U
#define PST_WIRE_BIAS_TENSOR 8U

/* SQE compute: how a product of F32 operands may be computed. */
enum pst_wire_compute {
	PST_WIRE_COMPUTE_DEFAULT = 0,  /* in F32 throughout */
	PST_WIRE_COMPUTE_TF32 = 1,     /* inputs rounded to 10-bit mantissas */
	PST_WIRE_COMPUTE_FAST_F16 = 2, /* inputs rounded to F16 */
};

/* SQE epilogue: an activation, and whether a bias is added before it. */
enum pst_wire_act {
	PST_WIRE_ACT_NONE = 0,
	PST_WIRE_ACT_RELU = 1,
	PST_WIRE_ACT_GELU_TANH = 2, /* by tanh: 0.5x(1+tanh(...)) */
	PST_WIRE_ACT_GELU_ERF = 3,  /* by erf: 0.5x(1+erf(x/sqrt 2)) */
	PST_WIRE_N_ACTS
};
#define PST_WIRE_EPILOGUE_ACT  0x0fU
#define PST_WIRE_EPILOGUE_BIAS 0x10U

/*
 * Submission. Line 0 says all that NOP needs, so that a NOP moves one line;
 * line 1 is read for the other operations only.
 *
 * GEMM: D = act(alpha op(A) op(B) + beta C + bias), op(A) m x k, op(B) k x n,
 * C and D m x n; D is written in C's place. Leading dimensions as in CBLAS for
 * the given order. bias has n elements of dtype_c and is added to every row of
 * C, in both orders. A and B have dtype, C and D dtype_c: F64 and F64; F32 and
 * F32; F16 and F16 or F32; BF16 and BF16 or F32 (both accumulate in F32); I8
 * and I32 (alpha and beta integers, sums modulo 2^32).
 * GEMM_STRIDED_BATCHED: batch of them, operand x of product i begins
 * i * stride_x elements behind the first; stride 0 of A or B uses it again,
 * the Cs do not overlap; one bias for all.
 * FILL, CHECKSUM: off_a is the span's start, length its bytes; FILL's pattern
 * lies in alpha's place, its width in dtype (F64: 8 bytes, F32: 4, I8: 1).
 * COPY: length bytes from off_a to off_c, which do not overlap; where one is a
 * tensor's handle, stride_b (of the source), stride_c (of the destination) is
 * the offset in it in bytes, else 0.
 * INFER: off_b is a model's handle; m rows of k F32 elements at off_a, lda
 * elements apart, give m rows of n F32 at off_c, ldc apart.
 * RUN: off_b is a model's handle; off_a is the offset of a call block, length
 * its bytes: pst_wire_call and its pst_wire_io.
 */
struct pst_wire_sqe {
	uint64_t seq; /* entry number + 1, written last */
	uint64_t tag; /* the client's; returned in the CQE, else unused */
	uint8_t op;
	uint8_t order;
	uint8_t trans;
	uint8_t flags; /* PST_WIRE_x_TENSOR */
	uint8_t dtype; /* of A and B */
	uint8_t dtype_c;
	uint8_t compute;  /* enum pst_wire_compute */
	uint8_t epilogue; /* enum pst_wire_act | PST_WIRE_EPILOGUE_BIAS */
	uint32_t m;
	uint32_t n;
	uint32_t k;
	uint32_t batch; /* GEMM: 1 */
	uint32_t lda;
	uint32_t ldb;
	uint32_t ldc;
	uint32_t reserved0;
	uint64_t off_a;
	/* line 1 */
	uint64_t off_b;
	uint64_t off_c;
	uint64_t off_bias;
	uint64_t alpha; /* bits of a double; FILL: the pattern */
	uint64_t beta;  /* bits of a double */
	union {
		uint64_t length;   /* FILL, CHECKSUM, COPY: bytes */
		uint64_t stride_a; /* GEMM_STRIDED_BATCHED: elements */
	};
	uint64_t stride_b;
	uint64_t stride_c;
};
static_assert(sizeof(struct pst_wire_sqe) == 128, "two lines");
static_assert(offsetof(struct pst_wire_sqe, off_b) == 64, "line 1");

/* Completion. */
struct pst_wire_cqe {
	uint64_t seq; /* entry number + 1, written last */
	uint64_t tag;
	uint32_t status;     /* enum pst_wire_status */
	uint32_t flags;      /* reserved */
	uint64_t compute_ns; /* the backend's own time for the operation */
	uint64_t queue_ns;   /* from the agent's taking it to its start */
	uint64_t result;     /* CHECKSUM's value, else 0 */
	uint64_t reserved0[2];
};
static_assert(sizeof(struct pst_wire_cqe) == 64, "one line");

/* Inputs of a RUN at most, and outputs; dimensions of a tensor. */
#define PST_WIRE_RUN_IO   64U
#define PST_WIRE_RUN_RANK 8U

/* The call block of a RUN, at a multiple of 64: this, n_in inputs, n_out
 * outputs. The agent reads it once. */
struct pst_wire_call {
	uint32_t n_in;
	uint32_t n_out;
	uint64_t deadline_ns; /* from when the agent takes it; 0: none */
	uint64_t reserved0[6];
};
static_assert(sizeof(struct pst_wire_call) == 64, "one line");

/* Flags that the agent writes into an output. */
#define PST_WIRE_IO_IN_PLACE  1U /* it was computed there, not copied */
#define PST_WIRE_IO_TOO_SMALL 2U /* bytes says what it needs */

/* An output's rank that says: whatever comes. */
#define PST_WIRE_IO_ANY 255U

/*
 * A tensor of a RUN, packed in row-major order. The agent writes rank, dim,
 * bytes and flags of the outputs before the completion: also of one with
 * status ELIMIT, if an output was too small. What the outputs hold is then
 * undefined.
 */
struct pst_wire_io {
	uint16_t slot; /* index in the model's inputs, or in its outputs */
	uint8_t dtype;
	uint8_t rank; /* at most 8; an output: or PST_WIRE_IO_ANY */
	uint32_t flags;
	uint64_t off;   /* in the region, a multiple of 64 */
	uint64_t size;  /* an input's bytes, an output's room */
	uint64_t bytes; /* of an output; 0 in a request */
	uint64_t dim[PST_WIRE_RUN_RANK];
	uint64_t reserved0[4];
};
static_assert(sizeof(struct pst_wire_io) == 128, "two lines");

struct pst_wire_lane {
	struct pst_wire_word client_cq_head;
	struct pst_wire_word client_wake;
	struct pst_wire_word agent_sq_head;
	struct pst_wire_word reserved0;
	struct pst_wire_sqe sq[PST_WIRE_SLOTS];
	struct pst_wire_cqe cq[PST_WIRE_SLOTS];
};
static_assert(offsetof(struct pst_wire_lane, sq) == 256, "");
static_assert(offsetof(struct pst_wire_lane, cq) == 33024, "");
static_assert(sizeof(struct pst_wire_lane) <= PST_WIRE_LANE_STRIDE, "");
static_assert(PST_WIRE_HEADER_SIZE +
			      PST_WIRE_MAX_LANES * PST_WIRE_LANE_STRIDE ==
		      PST_WIRE_CTL_SIZE,
	      "header and lanes fill the control area");

/* What a peer answers; transport/base/error.c maps each to one errno. */
enum pst_wire_status {
	PST_WIRE_OK = 0,
	PST_WIRE_EINVAL = 1,     /* malformed or contradictory arguments */
	PST_WIRE_EBOUNDS = 2,    /* outside what is leased to the session */
	PST_WIRE_ELIMIT = 3,     /* above one of the agent's limits */
	PST_WIRE_ENOSPC = 4,     /* no free extent of that size */
	PST_WIRE_EBUSY = 5,      /* no free lane or connection slot */
	PST_WIRE_ENOTSUP = 6,    /* not an operation of this backend */
	PST_WIRE_EVERSION = 7,   /* no common protocol version */
	PST_WIRE_EAUTH = 8,      /* wrong nonce */
	PST_WIRE_EPROTO = 9,     /* a frame or entry against the protocol */
	PST_WIRE_ECANCELED = 10, /* cancelled before it was done */
	PST_WIRE_EIO = 11,       /* the backend failed */
	PST_WIRE_ENOENT = 12,    /* no such extent, lane or tag */
	PST_WIRE_ENOMEM = 13,    /* the agent is out of memory */
	PST_WIRE_ESHUTDOWN = 14, /* the agent is draining */
	PST_WIRE_ETIMEDOUT = 15, /* HELLO came too late */
	PST_WIRE_N_STATUS
};

/*
 * Control frames: a 32-byte header and length bytes of payload, on a stream
 * socket. A reply has its request's seq and its type | PST_WIRE_REPLY. With a
 * status other than OK the payload is a sentence in UTF-8 without NUL.
 */
#define PST_WIRE_MAX_PAYLOAD (64U << 10)
#define PST_WIRE_REPLY       0x8000U

enum pst_wire_frame_type {
	PST_WIRE_CHALLENGE = 1, /* agent: pst_wire_challenge */
	PST_WIRE_HELLO = 2,     /* pst_wire_hello -> pst_wire_welcome */
	PST_WIRE_PING = 3,      /* any payload up to 4096 -> the same */
	PST_WIRE_INFO = 4,      /* none -> JSON text */
	PST_WIRE_HEALTH = 5,    /* none -> JSON text */
	PST_WIRE_STATS = 6,     /* none -> JSON text */
	PST_WIRE_LEASE = 7,     /* pst_wire_lease, size set -> off set */
	PST_WIRE_RELEASE = 8,   /* pst_wire_lease -> none */
	PST_WIRE_CANCEL = 9,    /* pst_wire_cancel -> none */
	PST_WIRE_WAKE = 10,     /* either way, no payload, no reply */
	PST_WIRE_BYE = 11,      /* none -> none, then the agent closes */
	PST_WIRE_ERROR = 12,    /* agent: status and sentence, then it closes */
	/* pst_wire_cancel -> the sentence of an operation that failed */
	PST_WIRE_FAILURE = 13,
	PST_WIRE_TENSOR_CREATE = 14,  /* pst_wire_tensor, size -> handle */
	PST_WIRE_TENSOR_DESTROY = 15, /* pst_wire_tensor, handle -> none */
	/* pst_wire_tensor, handle: 0 or the last one seen -> up to
	 * PST_WIRE_LIST_MAX pst_wire_tensor with larger handles, in order */
	PST_WIRE_TENSOR_LIST = 16,
	PST_WIRE_MODEL_LOAD = 17,   /* pst_wire_model_load -> pst_wire_model */
	PST_WIRE_MODEL_OPEN = 18,   /* pst_wire_model, name -> all of it */
	PST_WIRE_MODEL_UNLOAD = 19, /* pst_wire_model, name -> none */
	PST_WIRE_MODEL_LIST = 20,   /* none -> JSON text */
	PST_WIRE_LANES = 21,        /* pst_wire_lanes, n set -> all of it */
	/* pst_wire_tensor, size -> handle of a file that is being brought */
	PST_WIRE_MODEL_STAGE = 22,
	PST_WIRE_MODEL_UNSTAGE = 23, /* pst_wire_tensor, handle -> none */
	PST_WIRE_MODEL_FILL = 24,    /* pst_wire_model_fill -> none */
	/* pst_wire_model_files -> pst_wire_model_info and what is behind it,
	 * once the model is ready */
	PST_WIRE_MODEL_LOAD_FILES = 25,
	/* pst_wire_model, name -> pst_wire_model_info and what is behind it */
	PST_WIRE_MODEL_DESCRIBE = 26,
	PST_WIRE_N_TYPES
};

struct pst_wire_frame {
	uint32_t magic; /* PST_WIRE_FRAME_MAGIC */
	uint16_t version;
	uint16_t type;
	uint32_t length; /* of the payload */
	uint32_t seq;    /* chosen by the requester */
	uint32_t status;
	uint32_t reserved0;
	uint64_t reserved1;
};
static_assert(sizeof(struct pst_wire_frame) == 32, "");

struct pst_wire_challenge {
	uint64_t epoch;
	uint32_t nonce_slot; /* index into header.nonce */
	uint32_t version_min;
	uint32_t version_max;
	/* 1: the frame carries the region's descriptor (SCM_RIGHTS). */
	uint32_t has_region_fd;
};
static_assert(sizeof(struct pst_wire_challenge) == 24, "");

/* HELLO flag: no lane, no leases; for health checks and tools. */
#define PST_WIRE_HELLO_CONTROL_ONLY 1U

struct pst_wire_hello {
	uint32_t version;
	uint32_t features;
	uint64_t epoch; /* CHALLENGE's, echoed */
	uint32_t nonce_slot;
	uint32_t flags;
	uint8_t nonce[PST_WIRE_NONCE_SIZE];
	uint32_t pid; /* for STATS and logs; never trusted */
	uint32_t reserved0;
	char name[32]; /* of the program, NUL-padded, printable ASCII */
};
static_assert(sizeof(struct pst_wire_hello) == 80, "");

struct pst_wire_welcome {
	uint32_t version;
	uint32_t features;
	uint64_t epoch;
	uint64_t session; /* never 0, never used twice in an epoch */
	uint32_t lane;    /* index; UINT32_MAX for a control-only session */
	uint32_t n_slots;
	uint64_t arena_off;
	uint64_t arena_size;
	uint64_t file_size;
	struct pst_wire_limits limits;
	uint8_t region_uuid[16];
	uint8_t vm_uuid[16]; /* DMI product UUID, zeros when there is none */
	uint8_t boot_id[16];
	uint32_t heartbeat_ms;
	uint32_t emulated; /* 1: the agent's CPU is emulated (TCG) */
	char agent_version[32];
	char provider[16]; /* "ivshmem", "file", "memfd" ... */
	char backend[64];  /* e.g. "cpu: OpenBLAS 0.3.21 ..." */
	char driver[32];   /* GPU driver, empty without a GPU */
	char cuda[32];     /* CUDA runtime, as text */
	char cublas[32];
};
static_assert(sizeof(struct pst_wire_welcome) == 384, "");

struct pst_wire_lease {
	uint64_t off;  /* LEASE: 0 in the request */
	uint64_t size; /* bytes, a multiple of PST_WIRE_UNIT in replies */
};
static_assert(sizeof(struct pst_wire_lease) == 16, "");

struct pst_wire_cancel {
	uint64_t tag; /* of an operation in any lane of the session */
};
static_assert(sizeof(struct pst_wire_cancel) == 8, "");

/* The lanes of a session that has PST_WIRE_FEATURE_LANES: operations of one are
 * in order, of two they are not. */
struct pst_wire_lanes {
	uint32_t n; /* wanted in all, 1..PST_WIRE_SESSION_LANES; reply: held */
	uint32_t reserved0;
	/* Reply: their indices, WELCOME's first, zeros behind them. */
	uint32_t lane[PST_WIRE_SESSION_LANES];
};
static_assert(sizeof(struct pst_wire_lanes) == 40, "");

/*
 * A resident tensor: bytes of the backend's own memory, zeroed at first, of
 * one session and gone with it. The handle is never 0; its high half is a
 * generation, so that an old handle of a place used again is refused.
 */
struct pst_wire_tensor {
	uint64_t handle;
	uint64_t size; /* bytes */
};
static_assert(sizeof(struct pst_wire_tensor) == 16, "");
#define PST_WIRE_LIST_MAX 1024U

#include "transport/wire_model.h"

#endif
