/* SPDX-License-Identifier: MIT */
/* The interface between the agent and a backend. */
#ifndef PST_GUEST_AGENT_EXEC_BACKEND_H
#define PST_GUEST_AGENT_EXEC_BACKEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "transport/base/error.h"
#include "transport/op.h"

struct pst_backend;
struct pst_agent_model_plan;

/* Of struct pst_backend_ops; a loadable backend of another one is refused. */
#define PST_BACKEND_ABI 7U

/* The most operations of a lane that a backend takes ahead. */
#define PST_BACKEND_MAX_AHEAD 3U

/* State of one running operation. The executor owns it and zeroes it before
 * begin; the backend's fields are the backend's. */
struct pst_backend_op {
	struct pst_op op;
	uint32_t lane;       /* operations of one lane run in order */
	bool alone;          /* no other lane is served at this step */
	uint64_t compute_ns; /* the backend's own time so far */
	/* Of the monotonic clock, which costs as much as a small operation.
	 * begin_ns: the end of the operation before, which was of the same
	 * lane and ended right now; 0: the clock was not read. end_ns: when
	 * this step ended, if the backend read the clock then, else 0. The
	 * executor sets both before each step. */
	uint64_t begin_ns, end_ns;
	uint64_t result;    /* CHECKSUM */
	uint64_t cursor[6]; /* the backend's */
	void *priv;
};

/* Bits of pst_backend_device.known: the numbers that could be found out. A
 * text that could not be found out is empty. */
enum pst_agent_device_known {
	PST_AGENT_DEVICE_SM = 1U << 0,
	PST_AGENT_DEVICE_MULTIPROCESSORS = 1U << 1,
	PST_AGENT_DEVICE_MEM_TOTAL = 1U << 2,
	PST_AGENT_DEVICE_MEM_FREE = 1U << 3,
	PST_AGENT_DEVICE_TEMPERATURE = 1U << 4,
	PST_AGENT_DEVICE_POWER = 1U << 5,
	PST_AGENT_DEVICE_UTILISATION = 1U << 6,
};

/* A GPU, for INFO and HEALTH. */
struct pst_backend_device {
	uint32_t known; /* enum pst_agent_device_known */
	char name[128]; /* the card's, "NVIDIA GeForce GTX TITAN X" */
	char uuid[48];  /* the driver's name for it, "GPU-..." */
	char pci[32];   /* its address in this kernel, "0000:01:00.0" */
	/* Versions. */
	char driver[32];
	char runtime[32]; /* CUDA */
	char cublas[32];
	uint32_t sm_major, sm_minor; /* compute capability */
	uint32_t multiprocessors;
	uint64_t mem_total; /* bytes of device memory */
	uint64_t mem_free;
	int32_t temperature_c;
	double power_w;
	uint32_t utilisation_pct;
};

/* What a backend measured at start. */
struct pst_backend_figure {
	const char *name; /* with its unit: "h2d_gbps"; NULL: the end */
	double value;
};
#define PST_BACKEND_FIGURES 16U

/* A kind of product, for the table of supported kinds. */
struct pst_agent_gemm_kind {
	enum pst_wire_dtype dtype, dtype_c;
	enum pst_wire_compute compute;
	enum pst_wire_act act;
	bool has_bias;
};

/* What step returns, or -errno: it failed. */
enum pst_backend_step {
	PST_AGENT_STEP_MORE =
		0, /* the thread worked on it, and it is not done */
	PST_AGENT_STEP_DONE = 1,
	PST_AGENT_STEP_WAIT = 2, /* the device works on it: look again later */
};

struct pst_backend_ops {
	uint32_t abi;     /* PST_BACKEND_ABI */
	const char *name; /* "cpu" */

	/*
	 * How many more operations of a lane begin takes while the first is on
	 * the device (step returned WAIT), PST_BACKEND_MAX_AHEAD at most; 0
	 * where a lane's operations come one by one. begin of such an operation
	 * starts all of it, behind those before, or returns -EAGAIN: it begins
	 * again when they are done. It is stepped or cancelled when it is the
	 * first.
	 */
	uint32_t ahead;

	/*
	 * base: wire offset 0 of the region. threads: 0 for the backend's
	 * choice. Returns 0, -ENODEV, -errno.
	 */
	int (*open)(uint8_t *base, uint64_t size, uint32_t threads,
		    struct pst_backend **ret, struct pst_error *err);
	void (*close)(struct pst_backend *b);

	/* One line for INFO: library, version, threads, kernel. */
	void (*describe)(struct pst_backend *b, char *buf, size_t size);

	/* How the region is registered with a GPU's driver, for INFO: "plain",
	 * "iomemory", "staged" or "none". NULL: there is no GPU. */
	const char *(*registration)(struct pst_backend *b);

