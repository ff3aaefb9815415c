/* SPDX-License-Identifier: MIT */
/* Finds the BLAS that would have been called without this library. */
#include "host-client/blas/route.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Places of callers that are remembered, a power of two; more look theirs up
 * at each call, which takes some us. */
#define MAX_CALLERS 4096U
#define MAX_PROBES  16U

/* Who calls what, and where that goes. */
struct route {
	const void *caller;
	const struct pst_blas_name *name;
	struct pst_blas_library lib;
};

const char *const pst_blas_letters[PST_BLAS_N_TYPES] = {
	[PST_BLAS_F32] = "s", [PST_BLAS_F64] = "d", [PST_BLAS_BF16] = "sb"};

static struct route *_Atomic routes[MAX_CALLERS];
/* Serialises only the slow way, which may load libraries. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* Marks each of our own libraries, under whichever name it was loaded. */
void *penstock_blas_next(const char *symbol);
__attribute__((visibility("default"))) void *
penstock_blas_next(const char *symbol)
{
	return dlsym(RTLD_NEXT, symbol);
}

/*
 * What to call for an address that a search has found: of another library of
 * ours, what that would call. NULL for this one's.
 */
static void *pass_on(void *found, const char *symbol)
{
	void *(*next)(const char *symbol);
	Dl_info info, mark;
	void *handle, *p;

	if (!found || !dladdr(found, &info) || !dladdr(routes, &mark) ||
	    info.dli_fbase == mark.dli_fbase)
		return NULL;
	handle = dlopen(info.dli_fname, RTLD_LAZY | RTLD_NOLOAD);
	if (!handle)
		return found;
	p = dlsym(handle, "penstock_blas_next");
	if (!p || !dladdr(p, &mark) || mark.dli_fbase != info.dli_fbase)
		return found;
	memcpy(&next, &p, sizeof(next));
	return next(symbol);
}

/* By the file that a caller lies in. The handle is kept: as long as it is there
 * so is what it needs. */
static void *find_in_tree(const void *caller, const char *symbol)
{
	Dl_info info;
	void *handle;

	if (!dladdr(caller, &info) || !info.dli_fname)
		return NULL;
	handle = dlopen(info.dli_fname, RTLD_LAZY | RTLD_NOLOAD);
	return handle ? pass_on(dlsym(handle, symbol), symbol) : NULL;
}

static void *find_in_file(const char *file, const char *symbol)
{
	void *handle = file && *file ? dlopen(file, RTLD_LAZY) : NULL;

	return handle ? pass_on(dlsym(handle, symbol), symbol) : NULL;
}

void *pst_blas_symbol(const char *symbol, const void *caller)
{
	void *p = pass_on(dlsym(RTLD_NEXT, symbol), symbol);

	if (!p)
		p = find_in_tree(caller, symbol);
	if (!p)
		p = find_in_file(secure_getenv("PENSTOCK_BLAS_NEXT"), symbol);
	if (!p)
		p = find_in_file("libblas.so.3", symbol);
	return p;
}

static const char *const routines[PST_BLAS_N_ROUTINES] = {
	"gemm", "symm", "syrk", "syr2k", "trmm", "trsm"};

/* Another function, "isamax", in the spelling of name: "cblas_isamax64_". */
static void spell(const struct pst_blas_name *name, const char *function,
		  char *ret, size_t size)
{
	const char *own = routines[name->routine];
	const char *at = strstr(name->text, own);

	/* Its letters for the type go with it. */
	at -= strlen(pst_blas_letters[name->type]);
	snprintf(ret, size, "%.*s%s%s", (int)(at - name->text), name->text,
		 function, strstr(at, own) + strlen(own));
}

/* Whether a library whose names do not say it has 64-bit integers: what 32 bits
 * read as 3 is negative. */
static bool is_wide(const struct pst_blas_name *name, const void *caller)
{
	static const int64_t n = (int64_t)0xffffffff00000003ULL, one = 1;
	static const float x[] = {1, 2, 3};
	union {
		void *any;
		int64_t (*fortran)(const int64_t *n, const float *x,
				   const int64_t *step);
		int64_t (*cblas)(int64_t n, const float *x, int64_t step);
	} isamax;
	char symbol[64];
	int64_t r;

	spell(name, "isamax", symbol, sizeof(symbol));
	isamax.any = pst_blas_symbol(symbol, caller);
	if (!isamax.any)
		return false;
	r = name->cblas ? isamax.cblas(n, x, one) : isamax.fortran(&n, x, &one);
	/* Found, it is at 2, or 3 where one counts from 1. */
	return (r & 3) == 0;
}

static void fill_in(struct route *r)
{
	char function[16], symbol[64];
	size_t i;

	for (i = 0; i < PST_BLAS_N_ROUTINES; i++) {
		snprintf(function, sizeof(function), "%s%s",
			 pst_blas_letters[r->name->type], routines[i]);
		spell(r->name, function, symbol, sizeof(symbol));
		r->lib.fn[i] = pst_blas_symbol(symbol, r->caller);
	}
	r->lib.type = r->name->type;
	r->lib.cblas = r->name->cblas;
	r->lib.wide = r->name->wide || is_wide(r->name, r->caller);
	if (r->lib.fn[r->name->routine])
		return;
	fprintf(stderr,
		"penstock-blas: no BLAS has %s; name one in "
		"PENSTOCK_BLAS_NEXT\n",
		r->name->text);
	abort();
}

static struct route *_Atomic *place(const struct pst_blas_name *name,
				    const void *caller, unsigned int probe)
{
	const uintptr_t key = (uintptr_t)caller * 31 + (uintptr_t)name / 8;

	return &routes[(key + probe) % MAX_CALLERS];
}

/* The slow way. Without a place left, or the lock, the route is the thread's
 * until its next call. */
static const struct pst_blas_library *
find_slowly(const struct pst_blas_name *name, const void *caller)
{
	static __thread struct route own;
	struct route *_Atomic *at = NULL;
	struct route *r, *old = NULL;
	unsigned int i;

	own = (struct route){.caller = caller, .name = name};
	fill_in(&own);
	/* Another thread is at it, or was when this process was forked. */
	if (pthread_mutex_trylock(&lock) != 0)
		return &own.lib;
	for (i = 0; i < MAX_PROBES; i++) {
		at = place(name, caller, i);
		old = atomic_load_explicit(at, memory_order_relaxed);
		if (!old || (old->caller == caller && old->name == name))
			break;
	}
	r = i < MAX_PROBES && !old ? malloc(sizeof(*r)) : NULL;
	if (r) {
		*r = own;
		/* Pairs with the acquire of pst_blas_route(). */
		atomic_store_explicit(at, r, memory_order_release);
	}
	pthread_mutex_unlock(&lock);
	return r ? &r->lib : &own.lib;
}

const struct pst_blas_library *pst_blas_route(const struct pst_blas_name *name,
					      const void *caller)
{
	struct route *r;
	unsigned int i;

	for (i = 0; i < MAX_PROBES; i++) {
		r = atomic_load_explicit(place(name, caller, i),
					 memory_order_acquire);
		if (!r)
			break;
		if (r->caller == caller && r->name == name)
			return &r->lib;
	}
	return find_slowly(name, caller);
}
