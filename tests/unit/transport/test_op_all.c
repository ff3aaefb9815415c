/* SPDX-License-Identifier: MIT */
/* The descriptor check over every small product, against sets of bytes. */
#include <errno.h>
#include <string.h>

#include "tests/fixtures/unit.h"
#include "transport/op.h"

/* The memory that is held; a set of bytes is a word's bits. */
#define AT   8U
#define HELD 8U
#define ELEM 2U

/* Every dimension, leading dimension and position up to these. */
#define MAX_DIM 2U
#define MAX_LD  3U

struct sums {
	uint64_t asked, accepted;
};

static bool holds(void *arg, const struct pst_span *s)
{
	PST_MUST(s->size > 0);
	return s->off >= AT && s->size <= HELD && s->off - AT <= HELD - s->size;
}

static const struct pst_wire_limits limits = {
	.max_dim = MAX_LD,
	.max_clients = 1,
	.max_elems = 1000,
	.max_lease = 1000,
	.max_batch = 3,
};

static const struct pst_op_env env = {.limits = &limits, .holds = holds};

/* The bytes of all elements, counted one by one; 0 if there is none. elem bytes
 * each, lines ld elements apart, products stride elements apart. */
static uint64_t bytes_of(bool col, uint32_t rows, uint32_t cols, uint32_t ld,
			 uint32_t batch, uint64_t stride, uint64_t off,
			 unsigned int elem)
{
	uint64_t set = 0, at;
	uint32_t p, i, j;
	unsigned int e;

	for (p = 0; p < batch; p++)
		for (i = 0; i < rows; i++)
			for (j = 0; j < cols; j++)
				for (e = 0; e < elem; e++) {
					at = off +
					     elem * (p * stride +
						     (col ? j * ld + i
							  : i * ld + j)) +
					     e;
					/* Far outside is outside. */
					set |= 1ULL << (at < 63 ? at : 63);
				}
	return set;
}

/* From the first to the last of them. */
static uint64_t hull(uint64_t set)
{
	if (!set)
		return 0;
	return (~0ULL << __builtin_ctzll(set)) &
	       (~0ULL >> __builtin_clzll(set));
}

static bool is_held(uint64_t set)
{
	return !(set & ~(((1ULL << HELD) - 1) << AT));
}

/* What a product touches. */
struct touched {
	uint64_t a, b, c;
};

static struct touched touched_by(const struct pst_wire_sqe *s, double alpha)
{
	const bool col = s->order == PST_WIRE_COL_MAJOR;
	const bool ta = s->trans & PST_WIRE_TRANSA;
	const bool tb = s->trans & PST_WIRE_TRANSB;
	const unsigned int elem = pst_dtype_size(s->dtype);
	struct touched t = {0};

	t.c = bytes_of(col, s->m, s->n, s->ldc, s->batch, s->stride_c, s->off_c,
		       pst_dtype_size(s->dtype_c));
	if (!t.c || alpha == 0 || !s->k)
		return t;
	t.a = bytes_of(col, ta ? s->k : s->m, ta ? s->m : s->k, s->lda,
		       s->batch, s->stride_a, s->off_a, elem);
	t.b = bytes_of(col, tb ? s->n : s->k, tb ? s->k : s->n, s->ldb,
		       s->batch, s->stride_b, s->off_b, elem);
	return t;
}

static bool ld_fits(const struct pst_wire_sqe *s, bool trans, uint32_t rows,
		    uint32_t cols, uint32_t ld)
{
	const bool by_rows = (s->order == PST_WIRE_COL_MAJOR) != trans;

	return ld && ld >= (by_rows ? rows : cols);
}

/* What is accepted is held, and C is nobody else's; what is apart as a whole,
 * held and well formed is accepted. */
