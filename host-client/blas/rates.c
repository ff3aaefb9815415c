/* SPDX-License-Identifier: MIT */
/* How fast both sides compute: measured, or as penstock blas tune has kept
 * it. */
#include "host-client/blas/rates.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host-client/blas/api.h"
#include "host-client/blas/clock.h"
#include "host-client/blas/config.h"
#include "host-client/blas/decide.h"
#include "host-client/blas/route.h"

/* Sides of the products that show how fast the way to an agent is, what the
 * agent can do, and what a BLAS can. */
#define WAY    256U
#define SAMPLE 512U
#define LARGE  1024U
#define ROUNDS 4U
/* Of one product. */
#define TIMEOUT_NS (60ULL * 1000 * 1000 * 1000)
/* Lines of the cache that are kept: one for each agent. */
#define MAX_LINES 64U
#define MAX_LINE  256U
/* A call that computes nothing, when it was not measured. */
#define CALL_S 50e-6
/* Types whose rates are measured and kept; of others INFO says them. */
#define N_MEASURED PST_BLAS_BF16

static const char *const names[PST_BLAS_N_TYPES] = {"f32", "f64", "bf16"};

/* Flops a second; 0: unknown. */
struct rates {
	double side[PST_BLAS_N_SIDES][PST_BLAS_N_TYPES];
	double bytes_per_s;
};

static void use(const struct rates *r)
{
	enum pst_blas_type t;

	for (t = 0; t < PST_BLAS_N_TYPES; t++) {
		if (r->side[PST_BLAS_HERE][t] > 0)
			pst_blas_set_rate(t, PST_BLAS_HERE,
					  r->side[PST_BLAS_HERE][t]);
		pst_blas_set_rate(t, PST_BLAS_AGENT,
				  r->side[PST_BLAS_AGENT][t]);
		pst_blas_trace("%s: the agent computes at %.1f GFLOPS",
			       names[t], r->side[PST_BLAS_AGENT][t] / 1e9);
	}
	if (r->bytes_per_s > 0)
		pst_blas_set_way(r->bytes_per_s, CALL_S);
}

/* ---- The agent --------------------------------------------------------- */

/* Where INFO's text says "rates":{... "f32":{"gflops":N; 0: it does not. */
static double rate_in(const char *info, enum pst_blas_type type)
{
	const char *p = strstr(info, "\"rates\":{");
	char key[16];

	snprintf(key, sizeof(key), "\"%s\":{", names[type]);
	p = p ? strstr(p, key) : NULL;
	p = p ? strstr(p, "\"gflops\":") : NULL;
	return p ? strtod(p + strlen("\"gflops\":"), NULL) * 1e9 : 0;
}

/* Products of this process's memory with sides of n, of the first types: the
 * best of them, since the first touches it, and another program may have come
 * between. */
static void measure_agent(const struct pst_blas_api *api, struct pst *c,
			  uint32_t n, unsigned int types, struct rates *r)
{
	const double terms = (double)n * n * n;
	struct pst_gemm_args g = PST_GEMM_INIT;
	struct pst_completion done = {0};
	char *mem = calloc((size_t)3 * n * n, sizeof(double));
	uint64_t start, took, best, copies;
	enum pst_blas_type t;
	size_t size, i;

	g.m = g.n = g.k = n;
	for (t = 0; mem && t < types; t++) {
		size = (size_t)n * n * pst_blas_elem(t);
		g.dtype = t == PST_BLAS_F64 ? PST_F64 : PST_F32;
		g.a = mem;
		g.b = mem + size;
		g.c = mem + 2 * size;
		best = copies = UINT64_MAX;
		for (i = 0; i < ROUNDS; i++) {
			start = pst_blas_now_ns();
			if (api->gemm(c, &g, TIMEOUT_NS, &done) < 0)
				break;
			took = pst_blas_now_ns() - start;
			best = done.compute_ns < best ? done.compute_ns : best;
			if (took - done.compute_ns < copies)
				copies = took - done.compute_ns;
		}
		if (i == ROUNDS && best > 0)
			r->side[PST_BLAS_AGENT][t] =
				2 * terms / ((double)best / 1e9);
		if (i == ROUNDS && copies > 0)
			r->bytes_per_s =
				3.0 * (double)size / ((double)copies / 1e9);
	}
	free(mem);
}

/* ---- Here -------------------------------------------------------------- */

