/* SPDX-License-Identifier: MIT */
/* Protocol 1: frames about models. */
#ifndef PST_TRANSPORT_WIRE_MODEL_H
#define PST_TRANSPORT_WIRE_MODEL_H

#include "transport/wire.h"

#define PST_WIRE_MODEL_NAME 64U
/* Bytes of a model file's header at most, its length included. */
#define PST_WIRE_MODEL_HEADER ((256U << 10) + 8U)

/*
 * MODEL_LOAD: makes a model of a safetensors file. Its header (the first 8
 * bytes, little-endian length, and the JSON text behind them) lies in the
 * session's extents; its data section was copied to a resident tensor of the
 * session, which becomes the agent's when the reply is OK. Models belong to
 * the agent: every session may use one by its name.
 */
struct pst_wire_model_load {
	char name[PST_WIRE_MODEL_NAME]; /* [A-Za-z0-9._-]+, NUL-padded */
	uint64_t header_off;
	uint64_t header_size; /* with the 8 bytes of length */
	uint64_t data;        /* handle of the tensor */
	uint64_t reserved0;
};
static_assert(sizeof(struct pst_wire_model_load) == 96, "");

struct pst_wire_model {
	char name[PST_WIRE_MODEL_NAME];
	uint64_t handle; /* as of tensors; of the epoch */
	uint64_t size;   /* bytes of weights */
	uint32_t n_in;   /* elements of an input row */
	uint32_t n_out;
	uint32_t max_batch; /* rows of one INFER */
	uint32_t n_layers;
	uint32_t dtype; /* of the weights */
	uint32_t reserved0;
};
static_assert(sizeof(struct pst_wire_model) == 104, "");

/*
 * A model of files: the client announces each (MODEL_STAGE), brings its bytes
 * through the session's extents (MODEL_FILL), and names them
 * (MODEL_LOAD_FILES). A staged file belongs to the session and ends with it,
 * with MODEL_UNSTAGE, or when a load begins that names it.
 */
#define PST_WIRE_FILL_MAX (256U << 10)

struct pst_wire_model_fill {
	uint64_t handle;   /* of a staged file */
	uint64_t file_off; /* where in it the bytes belong */
	uint64_t off;      /* where in the region they lie */
	uint64_t size;     /* 1..PST_WIRE_FILL_MAX */
};
static_assert(sizeof(struct pst_wire_model_fill) == 32, "");

enum pst_wire_model_format {
	PST_WIRE_SAFETENSORS = 0, /* of one file; also by MODEL_LOAD */
	PST_WIRE_ONNX = 1,
	PST_WIRE_N_FORMATS
};

/* Who computes a model. */
enum pst_wire_provider {
	PST_WIRE_PROVIDER_AUTO = 0, /* asked for: the best that there is */
	PST_WIRE_PROVIDER_CPU = 1,
	PST_WIRE_PROVIDER_CUDA = 2, /* asked for: no other */
	PST_WIRE_N_PROVIDERS
};

#define PST_WIRE_MODEL_FILES 8U

struct pst_wire_model_file {
	/* Printable ASCII, NUL-padded. "": the model itself; others are named
	 * as the model names them. */
	char name[64];
	uint64_t handle;
	uint64_t reserved0;
};
static_assert(sizeof(struct pst_wire_model_file) == 80, "");

/* MODEL_LOAD_FILES flag: the model is kept in the agent's models_dir, in the
 * place of one of the same name, and loaded at each start. */
#define PST_WIRE_MODEL_INSTALL 1U

struct pst_wire_model_files {
	char name[PST_WIRE_MODEL_NAME]; /* as MODEL_LOAD's */
	uint32_t format;                /* enum pst_wire_model_format */
	uint32_t provider;              /* enum pst_wire_provider */
	uint32_t flags;                 /* PST_WIRE_MODEL_INSTALL */
	uint32_t n_files;               /* 1..PST_WIRE_MODEL_FILES */
	uint64_t reserved0[2];
	struct pst_wire_model_file file[PST_WIRE_MODEL_FILES]; /* then zeros */
};
static_assert(sizeof(struct pst_wire_model_files) == 736, "");

enum pst_wire_model_state {
	PST_WIRE_MODEL_READY = 0,
	PST_WIRE_MODEL_LOADING = 1, /* once more, after its process has died */
	PST_WIRE_MODEL_N_STATES
};

/*
 * What is said of a model. Behind it come n_in + n_out pst_wire_model_tensor,
 * inputs first, n_symbols names of dimensions (64 bytes each, NUL-padded), and
 * n_meta bytes of text: lines "key: value" that the file has of itself.
 */
struct pst_wire_model_info {
	char name[PST_WIRE_MODEL_NAME];
	uint64_t handle; /* RUN's, of the epoch */
	uint64_t size;   /* bytes of its files */
	uint32_t format;
	uint32_t state;
	uint32_t provider; /* that computes it */
	uint32_t wanted;   /* provider that was asked for */
	/* CPUs that the agent and who computes may use; shared: one of them
	 * is for both. */
	uint32_t n_cpus;
	uint32_t shared;
	uint32_t threads; /* that compute */
	uint32_t n_in;
	uint32_t n_out;
	uint32_t n_symbols;
	uint32_t n_meta;
	uint32_t reserved0;
	uint64_t load_ns;  /* until it was ready */
	uint64_t first_ns; /* of the first run, 0: none was tried */
	uint64_t second_ns;
	uint64_t run_ns; /* about what one takes now */
	uint64_t n_runs;
	uint64_t copied; /* bytes of operands not used in place, of all runs */
	uint64_t reserved1[2];
	char runtime[64]; /* "ONNX Runtime 1.30.0" */
	char note[256];   /* why provider is not what could be wished, or "" */
};
static_assert(sizeof(struct pst_wire_model_info) == 512, "");

/* A tensor that a model takes or gives. */
struct pst_wire_model_tensor {
	char name[128]; /* UTF-8, NUL-padded */
	uint32_t dtype;
	uint32_t rank;
	int64_t dim[PST_WIRE_RUN_RANK]; /* -1: any */
	/* Dimensions of one symbol are equal: 1 + its index; 0: it has none. */
	uint16_t symbol[PST_WIRE_RUN_RANK];
};
static_assert(sizeof(struct pst_wire_model_tensor) == 216, "");

/* Names of dimensions in a pst_wire_model_info, and bytes of text. */
#define PST_WIRE_RUN_SYMBOLS 64U
#define PST_WIRE_MODEL_META  (8U << 10)
static_assert(sizeof(struct pst_wire_model_info) +
			      2 * PST_WIRE_RUN_IO *
				      sizeof(struct pst_wire_model_tensor) +
			      PST_WIRE_RUN_SYMBOLS * 64 + PST_WIRE_MODEL_META <=
		      PST_WIRE_MAX_PAYLOAD,
	      "one reply holds all");

#endif