static void check(const struct pst_wire_sqe *s, double alpha, struct sums *n)
{
	const struct touched t = touched_by(s, alpha);
	const bool fits =
		ld_fits(s, s->trans & PST_WIRE_TRANSA, s->m, s->k, s->lda) &&
		ld_fits(s, s->trans & PST_WIRE_TRANSB, s->k, s->n, s->ldb) &&
		ld_fits(s, false, s->m, s->n, s->ldc);
	const uint64_t one = hull(bytes_of(s->order == PST_WIRE_COL_MAJOR, s->m,
					   s->n, s->ldc, 1, 0, 0, 1));
	struct pst_error err;
	struct pst_op op;
	int r = pst_op_check(s, &env, &op, &err);

	n->asked++;
	if (r == 0) {
		n->accepted++;
		PST_MUST(fits);
		PST_MUST(is_held(t.a) && is_held(t.b) && is_held(t.c));
		PST_MUST(!(t.c & (t.a | t.b)));
		/* Nor does one element of C lie on another. */
		PST_MUST((uint64_t)__builtin_popcountll(t.c) ==
			 (uint64_t)s->m * s->n * s->batch * ELEM);
		PST_MUST(op.a.size ==
			 (uint64_t)__builtin_popcountll(hull(t.a)));
		PST_MUST(op.b.size ==
			 (uint64_t)__builtin_popcountll(hull(t.b)));
		PST_MUST(op.c.size ==
			 (uint64_t)__builtin_popcountll(hull(t.c)));
		return;
	}
	PST_MUST(r == -EINVAL || r == -EFAULT);
	PST_MUST(!fits || (t.a && s->off_a % ELEM) ||
		 (t.b && s->off_b % ELEM) || (t.c && s->off_c % ELEM) ||
		 !is_held(hull(t.a)) || !is_held(hull(t.b)) ||
		 !is_held(hull(t.c)) || hull(t.c) & (hull(t.a) | hull(t.b)) ||
		 (s->batch > 1 && one &&
		  s->stride_c < (uint64_t)__builtin_popcountll(one)));
}

static uint64_t bits(double v)
{
	uint64_t r;

	memcpy(&r, &v, sizeof(r));
	return r;
}

/* Every leading dimension and place of the operands. */
static void all_places(struct pst_wire_sqe *s, double alpha, struct sums *n)
{
	static const uint64_t places[] = {0, 7, 8, 9, 11, 13, 15};
	const unsigned int n_places = sizeof(places) / sizeof(*places);
	unsigned int i, ld;

	for (ld = 0; ld < 64; ld++) {
		s->lda = ld % 4;
		s->ldb = ld / 4 % 4;
		s->ldc = ld / 16;
		for (i = 0; i < n_places * n_places * n_places; i++) {
			s->off_a = places[i % n_places];
			s->off_b = places[i / n_places % n_places];
			s->off_c = places[i / n_places / n_places];
			check(s, alpha, n);
		}
	}
}

static struct pst_wire_sqe product(unsigned int dims, unsigned int trans)
{
	const unsigned int base = MAX_DIM + 1;

	return (struct pst_wire_sqe){
		.op = PST_WIRE_OP_GEMM,
		.dtype = PST_WIRE_F16,
		.dtype_c = PST_WIRE_F16,
		.order = (uint8_t)(trans & 1),
		.trans = (uint8_t)(trans >> 1),
		.batch = 1,
		.m = dims % base,
		.n = dims / base % base,
		.k = dims / base / base,
	};
}

START_TEST(every_small_product_stays_in_its_bytes)
{
	struct sums n = {0};
	unsigned int dims, trans, i;
	struct pst_wire_sqe s;

	for (dims = 0; dims < 27; dims++)
		for (trans = 0; trans < 8; trans++)
			for (i = 0; i < 2; i++) {
				s = product(dims, trans);
				s.alpha = bits(i);
				all_places(&s, i, &n);
			}
	ck_assert_uint_eq(n.asked, 27ULL * 8 * 2 * 64 * 343);
	ck_assert_uint_gt(n.accepted, 50000);
	ck_assert_uint_lt(n.accepted, n.asked / 2);
}
END_TEST

START_TEST(every_small_batch_stays_in_its_bytes)
{
	struct sums n = {0};
	unsigned int dims, trans, i;
	struct pst_wire_sqe s;

	for (dims = 0; dims < 27; dims++)
		for (trans = 0; trans < 8; trans += 3)
			for (i = 0; i < 3 * 27; i++) {
				s = product(dims, trans);
				s.op = PST_WIRE_OP_GEMM_STRIDED_BATCHED;
				s.alpha = bits(1);
				s.batch = 1 + i / 27;
				s.stride_a = i % 3;
				s.stride_b = i / 3 % 3;
				s.stride_c = i / 9 % 3;
				s.lda = s.ldb = s.ldc = MAX_DIM;
				s.off_a = AT;
				s.off_b = AT;
				for (s.off_c = 0; s.off_c < 20; s.off_c += 2)
					check(&s, 1, &n);
			}
	ck_assert_uint_gt(n.accepted, 1000);
	ck_assert_uint_lt(n.accepted, n.asked);
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_test(tc, every_small_product_stays_in_its_bytes);
	tcase_add_test(tc, every_small_batch_stays_in_its_bytes);
}

int main(void)
{
	return pst_unit_run("op_all", add, 600);
}
