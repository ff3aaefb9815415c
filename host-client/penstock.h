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
 * Errors. A function returns 0 or a count, or one of these, negative:
 *
 *   EINVAL           an argument is malformed or contradicts another
 *   EMSGSIZE         a size exceeds a limit of the agent, or sizes differ that
 *                    must be equal; waiting does not help
 *   EOVERFLOW        a size does not fit in 64 bits
 *   EFAULT           a pointer does not lie in a buffer of this connection
 *   EBADF            the connection belongs to the process that forked this one
 *   ESTALE           the buffer, tensor or call belongs to a session or agent
 *                    that is gone
 *   ECONNRESET       the agent or its VM went away during the call
 *   ECONNREFUSED     no agent listens at the endpoint
 *   ETIMEDOUT        the deadline passed, or the agent's heartbeat stopped
 *   EAGAIN           too many operations are outstanding
 *   EBUSY            no lane is free, or the resource is in use
 *   ENOSPC           no room now; giving something back may make room
 *   ENOMEM           out of memory on either side
 *   ENODEV, ENOENT   no such device, file, name, tag
 *   EACCES, EPERM    no permission for the region or socket, or proof refused
 *   EPROTO           the peer broke the protocol
 *   EPROTONOSUPPORT  no common protocol version
 *   EOPNOTSUPP       the backend does not support the operation
 *   ECANCELED        pst_cancel() ended the operation
 *   EINTR            the function of pst_set_interrupt() ended the call
 *   EIO, ENODATA     the backend or a file failed
 *
 * The comment of a function lists its errors with their causes. Every function
 * that takes a connection can also return EBADF. pst_last_error() returns a
 * sentence for the last failure.
 *
 * Ownership. Arguments are borrowed for the call; what an operation uses must
 * stay valid until it has completed. What a function stores through a pointer
 * named ret or ret_* belongs to the caller, and is written only on success
 * unless the function says otherwise. Pointers must not be NULL unless the
 * function allows it.
 *
 * Units. Sizes and offsets are bytes, leading dimensions and strides are
 * elements, times named *_ns are nanoseconds of CLOCK_MONOTONIC.
 *
 * Threads. Every function may be called from several threads at once on one
 * connection, unless its comment says otherwise. A call that waits does not
 * keep other threads from submitting. The library starts one thread per
 * connection, with all signals blocked, which sleeps until the agent is lost.
 * The library never prints, exits, or changes a signal handler or any other
 * global state.
 *
 * Processes. A connection belongs to the process that opened it. In a child
 * made by fork() each call with it returns EBADF and does nothing else. Buffers
 * are not mapped there: a pointer into one is SIGSEGV. See pst_after_fork().
 *
 * Structures that the caller fills in begin with their size, which their
 * PST_*_INIT sets, with the plainest values for the rest: begin with it, then
 * set members. The library takes a structure of an older header, and of a newer
 * one if its new members are zero; else EINVAL. Structures that the library
 * fills in have room for new members in "reserved", which is zero.
 *
 * A function exists since version 1.0 of the library if its comment does not
 * name a later one by "Since:".
 */

struct pst;

/* The version of this header. */
#define PST_VERSION_MAJOR 0
#define PST_VERSION_MINOR 9
/*
 * Returns the version of the library, such as "0.9.0". Static; not to be freed.
 */
const char *pst_version(void);

/*
 * Returns a phrase for an error, a negative errno; "no error" for 0. Never
 * NULL. Static; not to be freed.
 */
const char *pst_strerror(int error);

/* ---- Connections ------------------------------------------------------- */

/*
 * Sets a function that decides whether waiting calls of this thread go on, on
 * all connections. Every call that waits asks it about every 100 ms; a short
 * call asks it now and then. If it returns nonzero the call ends with EINTR:
 * its operations are cancelled, C is undefined, and buffers stay busy until the
 * agent has finished with them, as after ETIMEDOUT. pst_wait() cancels the
 * operation that it waits for. pst_open() asks while it waits for an agent's
 * answer, not while the kernel connects.
 *
 * interrupted runs without a lock held and may call the library; those calls do
 * not ask. Where one needs what the interrupted call holds, such as its request
 * to the agent on the same connection, it fails with EBUSY, or ENOSPC for room.
 * NULL removes it: calls then wait whatever signals arrive. arg is passed on
 * unchanged and must stay valid as long as interrupted is set.
 *
 * Threads: sets it for the calling thread only.
 */
void pst_set_interrupt(int (*interrupted)(void *arg), void *arg);

