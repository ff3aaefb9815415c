/* SPDX-License-Identifier: MIT */
/* Plots results: writes gnuplot scripts with data, and has gnuplot make
 * SVGs. */
#include "bench/plot.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/clock.h"
#include "bench/copy.h"

/* Curves of one plot. */
#define MAX_CURVES 12
/* Below the axis' label, however many lines it has. */
#define KEY_BELOW                                                              \
	"set bmargin 10\n"                                                     \
	"set key at screen 0.5, screen 0.02 bottom center horizontal "         \
	"maxcols 3\n"
/* Points of a distribution: more are not seen. */
#define MAX_POINTS 200
/* What lies beyond this part would only stretch the axis. */
#define SHOWN_PART 0.9995

/* One curve: rows of one name, or the best of several names. */
struct curve {
	const char *title;
	const char *prefix; /* names that begin so; the best of each size */
	enum pst_bench_row_kind kind;
	uint64_t page; /* 0: any */
};

static void heading(const struct pst_bench_result *r, const char *name,
		    const char *title, FILE *to)
{
	fprintf(to,
		"# %s, %s, revision %s\n"
		"set terminal svg size 840,560 font 'sans-serif,14' "
		"background 'white'\n"
		"set output '%s.svg'\n"
		"set title \"%s%s\\n{/*0.8 %s, %s}\"\n"
		"set grid lw 0.5 lc rgb '#d0d0d0'\n"
		"set style data linespoints\n"
		"set pointsize 0.6\n",
		name, r->machine.date, pst_bench_revision(), name, title,
		r->emulated ? " (EMULATED agent: no statement on speed)" : "",
		r->machine.cpu, r->machine.date);
}

/* The title of a data block in what follows. */
static void plot_line(FILE *to, unsigned int i, const char *title, bool dashed)
{
	fprintf(to, "%s $c%u using 1:2 title \"%s\" lw 2%s",
		i ? ", \\\n    " : "plot", i, title, dashed ? " dt 2" : "");
}

/* ---- Latency ------------------------------------------------------------ */

/* The distribution of one row: microseconds and the part of values up to
 * there. */
static void latency_points(const struct pst_bench_row *row, unsigned int index,
			   FILE *to)
{
	const struct pst_bench_hist *h = &row->all;
	uint64_t seen = 0, shown = 0;
	unsigned int i;

	fprintf(to, "$c%u << EOD\n", index);
	for (i = 0; i < PST_BENCH_HIST_BUCKETS; i++) {
		if (!h->count[i])
			continue;
		seen += h->count[i];
		if ((double)seen > SHOWN_PART * (double)h->n && shown)
			break;
		/* The ends, and steps that can be seen. */
		if (seen - shown < h->n / MAX_POINTS && seen != h->n && shown)
			continue;
		shown = seen;
		fprintf(to, "%.4g %.6f\n",
			(double)pst_bench_hist_high(i) / (double)PST_BENCH_US,
			(double)seen / (double)h->n);
	}
	fputs("EOD\n", to);
}

static bool write_latency(const struct pst_bench_result *r, FILE *to)
{
	const struct pst_bench_row *rows[MAX_CURVES];
	unsigned int i, n = 0;

	for (i = 0; i < r->n_rows && n < MAX_CURVES; i++)
		if (strcmp(r->rows[i]->bench, "latency") == 0 &&
		    r->rows[i]->all.n)
			rows[n++] = r->rows[i];
	if (n == 0)
		return false;
	heading(r, "latency", "Round trips", to);
	fputs("set logscale x\n"
	      "set xlabel 'time of one round trip, us'\n"
	      "set ylabel 'part of the round trips up to that time'\n"
	      "set yrange [0:1.02]\n" KEY_BELOW "set style data steps\n",
	      to);
	for (i = 0; i < n; i++)
		latency_points(rows[i], i, to);
	for (i = 0; i < n; i++)
		plot_line(to, i, rows[i]->name,
			  rows[i]->kind == PST_BENCH_ROW_PROBE);
	fputc('\n', to);
	return true;
}

/* ---- Bandwidth and products --------------------------------------------- */

