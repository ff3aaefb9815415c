/* SPDX-License-Identifier: MIT */
/* Penstock: matrix products on a GPU inside a virtual machine, in memory that
 * the caller, the machine and the GPU share. The public interface. */
#ifndef PENSTOCK_H
#define PENSTOCK_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#pragma GCC visibility push(default)

/*
 * Errors. Functions return 0 or a count, or one of these, negative:
 *
 *   EINVAL           an argument is malformed or contradicts another
 *   EMSGSIZE         above a limit of the agent whatever is given back, or a
 *                    size that does not match
 *   EOVERFLOW        a size does not fit in 64 bits
 *   EFAULT           a pointer does not lie in a buffer of this connection
 *   EBADF            the connection is that of the process that forked this
 *                    one
 *   ESTALE           a buffer or call of an agent or session that is gone
 *   ECONNRESET       the agent or its VM went away during the call
 *   ECONNREFUSED     nobody serves at the endpoint
 *   ETIMEDOUT        the deadline passed, or the agent gives no sign of life
 *   EAGAIN           too many operations are outstanding
 *   EBUSY            no free lane, or the region is taken
 *   ENOSPC           no room now; there may be when something is given back
 *   ENOMEM           out of memory on either side
 *   ENODEV, ENOENT   no such device, file, name, tag
 *   EACCES, EPERM    permission on the region or socket, or refused proof
 *   EPROTO           the peer breaks the protocol
 *   EPROTONOSUPPORT  no common protocol version
 *   EOPNOTSUPP       the backend has no such operation
 *   ECANCELED        cancelled
 *   EINTR            pst_set_interrupt()'s function ended the call
 *   EIO, ENODATA     the backend or a file failed
 *
 * pst_last_error() has the sentence that goes with the last one.
 *
 * Threads. A connection may be used from several threads at once, except
 * that pst_close() must be the last call on it. A call that waits does not
 * keep other threads from submitting. The library starts one thread a
 * connection, all signals blocked, which sleeps until the agent is lost. It
 * never prints, exits, changes a signal handler or any other global.
 *
 * Processes. A child made by fork() inherits no connection: each call with one
 * of its parent's returns EBADF and does nothing else, and buffers are not
 * mapped there, so a pointer into one is SIGSEGV. See pst_after_fork().
 */

struct pst;

/* Version of the library, "1.0.0", and of this header. */
#define PST_VERSION_MAJOR 1
#define PST_VERSION_MINOR 0
const char *pst_version(void);

/* A phrase for an error (negative errno); for 0 "no error". Never NULL,
 * never freed. */
const char *pst_strerror(int error);

/* ---- Connections ------------------------------------------------------- */

/*
 * For the calling thread and all connections: a function that its calls ask
 * while they wait, about every 100 ms, also once in a while when they need not
 * wait at all. When it returns something else than 0 the call ends with EINTR:
 * what it had submitted is cancelled and, as after ETIMEDOUT, C is undefined
 * and buffers stay busy until the agent is done with it. Without one, calls
 * wait on whatever signals the thread handles. NULL: none. pst_wait(), too,
 * cancels what it waits for; opening a connection does not ask.
 *
 * The function runs unlocked and may call the library; those calls do not ask.
 */
void pst_set_interrupt(int (*interrupted)(void *arg), void *arg);

struct pst_options {
	size_t size;         /* sizeof(struct pst_options), set by the caller */
	uint64_t timeout_ns; /* to connect and for control calls; 0: 5 s, and
				60 s, also at most, for an agent of spawn: to
				start */
	uint64_t dead_ns;    /* heartbeat silence before SUSPECT; 0: 1 s, 10 s
				when the agent says it is emulated */
	uint64_t spin_ns;    /* spin before sleeping; 0: 50 us; UINT64_MAX:
				never sleep */
	uint32_t flags;      /* PST_OPEN_* */
	uint32_t reserved;
	const char *name; /* shown in the agent's STATS; NULL: the program */
};

