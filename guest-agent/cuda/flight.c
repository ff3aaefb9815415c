/* SPDX-License-Identifier: MIT */
/* Counts the pieces of work that a device has not finished. */
#include "guest-agent/cuda/flight.h"

#include "guest-agent/cuda/device.h"

int pst_cuda_event(cudaEvent_t *ret, struct pst_error *err)
{
	return pst_cuda_ok(
		cudaEventCreateWithFlags(ret, cudaEventDisableTiming),
		"making an event", err);
}

int pst_cuda_stream(cudaStream_t *ret, struct pst_error *err)
{
	return pst_cuda_ok(
		cudaStreamCreateWithFlags(ret, cudaStreamNonBlocking),
		"making a stream", err);
}

int pst_cuda_stream_first(cudaStream_t *ret, struct pst_error *err)
{
	int least = 0, greatest = 0;

	if (cudaDeviceGetStreamPriorityRange(&least, &greatest) != cudaSuccess)
		cudaGetLastError();
	return pst_cuda_ok(cudaStreamCreateWithPriority(
				   ret, cudaStreamNonBlocking, greatest),
			   "making a stream", err);
}

int pst_cuda_flight_init(struct pst_cuda_flight *f, struct pst_error *err)
{
	unsigned int i;
	int r = 0;

	for (i = 0; i < PST_CUDA_FLIGHT_MAX && r == 0; i++)
		r = pst_cuda_event(&f->event[i], err);
	return r;
}

void pst_cuda_flight_done(struct pst_cuda_flight *f)
{
	unsigned int i;

	for (i = 0; i < PST_CUDA_FLIGHT_MAX; i++) {
		if (f->event[i])
			cudaEventDestroy(f->event[i]);
		f->event[i] = NULL;
	}
	f->n = 0;
}

int pst_cuda_flight_mark(struct pst_cuda_flight *f, cudaStream_t s,
			 struct pst_error *err)
{
	unsigned int i = (f->first + f->n) % PST_CUDA_FLIGHT_MAX;
	int r;

	r = pst_cuda_ok(cudaEventRecord(f->event[i], s), "recording an event",
			err);
	if (r == 0)
		f->n++;
	return r;
}

int pst_cuda_flight_poll(struct pst_cuda_flight *f, struct pst_error *err)
{
	cudaError_t e;
	int r;

	while (f->n) {
		e = cudaEventQuery(f->event[f->first]);
		if (e == cudaErrorNotReady)
			break;
		r = pst_cuda_ok(e, "the device's work", err);
		if (r < 0)
			return r;
		f->first = (f->first + 1) % PST_CUDA_FLIGHT_MAX;
		f->n--;
	}
	return (int)f->n;
}

int pst_cuda_after(cudaStream_t first, cudaEvent_t event, cudaStream_t then,
		   struct pst_error *err)
{
	int r;

	r = pst_cuda_ok(cudaEventRecord(event, first), "recording an event",
			err);
	if (r < 0)
		return r;
	return pst_cuda_ok(cudaStreamWaitEvent(then, event, 0),
			   "waiting for an event", err);
}