struct pst_options {
	size_t size;         /* sizeof(struct pst_options), set by the caller */
	uint64_t timeout_ns; /* to connect, and of each request to the agent. 0:
				5 s; 60 s, which is also the maximum, until an
				agent of spawn: has started */
	uint64_t dead_ns;    /* a wait ends after so long without a heartbeat.
				0: 1 s; 10 s if the agent's CPU is emulated */
	uint64_t spin_ns;    /* a wait spins so long before it sleeps. 0: 50 us;
				UINT64_MAX: it never sleeps */
	uint32_t flags;      /* PST_OPEN_* */
	uint32_t queues;     /* ordered queues of operations, see
				pst_submit(); 0: 1, at most 8 */
	const char *name; /* of this client in the agent's statistics; NULL: the
			     name of the program */
};

/* Requests only: pst_query(), pst_ping(), and pst_model_open(), _unload() and
 * _list(). Takes no lane and starts no thread; pst_alloc(), tensors and
 * operations fail with EINVAL. */
#define PST_OPEN_CONTROL_ONLY 1U
/* Sleep at once, without spinning; spin_ns is ignored. */
#define PST_OPEN_NO_SPIN 2U
/* Wait for an agent that is about to come: try again, until timeout_ns has
 * passed, also while no agent listens or its socket or region's file is not
 * there yet. */
#define PST_OPEN_WAIT 4U
/* Only the thread that opens the connection makes calls with it, pst_close()
 * included. They need no lock then, of which a small operation among many has
 * much of its cost. A call of another thread is undefined; a library that was
 * built without -DNDEBUG aborts the program. */
#define PST_OPEN_SINGLE_THREAD 8U

/*
 * Connects to an agent and stores the connection in *ret, which the caller ends
 * with pst_close(). endpoint is a URI or a name (penstock(1), ENDPOINTS), or
 * NULL for $PENSTOCK_ENDPOINT. options may be NULL. The call blocks up to
 * timeout_ns. It retries while the agent is full or resets the connection, and
 * fails at once if no agent listens, unless PST_OPEN_WAIT is set.
 *
 * On failure *ret is NULL, and error_text (error_size bytes, may be NULL) holds
 * a sentence, NUL-terminated and cut to size.
 *
 * Errors: EINVAL (the endpoint or an option is malformed), ENOENT (no such
 * name, socket or region file; or neither endpoint nor $PENSTOCK_ENDPOINT is
 * set), ECONNREFUSED, ENODEV, EACCES, EPERM, EBUSY (no lane is free, or the
 * region is in use), ECONNRESET, EPROTO, EPROTONOSUPPORT, ETIMEDOUT, EMSGSIZE
 * (the endpoint is too long, or the region's size is out of range), ENOSPC (the
 * region has holes that cannot be filled), EINTR, ENOMEM.
 */
int pst_open(const char *endpoint, const struct pst_options *options,
	     struct pst **ret, char *error_text, size_t error_size);

/*
 * Checks an endpoint as pst_open() takes it, without connecting: that the URI
 * is well-formed, or that the name is configured with such a one. Says nothing
 * about whether an agent listens there. On failure error_text (error_size
 * bytes, may be NULL) holds a sentence.
 *
 * Errors: EINVAL (it is malformed), EMSGSIZE (it is too long), ENOENT (no such
 * name; or neither endpoint nor $PENSTOCK_ENDPOINT is set), EPERM (everybody
 * may write the name's file), EACCES.
 */
int pst_endpoint_check(const char *endpoint, char *error_text,
		       size_t error_size);

/*
 * Ends the session and frees the connection with all its buffers and pending
 * operations. Pointers into buffers become invalid. Does not wait for
 * operations. NULL does nothing.
 *
 * Threads: must be the last call on c; no other thread may be in a call.
 */
void pst_close(struct pst *c);

/*
 * In a child made by fork(): closes the descriptors of a connection of the
 * parent. As long as they are open the agent does not notice the parent's
 * death. Call it before the child closes descriptors by itself. Afterwards c
 * can only be given to pst_close(), which does the same and frees the rest;
 * neither ends the parent's session. A child that calls exec() at once needs
 * neither: all descriptors are closed by that.
 *
 * Errors: EINVAL (this process opened the connection).
 */
int pst_after_fork(struct pst *c);

/*
 * Copies the sentence of the calling thread's last failed call on c to buf:
 * size bytes, NUL-terminated, cut to size. Empty if no call failed. A thread
 * remembers the failures of the last four connections on which it had one.
 *
 * Threads: each thread has its own last error.
 */
void pst_last_error(struct pst *c, char *buf, size_t size);