static int measure_here(struct rates *r)
{
	static const struct pst_blas_name fortran[N_MEASURED] = {
		{"sgemm_", PST_BLAS_GEMM, PST_BLAS_F32, false, false},
		{"dgemm_", PST_BLAS_GEMM, PST_BLAS_F64, false, false},
	};
	const int64_t n = LARGE;
	struct pst_blas_args x = {
		.routine = PST_BLAS_GEMM,
		.m = n,
		.n = n,
		.k = n,
		.lda = n,
		.ldb = n,
		.ldc = n,
		.alpha = 1,
	};
	char *mem = calloc(3 * LARGE * LARGE, sizeof(double));
	const struct pst_blas_library *lib;
	uint64_t start, took;
	enum pst_blas_type t;
	size_t i, size;
	double rate;

	for (t = 0; mem && t < N_MEASURED; t++) {
		if (!pst_blas_symbol(fortran[t].text, (void *)measure_here)) {
			free(mem);
			return -ENOENT;
		}
		lib = pst_blas_route(&fortran[t], (void *)measure_here);
		size = LARGE * LARGE * pst_blas_elem(t);
		x.type = t;
		x.a = mem;
		x.b = mem + size;
		x.c = mem + 2 * size;
		for (i = 0; i < ROUNDS; i++) {
			start = pst_blas_now_ns();
			pst_blas_compute(lib, &x);
			took = pst_blas_now_ns() - start;
			rate = 2 * pst_blas_terms(&x) / ((double)took / 1e9);
			if (took && rate > r->side[PST_BLAS_HERE][t])
				r->side[PST_BLAS_HERE][t] = rate;
		}
	}
	free(mem);
	return mem ? 0 : -ENOMEM;
}

/* ---- What is kept ------------------------------------------------------ */

static uint64_t hash(uint64_t h, const char *s, size_t n)
{
	size_t i;

	/* FNV-1a. */
	for (i = 0; i < n; i++)
		h = (h ^ (uint8_t)s[i]) * 0x100000001b3ULL;
	return h;
}

/* The member of INFO with its value, up to the next comma. */
static uint64_t hash_member(uint64_t h, const char *info, const char *member)
{
	const char *p = strstr(info, member);

	return p ? hash(h, p, strcspn(p, ",")) : h;
}

/* Which agent with which card, and which processor: other ones have other
 * rates. */
static uint64_t key_of(const char *info)
{
	static const char *const members[] = {"\"uuid\":\"GPU", "\"driver\":",
					      "\"describe\":", "\"threads\":"};
	uint64_t h = 0xcbf29ce484222325ULL;
	FILE *f = fopen("/proc/cpuinfo", "re");
	char line[256];
	size_t i;

	while (f && fgets(line, sizeof(line), f))
		if (strncmp(line, "model name", 10) == 0) {
			h = hash(h, line, strlen(line));
			break;
		}
	if (f)
		fclose(f);
	for (i = 0; i < sizeof(members) / sizeof(*members); i++)
		h = hash_member(h, info, members[i]);
	return h;
}

/* The file's path, or without its last part the folder's. */
static int cache_path(char *ret, size_t size, const char *last)
{
	const char *dir = secure_getenv("XDG_CACHE_HOME");
	const char *home = secure_getenv("HOME");
	int n = -1;

	if (dir && *dir)
		n = snprintf(ret, size, "%s/penstock%s", dir, last);
	else if (home && *home)
		n = snprintf(ret, size, "%s/.cache/penstock%s", home, last);
	return n > 0 && (size_t)n < size ? 0 : -ENOENT;
}

static bool parse(const char *line, uint64_t *key, struct rates *r)
{
	return sscanf(line, "%" SCNx64 " %lf %lf %lf %lf %lf", key,
		      &r->side[PST_BLAS_HERE][PST_BLAS_F32],
		      &r->side[PST_BLAS_HERE][PST_BLAS_F64],
		      &r->side[PST_BLAS_AGENT][PST_BLAS_F32],
		      &r->side[PST_BLAS_AGENT][PST_BLAS_F64],
		      &r->bytes_per_s) == 6;
}

static bool load(uint64_t key, struct rates *ret)
{
	char path[PATH_MAX], line[MAX_LINE];
	bool found = false;
	struct rates r;
	uint64_t k;
	FILE *f;

	if (cache_path(path, sizeof(path), "/blas") < 0 ||
	    !(f = fopen(path, "re")))
		return false;
	while (!found && fgets(line, sizeof(line), f))
		found = parse(line, &k, &r) && k == key;
	fclose(f);
	if (found)
		*ret = r;
	return found;
}