/* A connection for questions only: no lane, pst_alloc and calls fail. */
#define PST_OPEN_CONTROL_ONLY 1U
/* Sleep at once, do not spin at all (spin_ns is ignored). */
#define PST_OPEN_NO_SPIN 2U

/*
 * Connects to an agent. endpoint: a URI (penstock(1), ENDPOINTS), a NAME read
 * from the configuration, or NULL for $PENSTOCK_ENDPOINT. options may be
 * NULL. An agent that is full, or resets the connection, is asked again until
 * timeout_ns has passed; nobody there is an error at once.
 *
 * Returns 0 and *ret, which the caller ends with pst_close(). On failure
 * *ret is NULL and the sentence is in error_text (may be NULL, error_size
 * bytes). EINVAL, ENOENT (no such name, socket or region file; or no endpoint
 * given and $PENSTOCK_ENDPOINT unset), ECONNREFUSED, ENODEV, EACCES, EPERM,
 * EBUSY, ECONNRESET, EPROTO, EPROTONOSUPPORT, ETIMEDOUT, EMSGSIZE, ENOSPC (a
 * region with holes that cannot be filled), ENOMEM.
 */
int pst_open(const char *endpoint, const struct pst_options *options,
	     struct pst **ret, char *error_text, size_t error_size);

/* Ends the session; every buffer and pending call of it is gone, pointers
 * into it too. NULL does nothing. */
void pst_close(struct pst *c);

/*
 * In a child made by fork(), before it closes descriptors by itself: closes
 * those of a connection of its parent's, which would keep the agent from
 * noticing the parent's death. A child that calls exec() at once, and one made
 * by posix_spawn(), need not: all are closed by that. The connection can then
 * only be given to pst_close(), which does the same and harms nobody, and frees
 * the rest. EINVAL: this process opened it.
 */
int pst_after_fork(struct pst *c);

/*
 * The sentence of the calling thread's last failed call on c, copied to buf
 * (NUL-terminated, cut to size). Empty when none failed.
 */
void pst_last_error(struct pst *c, char *buf, size_t size);

/*
 * Whether the calling thread's last failed call on c, a pst_gemm() or the
 * pst_wait() for one, may have written to C: 0 says that every byte of it is as
 * it was, 1 that any part of it may be new, and, if it lies in a buffer, may
 * yet be written until the operation is over.
 *
 * With beta != 0 C is read: such a product may be computed again, here or
 * elsewhere, only after 0. With beta = 0 it may be in any case, when nothing
 * can write to C any more. It is 0 for all that is refused (EINVAL, EFAULT,
 * ENOSPC, EAGAIN, a session that is lost already, ...); for a C in the caller's
 * own memory as long as no finished piece was copied there; never for an
 * operation on a C in a buffer that the agent had. A buffer of a lost session
 * has lost what it held whatever this says.
 */
int pst_c_touched(struct pst *c);

/* What the agent said of itself. Strings are NUL-terminated. */
struct pst_info {
	size_t size; /* set by the caller */
	uint64_t epoch;
	uint64_t session;
	uint64_t arena_size;  /* bytes */
	uint64_t region_size; /* bytes of the backing file */
	uint64_t max_elems;
	uint64_t max_lease; /* bytes one session may hold */
	uint32_t max_dim;
	uint32_t n_slots; /* operations that may be outstanding */
	uint32_t emulated;
	uint32_t page_size; /* of this process's mapping */
	char vm_uuid[37];
	char region_uuid[37];
	char boot_id[37];
	char agent_version[33];
	char provider[17];
	char backend[65];
	char driver[33];
	char cuda[33];
	char cublas[33];
	char region_path[256];     /* empty for a passed memfd */
	uint32_t max_tensors;      /* of one session; 0: the backend has none */
	uint32_t max_batch;        /* products of one call */
	uint64_t max_tensor_bytes; /* of one session */
};

/* Fills *info up to info->size. 0 or ESTALE (lost, and not yet reopened). */
int pst_get_info(struct pst *c, struct pst_info *info);

