/* SPDX-License-Identifier: MIT */
/* A double of ONNX Runtime with CUDA and of the driver, in front of the real
 * library: "real" beside it. What CUDA is, is in a file "card" beside it:
 * "none" (the provider cannot be had), "old" (no code for the card, which the
 * first run tells), "unpinned" (no registration), or "good". What was asked of
 * it, and how many operands lay in registered memory, goes to "calls". */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "guest-agent/runner/ort.h"

#define SLOTS 300U
#define MOST  64U

static const void *slots[SLOTS];
static struct pst_runner_ort real;
static char card[16];
static int calls = -1;
static uint8_t *pinned;
static size_t n_pinned;
static unsigned int dma; /* operands of the call that were registered */
/* Those that have CUDA. */
static const void *with_cuda[MOST];
static unsigned int n_with;

static void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void say(const char *fmt, ...)
{
	char line[128];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	if (write(calls, line, (size_t)n) != n)
		abort();
}

static int has_cuda(const void *p)
{
	unsigned int i;

	for (i = 0; i < n_with; i++)
		if (with_cuda[i] == p)
			return 1;
	return 0;
}

static void give_cuda(const void *p)
{
	if (n_with < MOST)
		with_cuda[n_with++] = p;
}

static struct ort_status *failure(const char *text)
{
	struct ort_status *(*make)(int code, const char *text);

	memcpy(&make, &slots[0], sizeof(make));
	return make(1, text);
}

static struct ort_status *create_cuda(struct ort_cuda_options **ret)
{
	*ret = malloc(1);
	return NULL;
}

static struct ort_status *update_cuda(struct ort_cuda_options *o,
				      const char *const *keys,
				      const char *const *values, size_t n)
{
	size_t i;

	(void)o;
	for (i = 0; i < n; i++)
		say("option %s=%s\n", keys[i], values[i]);
	return NULL;
}

static void release_cuda(struct ort_cuda_options *o)
{
	free(o);
}

static struct ort_status *append_cuda(struct ort_session_options *o,
				      const struct ort_cuda_options *c)
{
	(void)c;
	if (strcmp(card, "none") == 0)
		return failure("CUDA failure 100: no CUDA-capable device");
	give_cuda(o);
	return NULL;
}

static void release_options(struct ort_session_options *o)
{
	unsigned int i;

	for (i = 0; i < n_with; i++)
		if (with_cuda[i] == o)
			with_cuda[i] = NULL;
	real.release_session_options(o);
}

static struct ort_status *create_session(const struct ort_env *env,
					 const void *model, size_t n,
					 const struct ort_session_options *o,
					 struct ort_session **ret)
{
	struct ort_status *s = real.create_session(env, model, n, o, ret);

	say("session on %s\n", has_cuda(o) ? "cuda" : "cpu");
	if (!s && has_cuda(o))
		give_cuda(*ret);
	return s;
}

static struct ort_status *create_tensor(const struct ort_memory_info *m,
					void *data, size_t size,
					const int64_t *dim, size_t rank,
					int elem, struct ort_value **ret)
{
	const uint8_t *p = data;

	dma += pinned && p >= pinned && p + size <= pinned + n_pinned;
	return real.create_tensor(m, data, size, dim, rank, elem, ret);
}

static struct ort_status *
run(struct ort_session *s, const struct ort_run_options *o,
    const char *const *in_names, const struct ort_value *const *in, size_t n_in,
    const char *const *out_names, size_t n_out, struct ort_value **out)
{
	say("run on %s, %u registered\n", has_cuda(s) ? "cuda" : "cpu", dma);
	dma = 0;
	if (has_cuda(s) && strcmp(card, "old") == 0)
		return failure("cudaErrorNoKernelImageForDevice");
	return real.run(s, o, in_names, in, n_in, out_names, n_out, out);
}

/* ---- The driver ---- */

int cuInit(unsigned int flags);
int cuInit(unsigned int flags)
{
	return (int)flags;
}

int cuDeviceGet(int *ret, int ordinal);
int cuDeviceGet(int *ret, int ordinal)
{
	say("driver's card %d\n", ordinal);
	*ret = ordinal;
	return 0;
}

int cuDevicePrimaryCtxRetain(void **ret, int device);
int cuDevicePrimaryCtxRetain(void **ret, int device)
{
	*ret = &pinned;
	return device;
}

int cuCtxSetCurrent(void *context);
int cuCtxSetCurrent(void *context)
{
	return context != &pinned;
}

int cuMemHostRegister_v2(void *p, size_t size, unsigned int flags);
int cuMemHostRegister_v2(void *p, size_t size, unsigned int flags)
{
	say("register %zu bytes, flags %u\n", size, flags);
	if (strcmp(card, "unpinned") == 0)
		return 1;
	pinned = p;
	n_pinned = size;
	return 0;
}

int cuGetErrorName(int code, const char **ret);
int cuGetErrorName(int code, const char **ret)
{
	*ret = code == 1 ? "CUDA_ERROR_INVALID_VALUE" : NULL;
	return 0;
}

/* ---- The library ---- */

struct base {
	const void *(*get_api)(uint32_t version);
	const char *(*version)(void);
};

static const struct base *real_base(void)
{
	static const struct base *b;
	const struct base *(*get)(void);
	char path[4096];
	Dl_info info;
	void *h, *f;
	FILE *fp;

	if (b)
		return b;
	dladdr((void *)(uintptr_t)cuInit, &info);
	snprintf(path, sizeof(path), "%.4000s", info.dli_fname);
	strcpy(strrchr(path, '/'), "/card");
	fp = fopen(path, "r");
	if (!fp || fscanf(fp, "%15s", card) != 1)
		abort();
	fclose(fp);
	strcpy(strrchr(path, '/'), "/calls");
	calls = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
	strcpy(strrchr(path, '/'), "/real");
	h = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	f = h ? dlsym(h, "OrtGetApiBase") : NULL;
	if (!f || calls < 0)
		abort();
	memcpy(&get, &f, sizeof(get));
	return b = get();
}

static const void *get_api(uint32_t version)
{
	const void *const *api = real_base()->get_api(version);

	if (!api)
		return NULL;
	/* Version 12 ends at slot 226 and something, 18 at 284. */
	memcpy(slots, api, (version < 18 ? 220 : 280) * sizeof(slots[0]));
#define TAKE(i, type, name, params)                                            \
	memcpy(&real.name, &slots[i], sizeof(void *));
	PST_ORT_SLOTS(TAKE)
#undef TAKE
#define PUT(i, f) slots[i] = (const void *)(uintptr_t)(f)
	PUT(8, create_session);
	PUT(9, run);
	PUT(49, create_tensor);
	PUT(100, release_options);
	PUT(204, append_cuda);
	PUT(205, create_cuda);
	PUT(206, update_cuda);
	PUT(208, release_cuda);
	return slots;
}

static const char *version(void)
{
	return real_base()->version();
}

const struct base *OrtGetApiBase(void);
const struct base *OrtGetApiBase(void)
{
	static const struct base b = {get_api, version};

	return &b;
}
