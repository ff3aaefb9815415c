/* SPDX-License-Identifier: MIT */
/* The demo's flow: inputs, guest, one product, check, report, end. */
#include "host-client/cli/demo/demo.h"
#include "host-client/cli/cmd_progress.h"

#include <inttypes.h>
#include <signal.h>
#include <string.h>

#include <jansson.h>

#include "host-client/cli/demo/demo_run.h"
#include "host-client/files/gemmfile.h"
#include "transport/dtype.h"

/* Any constant: the same matrices each time. */
#define SEED_A 0x9e3779b97f4a7c15ULL
#define SEED_B 0xd1b54a32d192ed03ULL
/* Elements written at a time. */
#define CHUNK 4096U
/* An emulated guest multiplies slowly; this only bounds a hang. */
#define GEMM_NS (600 * PST_NS_PER_S)
#define PINGS   5

/* What a run collects. */
struct demo {
	const struct pst_cmd_ctx *ctx;
	const struct pst_demo_options *o;
	struct pst_demo_state state;
	struct pst_demo_vm vm;
	struct pst *c;
	char a[PST_DEMO_PATH_MAX], b[PST_DEMO_PATH_MAX];
	char endpoint[2 * PST_DEMO_PATH_MAX];
	char kernel[65];
	json_t *mapping; /* what INFO says of the region's mapping */
	uint64_t region_size;
	uint64_t ping_ns;
	uint64_t took_ns; /* all but the end */
	struct pst_info info;
	struct pst_gemmfile_result result;
};

/* ---- Inputs ------------------------------------------------------------- */

/* splitmix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number
 * generators", OOPSLA 2014), as a number in [-1, 1). */
static double next_random(uint64_t *state)
{
	uint64_t z = (*state += 0x9e3779b97f4a7c15ULL);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	z ^= z >> 31;
	return (double)(int64_t)z * 0x1p-63;
}

static bool write_chunk(FILE *f, uint32_t dtype, size_t n, uint64_t *state)
{
	float f32[CHUNK];
	double f64[CHUNK];
	size_t i;

	for (i = 0; i < n; i++) {
		f64[i] = next_random(state);
		f32[i] = (float)f64[i];
	}
	if (dtype == PST_F32)
		return fwrite(f32, sizeof(*f32), n, f) == n;
	return fwrite(f64, sizeof(*f64), n, f) == n;
}

static int write_random(const char *path, uint32_t dtype, uint64_t n,
			uint64_t seed, struct pst_error *err)
{
	FILE *f = fopen(path, "wxe");
	uint8_t header[PST_NPY_HEADER];
	uint64_t left = n * n, state = seed;
	size_t part;
	bool ok;

	if (!f)
		return pst_error_set_errno(err, errno, "cannot make %s", path);
	pst_npy_format(dtype, false, n, n, header);
	ok = fwrite(header, sizeof(header), 1, f) == 1;
	while (ok && left) {
		part = left < CHUNK ? (size_t)left : CHUNK;
		ok = write_chunk(f, dtype, part, &state);
		left -= part;
	}
	if (fclose(f) || !ok)
		return pst_error_set_errno(err, errno, "cannot write %s", path);
	return 0;
}

static int prepare_inputs(struct demo *d, struct pst_error *err)
{
	const struct pst_demo_options *o = d->o;
	int r = 0;

	if (o->a) {
		snprintf(d->a, sizeof(d->a), "%s", o->a);
		snprintf(d->b, sizeof(d->b), "%s", o->b);
		return 0;
	}
	pst_demo_state_path(&d->state, "A.npy", d->a);
	pst_demo_state_path(&d->state, "B.npy", d->b);
	r = write_random(d->a, o->dtype, o->n, SEED_A, err);
	if (r == 0)
		r = write_random(d->b, o->dtype, o->n, SEED_B, err);
	return r;
}