enum pst_query {
	PST_QUERY_INFO,   /* the agent's description */
	PST_QUERY_HEALTH, /* "healthy": bool, and why not */
	PST_QUERY_STATS,  /* counters */
};

/* Asks the agent; *ret_json is a JSON object as text, which the caller frees
 * with free(). ECONNRESET, ETIMEDOUT, EPROTO, ENOMEM. */
int pst_query(struct pst *c, enum pst_query what, char **ret_json);

/* A round trip over the control socket; *ret_ns (may be NULL) its time. */
int pst_ping(struct pst *c, uint64_t *ret_ns);

/* ---- Memory ------------------------------------------------------------ */

/*
 * A buffer in the region: size bytes, aligned to 64, contents undefined. Its
 * pointers, interior ones too, may be given to calls. Blocks only when the
 * library must lease more of the arena.
 *
 * When the session is lost (see ECONNRESET, ESTALE) the memory stays mapped
 * and writable but is private from then on: writes reach nobody, calls with
 * it return ESTALE. pst_alloc() then opens a new session by itself.
 *
 * EINVAL (size 0), ENOSPC (no room now: others, or other buffers of this
 * connection, have it), EMSGSIZE (above max_lease, never), ECONNREFUSED,
 * ECONNRESET, ETIMEDOUT, ENOMEM.
 */
int pst_alloc(struct pst *c, size_t size, void **ret);

/*
 * Gives a buffer back; while an operation still uses it (a deadline or CANCEL
 * ended only the wait) it is kept and freed when that is over. NULL does
 * nothing. EINVAL: not the start of a buffer of c.
 */
int pst_free(struct pst *c, void *ptr);

/*
 * Copies n bytes of a result out of the region into private memory. A result
 * read in place (a view) lies in memory that the guest could still change;
 * whoever decides something by it takes a copy first and checks the copy.
 * EFAULT: [src, +n) is not in one buffer of c. ESTALE.
 */
int pst_take(struct pst *c, void *dst, const void *src, size_t n);

/* ---- Resident tensors -------------------------------------------------- */

/*
 * Memory of the backend's own (a GPU's), beside the region: operands that are
 * used again and again are copied there once (pst_upload(), pst_copy()) and
 * named in calls by their id, which is never 0 and never used again.
 *
 * A tensor belongs to the session. When that is lost, so are its contents:
 * calls with the id return ESTALE, also after a new session was opened.
 */

/*
 * A new tensor of size bytes, all zero. Opens a new session when the last one
 * is lost, as pst_alloc() does.
 *
 * EINVAL (size 0), EOPNOTSUPP (the backend has none), EMSGSIZE (above the
 * agent's limit for one session), ENOSPC (with the session's other tensors
 * above that limit, in bytes or number), EBUSY (memory of
 * destroyed ones is still in use, try again), ENOMEM (the device has no room),
 * ECONNREFUSED, ECONNRESET, ETIMEDOUT.
 */
int pst_tensor_create(struct pst *c, uint64_t size, uint64_t *ret_tensor);

/*
 * Gives a tensor up; does not block. While an operation that was submitted
 * still uses it, it is destroyed when that is over. ENOENT: no tensor of c, or
 * destroyed already. One of a lost session is forgotten: 0.
 */
int pst_tensor_destroy(struct pst *c, uint64_t tensor);

struct pst_tensor {
	uint64_t tensor;
	uint64_t size; /* bytes */
};

/*
 * The session's tensors, oldest first, as the agent has them: up to max of
 * them into ret. Returns how many there are, which may be more than max.
 * ESTALE (the session is lost), ECONNRESET, ETIMEDOUT, ENOMEM.
 */
int pst_tensor_list(struct pst *c, struct pst_tensor *ret, int max);

/*
 * Copies n bytes from any memory to a tensor, from its byte off on, and back;
 * wait at most timeout_ns. From and to a buffer of c in one operation; other
 * memory goes through a buffer of c that is leased for the time of the call,
 * one part copied here while the agent copies the other. n 0 does nothing.
 *
 * Errors of pst_copy() and pst_alloc(); ETIMEDOUT and other errors leave part
 * of it copied. The memory is not used any more when the call has returned.
 */
