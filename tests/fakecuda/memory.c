/* SPDX-License-Identifier: MIT */
/* The double's memory: device, pinned and registered, and copies. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "tests/fakecuda/streams.h"
#include "transport/base/util.h"

enum kind { DEVICE, PINNED, REGISTERED };

struct block {
	struct block *next;
	uint8_t *p;
	uint64_t size, mapped;
	uint8_t *
		alias; /* of registered memory: the device's address, or NULL */
	enum kind kind;
	bool freed; /* no access any more, kept to tell */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct block *blocks;
static uint64_t used;

static bool is_dry(void)
{
	const struct fakecuda_card *c = fakecuda_get()->card;

	return c && c->dry;
}

static struct fakecuda_shape whole(const void *p, uint64_t n)
{
	return (struct fakecuda_shape){p, n, 1, n, 1, 0};
}

static uint64_t pages(uint64_t size)
{
	return pst_round_up(size ? size : 1, 4096);
}

static struct block *add(void *p, uint64_t size, enum kind kind)
{
	struct block *b = calloc(1, sizeof(*b));

	b->p = p;
	b->size = size;
	b->kind = kind;
	b->next = blocks;
	blocks = b;
	fakecuda_leak(1);
	return b;
}

static void *map(uint64_t size, enum kind kind)
{
	struct block *b;
	void *p;

	p = mmap(NULL, pages(size), PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		return NULL;
	b = add(p, size, kind);
	b->mapped = pages(size);
	/* Nobody zeroed it: NaN, in each type that has one. */
	if (!is_dry())
		memset(p, 0xff, size);
	return p;
}

/* Both addresses of registered memory are of the same bytes, as a second
 * mapping. A private one has none, and both are the same. */
static uint8_t *map_again(const struct block *b)
{
	const uint64_t skip = (uintptr_t)b->p % 4096;
	uint8_t *p;

	p = mremap(b->p - skip, 0, pages(b->size + skip), MREMAP_MAYMOVE);
	return p == MAP_FAILED ? NULL : p + skip;
}

static void unmap_again(struct block *b)
{
	const uint64_t skip = (uintptr_t)b->alias % 4096;

	if (b->alias)
		munmap(b->alias - skip, pages(b->size + skip));
	b->alias = NULL;
}

void fakecuda_memory_reset(void)
{
	struct block **at = &blocks, *b;

	pthread_mutex_lock(&lock);
	/* What a lost card had stays mapped, as streams may have it. */
	used = 0;
	while ((b = *at)) {
		if (!b->freed && b->kind != REGISTERED) {
			at = &b->next;
			continue;
		}
		*at = b->next;
		if (b->freed)
			munmap(b->p, b->mapped);
		unmap_again(b);
		free(b);
	}
	pthread_mutex_unlock(&lock);
}

static bool is_in(const void *p, const uint8_t *start, uint64_t size)
{
	return start && (const uint8_t *)p >= start &&
	       (const uint8_t *)p < start + size;
}

/* The live block that holds p, or the freed one; by the device's address for
 * it, too. */
static struct block *find(const void *p)
{
	struct block *b;

	for (b = blocks; b; b = b->next)
		if (is_in(p, b->p, b->size) || is_in(p, b->alias, b->size))
			return b;
	return NULL;
}

const void *fakecuda_host_address(const void *p)
{
	const struct block *b;

	pthread_mutex_lock(&lock);
	b = find(p);
	if (b && is_in(p, b->alias, b->size))
		p = b->p + ((const uint8_t *)p - b->alias);
	pthread_mutex_unlock(&lock);
	return p;
}

/* Of a copy, or of a kernel, which may have both kinds of memory. */
static const char *wrong(const void *p, uint64_t n, bool on_device, bool kernel)
{
	const struct block *b = find(p);
	const bool by_alias = b && is_in(p, b->alias, b->size);

	if (!b)
		return "memory that is neither the device's nor registered";
	if (b->freed)
		return "memory that was freed";
	if (n > b->size - (uint64_t)((const uint8_t *)p -
				     (by_alias ? b->alias : b->p)))
		return "memory beyond the end of its block";
	if (b->alias && kernel != by_alias)
		return kernel ? "the host's address in a kernel"
			      : "the device's address of the host's memory";
	if (on_device != (b->kind == DEVICE))
		return on_device ? "host memory for device memory"
				 : "device memory for host memory";
	return NULL;
}

static bool check_for(const void *p, uint64_t n, bool on_device, bool kernel,
		      const char *what)
{
	const struct block *b;
	const char *why;
	char text[160];
	bool far;

	pthread_mutex_lock(&lock);
	why = wrong(p, n, on_device, kernel);
	b = find(p);
	far = b && b->kind == REGISTERED && fakecuda_get()->far_region;
	pthread_mutex_unlock(&lock);
	if (far)
		fakecuda_fall();
	/* What was under way when the card was lost has no owner any more. */
	if (why && !fakecuda_is_lost()) {
		snprintf(text, sizeof(text), "%s: %s", what, why);
		fakecuda_break(text);
	}
	return !why && !far;
}

static bool check(const void *p, uint64_t n, bool on_device, const char *what)
{
	return check_for(p, n, on_device, false, what);
}

bool fakecuda_touch(const void *p, uint64_t n, const char *what)
{
	bool device = true;

	if (n == 0)
		return true;
	pthread_mutex_lock(&lock);
	if (find(p))
		device = find(p)->kind == DEVICE;
	pthread_mutex_unlock(&lock);
	return check_for(p, n, device, true, what);
}

static cudaError_t device_alloc(void **ret, size_t size)
{
	cudaError_t e = cudaSuccess;

	pthread_mutex_lock(&lock);
	*ret = NULL;
	if (size <= fakecuda_get()->memory &&
	    used <= fakecuda_get()->memory - size)
		*ret = map(size, DEVICE);
	if (*ret)
		used += size;
	else
		e = cudaErrorMemoryAllocation;
	pthread_mutex_unlock(&lock);
	return fakecuda_error(e);
}

static const struct fakecuda_work at_once = {FAKECUDA_NO_ENGINE, 0};

static void nothing(const void *arg)
{
	(void)arg;
}

cudaError_t cudaMalloc(void **ret, size_t size)
{
	cudaError_t e = fakecuda_call();

	if (fakecuda_capture_breaks(NULL))
		return fakecuda_error(cudaErrorStreamCaptureUnsupported);
	fakecuda_count_sync();
	return e == cudaSuccess ? device_alloc(ret, size) : e;
}

cudaError_t cudaMallocAsync(void **ret, size_t size, cudaStream_t s)
{
	cudaError_t e = fakecuda_call();

	struct fakecuda_shape all;

	if (e == cudaSuccess && fakecuda_get()->no_pools)
		return fakecuda_error(cudaErrorNotSupported);
	if (e != cudaSuccess || (e = device_alloc(ret, size)) != cudaSuccess)
		return e;
	/* Only in the order of this stream is it there. */
	e = fakecuda_enqueue(s, &at_once, nothing, ret, sizeof(*ret));
	all = whole(*ret, size);
	fakecuda_access(s, &all, true, "allocating memory");
	return e;
}

static void release(void *p, enum kind kind)
{
	struct block *b;

	pthread_mutex_lock(&lock);
	b = find(p);
	if (!b || b->freed || b->p != p || b->kind != kind) {
		fakecuda_note("memory freed that is none");
	} else {
		b->freed = true;
		/* What ran when the card was lost is a thread here, which has
		 * no way to vanish: it may read to its end. */
		if (!fakecuda_is_lost())
			mprotect(b->p, b->mapped, PROT_NONE);
		if (kind == DEVICE)
			used -= b->size;
		fakecuda_leak(-1);
	}
	pthread_mutex_unlock(&lock);
}

cudaError_t cudaFree(void *p)
{
	if (fakecuda_capture_breaks(NULL))
		return fakecuda_error(cudaErrorStreamCaptureUnsupported);
	fakecuda_count_sync();
	fakecuda_streams_wait();
	if (p)
		release(p, DEVICE);
	return cudaSuccess;
}

static uint64_t block_size(const void *p)
{
	const struct block *b;
	uint64_t n;

	pthread_mutex_lock(&lock);
	b = find(p);
	n = b ? b->size : 0;
	pthread_mutex_unlock(&lock);
	return n;
}

static void free_item(const void *arg)
{
	void *p;

	memcpy(&p, arg, sizeof(p));
	release(p, DEVICE);
}

cudaError_t cudaFreeAsync(void *p, cudaStream_t s)
{
	struct fakecuda_shape all = whole(p, block_size(p));
	cudaError_t e;

	/* A lost context frees with the process. */
	if (fakecuda_is_lost()) {
		release(p, DEVICE);
		return cudaSuccess;
	}
	e = fakecuda_enqueue(s, &at_once, free_item, &p, sizeof(p));
	fakecuda_access(s, &all, true, "freeing memory");
	return e;
}

cudaError_t cudaHostAlloc(void **ret, size_t size, unsigned int flags)
{
	cudaError_t e = fakecuda_call();

	(void)flags;
	if (fakecuda_capture_breaks(NULL))
		return fakecuda_error(cudaErrorStreamCaptureUnsupported);
	if (e != cudaSuccess)
		return e;
	fakecuda_count_sync();
	pthread_mutex_lock(&lock);
	*ret = map(size, PINNED);
	pthread_mutex_unlock(&lock);
	return *ret ? cudaSuccess : fakecuda_error(cudaErrorMemoryAllocation);
}

cudaError_t cudaFreeHost(void *p)
{
	if (fakecuda_capture_breaks(NULL))
		return fakecuda_error(cudaErrorStreamCaptureUnsupported);
	fakecuda_count_sync();
	release(p, PINNED);
	return cudaSuccess;
}

/* Whether [p, p + size) lies in one mapping of this process, as the driver
 * demands of a device's memory (os_lookup_user_io_memory() of NVIDIA's open
 * kernel modules). */
static bool is_one_mapping(const void *p, size_t size)
{
	const unsigned long first = (unsigned long)p;
	unsigned long start, end;
	bool found = false;
	char line[4400];
	FILE *f;

	f = fopen("/proc/self/maps", "re");
	while (f && !found && fgets(line, sizeof(line), f))
		found = sscanf(line, "%lx-%lx", &start, &end) == 2 &&
			start <= first && first + size <= end;
	if (f)
		fclose(f);
	return found;
}

static bool is_registered(const uint8_t *p, size_t size)
{
	const struct block *b;
	bool found = false;

	pthread_mutex_lock(&lock);
	for (b = blocks; b && !found; b = b->next)
		found = b->kind == REGISTERED && b->p < p + size &&
			p < b->p + b->size;
	pthread_mutex_unlock(&lock);
	return found;
}

cudaError_t cudaHostRegister(void *p, size_t size, unsigned int flags)
{
	const struct fakecuda_config *c = fakecuda_get();
	cudaError_t e = fakecuda_call();

	if (fakecuda_capture_breaks(NULL))
		return fakecuda_error(cudaErrorStreamCaptureUnsupported);
	if (e != cudaSuccess)
		return e;
	fakecuda_count_sync();
	if (!size || !(flags & cudaHostRegisterMapped)) {
		fakecuda_note("a registration of nothing, or not mapped");
		return fakecuda_error(cudaErrorInvalidValue);
	}
	if (is_registered(p, size))
		return fakecuda_error(cudaErrorHostMemoryAlreadyRegistered);
	if (flags & cudaHostRegisterIoMemory && !is_one_mapping(p, size))
		return fakecuda_error(cudaErrorInvalidValue);
	if (flags & cudaHostRegisterIoMemory ? c->refuse_iomemory
					     : c->refuse_plain)
		return fakecuda_error(flags & cudaHostRegisterIoMemory
					      ? cudaErrorInvalidValue
					      : cudaErrorNotSupported);
	pthread_mutex_lock(&lock);
	add(p, size, REGISTERED);
	pthread_mutex_unlock(&lock);
	return cudaSuccess;
}

cudaError_t cudaHostUnregister(void *p)
{
	struct block **at;

	pthread_mutex_lock(&lock);
	for (at = &blocks; *at; at = &(*at)->next)
		if ((*at)->p == p && (*at)->kind == REGISTERED)
			break;
	if (*at) {
		struct block *b = *at;

		*at = b->next;
		unmap_again(b);
		free(b);
		fakecuda_leak(-1);
	} else {
		fakecuda_note("memory unregistered that is not registered");
	}
	pthread_mutex_unlock(&lock);
	return cudaSuccess;
}

cudaError_t cudaHostGetDevicePointer(void **ret, void *p, unsigned int flags)
{
	cudaError_t e = fakecuda_call();
	struct block *b;

	(void)flags;
	*ret = NULL;
	if (e != cudaSuccess)
		return e;
	pthread_mutex_lock(&lock);
	b = find(p);
	if (b && b->kind == REGISTERED && !b->alias)
		b->alias = map_again(b);
	if (b)
		*ret = b->alias ? b->alias + ((uint8_t *)p - b->p) : p;
	pthread_mutex_unlock(&lock);
	return *ret ? e : fakecuda_error(cudaErrorInvalidValue);
}

cudaError_t cudaMemGetInfo(size_t *ret_free, size_t *ret_total)
{
	cudaError_t e = fakecuda_call();

	*ret_total = fakecuda_get()->memory;
	pthread_mutex_lock(&lock);
	*ret_free = *ret_total - used;
	pthread_mutex_unlock(&lock);
	return e;
}

struct set {
	void *p;
	int value;
	size_t n;
};

static void set_item(const void *arg)
{
	const struct set *s = arg;

	if (check(s->p, s->n, true, "cudaMemsetAsync"))
		memset(s->p, s->value, s->n);
}

/* Nanoseconds of so many bytes by the double's clock. */
static struct fakecuda_work copy_work(uint64_t bytes, bool to_dev,
				      bool from_dev)
{
	const struct fakecuda_card *c = fakecuda_get()->card;
	struct fakecuda_work w = {.engine = FAKECUDA_COMPUTE};
	double rate = c ? c->device : 1;

	if (!from_dev) {
		w.engine = FAKECUDA_IN;
		rate = c ? c->h2d : 1;
	} else if (!to_dev) {
		w.engine = FAKECUDA_OUT;
		rate = c ? c->d2h : 1;
	}
	if (c)
		w.ns = c->copy_ns + (uint64_t)((double)bytes / rate * 1e9);
	return w;
}

cudaError_t cudaMemsetAsync(void *p, int value, size_t n, cudaStream_t s)
{
	const struct fakecuda_work w = copy_work(n, true, true);
	const struct fakecuda_shape all = whole(p, n);
	const struct set item = {p, value, n};
	cudaError_t e = fakecuda_call();

	if (e == cudaSuccess)
		e = fakecuda_enqueue(s, &w, set_item, &item, sizeof(item));
	fakecuda_access(s, &all, true, "setting memory");
	return e;
}

struct copy {
	uint8_t *dst;
	const uint8_t *src;
	size_t dst_pitch, src_pitch, width, height;
	enum cudaMemcpyKind kind;
};

static void copy_item(const void *arg)
{
	const struct copy *c = arg;
	const bool to_dev = c->kind != cudaMemcpyDeviceToHost;
	const bool from_dev = c->kind != cudaMemcpyHostToDevice;
	uint64_t bytes = c->width * c->height;
	size_t i;

	if (bytes == 0 ||
	    !check(c->dst, (c->height - 1) * c->dst_pitch + c->width, to_dev,
		   "a copy's destination") ||
	    !check(c->src, (c->height - 1) * c->src_pitch + c->width, from_dev,
		   "a copy's source"))
		return;
	for (i = 0; i < c->height; i++)
		memcpy(c->dst + i * c->dst_pitch, c->src + i * c->src_pitch,
		       c->width);
	fakecuda_copied(from_dev ? 0 : bytes, to_dev ? 0 : bytes);
}

bool fakecuda_copy_move(fakecuda_fn *fn, void *arg, void *dst, const void *src,
			size_t n, enum cudaMemcpyKind kind)
{
	struct copy *c = arg;

	if (fn != copy_item || c->height != 1 || c->kind != kind || !n)
		return false;
	*c = (struct copy){dst, src, n, n, n, 1, kind};
	return true;
}

static cudaError_t start_copy(const struct copy *c, cudaStream_t s)
{
	const struct fakecuda_work w = copy_work(
		c->width * c->height, c->kind != cudaMemcpyDeviceToHost,
		c->kind != cudaMemcpyHostToDevice);
	const struct fakecuda_shape dst = {c->dst,       c->width, c->height,
					   c->dst_pitch, 1,        0};
	const struct fakecuda_shape src = {c->src,       c->width, c->height,
					   c->src_pitch, 1,        0};
	cudaError_t e = fakecuda_enqueue(s, &w, copy_item, c, sizeof(*c));

	fakecuda_access(s, &src, false, "a copy's source");
	fakecuda_access(s, &dst, true, "a copy's destination");
	return e;
}

cudaError_t cudaMemcpy2DAsync(void *dst, size_t dpitch, const void *src,
			      size_t spitch, size_t width, size_t height,
			      enum cudaMemcpyKind kind, cudaStream_t s)
{
	const struct copy c = {dst, src, dpitch, spitch, width, height, kind};
	cudaError_t e = fakecuda_call();

	if (e != cudaSuccess)
		return e;
	if (width > dpitch || width > spitch || dpitch > FAKECUDA_MAX_PITCH ||
	    spitch > FAKECUDA_MAX_PITCH) {
		fakecuda_note("a 2D copy wider than its pitch, or a pitch "
			      "beyond the card's");
		return fakecuda_error(cudaErrorInvalidPitchValue);
	}
	return start_copy(&c, s);
}

cudaError_t cudaMemcpyAsync(void *dst, const void *src, size_t n,
			    enum cudaMemcpyKind kind, cudaStream_t s)
{
	const struct copy c = {dst, src, n, n, n, 1, kind};
	cudaError_t e = fakecuda_call();

	return e == cudaSuccess ? start_copy(&c, s) : e;
}

struct host_fn {
	cudaHostFn_t fn;
	void *arg;
};

static void host_item(const void *arg)
{
	const struct host_fn *h = arg;

	fakecuda_host_function(true);
	h->fn(h->arg);
	fakecuda_host_function(false);
}

cudaError_t cudaLaunchHostFunc(cudaStream_t s, cudaHostFn_t fn, void *arg)
{
	const struct host_fn h = {fn, arg};
	cudaError_t e = fakecuda_call();

	return e == cudaSuccess
		       ? fakecuda_enqueue(s, &at_once, host_item, &h, sizeof(h))
		       : e;
}