/* Checks the files before a guest is started in vain. */
static int size_region(struct demo *d, struct pst_error *err)
{
	struct pst_npyfile a = {0}, b = {0};
	uint64_t bytes = 0, c = 0;
	bool over = false;
	int r;

	r = pst_npyfile_open(d->a, &a, err);
	if (r == 0)
		r = pst_npyfile_open(d->b, &b, err);
	if (r == 0 && a.npy.cols != b.npy.rows)
		r = pst_error_set(err, -EINVAL,
				  "%s has %" PRIu64
				  " columns, but %s has %" PRIu64 " rows",
				  d->a, a.npy.cols, d->b, b.npy.rows);
	if (r == 0) {
		over = pst_mul_overflow(a.npy.rows, b.npy.cols, &c) ||
		       pst_mul_overflow(c, a.npy.elem_size, &c) ||
		       pst_add_overflow(pst_npyfile_room(&a),
					pst_npyfile_room(&b), &bytes) ||
		       pst_add_overflow(bytes, c, &bytes);
		d->region_size = over ? 0 : pst_demo_region_size(bytes);
		if (d->region_size < d->o->region_size)
			d->region_size = d->o->region_size;
		if (over || !d->region_size)
			r = pst_error_set(err, -EOVERFLOW,
					  "matrices too large");
	}
	pst_npyfile_close(&a);
	pst_npyfile_close(&b);
	return r;
}

/* ---- The agent ---------------------------------------------------------- */

static int open_spawned(struct demo *d, struct pst_error *err)
{
	char text[sizeof(err->text)];
	int r;

	snprintf(d->endpoint, sizeof(d->endpoint), "spawn:?size=%" PRIu64,
		 d->region_size);
	r = pst_open(d->endpoint, NULL, &d->c, text, sizeof(text));
	return r ? pst_error_set(err, r, "%s", text) : 0;
}

static int open_guest(struct demo *d, struct pst_error *err)
{
	const struct pst_demo_vm_options o = {
		.accel = d->o->accel,
		.via = d->o->via,
		.region_size = d->region_size,
		.boot_timeout_ns = d->o->timeout_ns,
		.append = d->o->append,
		.debug_console = d->o->debug_console,
	};
	int r;

	r = pst_demo_vm_start(&d->state, &o, &d->vm, &d->c, err);
	strcpy(d->endpoint, d->state.endpoint);
	return r;
}

static int last_error(struct demo *d, int r, struct pst_error *err)
{
	char text[sizeof(err->text)];

	if (r == 0)
		return 0;
	pst_last_error(d->c, text, sizeof(text));
	return pst_error_set(err, r, "%s", *text ? text : pst_strerror(r));
}

/* The fastest of a few: the first one may find the guest still busy. */
static int ping(struct demo *d, struct pst_error *err)
{
	uint64_t ns;
	int i, r = 0;

	d->ping_ns = UINT64_MAX;
	for (i = 0; r == 0 && i < PINGS; i++) {
		r = pst_ping(d->c, &ns);
		if (r == 0 && ns < d->ping_ns)
			d->ping_ns = ns;
	}
	return last_error(d, r, err);
}

/* Keys of INFO that go into the report as they are, if they are there. */
static const char *const mapping_keys[] = {
	"caching",    "page_size",        "read_gbps",
	"write_gbps", "gpu_registration", "remedy",
};

static json_t *take_mapping(const json_t *info)
{
	json_t *o = json_object(), *value;
	size_t i;

	for (i = 0; i < PST_ARRAY_SIZE(mapping_keys); i++) {
		value = json_object_get(info, mapping_keys[i]);
		if (json_is_string(value) || json_is_number(value))
			json_object_set(o, mapping_keys[i], value);
	}
	return o;
}

static int info(struct demo *d, struct pst_error *err)
{
	const char *kernel;
	json_t *o;
	char *text;
	int r;

	d->info.size = sizeof(d->info);
	r = pst_get_info(d->c, &d->info);
	if (r == 0)
		r = pst_query(d->c, PST_QUERY_INFO, &text);
	if (r)
		return last_error(d, r, err);
	o = json_loads(text, 0, NULL);
	free(text);
	if (!json_is_object(o)) {
		json_decref(o);
		return pst_error_set(err, -EPROTO, "INFO is no JSON object");
	}
	kernel = json_string_value(json_object_get(o, "kernel"));
	snprintf(d->kernel, sizeof(d->kernel), "%s", kernel ? kernel : "?");
	d->mapping = take_mapping(o);
	json_decref(o);
	return 0;
}

static void step(void *arg, const char *what)
{
	pst_cmd_progress(arg, what);
}