int pst_upload(struct pst *c, uint64_t tensor, uint64_t off, const void *src,
	       uint64_t n, uint64_t timeout_ns);
int pst_download(struct pst *c, void *dst, uint64_t tensor, uint64_t off,
		 uint64_t n, uint64_t timeout_ns);

/* ---- Operations -------------------------------------------------------- */

enum pst_dtype {
	PST_F32 = 1,
	PST_F64 = 2,
	PST_F16 = 3,  /* IEEE 754 binary16 */
	PST_BF16 = 4, /* the upper half of an F32 */
	PST_I8 = 5,
	PST_I32 = 6,
};

enum pst_order {
	PST_ROW_MAJOR = 0,
	PST_COL_MAJOR = 1,
};

/* How a product of F32 may be computed. */
enum pst_compute {
	PST_COMPUTE_DEFAULT = 0,
	PST_COMPUTE_TF32 = 1,     /* A and B rounded to 10 bits of mantissa */
	PST_COMPUTE_FAST_F16 = 2, /* A and B rounded to F16 */
};

/* What is done to each element of the result at last. */
enum pst_act {
	PST_ACT_NONE = 0,
	PST_ACT_RELU = 1,      /* 0 below 0; a GPU may make it of NaN, too */
	PST_ACT_GELU_TANH = 2, /* 0.5 x (1 + tanh(sqrt(2/pi)(x + 0.044715 x^3)))
				*/
	PST_ACT_GELU_ERF = 3,  /* 0.5 x (1 + erf(x / sqrt(2))) */
};

/*
 * C = act(alpha op(A) op(B) + beta C + bias) with op(A) m x k, op(B) k x n, C
 * m x n, as CBLAS means it: leading dimensions in elements, op is the
 * transpose when transa, transb are set. k = 0 or alpha = 0 reads neither A
 * nor B; beta = 0 does not read C, NaN there is harmless. C must not overlap
 * an operand that is read; that of a single product may lie beside A or B in
 * one larger matrix. bias, n elements of C's type, is added to every row
 * of C in both orders; NULL (and bias_tensor 0): none.
 *
 * A and B have dtype, C and bias dtype_c, 0: the natural one. F64, F32: the
 * same. F16, BF16: the same or F32; sums are in F32. I8: I32; alpha and beta
 * are integers, sums modulo 2^32.
 *
 * batch > 1: so many products, operand x of the next one begins stride_x
 * elements on; a stride of 0 uses A or B again, the Cs must not overlap.
 * batch 0 means 1.
 *
 * x_tensor: a resident tensor (pst_tensor_create) in the place of pointer x,
 * which is then NULL.
 *
 * Operands in buffers of the connection are used in place. With pst_gemm(),
 * which waits, they may as well lie anywhere in the caller's memory, beside
 * resident tensors too, and be larger than the arena: pieces of them are then
 * copied through leased room while others are computed. Sums of 16-bit elements
 * whose k is cut are kept in F32 until they are whole. The first such call of a
 * process also times ways to copy, for some 20 ms. pst_submit_gemm() refuses
 * them with EFAULT.
 *
 * Zeroed and then filled in, the structure means a plain product. What the
 * backend cannot do is EOPNOTSUPP.
 */
struct pst_gemm {
	uint32_t dtype; /* enum pst_dtype */
	uint32_t order; /* enum pst_order */
	uint32_t transa, transb;
	uint32_t m, n, k;
	uint32_t lda, ldb, ldc;
	double alpha, beta;
	const void *a;
	const void *b;
	void *c;
	uint32_t dtype_c;
	uint32_t compute; /* enum pst_compute */
	uint32_t act;     /* enum pst_act */
	uint32_t batch;
	uint64_t stride_a, stride_b, stride_c; /* elements */
	const void *bias;
	uint64_t a_tensor, b_tensor, c_tensor, bias_tensor;
};

/*
 * n bytes from one place to another, which do not overlap: each a pointer into
 * a buffer of the connection, or a tensor and the offset in it (the pointer is
 * NULL then).
 */