/*
 * Returns whether the calling thread's last failed call on c, a pst_gemm() or
 * the pst_wait() for one, may have written to C. 0: every byte is as it was. 1:
 * any part may be new, and if C lies in a buffer, it may still be written until
 * the operation is over.
 *
 * With beta != 0 the product may be computed again, here or elsewhere, only
 * after 0. With beta = 0 it may always be, once nothing can write to C any
 * more.
 *
 * The result is 0 for every call that was refused (EINVAL, EFAULT, ENOSPC,
 * EAGAIN, a session that was lost before, ...). For C in the caller's own
 * memory it is 0 until a finished piece has been copied there. For C in a
 * buffer it is 1 as soon as the agent had the operation. A buffer of a lost
 * session has lost its contents in any case. 1 without a remembered failure.
 *
 * Threads: each thread has its own last error.
 */
int pst_c_touched(struct pst *c);

/* What the agent reported when the session was opened. Strings are
 * NUL-terminated. */
struct pst_info {
	size_t size;          /* sizeof(struct pst_info), set by the caller */
	uint64_t epoch;       /* number of the agent's life */
	uint64_t session;     /* number of the session */
	uint64_t arena_size;  /* bytes */
	uint64_t region_size; /* bytes of the backing file */
	uint64_t max_elems;   /* elements of one operand */
	uint64_t max_lease;   /* bytes one session may hold */
	uint32_t max_dim;     /* largest m, n, k or leading dimension */
	uint32_t n_slots;     /* operations that may be outstanding */
	uint32_t emulated;    /* 1 if the agent's CPU is emulated, else 0 */
	uint32_t page_size;   /* bytes, of this process's mapping */
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
	uint64_t max_tensor_bytes; /* of one session, all tensors */
	uint32_t queues;           /* of this connection */
	uint32_t lanes;            /* of the agent, that its queues share */
};

/*
 * Stores what the agent reported in *info, at most info->size bytes. Fields
 * that this library does not know are zero. Does not block.
 *
 * Errors: EINVAL (info->size is not set), ESTALE (the session is lost and no
 * new one is open).
 */
int pst_get_info(struct pst *c, struct pst_info *info);

/*
 * Returns 0 as long as the session lives, and ESTALE from its loss (half a
 * second later at most) until a call opens a new one. Does not block. An agent
 * that hangs is not lost: pst_ping() asks it.
 */
int pst_check(struct pst *c);

/* What pst_query() asks for. */
enum pst_topic {
	PST_QUERY_INFO,   /* the agent's description of itself */
	PST_QUERY_HEALTH, /* "healthy": true or false, and the reasons */
	PST_QUERY_STATS,  /* counters */
};

/*
 * Asks the agent and stores its answer in *ret_json: a JSON object as text,
 * NUL-terminated, which the caller frees with free(). Blocks up to timeout_ns
 * of the options. Opens a new session if the last one is lost.
 *
 * Errors: EINVAL (what is unknown), ECONNRESET, ETIMEDOUT, EPROTO, ENOMEM, and
 * those of pst_open().
 */
int pst_query(struct pst *c, enum pst_topic what, char **ret_json);

/*
 * Sends a message over the control socket and waits for its echo. Stores the
 * time of the round trip in *ret_ns, which may be NULL. Errors as of
 * pst_query().
 */
int pst_ping(struct pst *c, uint64_t *ret_ns);

/* ---- Memory ------------------------------------------------------------ */

/*
 * Allocates a buffer in the region: size bytes, aligned to 64, and to 4096 from
 * 64 KiB on; contents undefined. Stores its address in *ret; the caller gives
 * it back with pst_free(). Pointers to any byte of it may be given to calls.
 * Blocks only while the library leases more of the arena.
 *
 * If the session is lost the buffer stays readable and writable, but turns into
 * private memory that is zero at first. Calls with it then return ESTALE. The
 * next pst_alloc() opens a new session.
 *
 * Errors: EINVAL (size is 0), ENOSPC (no room now: other clients, or other
 * buffers of this connection, have it), EMSGSIZE (above max_lease),
 * ECONNREFUSED, ECONNRESET, ETIMEDOUT, ENOMEM, and those of pst_open().
 */
int pst_alloc(struct pst *c, size_t size, void **ret);

/*
 * Gives a buffer back. If an operation still uses it (a deadline or
 * pst_cancel() ended only the wait), it is freed when the operation is over.
 * Does not block. NULL does nothing.
 *
 * Errors: EINVAL (ptr is not the start of a buffer of c).
 */
int pst_free(struct pst *c, void *ptr);

/*
 * Returns the open connection of this process that has a buffer which ptr
 * points into, also one of a lost session, or NULL. One whose calls another
 * thread makes (PST_OPEN_SINGLE_THREAD) is not returned.
 */
struct pst *pst_owner(const void *ptr);