static int multiply(struct demo *d, struct pst_error *err)
{
	const struct pst_gemmfile job = {
		.a = d->a,
		.b = d->b,
		.alpha = 1,
		.timeout_ns = GEMM_NS,
		.verify = true,
		.step = step,
		.arg = (void *)d->ctx,
	};

	return pst_gemmfile_run(d->c, &job, &d->result, err);
}

/* ---- Report ------------------------------------------------------------- */

static const char *accel_name(const struct demo *d)
{
	return d->o->no_vm ? "none" : pst_demo_accel_name(d->vm.accel);
}

static double overhead_us(const struct demo *d)
{
	const struct pst_gemmfile_result *r = &d->result;

	return r->call_ns > r->compute_ns
		       ? (double)(r->call_ns - r->compute_ns) / PST_NS_PER_US
		       : 0;
}

static void print_guest(const struct demo *d)
{
	if (d->o->no_vm) {
		printf("%-10s none, a private agent beside this process\n",
		       "guest");
	} else {
		printf("%-10s Linux %s, %u CPUs, %s\n", "guest", d->kernel,
		       d->vm.cpus,
		       d->vm.accel == PST_DEMO_TCG
			       ? "TCG (emulation: times below are no "
				 "measure of speed)"
			       : "KVM");
		printf("%-10s %.1f s from QEMU's start to HELLO\n", "boot",
		       (double)d->vm.boot_ns / PST_NS_PER_S);
	}
	printf("%-10s %s, %" PRIu64 " MiB%s%s\n", "region", d->info.provider,
	       d->info.region_size >> 20, d->o->no_vm ? "" : " on ",
	       d->o->no_vm ? "" : d->vm.region.where);
	printf("%-10s %s\n", "backend", d->info.backend);
	printf("%-10s %s\n", "endpoint", d->endpoint);
}

/* The guest's words, in JSON's escapes: they cannot drive a terminal. */
static void print_mapping(const struct demo *d)
{
	char *text = json_dumps(d->mapping, JSON_ENSURE_ASCII | JSON_COMPACT |
						    JSON_REAL_PRECISION(3));

	printf("%-10s %s\n", "mapping", text ? text : "?");
	free(text);
}

static void print_table(const struct demo *d)
{
	const struct pst_gemmfile_result *r = &d->result;

	print_guest(d);
	print_mapping(d);
	printf("%-10s %.0f us, a round trip over the control socket\n", "ping",
	       (double)d->ping_ns / PST_NS_PER_US);
	printf("%-10s %s: (%" PRIu64 " x %" PRIu64 ") times (%" PRIu64
	       " x %" PRIu64 ") from .npy files\n",
	       "product", pst_dtype_name(r->dtype), r->m, r->k, r->k, r->n);
	printf("%-10s %.3f ms, %.2f GFLOP/s\n", "time", r->call_ns / 1e6,
	       pst_gemmfile_gflops(&d->result));
	printf("%-10s %.1f us of that outside the backend\n", "overhead",
	       overhead_us(d));
	printf("%-10s %s: largest error %.3g, allowed there %.3g\n", "result",
	       r->reference.verified ? "verified" : "WRONG",
	       r->reference.max_error, r->reference.bound);
	printf("%-10s %.1f s\n", "in all", (double)d->took_ns / PST_NS_PER_S);
}

static void print_kept(const struct demo *d)
{
	printf("\nThe guest keeps running. Use it with\n"
	       "  export PENSTOCK_ENDPOINT='%s'\n"
	       "and end it with\n"
	       "  penstock demo --stop\n",
	       d->endpoint);
}