	/* Why it is not "plain", in the driver's words for each way that
	 * failed; "" if none did. NULL together with registration only. */
	const char *(*registration_why)(struct pst_backend *b);

	/*
	 * What the device is and how it is, for INFO and HEALTH; called by the
	 * serving thread at each of them, once after open, and while operations
	 * run: what takes more than about 1 ms to read comes from the last
	 * reading of another thread. *ret is zero before. Returns 0, or
	 * -ENODEV, -EIO when the device does not answer any more; the sentence
	 * then is a reason of HEALTH. NULL: there is no GPU.
	 */
	int (*device_info)(struct pst_backend *b,
			   struct pst_backend_device *ret,
			   struct pst_error *err);

	/* By what was measured at start it chooses, for INFO. ret has room for
	 * PST_BACKEND_FIGURES and the end. NULL: nothing was. */
	void (*calibration)(struct pst_backend *b,
			    struct pst_backend_figure *ret);

	/* Whether the device is lost, so that only a new process can use it
	 * again: the agent then ends and its unit restarts it. *why (may be
	 * NULL) gets the reason. Only reads a variable. NULL: never. */
	bool (*lost)(struct pst_backend *b, struct pst_error *why);

	/* Threads that compute; for INFO. */
	uint32_t (*threads)(struct pst_backend *b);

	/* Whether begin takes products of this kind. If not, why (may be NULL)
	 * gets a sentence with the card's or library's name. NULL: begin
	 * decides. */
	bool (*can)(struct pst_backend *b,
		    const struct pst_agent_gemm_kind *kind,
		    struct pst_error *why);

	/*
	 * Starts a checked operation of a kind that can() allows. Returns 0,
	 * -EOPNOTSUPP, -errno. The operands in bop->op stay leased until step
	 * is done or cancel returned.
	 */
	int (*begin)(struct pst_backend *b, struct pst_backend_op *bop,
		     struct pst_error *err);

	/* Does at most about 10 ms of it (30 if alone), or checks whether the
	 * device has finished. Returns enum pst_backend_step or -errno. */
	int (*step)(struct pst_backend *b, struct pst_backend_op *bop,
		    struct pst_error *err);

	/*
	 * Gives up an operation that is not done. Returns 1 when nothing of it
	 * can write any more, 0 when the device still may: call again.
	 */
	int (*cancel)(struct pst_backend *b, struct pst_backend_op *bop);

	/* Expected nanoseconds of an operation, for fair scheduling. */
	uint64_t (*estimate_ns)(struct pst_backend *b, const struct pst_op *op);

	/*
	 * Memory for resident tensors: size bytes (> 0), zeroed, aligned to
	 * 256. *ret is what operands' mem is; release may be called only when
	 * no operation uses it. Returns 0, -ENOMEM with a sentence that says
	 * how much there is.
	 */
	int (*alloc)(struct pst_backend *b, uint64_t size, void **ret,
		     struct pst_error *err);
	void (*release)(struct pst_backend *b, void *mem);

	/* Copies n bytes of data to offset off of such memory, which no
	 * operation uses, and waits for it: a few MiB at a time. NULL together
	 * with model_new only. Returns 0, -EIO with a sentence. */
	int (*upload)(struct pst_backend *b, void *mem, uint64_t off,
		      const void *data, uint64_t n, struct pst_error *err);

	/*
	 * Makes a checked plan ready to run INFER on. weights: memory of
	 * alloc() that holds the file's data section; on success it is the
	 * model's, which releases it in model_free. plan is borrowed for the
	 * call. INFER's op.model is *ret. NULL: the backend has no models.
	 * Returns 0, -ENOMEM, -EOPNOTSUPP, -errno.
	 */
	int (*model_new)(struct pst_backend *b,
			 const struct pst_agent_model_plan *plan, void *weights,
			 void **ret, struct pst_error *err);
	void (*model_free)(struct pst_backend *b, void *model);
};

/* A backend that is open. */
struct pst_backend_use {
	const struct pst_backend_ops *ops;
	struct pst_backend *backend;
	/* Operations end elsewhere, and whoever serves is told when. */
	bool tells;
};

/* The sentence of a failure for which a backend sets none. Called before each
 * operation, so it formats nothing. */
static inline void pst_backend_no_reason(struct pst_error *err)
{
	static const char text[] = "the backend gave no reason";

	err->code = 0;
	memcpy(err->text, text, sizeof(text));
}

/* Name of a backend: "auto", "cpu", "cuda", "sim", each with or without
 * ":OPTIONS". Returns NULL for an unknown one. What pst_backend_open() opens:
 * of "auto" and "cuda" only the name is there, of "sim" no open. */
const struct pst_backend_ops *pst_backend_find(const char *name);

extern const struct pst_backend_ops pst_backend_auto;
extern const struct pst_backend_ops pst_backend_cpu;
extern const struct pst_backend_ops pst_backend_cuda;

#endif