struct pst_copy {
	const void *src;
	void *dst;
	uint64_t src_tensor, src_off;
	uint64_t dst_tensor, dst_off;
	uint64_t n; /* not 0 */
};

struct pst_completion {
	uint64_t tag;
	int status;          /* 0 or a negative errno */
	uint64_t compute_ns; /* the backend's own time */
	uint64_t queue_ns;   /* from the agent's taking it to its start */
	uint64_t result;     /* of a checksum */
};

/* No deadline. */
#define PST_FOREVER UINT64_MAX

/*
 * Synchronous calls: submit and wait at most timeout_ns (relative). done may
 * be NULL. Returns the operation's own error or one of the transport's:
 * ETIMEDOUT ends the wait, not the operation: its buffers stay busy and C is
 * undefined until it is over.
 */
int pst_nop(struct pst *c, uint64_t timeout_ns, struct pst_completion *done);
int pst_gemm(struct pst *c, const struct pst_gemm *g, uint64_t timeout_ns,
	     struct pst_completion *done);
/* Fills n bytes at dst with a pattern of pattern_size 1, 4 or 8 bytes; n is a
 * multiple of it. */
int pst_fill(struct pst *c, void *dst, size_t n, uint64_t pattern,
	     unsigned int pattern_size, uint64_t timeout_ns,
	     struct pst_completion *done);
/* ENOENT: no such tensor. EFAULT: beyond the end of a tensor or buffer. */
int pst_copy(struct pst *c, const struct pst_copy *copy, uint64_t timeout_ns,
	     struct pst_completion *done);
/* XXH3 64-bit (seed 0) of n bytes, in done->result. */
int pst_checksum(struct pst *c, const void *src, size_t n, uint64_t timeout_ns,
		 struct pst_completion *done);

/*
 * Asynchronous: return at once, *ret_tag names the operation until its
 * completion was returned by pst_wait() or pst_poll(). EAGAIN: n_slots (256)
 * are outstanding, given up and not yet collected ones among them; collect some
 * and try again, see penstock(3), OPERATIONS. Operations of one connection run
 * in order. Only pst_submit_nop(), and pst_nop() like it, opens a new session
 * when the last one is lost: then it blocks as pst_open() does, and fails as it
 * does.
 */
int pst_submit_nop(struct pst *c, uint64_t *ret_tag);
int pst_submit_gemm(struct pst *c, const struct pst_gemm *g, uint64_t *ret_tag);
int pst_submit_fill(struct pst *c, void *dst, size_t n, uint64_t pattern,
		    unsigned int pattern_size, uint64_t *ret_tag);
int pst_submit_checksum(struct pst *c, const void *src, size_t n,
			uint64_t *ret_tag);
int pst_submit_copy(struct pst *c, const struct pst_copy *copy,
		    uint64_t *ret_tag);

/* Takes up to max completions that are there; does not wait. Returns their
 * number. Operations that a lost session took along complete with ECONNRESET
 * or ESTALE. */
int pst_poll(struct pst *c, struct pst_completion *ret, int max);

/*
 * Waits for one operation. Returns its status, ENOENT (no such tag, or
 * already returned), or ETIMEDOUT: the tag is given up, its late completion
 * is dropped.
 */
int pst_wait(struct pst *c, uint64_t tag, uint64_t timeout_ns,
	     struct pst_completion *ret);

/*
 * The agent's sentence on an operation that failed, copied to buf
 * (NUL-terminated, cut to size): for completions that came by pst_poll(); the
 * calls that wait have asked for it already (pst_last_error()). The agent
 * keeps those of the last 16 failures of a session. ENOENT (it keeps none of
 * this tag), ESTALE, ECONNRESET, ETIMEDOUT.
 */
int pst_why(struct pst *c, uint64_t tag, char *buf, size_t size);

/*
 * Asks the agent to give up an operation; does not wait. It completes with
 * ECANCELED, or as usual when it was too late. ENOENT, EAGAIN (the control
 * socket takes no more: try again), ECONNRESET (the session just ended).
 */
