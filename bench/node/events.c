/* SPDX-License-Identifier: MIT */
/*
 * Products of 16 x 16 as a program in C makes them: one call after the other,
 * or many outstanding and an event loop on pst_fd(). What Node adds is beside
 * it.
 *
 * events OUTSTANDING COUNT: prints nanoseconds an operation; OUTSTANDING 0 is
 * pst_gemm(). Endpoint: $PENSTOCK_ENDPOINT.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench/clock.h"
#include "host-client/penstock.h"

#define N   16
#define MAX 256

static int stop(struct pst *c, const char *what, int rc)
{
	char text[256] = "";

	if (c)
		pst_last_error(c, text, sizeof(text));
	fprintf(stderr, "events: %s: %s %s\n", what, pst_strerror(rc), text);
	pst_close(c);
	return 1;
}

/* Submits n products and collects them as an event loop does. */
static int round_of(struct pst *c, const struct pst_gemm_args *g, int n)
{
	struct pollfd p = {.fd = pst_fd(c), .events = POLLIN};
	struct pst_completion done[64];
	int i, r, got = 0;

	for (i = 0; i < n; i++) {
		r = pst_submit_gemm(c, g, (uint64_t)i, NULL);
		if (r < 0)
			return r;
	}
	while (got < n) {
		r = pst_arm(c);
		if (r == 0)
			poll(&p, 1, -1);
		if (r < 0)
			return r;
		do {
			r = pst_poll(c, done, 64);
			for (i = 0; i < r; i++)
				if (done[i].status < 0)
					return done[i].status;
			got += r > 0 ? r : 0;
		} while (r > 0);
	}
	return 0;
}

int main(int argc, char **argv)
{
	int outstanding = argc > 1 ? atoi(argv[1]) : 0;
	int count = argc > 2 ? atoi(argv[2]) : 20000, i, r;
	struct pst_gemm_args g = PST_GEMM_INIT;
	uint64_t t0 = 0;
	void *p;
	char text[256];
	struct pst *c;

	if (outstanding < 0 || outstanding > MAX || count < 1)
		return stop(NULL, "usage: events OUTSTANDING COUNT", -22);
	r = pst_open(NULL, NULL, &c, text, sizeof(text));
	if (r < 0) {
		fprintf(stderr, "events: %s\n", text);
		return 1;
	}
	r = pst_alloc(c, 3 * N * N * sizeof(float), &p);
	if (r < 0)
		return stop(c, "pst_alloc", r);
	for (i = 0; i < 3 * N * N; i++)
		((float *)p)[i] = 1;
	g.dtype = PST_F32;
	g.m = g.n = g.k = N;
	g.a = p;
	g.b = (float *)p + (size_t)N * N;
	g.c = (float *)p + 2 * (size_t)N * N;
	/* The first tenth warms up. */
	for (i = 0; i < count + count / 10;
	     i += outstanding ? outstanding : 1) {
		if (!t0 && i >= count / 10)
			t0 = pst_bench_now_ns();
		r = outstanding ? round_of(c, &g, outstanding)
				: pst_gemm(c, &g, PST_FOREVER, NULL);
		if (r < 0)
			return stop(c, "a product", r);
	}
	printf("%.0f\n", (double)(pst_bench_now_ns() - t0) / count);
	pst_close(c);
	return 0;
}