static bool belongs(const struct pst_bench_row *row, const char *bench,
		    const struct curve *c)
{
	return strcmp(row->bench, bench) == 0 && row->kind == c->kind &&
	       strncmp(row->name, c->prefix, strlen(c->prefix)) == 0 &&
	       (c->page == 0 || row->page == c->page) && row->all.n;
}

/* Points (size, best value of that size); rows come sorted by size. Returns
 * their number. */
static unsigned int curve_points(const struct pst_bench_result *r,
				 const char *bench, const struct curve *c,
				 double percentile, unsigned int index,
				 FILE *to)
{
	const struct pst_bench_row *row;
	unsigned int i, points = 0;
	uint64_t size = 0, s;
	double best = 0, v;

	fprintf(to, "$c%u << EOD\n", index);
	for (i = 0; i < r->n_rows; i++) {
		row = r->rows[i];
		if (!belongs(row, bench, c) ||
		    (row->m && (row->m != row->n || row->n != row->k)))
			continue;
		s = row->bytes ? row->bytes : row->n;
		v = pst_bench_row_percentile(row, percentile);
		if (points && s != size)
			fprintf(to, "%" PRIu64 " %.6g\n", size, best);
		if (!points || s != size) {
			points++;
			best = v;
		}
		size = s;
		if (row->unit == PST_BENCH_ROW_GBPS && v > best)
			best = v;
	}
	if (points)
		fprintf(to, "%" PRIu64 " %.6g\n", size, best);
	fputs("EOD\n", to);
	return points;
}

/* Writes curves that have points, and the line that plots them. */
static bool write_curves(const struct pst_bench_result *r, const char *bench,
			 const struct curve *curves, const double *percentiles,
			 unsigned int n, FILE *to)
{
	bool has[MAX_CURVES] = {false};
	unsigned int i, shown = 0;

	for (i = 0; i < n; i++)
		has[i] = curve_points(r, bench, &curves[i], percentiles[i], i,
				      to) > 0;
	for (i = 0; i < n; i++) {
		if (!has[i])
			continue;
		fprintf(to, "%s $c%u using 1:2 title \"%s\" lw 2%s",
			shown ? ", \\\n    " : "plot", i, curves[i].title,
			curves[i].kind == PST_BENCH_ROW_PENSTOCK ? ""
								 : " dt 2");
		shown++;
	}
	fputc('\n', to);
	return shown > 0;
}

static bool write_bandwidth(const struct pst_bench_result *r, FILE *to)
{
	static const struct curve curves[] = {
		{"host write, best way", "host write", PST_BENCH_ROW_PENSTOCK,
		 0},
		{"host read, best way", "host read", PST_BENCH_ROW_PENSTOCK, 0},
		{"agent write (FILL)", "agent write", PST_BENCH_ROW_PENSTOCK,
		 0},
		{"agent read (CHECKSUM)", "agent read", PST_BENCH_ROW_PENSTOCK,
		 0},
		{"copy, best way, 4 KiB pages", "copy", PST_BENCH_ROW_COPY,
		 4096},
		{"copy, best way, 2 MiB pages", "copy", PST_BENCH_ROW_COPY,
		 2U << 20},
	};
	static const double p50[] = {50, 50, 50, 50, 50, 50};

	heading(r, "bandwidth", "Bandwidth of the region, and of copies", to);
	fputs("set logscale x 2\n"
	      "set yrange [0:*]\n"
	      "set xtics ('4 KiB' 2**12, '64 KiB' 2**16, '1 MiB' 2**20, "
	      "'16 MiB' 2**24, '256 MiB' 2**28)\n"
	      "set xlabel 'size of one transfer'\n"
	      "set ylabel 'GB/s (median)'\n" KEY_BELOW,
	      to);
	return write_curves(r, "bandwidth", curves, p50,
			    sizeof(curves) / sizeof(*curves), to);
}

