/* SPDX-License-Identifier: MIT */
/* What agents say of themselves, in the text format of Prometheus. */
#include "host-client/metrics/metrics.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "host-client/metrics/table.h"

/* As penstock-protocol(7) has them. */
#define N_BUCKETS  30U
#define FIRST_BITS 8
/* Of a label's text that an agent made up. */
#define MAX_TEXT 64U

/* Names that may become labels. An agent may say any others: they are left out,
 * since each would be a time series that never ends. */
static const char *const known_ops[] = {
	"NOP",   "GEMM",     "GEMM_STRIDED_BATCHED",
	"FILL",  "CHECKSUM", "COPY",
	"INFER", "RUN",      "UNKNOWN",
};
static const char *const known_results[] = {
	"OK",      "EINVAL",   "EBOUNDS",   "ELIMIT",    "ENOSPC",    "EBUSY",
	"ENOTSUP", "EVERSION", "EAUTH",     "EPROTO",    "ECANCELED", "EIO",
	"ENOENT",  "ENOMEM",   "ESHUTDOWN", "ETIMEDOUT",
};
static const char *const known_types[] = {"f32", "f64", "f16", "bf16", "i8"};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* What is at path, "gpu.power_w", or NULL. */
static const json_t *at(const json_t *o, const char *path)
{
	char key[32];
	size_t n;

	for (; o && *path; path += n + (path[n] == '.')) {
		n = strcspn(path, ".");
		if (n >= sizeof(key))
			return NULL;
		memcpy(key, path, n);
		key[n] = '\0';
		o = json_object_get(o, key);
	}
	return o;
}

/* A label's value. */
static void print_text(FILE *to, const char *s, size_t max)
{
	size_t n = 0;

	for (; *s; s++) {
		/* A character is whole or not there. */
		if (n++ >= max && ((unsigned char)*s & 0xc0) != 0x80)
			return;
		if (*s == '"' || *s == '\\')
			fputc('\\', to);
		fputc((unsigned char)*s < ' ' || *s == 127 ? '?' : *s, to);
	}
}

/* "name{agent="..."", without the end. */
static void begin(FILE *to, const struct pst_metric *m, const char *suffix,
		  const struct pst_metrics_agent *a)
{
	fprintf(to, "%s%s{agent=\"", m->name, suffix);
	print_text(to, a->name, SIZE_MAX);
	fputc('"', to);
	if (m->label)
		fprintf(to, ",%s", m->label);
}

static void end(FILE *to, double v)
{
	fprintf(to, "} %.15g\n", v);
}

/* The number that v is, in the metric's unit; false: it is none that the metric
 * may have. */
static bool number(const struct pst_metric *m, const json_t *v, double *ret)
{
	double x;

	if (json_is_boolean(v))
		x = json_is_true(v);
	else if (json_is_number(v))
		x = json_number_value(v) * (m->scale != 0 ? m->scale : 1);
	else
		return false;
	*ret = x;
	/* Only temperatures are below zero. */
	return isfinite(x) && (x >= 0 || strstr(m->name, "celsius"));
}

static void print_number(FILE *to, const struct pst_metric *m,
			 const struct pst_metrics_agent *a,
			 const json_t *object)
{
	double x;

	if (!number(m, at(object, m->path), &x))
		return;
	begin(to, m, "", a);
	end(to, x);
}

static void print_about(FILE *to, const struct pst_metric *m,
			const struct pst_metrics_agent *a)
{
	static const struct {
		const char *label, *path;
	} labels[] = {
		{"version", "version"},   {"backend", "backend.name"},
		{"provider", "provider"}, {"gpu", "gpu.name"},
		{"driver", "gpu.driver"},
	};
	const char *s;
	size_t i;

	if (!a->info)
		return;
	begin(to, m, "", a);
	for (i = 0; i < COUNT(labels); i++) {
		s = json_string_value(at(a->info, labels[i].path));
		fprintf(to, ",%s=\"", labels[i].label);
		print_text(to, s ? s : "", MAX_TEXT);
		fputc('"', to);
	}
	end(to, 1);
}

static void print_results(FILE *to, const struct pst_metric *m,
			  const struct pst_metrics_agent *a, const char *op,
			  const json_t *meter)
{
	const json_t *results = json_object_get(meter, "results");
	size_t i;
	double x;

	for (i = 0; i < COUNT(known_results); i++) {
		if (!number(m, json_object_get(results, known_results[i]), &x))
			continue;
		begin(to, m, "", a);
		fprintf(to, ",op=\"%s\",result=\"%s\"", op, known_results[i]);
		end(to, x);
	}
}

