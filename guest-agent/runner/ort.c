/* SPDX-License-Identifier: MIT */
/* Finds ONNX Runtime and takes its C interface. */
#include "guest-agent/runner/ort.h"

#include <dlfcn.h>
#include <stdbool.h>
#include <string.h>

#include "guest-agent/runner/runner.h"

/* 1.16 has version 16; 12 has all of PST_ORT_SLOTS. */
#define API_LEAST   12U
#define API_WANTED  18U
#define NEWEST      60U
#define OLDEST      16U
#define LOG_ERROR   3 /* ORT_LOGGING_LEVEL_ERROR */
#define ARENA       1 /* OrtArenaAllocator */
#define MEM_DEFAULT 0 /* OrtMemTypeDefault */

struct api_base {
	const void *(*get_api)(uint32_t version);
	const char *(*version)(void);
};

/* Numbers of OrtErrorCode. */
enum {
	ORT_INVALID_ARGUMENT = 2,
	ORT_NO_SUCHFILE = 3,
	ORT_NO_MODEL = 4,
	ORT_INVALID_PROTOBUF = 7,
	ORT_NOT_IMPLEMENTED = 9,
	ORT_INVALID_GRAPH = 10,
};

int pst_runner_ort_check(const struct pst_runner_ort *ort,
			 struct ort_status *status, const char *what,
			 struct pst_error *err)
{
	int code;

	if (!status)
		return 0;
	switch (ort->error_code(status)) {
	case ORT_INVALID_ARGUMENT:
	case ORT_NO_SUCHFILE:
	case ORT_NO_MODEL:
	case ORT_INVALID_PROTOBUF:
	case ORT_INVALID_GRAPH:
		code = -EINVAL;
		break;
	case ORT_NOT_IMPLEMENTED:
		code = -ENOTSUP;
		break;
	default:
		code = -EIO;
	}
	pst_error_set(err, code, "%s: %s", what, ort->error_message(status));
	ort->release_status(status);
	return code;
}

/* What goes wrong comes back as a status with the same words. */
static void drop_log(void *param, int severity, const char *category,
		     const char *id, const char *where, const char *message)
{
	(void)param;
	(void)severity;
	(void)category;
	(void)id;
	(void)where;
	(void)message;
}

static void *open_any(void)
{
	char name[40];
	unsigned int minor;
	void *h;

	h = dlopen("libonnxruntime.so.1", RTLD_NOW | RTLD_LOCAL);
	/* Debian's names end in the minor version, the project's own in
	 * the whole. */
	for (minor = NEWEST; !h && minor >= OLDEST; minor--) {
		unsigned int patch;

		snprintf(name, sizeof(name), "libonnxruntime.so.1.%u", minor);
		h = dlopen(name, RTLD_NOW | RTLD_LOCAL);
		for (patch = 4; !h && patch-- > 0;) {
			snprintf(name, sizeof(name),
				 "libonnxruntime.so.1.%u.%u", minor, patch);
			h = dlopen(name, RTLD_NOW | RTLD_LOCAL);
		}
	}
	return h ? h : dlopen("libonnxruntime.so", RTLD_NOW | RTLD_LOCAL);
}

static void take_slots(struct pst_runner_ort *ort, const void *api)
{
	void *const *slot = api;

	/* A function's address and a pointer are of one form in POSIX. */
#define TAKE(i, type, name, params)                                            \
	memcpy(&ort->name, &slot[i], sizeof(ort->name));
	PST_ORT_SLOTS(TAKE)
	if (ort->api >= API_WANTED) {
		PST_ORT_SLOTS_18(TAKE)
	}
#undef TAKE
}

static int take_api(struct pst_runner_ort *ort, struct pst_error *err)
{
	const struct api_base *(*base)(void);
	const struct api_base *b;
	const void *api = NULL;
	unsigned int major = 0, minor = 0;
	void *symbol;

	symbol = dlsym(ort->library, "OrtGetApiBase");
	if (!symbol)
		return pst_error_set(err, -ENOTSUP,
				     "the library is no ONNX Runtime: it "
				     "lacks OrtGetApiBase");
	memcpy(&base, &symbol, sizeof(base));
	b = base();
	ort->version = b->version();
	/* A library that is asked for too much prints a line to stderr. */
	if (sscanf(ort->version, "%u.%u", &major, &minor) != 2 || major != 1 ||
	    minor < OLDEST)
		return pst_error_set(err, -ENOTSUP,
				     "ONNX Runtime is %s; 1.%u or a newer 1.x "
				     "is needed",
				     ort->version, OLDEST);
	ort->api = minor >= API_WANTED ? API_WANTED : API_LEAST;
	api = b->get_api(ort->api);
	if (!api)
		return pst_error_set(err, -ENOTSUP,
				     "ONNX Runtime %s has no interface of "
				     "version %u",
				     ort->version, ort->api);
	take_slots(ort, api);
	return 0;
}

static int make_env(struct pst_runner_ort *ort, uint32_t threads,
		    struct pst_error *err)
{
	struct ort_threading_options *o;
	int r;

	r = pst_runner_ort_check(ort, ort->create_threading_options(&o),
				 "cannot make threads", err);
	if (r < 0)
		return r;
	r = pst_runner_ort_check(ort, ort->set_intra_threads(o, (int)threads),
				 "cannot set the number of threads", err);
	if (r == 0)
		r = pst_runner_ort_check(ort, ort->set_inter_threads(o, 1),
					 "cannot set the number of threads",
					 err);
	if (r == 0)
		r = pst_runner_ort_check(ort, ort->set_spin(o, 0),
					 "cannot turn spinning off", err);
	if (r == 0)
		r = pst_runner_ort_check(ort,
					 ort->create_env(drop_log, NULL,
							 LOG_ERROR, "penstock",
							 o, &ort->env),
					 "cannot start ONNX Runtime", err);
	ort->release_threading_options(o);
	return r;
}

int pst_runner_ort_open(struct pst_runner_ort *ort, const char *library,
			uint32_t threads, struct pst_error *err)
{
	int r;

	*ort = (struct pst_runner_ort){0};
	ort->library =
		*library ? dlopen(library, RTLD_NOW | RTLD_LOCAL) : open_any();
	if (!ort->library)
		return *library ? pst_error_set(err, -ENOENT,
						"cannot load ONNX Runtime: %s",
						dlerror())
				: pst_error_set(err, -ENOENT,
						"ONNX Runtime is not "
						"installed: the loader finds "
						"no libonnxruntime.so.1");
	r = take_api(ort, err);
	if (r == 0)
		r = make_env(ort, threads, err);
	if (r == 0)
		r = pst_runner_ort_check(
			ort, ort->default_allocator(&ort->allocator),
			"cannot find an allocator", err);
	if (r == 0)
		r = pst_runner_ort_check(ort,
					 ort->create_cpu_memory_info(
						 ARENA, MEM_DEFAULT, &ort->cpu),
					 "cannot describe memory", err);
	return r;
}