static int print_json(const struct demo *d)
{
	const struct pst_gemmfile_result *r = &d->result;
	double error = r->reference.max_error;
	json_t *o;

	o = json_pack(
		"{s:b, s:s, s:s, s:s, s:I, s:I, s:I, s:s, s:f, s:f, s:f, s:f,"
		" s:f, s:o, s:b, s:b}",
		"vm", !d->o->no_vm, "accel", accel_name(d), "provider",
		d->info.provider, "endpoint", d->endpoint, "m",
		(json_int_t)r->m, "n", (json_int_t)r->n, "k", (json_int_t)r->k,
		"dtype", pst_dtype_name(r->dtype), "seconds",
		(double)r->call_ns / PST_NS_PER_S, "gflops",
		pst_gemmfile_gflops(&d->result), "overhead_us", overhead_us(d),
		"ping_us", (double)d->ping_ns / PST_NS_PER_US, "boot_seconds",
		(double)d->vm.boot_ns / PST_NS_PER_S, "max_error",
		pst_cmd_real(error), "verified", r->reference.verified, "kept",
		d->o->keep);
	if (o && d->o->keep &&
	    (json_object_set_new(o, "state", json_string(d->state.dir)) ||
	     json_object_set_new(o, "qemu_pid",
				 json_integer(d->state.qemu.pid))))
		return pst_cmd_fail(d->ctx, "out of memory");
	if (o && json_object_update_missing(o, d->mapping))
		return pst_cmd_fail(d->ctx, "out of memory");
	return pst_cmd_print_json(d->ctx, o);
}

/* ---- Flow --------------------------------------------------------------- */

static int run(struct demo *d, struct pst_error *err)
{
	uint64_t begin = pst_now_ns();
	int r;

	pst_cmd_progress(d->ctx, "making the matrices");
	r = pst_demo_state_create(&d->state, d->o->keep, err);
	if (r == 0)
		r = prepare_inputs(d, err);
	if (r == 0)
		r = size_region(d, err);
	pst_cmd_progress(d->ctx, d->o->no_vm ? "starting the agent"
					     : "booting the guest");
	if (r == 0)
		r = d->o->no_vm ? open_spawned(d, err) : open_guest(d, err);
	if (r == 0)
		r = ping(d, err);
	if (r == 0)
		r = info(d, err);
	if (r == 0)
		r = multiply(d, err);
	pst_cmd_progress(d->ctx, NULL);
	d->took_ns = pst_now_ns() - begin;
	return r;
}

static int report(const struct demo *d)
{
	int r = PST_EXIT_OK;

	if (!d->ctx->json) {
		print_table(d);
		if (d->o->keep && d->result.reference.verified)
			print_kept(d);
	} else {
		r = print_json(d);
	}
	return d->result.reference.verified ? r : PST_EXIT_FAILED;
}

/* Dies of the signal that ended the demo, as a shell expects. */
static void die_of(int sig)
{
	signal(sig, SIG_DFL);
	raise(sig);
}

int pst_demo_run(const struct pst_cmd_ctx *ctx,
		 const struct pst_demo_options *o)
{
	struct demo d = {.ctx = ctx, .o = o};
	struct pst_error err = {0}, end_err = {0};
	int r, sig;

	pst_demo_signals_init();
	pst_demo_state_sweep();
	r = run(&d, &err);
	sig = pst_demo_signals_seen();
	if (r && !sig) {
		pst_demo_vm_tail(&d.state);
		r = pst_cmd_fail(ctx, "%s", err.text);
	} else if (r == 0) {
		r = report(&d);
	}
	pst_close(d.c);
	json_decref(d.mapping);
	pst_demo_signals_watch(0);
	if (!o->keep || r != PST_EXIT_OK || sig) {
		if (pst_demo_state_end(&d.state, &end_err)) {
			pst_cmd_fail(ctx, "%s", end_err.text);
			r = PST_EXIT_FAILED;
		}
	}
	if (sig) {
		fflush(stdout);
		die_of(sig);
	}
	return r;
}

int pst_demo_stop(const struct pst_cmd_ctx *ctx, const char *dir)
{
	struct pst_demo_state s;
	struct pst_error err = {0};
	int n;

	if (dir) {
		n = pst_demo_state_read(dir, &s, &err);
		if (n == 0)
			n = pst_demo_state_end(&s, &err);
		if (n == -ENOENT)
			return pst_cmd_fail(ctx,
					    "%s is no directory of a kept "
					    "guest: it has ended, or another "
					    "one is meant",
					    dir);
		n = n < 0 ? n : 1;
	} else {
		n = pst_demo_state_stop_all(&err);
	}
	if (n < 0)
		return pst_cmd_fail(ctx, "%s", err.text);
	if (ctx->json)
		return pst_cmd_print_json(ctx,
					  json_pack("{s:i}", "stopped", n));
	printf("%d %s ended\n", n, n == 1 ? "guest" : "guests");
	return PST_EXIT_OK;
}