/*
 * Waits until no operation uses the buffer that ptr points into, at most
 * timeout_ns; with 0 it only looks. So a caller whose call has ended with
 * ETIMEDOUT or EINTR learns when the agent has finished with its operands.
 *
 * Errors: EFAULT (ptr points into no buffer of c), ESTALE (the session is lost:
 * nobody else uses the buffer), ETIMEDOUT, EINTR.
 */
int pst_wait_buffer(struct pst *c, const void *ptr, uint64_t timeout_ns);

/*
 * Copies n bytes of a result from a buffer, src, to private memory, dst. A
 * result that is read in place lies in memory that the guest could still
 * change. Whoever decides something by a result copies it first and checks the
 * copy. On failure the contents of dst are undefined.
 *
 * Errors: EFAULT (n bytes from src on do not lie in one buffer of c), ESTALE
 * (the session was lost before the copy was complete).
 */
int pst_take(struct pst *c, void *dst, const void *src, size_t n);

/* ---- Resident tensors -------------------------------------------------- */

/*
 * A tensor is memory of the backend, such as a GPU's, apart from the region. An
 * operand that is used again and again is copied there once (pst_upload(),
 * pst_copy()) and named in calls by its id, which is never 0 and never reused.
 *
 * A tensor belongs to the session and is lost with it: calls with its id then
 * return ESTALE, also after a new session was opened.
 */

/*
 * Creates a tensor of size bytes, all zero, and stores its id in *ret_tensor.
 * The caller gives it back with pst_tensor_destroy(). Blocks up to timeout_ns
 * of the options. Opens a new session if the last one is lost.
 *
 * Errors: EINVAL (size is 0), EOPNOTSUPP (the backend has no tensors), EMSGSIZE
 * (size is above the limit of one session), ENOSPC (with the session's other
 * tensors it is above the limit in bytes or number), EBUSY (memory of destroyed
 * tensors is still in use; try again), ENOMEM (the device has no room),
 * ECONNREFUSED, ECONNRESET, ETIMEDOUT, and those of pst_open().
 */
int pst_tensor_create(struct pst *c, uint64_t size, uint64_t *ret_tensor);

/*
 * Destroys a tensor, once no submitted operation uses it any more. Does not
 * block. Returns 0 for a tensor of a lost session.
 *
 * Errors: ENOENT (no tensor of c, or destroyed before).
 */
int pst_tensor_destroy(struct pst *c, uint64_t tensor);

struct pst_tensor {
	uint64_t tensor; /* id */
	uint64_t size;   /* bytes */
	uint64_t reserved[2];
};

/*
 * Asks the agent for the session's tensors and stores at most max of them in
 * ret, an array of max elements, oldest first. Returns their total number,
 * which may exceed max. Blocks up to timeout_ns of the options.
 *
 * Errors: ESTALE (the session is lost), ECONNRESET, ETIMEDOUT, ENOMEM.
 */
int pst_tensor_list(struct pst *c, struct pst_tensor *ret, int max);

/*
 * Copies n bytes from any memory, src, into a tensor from byte off on. Waits at
 * most timeout_ns. From a buffer of c this is one operation. Other memory goes
 * through a buffer that is leased for the call: one part is copied here while
 * the agent copies another. n may be 0. When the call has returned, src is no
 * longer used; on failure part of the tensor may be new.
 *
 * Errors: those of pst_copy() and pst_alloc().
 */
int pst_upload(struct pst *c, uint64_t tensor, uint64_t off, const void *src,
	       uint64_t n, uint64_t timeout_ns);
/*
 * Copies n bytes from a tensor, from byte off on, to any memory, dst; the
 * reverse of pst_upload(). On failure part of dst may be new.
 *
 * Errors: those of pst_copy() and pst_alloc().
 */
int pst_download(struct pst *c, void *dst, uint64_t tensor, uint64_t off,
		 uint64_t n, uint64_t timeout_ns);

/* ---- Operations -------------------------------------------------------- */

