/* SPDX-License-Identifier: MIT */
/* Loads the CBLAS of the cpu backend into this process, as a reference. */
#include "bench/blas.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Of cblas.h, whose BLIS version is most of blis.h. */
#define ROW_MAJOR 101
#define NO_TRANS  111

#if defined(HAVE_OPENBLAS)
#define SET_THREADS "openblas_set_num_threads"
#define GET_VERSION "openblas_get_config"
static const char *const names[] = {"libopenblas.so.0", "libopenblas.so", NULL};
#elif defined(HAVE_BLIS)
#define SET_THREADS "bli_thread_set_num_threads"
#define GET_VERSION "bli_info_get_version_str"
static const char *const names[] = {"libblis.so.4", "libblis.so.3",
				    "libblis.so", NULL};
#else
#define SET_THREADS ""
#define GET_VERSION ""
static const char *const names[] = {NULL};
#endif

/* A function by its name; through memcpy since ISO C has no cast for it. */
static int find(void *library, const char *name, void *ret, size_t size)
{
	void *p = dlsym(library, name);

	if (!p || size != sizeof(p))
		return -ENOENT;
	memcpy(ret, &p, size);
	return 0;
}

static void describe(struct pst_bench_blas *b)
{
	char *(*version)(void);
	const char *text;

	if (find(b->library, GET_VERSION, &version, sizeof(version)) < 0)
		return;
	text = version();
	/* OpenBLAS says its name, and then how it was built. */
	if (strncmp(text, "OpenBLAS ", 9) == 0)
		snprintf(b->name, sizeof(b->name), "OpenBLAS %.*s",
			 (int)strcspn(text + 9, " "), text + 9);
	else
		snprintf(b->name, sizeof(b->name), "BLIS %.32s", text);
}

int pst_bench_blas_open(struct pst_bench_blas *b, uint32_t threads)
{
	union {
		void (*openblas)(int n);
		void (*blis)(int64_t n);
		void *any;
	} set;
	size_t i;

	*b = (struct pst_bench_blas){0};
	if (!names[0])
		return -EOPNOTSUPP;
	for (i = 0; names[i] && !b->library; i++)
		b->library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
	if (!b->library ||
	    find(b->library, "cblas_sgemm", &b->sgemm, sizeof(b->sgemm)) < 0)
		return -ENOENT;
	snprintf(b->name, sizeof(b->name), "CBLAS");
	describe(b);
	if (threads == 0 ||
	    find(b->library, SET_THREADS, &set.any, sizeof(set.any)) < 0)
		return 0;
	if (strcmp(SET_THREADS, "openblas_set_num_threads") == 0)
		set.openblas((int)threads);
	else
		set.blis(threads);
	return 0;
}

void pst_bench_blas_product(const struct pst_bench_blas *b, uint32_t m,
			    uint32_t n, uint32_t k, const float *a_in,
			    const float *b_in, float *c_out)
{
	b->sgemm(ROW_MAJOR, NO_TRANS, NO_TRANS, (int)m, (int)n, (int)k, 1, a_in,
		 (int)k, b_in, (int)n, 0, c_out, (int)n);
}
