/* SPDX-License-Identifier: MIT */
/* What operations took and moved, for STATS. */
#include "guest-agent/serve/report/report_meters.h"

#include "transport/base/util.h"

static const char *const kinds[] = {
	[0] = "UNKNOWN",
	[PST_WIRE_OP_NOP] = "NOP",
	[PST_WIRE_OP_GEMM] = "GEMM",
	[PST_WIRE_OP_FILL] = "FILL",
	[PST_WIRE_OP_CHECKSUM] = "CHECKSUM",
	[PST_WIRE_OP_GEMM_STRIDED_BATCHED] = "GEMM_STRIDED_BATCHED",
	[PST_WIRE_OP_COPY] = "COPY",
	[PST_WIRE_OP_INFER] = "INFER",
	[PST_WIRE_OP_RUN] = "RUN",
};
static_assert(PST_ARRAY_SIZE(kinds) == PST_AGENT_METER_KINDS, "");

static const char *const results[] = {
	[PST_WIRE_OK] = "OK",
	[PST_WIRE_EINVAL] = "EINVAL",
	[PST_WIRE_EBOUNDS] = "EBOUNDS",
	[PST_WIRE_ELIMIT] = "ELIMIT",
	[PST_WIRE_ENOSPC] = "ENOSPC",
	[PST_WIRE_EBUSY] = "EBUSY",
	[PST_WIRE_ENOTSUP] = "ENOTSUP",
	[PST_WIRE_EVERSION] = "EVERSION",
	[PST_WIRE_EAUTH] = "EAUTH",
	[PST_WIRE_EPROTO] = "EPROTO",
	[PST_WIRE_ECANCELED] = "ECANCELED",
	[PST_WIRE_EIO] = "EIO",
	[PST_WIRE_ENOENT] = "ENOENT",
	[PST_WIRE_ENOMEM] = "ENOMEM",
	[PST_WIRE_ESHUTDOWN] = "ESHUTDOWN",
	[PST_WIRE_ETIMEDOUT] = "ETIMEDOUT",
};
static_assert(PST_ARRAY_SIZE(results) == PST_WIRE_N_STATUS, "");

static json_t *u64(uint64_t v)
{
	return json_integer((json_int_t)v);
}

/* The buckets up to the last one that counts anything. */
static json_t *times(const struct pst_agent_times *t)
{
	json_t *list = json_array();
	unsigned int n = PST_AGENT_METER_BUCKETS, i;

	while (n > 0 && t->n[n - 1] == 0)
		n--;
	for (i = 0; i < n; i++)
		json_array_append_new(list, u64(t->n[i]));
	return json_pack("{s:o?, s:o?}", "sum_ns", u64(t->sum_ns), "buckets",
			 list);
}

/* NULL: no operation of this kind has been completed. */
static json_t *meter(const struct pst_agent_meter *x, bool is_nop)
{
	json_t *by_result = json_object(), *ret;
	unsigned int i;

	for (i = 0; i < PST_WIRE_N_STATUS; i++)
		if (x->results[i])
			json_object_set_new(by_result, results[i],
					    u64(x->results[i]));
	if (json_object_size(by_result) == 0) {
		json_decref(by_result);
		return NULL;
	}
	ret = json_pack("{s:o?, s:o?, s:o?, s:o?}", "results", by_result,
			"queue", times(&x->queue), "bytes_read",
			u64(x->bytes_read), "bytes_written",
			u64(x->bytes_written));
	if (!is_nop)
		json_object_set_new(ret, "compute", times(&x->compute));
	return ret;
}

void pst_agent_report_meters(const struct pst_agent_executor *ex, json_t *stats)
{
	const struct pst_agent_meters *m = pst_agent_executor_meters(ex);
	json_t *all = json_object(), *one;
	uint64_t taken, running;
	unsigned int i;

	taken = pst_agent_executor_taken(ex, &running);
	json_object_set_new(stats, "waiting", u64(taken - running));
	json_object_set_new(stats, "running", u64(running));
	for (i = 0; i < PST_AGENT_METER_KINDS; i++) {
		one = meter(&m->of[i], i == PST_WIRE_OP_NOP);
		if (one)
			json_object_set_new(all, kinds[i], one);
	}
	json_object_set_new(stats, "operations", all);
}
