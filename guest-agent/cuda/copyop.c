/* SPDX-License-Identifier: MIT */
/* COPY, FILL and CHECKSUM. */
#include "guest-agent/cuda/copyop.h"

#include <errno.h>
#include <string.h>
#include <xxhash.h>

#include "guest-agent/cuda/context.h"
#include "transport/base/util.h"

/* One piece of a COPY: under 2 ms of a PCIe bus, so that other copies get a
 * turn. */
#define COPY_PIECE (32ULL << 20)
/* Bytes the CPU works on between two readings of the clock. */
#define HOST_PIECE (256ULL << 10)
#define SLICE_NS   (10 * PST_NS_PER_MS)

uint64_t pst_cuda_copy_pieces(const struct pst_op *op)
{
	return (op->a.size + COPY_PIECE - 1) / COPY_PIECE;
}

int pst_cuda_copy_issue(struct pst_backend *b, struct pst_cuda_job *job,
			const struct pst_op *op, uint64_t u,
			struct pst_error *err)
{
	const uint64_t at = u * COPY_PIECE;
	const uint64_t left = op->a.size - at;
	const uint64_t n = left < COPY_PIECE ? left : COPY_PIECE;
	const bool up = !op->a.mem;
	struct pst_cuda_lines l = {.pitch = n,
				   .dev_pitch = n,
				   .width = n,
				   .n = 1,
				   .to_device = up};
	int r;

	if (op->a.mem && op->c.mem) {
		r = pst_cuda_ok(
			cudaMemcpyAsync((uint8_t *)op->c.mem + op->c.off + at,
					(uint8_t *)op->a.mem + op->a.off + at,
					n, cudaMemcpyDeviceToDevice,
					job->lane->stream),
			"copying on the device", err);
	} else {
		l.off = (up ? op->a.off : op->c.off) + at;
		l.dev = up ? (uint8_t *)op->c.mem + op->c.off + at
			   : (uint8_t *)op->a.mem + op->a.off + at;
		r = pst_cuda_mover_copy(&job->lane->mover, &l, err);
	}
	if (r == 0)
		r = pst_cuda_flight_mark(&job->flight, job->lane->stream, err);
	return r < 0 ? r : 1;
}

bool pst_cuda_host_has(const struct pst_op *op)
{
	switch (op->op) {
	case PST_WIRE_OP_FILL:
	case PST_WIRE_OP_CHECKSUM:
		return !op->a.mem;
	case PST_WIRE_OP_COPY:
		return !op->a.mem && !op->c.mem;
	default:
		return false;
	}
}

int pst_cuda_host_begin(struct pst_backend_op *bop, struct pst_error *err)
{
	if (bop->op.op != PST_WIRE_OP_CHECKSUM)
		return 0;
	bop->priv = XXH3_createState();
	if (!bop->priv)
		return pst_oom(err);
	XXH3_64bits_reset(bop->priv);
	return 0;
}

void pst_cuda_host_end(struct pst_backend_op *bop)
{
	XXH3_freeState(bop->priv);
	bop->priv = NULL;
}

/* Patterns are 1, 4 or 8 bytes wide: 8 bytes of it repeat. */
static void fill(uint8_t *dst, uint64_t n, const struct pst_op *op)
{
	uint8_t line[64];
	uint64_t i;

	for (i = 0; i < sizeof(line); i += op->pattern_size)
		memcpy(line + i, &op->pattern, op->pattern_size);
	for (i = 0; i + sizeof(line) <= n; i += sizeof(line))
		memcpy(dst + i, line, sizeof(line));
	memcpy(dst + i, line, n - i);
}

int pst_cuda_host_step(struct pst_backend *b, struct pst_backend_op *bop)
{
	const uint64_t deadline = pst_now_ns() + SLICE_NS;
	const struct pst_op *op = &bop->op;
	uint64_t *at = &bop->cursor[0], n;

	while (*at < op->a.size) {
		n = op->a.size - *at;
		if (n > HOST_PIECE)
			n = HOST_PIECE;
		if (op->op == PST_WIRE_OP_FILL)
			fill(b->base + op->a.off + *at, n, op);
		else if (op->op == PST_WIRE_OP_CHECKSUM)
			XXH3_64bits_update(bop->priv, b->base + op->a.off + *at,
					   n);
		else
			memcpy(b->base + op->c.off + *at,
			       b->base + op->a.off + *at, n);
		*at += n;
		if (pst_now_ns() >= deadline)
			break;
	}
	if (*at < op->a.size)
		return PST_AGENT_STEP_MORE;
	if (op->op == PST_WIRE_OP_CHECKSUM)
		bop->result = XXH3_64bits_digest(bop->priv);
	return PST_AGENT_STEP_DONE;
}
