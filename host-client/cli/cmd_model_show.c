/* SPDX-License-Identifier: MIT */
/* Shows what a model takes and gives: for people, and as an object. */
#include <inttypes.h>
#include <string.h>

#include "host-client/cli/cmd_model.h"
#include "host-client/cli/cmd_open.h"
#include "transport/base/text.h"
#include "transport/base/util.h"
#include "transport/dtype.h"

/* A name of the model's, which may not steer a terminal. */
static void print_text(const char *s)
{
	for (; *s; s++)
		putchar((unsigned char)*s < ' ' || *s == 0x7f ? '?' : *s);
}

static void print_tensors(const char *what, const struct pst_tensor_spec *t,
			  uint32_t n)
{
	uint32_t i, j;

	for (i = 0; i < n; i++) {
		printf("%-10s ", what);
		print_text(t[i].name);
		printf(", %s ", pst_dtype_name(t[i].dtype));
		if (t[i].rank == 0)
			printf("of no dimension");
		for (j = 0; j < t[i].rank; j++) {
			if (j)
				putchar('x');
			if (t[i].dim[j] >= 0)
				printf("%" PRId64, t[i].dim[j]);
			else
				print_text(t[i].dim_name[j] ? t[i].dim_name[j]
							    : "?");
		}
		putchar('\n');
	}
}

static double ms(uint64_t ns)
{
	return (double)ns / PST_NS_PER_MS;
}

void pst_cmd_model_print(const struct pst_model_spec *m)
{
	printf("model      %s, %s, %" PRIu64 " bytes%s\n", m->model.name,
	       m->format, m->model.bytes,
	       m->ready ? "" : ", being loaded once more");
	print_tensors("input", m->in, m->n_in);
	print_tensors("output", m->out, m->n_out);
	printf("computed   on %s", m->provider);
	if (m->runtime[0])
		printf(" by %s", m->runtime);
	if (m->threads)
		printf(", %u thread%s", m->threads, m->threads == 1 ? "" : "s");
	putchar('\n');
	if (m->note[0])
		printf("note       %s\n", m->note);
	if (m->n_cpus)
		printf("CPUs       %u; the agent and the model %s\n", m->n_cpus,
		       m->shared ? "share one" : "have one each");
	printf("times      loaded in %.1f ms", ms(m->load_ns));
	if (m->first_ns)
		printf("; first run %.3f ms, second %.3f ms", ms(m->first_ns),
		       ms(m->second_ns));
	if (m->run_ns)
		printf("; now about %.3f ms", ms(m->run_ns));
	printf("\nruns       %" PRIu64 ", %" PRIu64 " bytes copied\n",
	       m->n_runs, m->copied);
}

static json_t *tensors(const struct pst_tensor_spec *t, uint32_t n)
{
	json_t *all = json_array(), *dims;
	uint32_t i, j;

	for (i = 0; i < n; i++) {
		dims = json_array();
		for (j = 0; j < t[i].rank; j++)
			json_array_append_new(
				dims, t[i].dim[j] >= 0
					      ? json_integer(t[i].dim[j])
					      : pst_cmd_text(t[i].dim_name[j]));
		json_array_append_new(all, json_pack("{s:o, s:s, s:o}", "name",
						     pst_cmd_text(t[i].name),
						     "dtype",
						     pst_dtype_name(t[i].dtype),
						     "shape", dims));
	}
	return all;
}

json_t *pst_cmd_model_object(const struct pst_cmd_ctx *ctx,
			     const struct pst_model_spec *m)
{
	return json_pack(
		"{s:o, s:s, s:s, s:I, s:o, s:o, s:s, s:s, s:s, s:b, s:I, s:b, "
		"s:I, s:f, s:f, s:f, s:f, s:I, s:I}",
		"endpoint", pst_cmd_text(pst_cmd_endpoint(ctx)), "name",
		m->model.name, "format", m->format, "bytes",
		(json_int_t)m->model.bytes, "inputs", tensors(m->in, m->n_in),
		"outputs", tensors(m->out, m->n_out), "provider", m->provider,
		"runtime", m->runtime, "note", m->note, "ready", (int)m->ready,
		"cpus", (json_int_t)m->n_cpus, "cpu_shared", (int)m->shared,
		"threads", (json_int_t)m->threads, "load_ms", ms(m->load_ns),
		"first_ms", ms(m->first_ns), "second_ms", ms(m->second_ns),
		"run_ms", ms(m->run_ns), "runs", (json_int_t)m->n_runs,
		"bytes_copied", (json_int_t)m->copied);
}
