/* SPDX-License-Identifier: MIT */
/* What the agent and its runner of models say to each other. */
#ifndef PST_GUEST_AGENT_RUNNER_RUNNER_H
#define PST_GUEST_AGENT_RUNNER_RUNNER_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The runner is a process that the agent starts. It has the arena, the
 * mailbox, three eventfds and a socket, and nothing else of the machine. The
 * agent believes nothing that it says: whoever made the model may speak.
 *
 * The socket (SEQPACKET, descriptor PST_RUNNER_SOCKET) carries one structure a
 * message, each with type first: START and its READY, then LOAD and UNLOAD,
 * each with one answer, in order. The mailbox carries calls: call i lies in
 * slot i % PST_RUNNER_SLOTS from 1 on, and is there once submitted >= i, done
 * once done >= i. The agent writes to the door after submitted grew; the
 * runner writes to the bell after done grew.
 */
#define PST_RUNNER_VERSION 3U
#define PST_RUNNER_SOCKET  3

#define PST_RUNNER_SLOTS   2U
#define PST_RUNNER_TEXT    384U
#define PST_RUNNER_NAME    128U
#define PST_RUNNER_IO      64U /* inputs of a model, and outputs */
#define PST_RUNNER_RANK    8U
#define PST_RUNNER_FILES   8U
#define PST_RUNNER_SYMBOLS 64U
#define PST_RUNNER_MODELS  128U

/* Types of elements: numbers of TensorProto.DataType (onnx.proto). */
enum pst_runner_elem {
	PST_RUNNER_F32 = 1,
	PST_RUNNER_U8 = 2,
	PST_RUNNER_I8 = 3,
	PST_RUNNER_U16 = 4,
	PST_RUNNER_I16 = 5,
	PST_RUNNER_I32 = 6,
	PST_RUNNER_I64 = 7,
	PST_RUNNER_BOOL = 9,
	PST_RUNNER_F16 = 10,
	PST_RUNNER_F64 = 11,
	PST_RUNNER_U32 = 12,
	PST_RUNNER_U64 = 13,
	PST_RUNNER_BF16 = 16,
};

enum pst_runner_type {
	PST_RUNNER_START = 1,
	PST_RUNNER_READY = 2,
	PST_RUNNER_LOAD = 3,
	PST_RUNNER_LOADED = 4,
	PST_RUNNER_UNLOAD = 5,
	PST_RUNNER_UNLOADED = 6,
};

/* Descriptors that START carries, in this order. */
enum pst_runner_fd {
	PST_RUNNER_FD_ARENA,
	PST_RUNNER_FD_MAILBOX,
	PST_RUNNER_FD_DOOR, /* agent to runner: there is a call, or a cancel */
	PST_RUNNER_FD_BELL, /* runner to agent: a call is done */
	PST_RUNNER_FD_STOP, /* agent to runner: cancel has changed */
	PST_RUNNER_N_FDS
};

struct pst_runner_start {
	uint32_t type;
	uint32_t version;
	uint64_t map_off;    /* of the arena in its descriptor: whole pages */
	uint64_t map_size;   /* bytes */
	uint32_t threads;    /* that compute; 0: as many as CPUs are allowed */
	uint32_t gpu;        /* CUDA's number of a card */
	uint64_t gpu_memory; /* of each model there, bytes; 0: no bound */
	uint64_t max_memory; /* RLIMIT_DATA, bytes; 0: none */
	char library[256];   /* a path or a name for dlopen(); "": look */
};

struct pst_runner_ready {
	uint32_t type;
	int32_t status;             /* 0 or -errno */
	char text[PST_RUNNER_TEXT]; /* the sentence of a failure */
	char version[32];           /* of ONNX Runtime, "1.30.0" */
	uint32_t api;               /* of its C interface that was taken */
	uint32_t threads;
	int32_t tid; /* of the thread that computes calls */
	uint32_t reserved0;
};

struct pst_runner_file {
	/* "" is the model; others are found under the name that the model
	 * has for them. */
	char name[64];
	uint64_t size; /* bytes */
};

/* Who computes a model. */
enum pst_runner_provider {
	PST_RUNNER_AUTO = 0, /* asked for: CUDA if it can be had */
	PST_RUNNER_CPU = 1,
	PST_RUNNER_CUDA = 2, /* asked for: no other */
};

/* A shape for an input, by its slot. */
struct pst_runner_shape {
	uint32_t known; /* 0: there is none */
	uint32_t rank;
	int64_t dim[PST_RUNNER_RANK];
};

/* LOAD carries n_files descriptors, in the order of file. They are read once
 * from their start and closed. */