/* Counts below and at each bound. Returns false if they are no counts. */
static bool cumulate(const json_t *buckets, uint64_t ret[N_BUCKETS])
{
	uint64_t sum = 0;
	json_int_t n;
	size_t i;

	if (!json_is_array(buckets) || json_array_size(buckets) > N_BUCKETS)
		return false;
	for (i = 0; i < N_BUCKETS; i++) {
		const json_t *v = json_array_get(buckets, i);

		n = v ? json_integer_value(v) : 0;
		if ((v && !json_is_integer(v)) || n < 0 ||
		    __builtin_add_overflow(sum, (uint64_t)n, &sum))
			return false;
		ret[i] = sum;
	}
	return true;
}

static void print_times(FILE *to, const struct pst_metric *m,
			const struct pst_metrics_agent *a, const char *op,
			const json_t *times)
{
	uint64_t n[N_BUCKETS];
	double sum;
	size_t i;

	if (!number(m, json_object_get(times, "sum_ns"), &sum) ||
	    !cumulate(json_object_get(times, "buckets"), n))
		return;
	for (i = 0; i < N_BUCKETS - 1; i++) {
		begin(to, m, "_bucket", a);
		fprintf(to, ",op=\"%s\",le=\"%.9g\"", op,
			ldexp(m->scale, FIRST_BITS + (int)i));
		end(to, (double)n[i]);
	}
	begin(to, m, "_bucket", a);
	fprintf(to, ",op=\"%s\",le=\"+Inf\"", op);
	end(to, (double)n[N_BUCKETS - 1]);
	begin(to, m, "_sum", a);
	fprintf(to, ",op=\"%s\"", op);
	end(to, sum);
	begin(to, m, "_count", a);
	fprintf(to, ",op=\"%s\"", op);
	end(to, (double)n[N_BUCKETS - 1]);
}

static void print_operations(FILE *to, const struct pst_metric *m,
			     const struct pst_metrics_agent *a)
{
	const json_t *all = json_object_get(a->stats, "operations"), *meter, *v;
	size_t i;
	double x;

	for (i = 0; i < COUNT(known_ops); i++) {
		meter = json_object_get(all, known_ops[i]);
		if (!meter)
			continue;
		if (m->from == PST_METRIC_RESULTS) {
			print_results(to, m, a, known_ops[i], meter);
			continue;
		}
		v = json_object_get(meter, m->path);
		if (m->type == PST_METRIC_HISTOGRAM) {
			print_times(to, m, a, known_ops[i], v);
		} else if (number(m, v, &x)) {
			begin(to, m, "", a);
			fprintf(to, ",op=\"%s\"", known_ops[i]);
			end(to, x);
		}
	}
}

static void print_rates(FILE *to, const struct pst_metric *m,
			const struct pst_metrics_agent *a)
{
	const json_t *rates = json_object_get(a->info, "rates"), *of;
	size_t i;
	double x;

	for (i = 0; i < COUNT(known_types); i++) {
		of = json_object_get(rates, known_types[i]);
		if (!number(m, json_object_get(of, m->path), &x))
			continue;
		begin(to, m, "", a);
		fprintf(to, ",dtype=\"%s\"", known_types[i]);
		end(to, x);
	}
}

static void print_one(FILE *to, const struct pst_metric *m,
		      const struct pst_metrics_agent *a)
{
	switch (m->from) {
	case PST_METRIC_UP:
		begin(to, m, "", a);
		end(to, a->up);
		break;
	case PST_METRIC_AGE:
		if (!a->stats)
			break;
		begin(to, m, "", a);
		end(to, a->age_s);
		break;
	case PST_METRIC_ABOUT:
		print_about(to, m, a);
		break;
	case PST_METRIC_INFO:
		print_number(to, m, a, a->info);
		break;
	case PST_METRIC_HEALTH:
		print_number(to, m, a, a->health);
		break;
	case PST_METRIC_STATS:
		print_number(to, m, a, a->stats);
		break;
	case PST_METRIC_RESULTS:
	case PST_METRIC_OPERATIONS:
		print_operations(to, m, a);
		break;
	case PST_METRIC_RATES:
		print_rates(to, m, a);
		break;
	}
}

void pst_metrics_print(FILE *to, const struct pst_metrics_agent *agents,
		       size_t n)
{
	static const char *const types[] = {
		[PST_METRIC_GAUGE] = "gauge",
		[PST_METRIC_COUNTER] = "counter",
		[PST_METRIC_HISTOGRAM] = "histogram",
	};
	const struct pst_metric *m, *first = NULL;
	size_t i;

	for (m = pst_metrics; m->name; m++) {
		if (!first || strcmp(m->name, first->name) != 0) {
			first = m;
			fprintf(to, "# HELP %s %s\n# TYPE %s %s\n", m->name,
				m->help, m->name, types[m->type]);
		}
		for (i = 0; i < n; i++)
			print_one(to, m, &agents[i]);
	}
}