int pst_cancel(struct pst *c, uint64_t tag);

/*
 * For event loops. pst_fd(): a descriptor, the connection's own, valid until
 * pst_close(), also across a lost session. pst_arm(): returns 1 when
 * completions are there (or the session was lost): poll now. Else 0, and the
 * descriptor becomes readable when there is one; then call pst_poll().
 */
int pst_fd(struct pst *c);
int pst_arm(struct pst *c);

/* ---- Models ------------------------------------------------------------ */

/*
 * A network that the agent has loaded under a name, ready for every client of
 * the agent until it is unloaded or the agent ends. Filled in by the library;
 * a copy of it is as good.
 */
struct pst_model {
	uint64_t handle; /* the agent's, of this epoch */
	uint64_t epoch;
	uint64_t bytes;     /* of weights, as in the file */
	uint32_t n_in;      /* F32 elements of an input row */
	uint32_t n_out;     /* and of an output row */
	uint32_t max_batch; /* rows of one operation */
	uint32_t n_layers;
	uint32_t dtype; /* of the weights, enum pst_dtype */
	uint32_t reserved;
	char name[64];
};

/*
 * Loads a model file (safetensors with a list of layers, penstock-models(7))
 * under a name of 1 to 63 characters of A-Z a-z 0-9 . _ -. The weights go to
 * the backend's memory in pieces. Waits at most timeout_ns; when that passes
 * at the very end the model may be there all the same. ret may be NULL.
 *
 * EINVAL (the name; no regular file; not a model file; a layer that does not
 * fit: the sentence names it), ENODATA (cut short), errno of open(2), EMSGSIZE
 * (the file's header or its bytes above a limit), ENOSPC (so are the number or
 * the bytes of models with those that are loaded), EBUSY
 * (the name is taken, or others wait), ENOMEM (no room), EOPNOTSUPP (the
 * backend has no models), and errors of pst_alloc() and pst_upload().
 */
int pst_model_load(struct pst *c, const char *name, const char *path,
		   uint64_t timeout_ns, struct pst_model *ret);

/* The model of a name that somebody has loaded. ENOENT, EINVAL (the name),
 * ECONNRESET, ETIMEDOUT, EPROTO. */
int pst_model_open(struct pst *c, const char *name, struct pst_model *ret);

/* Ends a model, whoever loaded it; operations that use it are finished first,
 * later ones fail with ENOENT. Errors of pst_model_open(). */
int pst_model_unload(struct pst *c, const char *name);

/* What is loaded: a JSON object as text, which the caller frees with free();
 * penstock(1), model list. Errors of pst_query(). */
int pst_model_list(struct pst *c, char **ret_json);

/* rows rows of model->n_in elements at in, ld_in elements apart, give rows
 * rows of model->n_out at out, ld_out apart. 0 for ld: they are packed. */
struct pst_infer {
	const struct pst_model *model;
	const float *in;
	float *out;
	uint32_t rows;
	uint32_t ld_in, ld_out;
};

/*
 * Runs a model on rows in any memory and waits at most timeout_ns. Rows in
 * buffers of c are used where they lie, others are copied through a buffer of
 * at most 4 MiB; more rows than max_batch take several operations. done may be
 * NULL; its times are the sums. On failure out is undefined.
 *
 * EINVAL (no rows, or rows that overlap), ENOENT (the model was unloaded),
 * ESTALE (it was loaded on an agent that is gone, or a buffer of a lost
 * session), EFAULT (rows that leave their buffer; NULL), and the errors of
 * pst_gemm().
 */
int pst_infer(struct pst *c, const struct pst_infer *f, uint64_t timeout_ns,
	      struct pst_completion *done);

/* Asynchronously, as pst_submit_gemm(): in and out lie in buffers of c (else
 * EFAULT), rows is at most max_batch (else EMSGSIZE). */
int pst_submit_infer(struct pst *c, const struct pst_infer *f,
		     uint64_t *ret_tag);

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif

#endif
