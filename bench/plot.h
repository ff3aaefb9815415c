/* SPDX-License-Identifier: MIT */
/* Plots results: writes gnuplot scripts with data, and has gnuplot make
 * SVGs. */
#ifndef PST_BENCH_PLOT_H
#define PST_BENCH_PLOT_H

#include <stddef.h>

#include "bench/result.h"

/*
 * Writes latency.gp, bandwidth.gp and gemm.gp, as far as r has rows for them,
 * into the existing folder dir, and runs gnuplot on each, which makes an .svg
 * beside it. Returns the number of SVGs made; -ENOENT: no gnuplot here, the
 * scripts are written; -EIO: gnuplot failed; -errno: a script could not be
 * written. On failure a sentence is in text.
 */
int pst_bench_plot(const struct pst_bench_result *r, const char *dir,
		   char *text, size_t size);

#endif