enum pst_dtype {
	PST_F32 = 1,
	PST_F64 = 2,
	PST_F16 = 3,  /* IEEE 754 binary16 */
	PST_BF16 = 4, /* the upper half of an F32 */
	PST_I8 = 5,
	PST_I32 = 6, /* of C with A and B of I8 */
	/* Of pst_run() only. */
	PST_I64 = 7,
	PST_U8 = 8,
	PST_BOOL = 9, /* a byte, 0 or 1 */
	PST_I16 = 10,
	PST_U16 = 11,
	PST_U32 = 12,
	PST_U64 = 13,
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

/* The function that is applied to each element of the result last. */
enum pst_act {
	PST_ACT_NONE = 0,
	PST_ACT_RELU = 1,      /* max(x, 0); of NaN a GPU may make 0 */
	PST_ACT_GELU_TANH = 2, /* 0.5 x (1 + tanh(sqrt(2/pi)(x + 0.044715 x^3)))
				*/
	PST_ACT_GELU_ERF = 3,  /* 0.5 x (1 + erf(x / sqrt(2))) */
};

/*
 * C = act(alpha op(A) op(B) + beta C + bias), with op(A) m x k, op(B) k x n and
 * C m x n, in the terms of CBLAS: leading dimensions in elements; op is the
 * transpose if transa or transb is set. With k = 0 or alpha = 0 neither A nor B
 * is read. With beta = 0 C is not read; NaN there is harmless.
 *
 * C must not overlap an operand that is read. The C of a single product may lie
 * beside A or B in one larger matrix. bias has n elements of C's type and is
 * added to every row of C in both orders; NULL (with bias_tensor 0): no bias.
 *
 * A and B have type dtype, C and bias dtype_c; 0: the natural one.
 *
 *   dtype       dtype_c            sums
 *   F64, F32    the same           in dtype
 *   F16, BF16   the same or F32    in F32
 *   I8          I32                modulo 2^32; alpha and beta are integers
 *
 * batch > 1 is that many products: operand x of the next one begins stride_x
 * elements further on. A stride of 0 uses A or B again; the Cs must not
 * overlap. batch 0 means 1.
 *
 * x_tensor names a resident tensor in the place of pointer x, which is NULL
 * then.
 *
 * Operands in buffers of the connection are used in place. pst_gemm() also
 * takes operands anywhere in the caller's memory, next to resident tensors too,
 * and larger than the arena: pieces are copied through leased room while others
 * are computed. Sums of 16-bit elements that are cut along k are kept in F32
 * until they are complete. The first such call of a process measures ways to
 * copy, which takes about 20 ms. Each operand is aligned to its elements, or
 * the call fails with EINVAL. pst_submit_gemm() refuses such operands with
 * EFAULT.
 *
 * With PST_GEMM_INIT it is a plain product, C = A B: dtype, m, n, k and the
 * operands have to be set. A leading dimension of 0 means a packed matrix.
 */
struct pst_gemm_args {
	size_t size;             /* sizeof(struct pst_gemm_args) */
	uint32_t dtype;          /* enum pst_dtype */
	uint32_t order;          /* enum pst_order */
	uint32_t transa, transb; /* 0 or 1 */
	uint32_t m, n, k;
	uint32_t lda, ldb, ldc; /* elements, or 0 */
	double alpha, beta;
	const void *a;
	const void *b;
	void *c;
	uint32_t dtype_c;                      /* enum pst_dtype, or 0 */
	uint32_t compute;                      /* enum pst_compute */
	uint32_t act;                          /* enum pst_act */
	uint32_t batch;                        /* number of products */
	uint64_t stride_a, stride_b, stride_c; /* elements */
	const void *bias;                      /* n elements */
	uint64_t a_tensor, b_tensor, c_tensor, bias_tensor;
};

/*
 * A copy of n bytes from one place to another that does not overlap it. Each
 * place is a pointer into a buffer of the connection, or a tensor and a byte
 * offset in it, with a NULL pointer.
 */
struct pst_copy_args {
	size_t size; /* sizeof(struct pst_copy_args) */
	const void *src;
	void *dst;
	uint64_t n; /* not 0 */
	uint64_t src_tensor, src_off;
	uint64_t dst_tensor, dst_off;
};

/* The end of an operation. */
struct pst_completion {
	uint64_t tag;
	uint64_t user_data; /* as submitted; 0 of synchronous calls */
	int32_t status;     /* 0 or a negative errno */
	uint32_t reserved0;
	uint64_t compute_ns; /* the backend's own time */
	uint64_t queue_ns;   /* from the agent's receipt to its start */
	uint64_t result;     /* of pst_checksum(), else 0 */
	uint64_t reserved[2];
};

/* No deadline. */
#define PST_FOREVER UINT64_MAX

/*
 * Synchronous calls: submit an operation and wait for it, at most timeout_ns
 * from now on. Store how it ended in *done, which may be NULL. Operations of
 * one queue run in order.
 *
 * A deadline ends the wait, not the operation: after ETIMEDOUT or EINTR its
 * buffers stay busy and its results are undefined until the agent has finished
 * with it, which pst_wait_buffer() awaits.
 *
 * Errors of all: EAGAIN (n_slots operations are outstanding), ESTALE (the
 * session is lost, or a buffer or tensor of a lost one), ECONNRESET (the
 * session was lost during the call), ETIMEDOUT, EINTR, EPROTO, and the
 * operation's own status: EINVAL, EMSGSIZE, EOPNOTSUPP, ECANCELED, ENOMEM, EIO.
 */

/*
 * Does nothing, and so measures the way to the agent and back. Opens a new
 * session if the last one is lost; then it blocks and fails as pst_open() does.
 */
int pst_nop(struct pst *c, uint64_t timeout_ns, struct pst_completion *done);

/*
 * Computes a product, or a batch of products; see struct pst_gemm_args. After
 * an error pst_c_touched() says whether C was written to.
 *
 * Errors: EINVAL (an argument that CBLAS would refuse, an unknown type, C
 * overlaps an operand), EMSGSIZE (above max_dim, max_elems or max_batch),
 * EOVERFLOW, EFAULT (an operand leaves its buffer, or is NULL), ENOENT (no such
 * tensor), EOPNOTSUPP (the backend lacks the type or mode), ENOSPC (operands
 * outside of buffers, and buffers hold all room for their pieces).
 */
int pst_gemm(struct pst *c, const struct pst_gemm_args *g, uint64_t timeout_ns,
	     struct pst_completion *done);

/*
 * As pst_gemm(), and never leaves a product half done: when the agent fails,
 * timeout_ns has passed, or the call is interrupted, it calls local(arg, piece)
 * in this thread, without a lock, for exactly those parts of C that the agent
 * did not complete: products of no batch, whose operands are pointers. local
 * returns 0 or an error. They have the contents from before the call, so beta
 * counts once. Returns 0 if the agent computed all of C, or in how many pieces
 * local has computed the rest, which is complete then as well; done->status and
 * pst_last_error() say why.
 *
 * Fails as pst_gemm() without calling local for arguments that are refused
 * before anything is sent, if C is not in the caller's own memory, or an
 * operand is in a tensor or a lost buffer; and if local fails.
 */
int pst_gemm_or(struct pst *c, const struct pst_gemm_args *g,
		uint64_t timeout_ns,
		int (*local)(void *arg, const struct pst_gemm_args *piece),
		void *arg, struct pst_completion *done);

/*
 * Fills n bytes of a buffer, from dst on, with a pattern of pattern_size bytes:
 * 1, 4 or 8. n is a multiple of pattern_size.
 *
 * Errors: EINVAL (n or pattern_size), EFAULT (dst).
 */
int pst_fill(struct pst *c, void *dst, size_t n, uint64_t pattern,
	     unsigned int pattern_size, uint64_t timeout_ns,
	     struct pst_completion *done);

/*
 * Copies between buffers and tensors; see struct pst_copy_args.
 *
 * Errors: EINVAL (n is 0, or the places overlap), ENOENT (no such tensor),
 * EFAULT (beyond the end of a tensor or buffer).
 */
int pst_copy(struct pst *c, const struct pst_copy_args *copy,
	     uint64_t timeout_ns, struct pst_completion *done);

/*
 * Computes the XXH3 checksum (64 bits, seed 0) of n bytes of a buffer from src
 * on, and stores it in done->result.
 *
 * Errors: EINVAL (n is 0), EFAULT (src).
 */
int pst_checksum(struct pst *c, const void *src, size_t n, uint64_t timeout_ns,
		 struct pst_completion *done);

/*
 * Asynchronous calls: submit an operation and return at once. Its completion
 * carries user_data and a tag. *ret_tag (ret_tag may be NULL) names the
 * operation until pst_wait(), pst_wait_any() or pst_poll() has returned its
 * completion. Arguments are copied. Operands lie in buffers of the connection
 * or in tensors, else EFAULT, and stay allocated until then.
 *
 * Errors of all: EAGAIN (n_slots operations are outstanding, among them those
 * given up and those not yet collected: collect some and try again, see
 * penstock(3), ASYNCHRONOUS OPERATIONS), ESTALE (the session is lost), and
 * those that the synchronous call has for its arguments.
 */

/*
 * Submits pst_nop(). Opens a new session if the last one is lost; then it
 * blocks and fails as pst_open() does.
 */
int pst_submit_nop(struct pst *c, uint64_t user_data, uint64_t *ret_tag);

/*
 * Submits pst_gemm().
 */
int pst_submit_gemm(struct pst *c, const struct pst_gemm_args *g,
		    uint64_t user_data, uint64_t *ret_tag);

/*
 * Submits pst_fill().
 */
int pst_submit_fill(struct pst *c, void *dst, size_t n, uint64_t pattern,
		    unsigned int pattern_size, uint64_t user_data,
		    uint64_t *ret_tag);

/*
 * Submits pst_checksum(). The checksum is the completion's result.
 */
int pst_submit_checksum(struct pst *c, const void *src, size_t n,
			uint64_t user_data, uint64_t *ret_tag);

/*
 * Submits pst_copy().
 */
int pst_submit_copy(struct pst *c, const struct pst_copy_args *copy,
		    uint64_t user_data, uint64_t *ret_tag);

enum pst_op_kind {
	PST_OP_NOP = 1,
	PST_OP_GEMM = 2,
	PST_OP_COPY = 3,
	PST_OP_INFER = 4,
};

/* One of many operations; see pst_submit(). */
struct pst_submission {
	size_t size;    /* sizeof(struct pst_submission), the same in all */
	uint32_t op;    /* enum pst_op_kind */
	uint32_t queue; /* below options.queues */
	uint64_t user_data;
	union {
		const void *none; /* of PST_OP_NOP, NULL */
		const struct pst_gemm_args *gemm;
		const struct pst_copy_args *copy;
		const struct pst_infer_args *infer;
	} args;
};

/*
 * Submits n operations at once, which costs less than one by one. Returns how
 * many it has submitted, the first ones, and stores their tags in ret_tags, an
 * array of n, or NULL. If that is less than n, the next one cannot be
 * submitted: a call that begins with it says why.
 *
 * Operations of a queue run in order and do not wait for other queues'. Every
 * other call uses queue 0; to wait in another, submit here and pst_wait().
 *
 * Errors: EINVAL (n is below 1; size, op or queue), and those of the
 * asynchronous call of the first operation. A lost session is ESTALE for a NOP,
 * too.
 */
int pst_submit(struct pst *c, const struct pst_submission *ops, int n,
	       uint64_t *ret_tags);

/*
 * Collects at most max completions into ret, an array of max elements, and
 * returns their number. Does not wait: what completes meanwhile may be left to
 * the next call. Leaves out operations that a pst_wait() waits for. After a
 * loss of the session, operations complete with ECONNRESET, ESTALE or EPROTO.
 */
int pst_poll(struct pst *c, struct pst_completion *ret, int max);

/*
 * As pst_poll(), but waits until there is at least one, at most timeout_ns.
 * Operations of several threads are collected by any of them.
 *
 * Errors: EINVAL (max is below 1), ENOENT (no operation is outstanding that no
 * pst_wait() waits for), ETIMEDOUT, EINTR.
 */
int pst_wait_any(struct pst *c, struct pst_completion *ret, int max,
		 uint64_t timeout_ns);

/*
 * Waits for one operation, at most timeout_ns, and returns its status. Stores
 * its completion in *ret, which may be NULL. After ETIMEDOUT and EINTR, which
 * also cancels it, the operation is still outstanding: wait again.
 *
 * Errors: ENOENT (no such tag, its completion was collected before, or another
 * thread waits for it), ETIMEDOUT, EINTR, and those of the synchronous call.
 */
int pst_wait(struct pst *c, uint64_t tag, uint64_t timeout_ns,
	     struct pst_completion *ret);

/*
 * Asks the agent why an operation failed, and copies its sentence to buf: size
 * bytes, NUL-terminated, cut to size. For completions from pst_poll(): calls
 * that wait have asked already, see pst_last_error(). The agent remembers the
 * last 16 failures of a session. Blocks up to timeout_ns of the options.
 *
 * Errors: ENOENT (the agent has no sentence for this tag), ESTALE, ECONNRESET,
 * ETIMEDOUT.
 */
int pst_failure(struct pst *c, uint64_t tag, char *buf, size_t size);

/*
 * Asks the agent to cancel an operation. Does not wait. The operation completes
 * with ECANCELED, or as usual if it was too late.
 *
 * Errors: ENOENT (no operation of this tag is outstanding), EAGAIN (the control
 * socket is full; try again), ECONNRESET (the session was just lost).
 */
int pst_cancel(struct pst *c, uint64_t tag);

/*
 * Returns a descriptor for an event loop, which becomes readable after
 * pst_arm() returned 0. It belongs to the connection, is valid until
 * pst_close() also across a loss of the session, and must be neither read nor
 * closed.
 *
 * Errors: EMFILE, ENFILE, ENOMEM (no descriptor could be made).
 */
int pst_fd(struct pst *c);
/*
 * Prepares to sleep in an event loop. Returns 1 if completions can be collected
 * or the session was lost: call pst_poll() now. Otherwise returns 0, and the
 * descriptor of pst_fd() becomes readable at the next completion or loss; call
 * pst_poll() then. It may become readable without a completion. Errors as of
 * pst_fd().
 */
int pst_arm(struct pst *c);

/* ---- Models ------------------------------------------------------------ */

/*
 * A network that the agent has loaded under a name. Every client of the agent
 * may use it until it is unloaded or the agent ends. The library fills the
 * structure in; a copy of it is as good. It needs no release.
 */
struct pst_model {
	uint64_t handle; /* the agent's, of this epoch */
	uint64_t epoch;
	uint64_t bytes;     /* of the weights, as in the file */
	uint32_t n_in;      /* F32 elements of an input row */
	uint32_t n_out;     /* F32 elements of an output row */
	uint32_t max_batch; /* rows of one operation */
	uint32_t n_layers;
	uint32_t dtype; /* of the weights, enum pst_dtype */
	uint32_t reserved0;
	char name[64];
	uint64_t reserved[4];
};

/*
 * Loads a model file (penstock-models(7)) at path under a name of 1 to 63
 * characters of A-Z a-z 0-9 . _ -, and describes it in *ret, which may be NULL.
 * The weights go to the backend's memory in pieces. Waits at most timeout_ns;
 * if that passes at the very end, the model may be loaded nevertheless.
 *
 * Errors: EINVAL (the name; no regular file; no model file; a layer that does
 * not fit, which the sentence names), ENODATA (the file is truncated), errno of
 * open(2), EMSGSIZE (the file's header or its bytes exceed a limit), ENOSPC
 * (the models loaded leave no room for its number or bytes), EBUSY (the name is
 * taken, or other clients are loading), ENOMEM (the device has no room),
 * EOPNOTSUPP (the backend has no models), and those of pst_alloc() and
 * pst_upload().
 */
int pst_model_load(struct pst *c, const char *name, const char *path,
		   uint64_t timeout_ns, struct pst_model *ret);

/*
 * Describes in *ret the model that is loaded under a name. Blocks up to
 * timeout_ns of the options.
 *
 * Errors: ENOENT (no such model), EINVAL (the name), ECONNRESET, ETIMEDOUT,
 * EPROTO, and those of pst_open().
 */
int pst_model_open(struct pst *c, const char *name, struct pst_model *ret);

/*
 * Unloads a model, whoever loaded it. Operations under way finish first; later
 * ones fail with ENOENT. Errors as of pst_model_open().
 */
int pst_model_unload(struct pst *c, const char *name);

/*
 * Stores in *ret_json the models that are loaded: a JSON object as text
 * (penstock(1), model list), which the caller frees with free(). Errors as of
 * pst_query().
 */
int pst_model_list(struct pst *c, char **ret_json);

/* Rows of input: rows rows of model->n_in elements at in, ld_in elements apart,
 * give as many rows of model->n_out elements at out, ld_out elements apart. An
 * ld of 0 means packed rows. */
struct pst_infer_args {
	size_t size; /* sizeof(struct pst_infer_args) */
	const struct pst_model *model;
	const float *in;
	float *out;
	uint32_t rows;
	uint32_t ld_in, ld_out;
	uint32_t reserved; /* 0 */
};

/*
 * Runs a model on rows in any memory, and waits at most timeout_ns. Rows in
 * buffers of c are used in place; others are copied through a buffer of at most
 * 4 MiB. More rows than max_batch take several operations. done may be NULL;
 * its times are sums. On failure the contents of out are undefined.
 *
 * Errors: EINVAL (no rows, or rows that overlap), ENOENT (the model was
 * unloaded), ESTALE (the model was loaded on an agent that is gone, or a buffer
 * belongs to a lost session), EFAULT (rows leave their buffer, or are NULL),
 * and those of pst_gemm().
 */
int pst_infer(struct pst *c, const struct pst_infer_args *f,
	      uint64_t timeout_ns, struct pst_completion *done);

/*
 * Submits pst_infer(). rows is at most max_batch, else EMSGSIZE; in and out lie
 * in buffers of c. *f and the model are copied.
 */
int pst_submit_infer(struct pst *c, const struct pst_infer_args *f,
		     uint64_t user_data, uint64_t *ret_tag);

/* ---- Initialisers ------------------------------------------------------- */

/* clang-format off */
#define PST_OPTIONS_INIT {sizeof(struct pst_options), 0, 0, 0, 0, 0, NULL}
#define PST_INFO_INIT \
	{sizeof(struct pst_info), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, {0}, {0}, {0}, \
	 {0}, {0}, {0}, {0}, {0}, {0}, {0}, 0, 0, 0, 0, 0}
#define PST_GEMM_INIT \
	{sizeof(struct pst_gemm_args), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, NULL, \
	 NULL, NULL, 0, 0, 0, 0, 0, 0, 0, NULL, 0, 0, 0, 0}
#define PST_COPY_INIT \
	{sizeof(struct pst_copy_args), NULL, NULL, 0, 0, 0, 0, 0}
#define PST_INFER_INIT \
	{sizeof(struct pst_infer_args), NULL, NULL, NULL, 0, 0, 0, 0}
#define PST_SUBMISSION_INIT {sizeof(struct pst_submission), 0, 0, 0, {NULL}}
/* clang-format on */

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif

#include "penstock_run.h"

#endif