struct pst_runner_load {
	uint32_t type;
	uint32_t n_files;
	uint64_t id;       /* not 0, chosen by the agent */
	uint32_t provider; /* enum pst_runner_provider */
	uint32_t reserved0;
	struct pst_runner_file file[PST_RUNNER_FILES];
	struct pst_runner_shape warm[PST_RUNNER_IO]; /* of the first runs */
};

struct pst_runner_tensor {
	char name[PST_RUNNER_NAME];
	uint32_t elem; /* enum pst_runner_elem */
	uint32_t rank;
	int64_t dim[PST_RUNNER_RANK]; /* -1: any */
	/* 0: it has no name; else symbol - 1 is the index of its name, and all
	 * dimensions of that name are equal. */
	uint16_t symbol[PST_RUNNER_RANK];
};

/* Answers LOAD. With a status other than 0 only id and text mean something. */
struct pst_runner_loaded {
	uint32_t type;
	int32_t status;
	uint64_t id;
	char text[PST_RUNNER_TEXT];
	uint32_t n_in, n_out, n_symbols;
	uint32_t provider; /* that computed the runs below */
	char note[256];    /* why it is not the best one, or "" */
	uint64_t load_ns;  /* to read the files and to make it ready */
	/* A run on zeros (integers: ones), dimensions of any size being 1. 0:
	 * the model takes no such input. */
	uint64_t first_ns, second_ns;
	struct pst_runner_tensor io[2 * PST_RUNNER_IO]; /* inputs first */
	char symbol[PST_RUNNER_SYMBOLS][64];
};

struct pst_runner_unload {
	uint32_t type;
	uint32_t reserved0;
	uint64_t id;
};

struct pst_runner_unloaded {
	uint32_t type;
	int32_t status; /* 0, -ENOENT, -EBUSY: a call runs it */
	uint64_t id;
};

enum pst_runner_io_flag {
	PST_RUNNER_IN_PLACE = 1U << 0, /* answer: not copied */
	PST_RUNNER_TOO_SMALL = 1U << 1,
};

/* An operand of a call. */
struct pst_runner_io {
	uint32_t slot; /* index in the model's inputs, or in its outputs */
	uint32_t elem; /* an input's */
	uint32_t rank; /* an output's is in the answer */
	uint32_t flags;
	uint64_t off; /* in the mapped arena, a multiple of 64 */
	/* An input's bytes; an output's room, and in the answer its bytes. */
	uint64_t size, bytes;
	int64_t dim[PST_RUNNER_RANK];
};

struct pst_runner_call {
	uint64_t id; /* of the model */
	uint32_t n_in, n_out;
	struct pst_runner_io io[2 * PST_RUNNER_IO]; /* inputs first */
	/* The answer. -EMSGSIZE: an output was too small, bytes says what it
	 * needs; -ECANCELED; -ENOENT; -EINVAL, -EIO with the library's words.
	 */
	int32_t status;
	uint32_t cpu;        /* that it ran on */
	uint64_t compute_ns; /* that the library took */
	uint64_t copied;     /* bytes that were not used in place */
	char text[PST_RUNNER_TEXT];
};

struct pst_runner_word {
	uint64_t value;
	uint8_t pad[56];
};

struct pst_runner_mailbox {
	struct pst_runner_word submitted; /* written by the agent */
	struct pst_runner_word cancel;    /* the agent: a call's number */
	struct pst_runner_word done;      /* written by the runner */
	struct pst_runner_call call[PST_RUNNER_SLOTS];
};
static_assert(offsetof(struct pst_runner_mailbox, call) == 192, "");

/* Bytes of an element; 0: no such type. */
static inline uint32_t pst_runner_elem_size(uint32_t elem)
{
	static const uint8_t size[] = {
		[PST_RUNNER_F32] = 4,  [PST_RUNNER_U8] = 1,
		[PST_RUNNER_I8] = 1,   [PST_RUNNER_U16] = 2,
		[PST_RUNNER_I16] = 2,  [PST_RUNNER_I32] = 4,
		[PST_RUNNER_I64] = 8,  [PST_RUNNER_BOOL] = 1,
		[PST_RUNNER_F16] = 2,  [PST_RUNNER_F64] = 8,
		[PST_RUNNER_U32] = 4,  [PST_RUNNER_U64] = 8,
		[PST_RUNNER_BF16] = 2,
	};

	return elem < sizeof(size) ? size[elem] : 0;
}

static inline bool pst_runner_elem_is_float(uint32_t elem)
{
	return elem == PST_RUNNER_F32 || elem == PST_RUNNER_F16 ||
	       elem == PST_RUNNER_F64 || elem == PST_RUNNER_BF16;
}

#endif