static bool write_gemm(const struct pst_bench_result *r, FILE *to)
{
	static const struct curve curves[] = {
		{"call", "call", PST_BENCH_ROW_PENSTOCK, 0},
		{"the same in process", "in process", PST_BENCH_ROW_BLAS, 0},
		{"overhead, median", "overhead", PST_BENCH_ROW_PENSTOCK, 0},
		{"overhead, 99 %", "overhead", PST_BENCH_ROW_PENSTOCK, 0},
		{"overhead with foreign pointers, median",
		 "overhead, foreign pointers", PST_BENCH_ROW_PENSTOCK, 0},
	};
	static const double percentiles[] = {50, 50, 50, 99, 50};

	heading(r, "gemm", "Product of two n x n matrices, f32", to);
	fputs("set logscale x 2\n"
	      "set logscale y\n"
	      "set xtics 16,2\n"
	      "set format y '10^{%T}'\n"
	      "set xlabel 'n'\n"
	      "set ylabel 'time, us'\n" KEY_BELOW,
	      to);
	return write_curves(r, "gemm", curves, percentiles,
			    sizeof(curves) / sizeof(*curves), to);
}

/* ---- Files -------------------------------------------------------------- */

/* Runs gnuplot in dir. 0, -ENOENT, -EIO. */
static int run_gnuplot(const char *dir, const char *script)
{
	const char *const argv[] = {"gnuplot", script, NULL};
	posix_spawn_file_actions_t fa;
	int r, status;
	pid_t pid;

	if (posix_spawn_file_actions_init(&fa) != 0)
		return -ENOMEM;
	r = posix_spawn_file_actions_addopen(&fa, 0, "/dev/null", O_RDONLY, 0);
	if (!r)
		r = posix_spawn_file_actions_addchdir_np(&fa, dir);
	if (!r)
		r = posix_spawnp(&pid, argv[0], &fa, NULL, (char *const *)argv,
				 environ);
	posix_spawn_file_actions_destroy(&fa);
	if (r)
		return r == ENOENT ? -ENOENT : -EIO;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -EIO;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
		return -ENOENT;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EIO;
}

static bool is_measured(const struct pst_bench_result *r, const char *bench)
{
	unsigned int i;

	for (i = 0; i < r->n_rows; i++)
		if (strcmp(r->rows[i]->bench, bench) == 0 && r->rows[i]->all.n)
			return true;
	return false;
}

/* One plot. Returns 1 when it was made, 0 when there is nothing to show. */
static int
make(const struct pst_bench_result *r, const char *dir, const char *name,
     bool (*write_script)(const struct pst_bench_result *r, FILE *to),
     char *text, size_t size)
{
	char path[PATH_MAX], script[32];
	bool any;
	FILE *f;
	int rc = 0;

	/* What another run has left stays as it is. */
	if (!is_measured(r, name))
		return 0;
	snprintf(script, sizeof(script), "%s.gp", name);
	if (snprintf(path, sizeof(path), "%s/%s", dir, script) >=
	    (int)sizeof(path))
		return -ENAMETOOLONG;
	f = fopen(path, "we");
	if (!f) {
		snprintf(text, size, "cannot write %s: %s", path,
			 strerror(errno));
		return -EIO;
	}
	any = write_script(r, f);
	if (fflush(f) != 0 || ferror(f))
		rc = errno ? errno : EIO;
	if (fclose(f) != 0 && !rc)
		rc = errno;
	if (rc) {
		snprintf(text, size, "cannot write %s: %s", path, strerror(rc));
		unlink(path);
		return -EIO;
	}
	if (!any) {
		unlink(path);
		return 0;
	}
	rc = run_gnuplot(dir, script);
	if (rc == -ENOENT)
		snprintf(text, size,
			 "there is no gnuplot here; run it on %s/*.gp", dir);
	else if (rc < 0)
		snprintf(text, size, "gnuplot failed on %s", path);
	return rc < 0 ? rc : 1;
}

int pst_bench_plot(const struct pst_bench_result *r, const char *dir,
		   char *text, size_t size)
{
	static const struct {
		const char *name;
		bool (*write_script)(const struct pst_bench_result *r,
				     FILE *to);
	} plots[] = {
		{"latency", write_latency},
		{"bandwidth", write_bandwidth},
		{"gemm", write_gemm},
	};
	int made = 0, rc, failed = 0;
	size_t i;

	for (i = 0; i < sizeof(plots) / sizeof(*plots); i++) {
		rc = make(r, dir, plots[i].name, plots[i].write_script, text,
			  size);
		/* Without gnuplot all scripts are still written. */
		if (rc < 0 && rc != -ENOENT)
			return rc;
		if (rc < 0)
			failed = rc;
		else
			made += rc;
	}
	return failed ? failed : made;
}