/* The lines of other agents stay. A new file takes the old one's place. */
static int save(uint64_t key, const struct rates *r)
{
	char path[PATH_MAX], tmp[PATH_MAX + 16], line[MAX_LINE];
	struct rates ignored;
	FILE *f, *old;
	unsigned int n = 0;
	uint64_t k;
	char *slash;

	if (cache_path(path, sizeof(path), "") < 0)
		return -ENOENT;
	slash = strrchr(path, '/');
	*slash = '\0';
	(void)mkdir(path, 0700);
	*slash = '/';
	(void)mkdir(path, 0700);
	(void)cache_path(path, sizeof(path), "/blas");
	snprintf(tmp, sizeof(tmp), "%s.%d", path, (int)getpid());
	f = fopen(tmp, "we");
	if (!f)
		return -errno;
	fprintf(f, "%016" PRIx64 " %.6g %.6g %.6g %.6g %.6g\n", key,
		r->side[PST_BLAS_HERE][PST_BLAS_F32],
		r->side[PST_BLAS_HERE][PST_BLAS_F64],
		r->side[PST_BLAS_AGENT][PST_BLAS_F32],
		r->side[PST_BLAS_AGENT][PST_BLAS_F64], r->bytes_per_s);
	old = fopen(path, "re");
	while (old && fgets(line, sizeof(line), old) && ++n < MAX_LINES)
		if (parse(line, &k, &ignored) && k != key)
			fputs(line, f);
	if (old)
		fclose(old);
	if (fclose(f) != 0 || rename(tmp, path) < 0) {
		n = (unsigned int)errno;
		unlink(tmp);
		return -(int)n;
	}
	return 0;
}

/* ---- Both -------------------------------------------------------------- */

static void find(struct pst *c)
{
	const struct pst_blas_api *api = pst_blas_api();
	struct rates r = {0};
	char *info = NULL;
	enum pst_blas_type t;
	double rate;
	bool known;

	if (api->query(c, PST_QUERY_INFO, &info) < 0)
		return;
	if (!load(key_of(info), &r)) {
		/* How fast the way is, only products say. The program goes on
		 * meanwhile, and an agent of its own takes its processors. */
		known = rate_in(info, PST_BLAS_F32) > 0 &&
			rate_in(info, PST_BLAS_F64) > 0;
		measure_agent(api, c, known ? WAY : SAMPLE,
			      known ? PST_BLAS_F64 : N_MEASURED, &r);
		for (t = 0; t < N_MEASURED; t++) {
			rate = rate_in(info, t);
			if (rate > r.side[PST_BLAS_AGENT][t])
				r.side[PST_BLAS_AGENT][t] = rate;
		}
	}
	r.side[PST_BLAS_AGENT][PST_BLAS_BF16] = rate_in(info, PST_BLAS_BF16);
	free(info);
	use(&r);
}

void pst_blas_rates_find(struct pst *c)
{
	const locale_t own = pst_blas_plain_numbers();

	find(c);
	uselocale(own);
}

static int tune(struct pst *c, char **ret_json, char *text, size_t size)
{
	const struct pst_blas_api *api = pst_blas_api();
	struct rates r = {0};
	char *info;
	int e;

	e = api->query(c, PST_QUERY_INFO, &info);
	if (e < 0) {
		api->last_error(c, text, size);
		return e;
	}
	measure_agent(api, c, SAMPLE, N_MEASURED, &r);
	e = measure_here(&r);
	if (e == 0)
		e = save(key_of(info), &r);
	free(info);
	if (e < 0) {
		snprintf(text, size, "%s: %s",
			 e == -ENOENT ? "no BLAS to compare with, or no folder "
					"for the rates"
				      : "the rates cannot be kept",
			 strerror(-e));
		return e;
	}
	e = asprintf(ret_json,
		     "{\"f32\":{\"here\":%.1f,\"agent\":%.1f},"
		     "\"f64\":{\"here\":%.1f,\"agent\":%.1f},"
		     "\"copy_gbps\":%.2f}",
		     r.side[PST_BLAS_HERE][PST_BLAS_F32] / 1e9,
		     r.side[PST_BLAS_AGENT][PST_BLAS_F32] / 1e9,
		     r.side[PST_BLAS_HERE][PST_BLAS_F64] / 1e9,
		     r.side[PST_BLAS_AGENT][PST_BLAS_F64] / 1e9,
		     r.bytes_per_s / 1e9);
	return e < 0 ? -ENOMEM : 0;
}

int penstock_blas_tune(const char *endpoint, char **ret_json, char *error_text,
		       size_t error_size)
{
	const struct pst_blas_api *api = pst_blas_load_api();
	struct pst *c;
	locale_t own;
	int r;

	if (!api) {
		snprintf(error_text, error_size,
			 "there is no libpenstock.so.0");
		return -ENOENT;
	}
	r = api->open(endpoint, NULL, &c, error_text, error_size);
	if (r < 0)
		return r;
	own = pst_blas_plain_numbers();
	r = tune(c, ret_json, error_text, error_size);
	uselocale(own);
	api->close(c);
	return r;
}
