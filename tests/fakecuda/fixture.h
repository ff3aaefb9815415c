/* SPDX-License-Identifier: MIT */
/* The cuda backend over the double, driven as the executor drives it. */
#ifndef PST_TESTS_FAKECUDA_FIXTURE_H
#define PST_TESTS_FAKECUDA_FIXTURE_H

#include "guest-agent/exec/backend.h"
#include "tests/fakecuda/fakecuda.h"

#define FIX_SIZE (32ULL << 20)

/* Where operands lie. */
#define FIX_A    (4ULL << 20)
#define FIX_B    (12ULL << 20)
#define FIX_C    (20ULL << 20)
#define FIX_BIAS (28ULL << 20)

extern uint8_t *fix_mem;  /* the region */
extern uint64_t fix_size; /* of the next one that is opened: FIX_SIZE */
extern struct pst_backend *fix_backend;
extern const struct pst_backend_ops *const fix_ops;

/* Resets the double and opens. strategy, registration, memory: the options of
 * the environment, NULL for none. Returns what open did. */
int fix_open(const struct fakecuda_config *c, const char *strategy,
	     const char *registration, const char *memory,
	     struct pst_error *err);

/* Closes, and fails the test for anything wrong or left. */
void fix_close(void);

/* Gives the region back, as fix_close() does. */
void fix_unmap(void);

/* Begins an operation of a lane. */
int fix_begin(struct pst_backend_op *bop, uint32_t lane,
	      const struct pst_op *op, struct pst_error *err);

/* Steps until it is done or failed: 0 or -errno. Fails the test after 60 s. */
int fix_finish(struct pst_backend_op *bop, struct pst_error *err);

/* The same, from begin on, on lane 0. */
int fix_run(const struct pst_op *op, struct pst_error *err);

/* What came of a session in which something failed. */
struct fix_outcome {
	int r;                 /* its first error, or 0 */
	bool left;             /* close left something to the process */
	uint64_t calls;        /* of CUDA, from its begin to its end */
	uint64_t closing_at;   /* of those, when it began to close */
	unsigned int problems; /* fakecuda_problems() */
	char text[384];        /* the error's sentence */
	char problem[256];
};

/* Runs session(n, out) in a process of its own: what the n-th call's failure
 * makes it leave behind (memory that a card may still write to, threads of
 * streams) ends with it, as it does with an agent. A crash, a failed assertion
 * or no end within a minute fails the test, with n in words. */
void fix_apart(void (*session)(uint64_t n, struct fix_outcome *out), uint64_t n,
	       struct fix_outcome *ret);

/* Calls of a session in which nothing fails: the fewest of several, since how
 * many a calibration makes depends on the clock, as does how often one asks
 * whether all is done. Fails the test when that one fails or leaves something.
 */
uint64_t fix_calls(void (*session)(uint64_t n, struct fix_outcome *out));

/* Lets each call of a session fail once, and some numbers beyond the last. Most
 * failures must be told, and few leave something to the process: an odd answer
 * to "are you idle" may look like a loss. */
void fix_each_call_fails(void (*session)(uint64_t n, struct fix_outcome *out),
			 uint64_t beyond);

/* Deterministic, in (-1, 1). */
double fix_noise(void);

/* n elements of noise in the region at off; of integers up to 127. */
void fix_fill(uint64_t off, uint64_t n, enum pst_wire_dtype t);

/* A product of packed matrices in the region, row-major, alpha 1, beta 0. */
struct pst_op fix_product(enum pst_wire_dtype t, enum pst_wire_dtype tc,
			  uint32_t m, uint32_t n, uint32_t k);

/* C as it should be, for the whole operation; reads A, B, C, bias from the
 * region (or CPU memory in mem). ret has op->c.size / element size elements,
 * which begin as C's bytes; elements outside the matrices stay. bound gets how
 * far each may be off (NULL: not wanted). */
void fix_expect(const struct pst_op *op, double *ret, double *bound);

/* Compares the region's C with it; the test fails with the place named. */
void fix_compare(const struct pst_op *op, const double *want,
		 const double *bound);

#endif
