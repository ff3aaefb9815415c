/* SPDX-License-Identifier: MIT */
/* Reads the card's health through NVML, if that can be loaded. */
#include "guest-agent/cuda/nvml.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "transport/base/thread.h"
#include "transport/base/util.h"

#define PERIOD_NS PST_NS_PER_S

/* From NVIDIA's NVML API reference; the toolkit need not have its header. */
struct memory {
	unsigned long long total, free, used;
};
struct utilization {
	unsigned int gpu, memory;
};
typedef struct device_st *device_t;
#define TEMPERATURE_GPU 0
#define SUCCESS         0

struct calls {
	int (*init)(void);
	int (*shutdown)(void);
	int (*by_pci)(const char *pci, device_t *ret);
	int (*driver)(char *buf, unsigned int size);
	int (*memory)(device_t d, struct memory *ret);
	int (*temperature)(device_t d, int sensor, unsigned int *ret);
	int (*power)(device_t d, unsigned int *ret_mw);
	int (*utilization)(device_t d, struct utilization *ret);
};

struct pst_cuda_nvml {
	void *library;
	struct calls call;
	device_t device;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t end;
	bool ending;
	struct pst_backend_device last;
};

const char *pst_cuda_nvml_library(void)
{
	const char *name = secure_getenv("PENSTOCK_NVML");

	return name && *name ? name : "libnvidia-ml.so.1";
}

static bool find(void *library, const char *name, void *ret)
{
	void *p = dlsym(library, name);

	memcpy(ret, &p, sizeof(p));
	return p;
}

/* What an old driver lacks is left NULL; the first three must be there. */
static bool find_calls(void *l, struct calls *c)
{
	find(l, "nvmlSystemGetDriverVersion", &c->driver);
	find(l, "nvmlDeviceGetMemoryInfo", &c->memory);
	find(l, "nvmlDeviceGetTemperature", &c->temperature);
	find(l, "nvmlDeviceGetPowerUsage", &c->power);
	find(l, "nvmlDeviceGetUtilizationRates", &c->utilization);
	return find(l, "nvmlInit_v2", &c->init) &&
	       find(l, "nvmlShutdown", &c->shutdown) &&
	       find(l, "nvmlDeviceGetHandleByPciBusId_v2", &c->by_pci);
}

static void read_card(struct pst_cuda_nvml *n, struct pst_backend_device *d)
{
	const struct calls *c = &n->call;
	struct utilization u;
	struct memory m;
	unsigned int v;

	*d = (struct pst_backend_device){0};
	if (c->driver && c->driver(d->driver, sizeof(d->driver) - 1) != SUCCESS)
		d->driver[0] = '\0';
	if (c->memory && c->memory(n->device, &m) == SUCCESS) {
		d->mem_free = m.free;
		d->known |= PST_AGENT_DEVICE_MEM_FREE;
	}
	if (c->temperature &&
	    c->temperature(n->device, TEMPERATURE_GPU, &v) == SUCCESS) {
		d->temperature_c = (int32_t)v;
		d->known |= PST_AGENT_DEVICE_TEMPERATURE;
	}
	if (c->power && c->power(n->device, &v) == SUCCESS) {
		d->power_w = v / 1000.0;
		d->known |= PST_AGENT_DEVICE_POWER;
	}
	if (c->utilization && c->utilization(n->device, &u) == SUCCESS) {
		d->utilisation_pct = u.gpu;
		d->known |= PST_AGENT_DEVICE_UTILISATION;
	}
}

static void *watch(void *arg)
{
	struct pst_cuda_nvml *n = arg;
	struct pst_backend_device d;
	struct timespec until;
	uint64_t ns;

	pthread_mutex_lock(&n->lock);
	while (!n->ending) {
		pthread_mutex_unlock(&n->lock);
		read_card(n, &d);
		pthread_mutex_lock(&n->lock);
		n->last = d;
		ns = pst_now_ns() + PERIOD_NS;
		until.tv_sec = (time_t)(ns / PST_NS_PER_S);
		until.tv_nsec = (long)(ns % PST_NS_PER_S);
		if (!n->ending)
			pthread_cond_timedwait(&n->end, &n->lock, &until);
	}
	pthread_mutex_unlock(&n->lock);
	return NULL;
}

static bool start_thread(struct pst_cuda_nvml *n)
{
	pthread_condattr_t attr;
	bool ok;

	read_card(n, &n->last);
	pthread_mutex_init(&n->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&n->end, &attr);
	pthread_condattr_destroy(&attr);
	ok = pst_thread_start(&n->thread, NULL, watch, n) == 0;
	if (!ok) {
		pthread_cond_destroy(&n->end);
		pthread_mutex_destroy(&n->lock);
	}
	return ok;
}

struct pst_cuda_nvml *pst_cuda_nvml_open(const char *library, const char *pci)
{
	struct pst_cuda_nvml *n = calloc(1, sizeof(*n));

	if (!n)
		return NULL;
	n->library = dlopen(library, RTLD_NOW | RTLD_LOCAL);
	if (!n->library)
		goto no_library;
	if (!find_calls(n->library, &n->call) || n->call.init() != SUCCESS)
		goto no_init;
	if (n->call.by_pci(pci, &n->device) != SUCCESS || !start_thread(n))
		goto no_card;
	return n;
no_card:
	n->call.shutdown();
no_init:
	dlclose(n->library);
no_library:
	free(n);
	return NULL;
}

void pst_cuda_nvml_read(struct pst_cuda_nvml *n, struct pst_backend_device *ret)
{
	if (!n)
		return;
	pthread_mutex_lock(&n->lock);
	ret->known |= n->last.known;
	ret->mem_free = n->last.mem_free;
	ret->temperature_c = n->last.temperature_c;
	ret->power_w = n->last.power_w;
	ret->utilisation_pct = n->last.utilisation_pct;
	if (n->last.driver[0])
		memcpy(ret->driver, n->last.driver, sizeof(ret->driver));
	pthread_mutex_unlock(&n->lock);
}

void pst_cuda_nvml_close(struct pst_cuda_nvml *n)
{
	if (!n)
		return;
	pthread_mutex_lock(&n->lock);
	n->ending = true;
	pthread_cond_signal(&n->end);
	pthread_mutex_unlock(&n->lock);
	pthread_join(n->thread, NULL);
	pthread_cond_destroy(&n->end);
	pthread_mutex_destroy(&n->lock);
	n->call.shutdown();
	dlclose(n->library);
	free(n);
}
