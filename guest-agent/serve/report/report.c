/* SPDX-License-Identifier: MIT */
/* INFO, HEALTH, STATS and MODEL_LIST as JSON text. */
#include "guest-agent/serve/report/report.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "guest-agent/serve/report/report_meters.h"
#include "guest-agent/serve/report/report_ops.h"
#include "transport/base/util.h"
#include "transport/dtype.h"
#include "transport/shm.h"

/* Side of the product that a backend is asked about. */
#define RATED_N 1024U

/* jansson takes ownership of each value, and drops what failed to allocate:
 * a NULL root or dump is the only error left to handle. */
static char *dump(json_t *root)
{
	char *text = root ? json_dumps(root, JSON_COMPACT) : NULL;

	json_decref(root);
	return text;
}

static json_t *u64(uint64_t v)
{
	return json_integer((json_int_t)v);
}

static json_t *uuid(const uint8_t bytes[16])
{
	char text[37];

	pst_uuid_format(bytes, text);
	return json_string(text);
}

static json_t *epoch(const struct pst_agent *a)
{
	char text[17];

	snprintf(text, sizeof(text), "%016" PRIx64, a->epoch);
	return json_string(text);
}

/* Its place in this machine's address space. */
static json_t *phys(const struct pst_region *r)
{
	if (!r->phys)
		return json_null();
	return json_sprintf("0x%" PRIx64, r->phys);
}

static json_t *region(const struct pst_agent *a)
{
	const struct pst_region *r = &a->region;

	return json_pack("{s:s, s:o?, s:o?, s:o?, s:o?, s:i, s:s}", "name",
			 r->name, "uuid", uuid(r->uuid), "phys", phys(r),
			 "file_size", u64(r->file_size), "arena_size",
			 u64(r->size - PST_WIRE_CTL_SIZE), "page_size",
			 (int)r->page_size, "caching",
			 pst_caching_name(r->caching));
}

/* How the region is mapped; in INFO and in HEALTH. */
static void add_mapping(const struct pst_agent *a, json_t *root)
{
	const struct pst_region *r = &a->region;
	const char *why = pst_agent_compute_registration_why(&a->compute);
	char remedy[PST_AGENT_MEASURE_REMEDY], high[PST_AGENT_REACH_WARNING];

	json_object_set_new(root, "provider",
			    json_string(pst_provider_name(r->provider)));
	json_object_set_new(root, "caching",
			    json_string(pst_caching_name(r->caching)));
	json_object_set_new(root, "page_size", u64(r->page_size));
	json_object_set_new(root, "read_gbps",
			    json_real(a->facts.measure.read_gbps));
	json_object_set_new(root, "write_gbps",
			    json_real(a->facts.measure.write_gbps));
	json_object_set_new(
		root, "gpu_registration",
		json_string(pst_agent_compute_registration(&a->compute)));
	if (why[0])
		json_object_set_new(root, "gpu_registration_reason",
				    json_string(why));
	pst_agent_measure_remedy(r, &a->facts.measure, remedy);
	if (remedy[0])
		json_object_set_new(root, "remedy", json_string(remedy));
	pst_agent_reach_warning(&a->facts.reach, high);
	if (high[0])
		json_object_set_new(root, "dma_warning", json_string(high));
}

/* Text and numbers that the backend could not find out are null. */
static json_t *text_or_null(const char *s)
{
	json_t *v = s[0] ? json_string(s) : NULL;

	return v ? v : json_null();
}

static json_t *known(const struct pst_backend_device *d,
		     enum pst_agent_device_known bit, json_t *v)
{
	if (d->known & bit && v)
		return v;
	json_decref(v);
	return json_null();
}

static void add_memory(const struct pst_backend_device *d, json_t *gpu)
{
	json_object_set_new(
		gpu, "memory_total",
		known(d, PST_AGENT_DEVICE_MEM_TOTAL, u64(d->mem_total)));
	json_object_set_new(
		gpu, "memory_free",
		known(d, PST_AGENT_DEVICE_MEM_FREE, u64(d->mem_free)));
}

/* The GPU in INFO: what it is. */
static json_t *gpu_info(const struct pst_agent *a)
{
	struct pst_backend_device d;
	json_t *gpu;

	if (pst_agent_compute_device(&a->compute, &d, NULL) <= 0)
		return json_null();
	gpu = json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "name",
			text_or_null(d.name), "uuid", text_or_null(d.uuid),
			"pci", text_or_null(d.pci), "driver",
			text_or_null(d.driver), "cuda", text_or_null(d.runtime),
			"cublas", text_or_null(d.cublas));
	json_object_set_new(
		gpu, "compute_capability",
		known(&d, PST_AGENT_DEVICE_SM,
		      json_sprintf("%u.%u", d.sm_major, d.sm_minor)));
	json_object_set_new(gpu, "multiprocessors",
			    known(&d, PST_AGENT_DEVICE_MULTIPROCESSORS,
				  u64(d.multiprocessors)));
	add_memory(&d, gpu);
	return gpu;
}

/* The GPU in HEALTH: how it is. One that does not answer is a reason. */
static json_t *gpu_health(const struct pst_agent *a, json_t *reasons)
{
	struct pst_backend_device d;
	struct pst_error err = {0};
	json_t *gpu;
	int r;

	r = pst_agent_compute_device(&a->compute, &d, &err);
	if (r < 0)
		json_array_append_new(reasons, json_string(err.text));
	if (r <= 0)
		return json_null();
	gpu = json_pack("{s:o, s:o, s:o, s:o}", "name", text_or_null(d.name),
			"temperature_c",
			known(&d, PST_AGENT_DEVICE_TEMPERATURE,
			      json_integer(d.temperature_c)),
			"power_w",
			known(&d, PST_AGENT_DEVICE_POWER, json_real(d.power_w)),
			"utilisation_pct",
			known(&d, PST_AGENT_DEVICE_UTILISATION,
			      u64(d.utilisation_pct)));
	add_memory(&d, gpu);
	return gpu;
}

static json_t *limits(const struct pst_agent *a)
{
	struct pst_agent_models_usage m;

	pst_agent_models_limits(a->models, &m);
	return json_pack(
		"{s:o?, s:o?, s:o?, s:o?, s:o?, s:o?, s:o?, s:o?, s:o?, s:i}",
		"max_dim", u64(a->config.limits.max_dim), "max_elems",
		u64(a->config.limits.max_elems), "max_lease",
		u64(a->config.limits.max_lease), "max_clients",
		u64(a->config.limits.max_clients), "max_tensor_bytes",
		u64(a->config.limits.max_tensor_bytes), "max_tensors",
		u64(a->config.limits.max_tensors), "max_batch",
		u64(a->config.limits.max_batch), "max_models", u64(m.n),
		"max_model_bytes", u64(m.bytes), "n_slots",
		(int)PST_WIRE_SLOTS);
}

static json_t *model(const struct pst_wire_model *m)
{
	if (m->n_layers == 0)
		return json_pack("{s:s, s:s, s:o?, s:o?, s:o?}", "name",
				 m->name, "format", "onnx", "inputs",
				 u64(m->n_in), "outputs", u64(m->n_out),
				 "bytes", u64(m->size));
	return json_pack("{s:s, s:s, s:o?, s:o?, s:o?, s:o?, s:o?, s:s}",
			 "name", m->name, "format", "safetensors", "inputs",
			 u64(m->n_in), "outputs", u64(m->n_out), "layers",
			 u64(m->n_layers), "bytes", u64(m->size), "max_batch",
			 u64(m->max_batch), "dtype", pst_dtype_name(m->dtype));
}

static json_t *models(const struct pst_agent *a)
{
	struct pst_wire_model list[PST_AGENT_MODELS_MAX];
	const uint32_t n = pst_agent_models_list(a->models, list);
	json_t *ret = json_array();
	uint32_t i;

	for (i = 0; i < n; i++)
		json_array_append_new(ret, model(&list[i]));
	return ret;
}

/* The list's text, kept until pst_agent_report_models_changed(); NULL: out of
 * memory. */
static const char *models_text(struct pst_agent *a)
{
	if (!a->texts.models)
		a->texts.models = dump(models(a));
	return a->texts.models;
}

void pst_agent_report_models_changed(struct pst_agent *a)
{
	free(a->texts.models);
	a->texts.models = NULL;
}

char *pst_agent_report_models(struct pst_agent *a)
{
	const char *list = models_text(a);
	char *text;

	if (!list || asprintf(&text, "{\"models\":%s}", list) < 0)
		return NULL;
	return text;
}

/* What the backend measured at start. */
static json_t *calibration(const struct pst_agent_compute *c)
{
	struct pst_backend_figure f[PST_BACKEND_FIGURES + 1] = {{0}};
	json_t *all = json_object();
	int i;

	c->ops->calibration(c->backend, f);
	for (i = 0; f[i].name; i++)
		json_object_set_new(all, f[i].name, json_real(f[i].value));
	return all;
}

/* What stays the same while the agent lives: most of INFO, and nearly all of
 * the time that it would take. */
static json_t *constant(const struct pst_agent *a)
{
	json_t *root = json_object();

	json_object_set_new(root, "version", json_string(PACKAGE_VERSION));
	json_object_set_new(root, "protocol", u64(PST_WIRE_VERSION));
	json_object_set_new(root, "epoch", epoch(a));
	json_object_set_new(root, "region", region(a));
	add_mapping(a, root);
	json_object_set_new(
		root, "backend",
		json_pack("{s:s, s:s, s:i}", "name", a->compute.ops->name,
			  "describe", a->facts.backend_text, "threads",
			  (int)a->compute.ops->threads(a->compute.backend)));
	if (a->compute.ops->calibration)
		json_object_set_new(root, "calibration",
				    calibration(&a->compute));
	json_object_set_new(root, "limits", limits(a));
	json_object_set_new(root, "ops", pst_agent_report_ops(&a->compute));
	json_object_set_new(root, "gemm", pst_agent_report_gemm(&a->compute));
	json_object_set_new(root, "loop", json_string(a->facts.loop_text));
	json_object_set_new(root, "scrub", json_boolean(a->config.scrub));
	json_object_set_new(root, "kernel",
			    json_string(a->facts.identity.kernel));
	json_object_set_new(root, "boot_id", uuid(a->facts.identity.boot_id));
	json_object_set_new(root, "vm_uuid", uuid(a->facts.identity.vm_uuid));
	json_object_set_new(root, "emulated",
			    json_boolean(a->facts.identity.emulated));
	json_object_set_new(root, "pid", u64((uint64_t)getpid()));
	return root;
}

/* What the backend expects of a large product that copies nothing; 0: it has
 * none of the type. */
static double expected_gflops(const struct pst_agent_compute *c, uint32_t dtype)
{
	const struct pst_agent_gemm_kind kind = {
		.dtype = dtype,
		.dtype_c = pst_dtype_of_c(dtype),
	};
	const struct pst_op op = {
		.op = PST_WIRE_OP_GEMM,
		.dtype = dtype,
		.dtype_c = kind.dtype_c,
		.m = RATED_N,
		.n = RATED_N,
		.k = RATED_N,
		.lda = RATED_N,
		.ldb = RATED_N,
		.ldc = RATED_N,
		.batch = 1,
		.alpha = 1,
	};
	uint64_t ns;

	if (!c->ops->can || !c->ops->can(c->backend, &kind, NULL))
		return 0;
	ns = c->ops->estimate_ns(c->backend, &op);
	return ns ? pst_op_flops(&op) / (double)ns : 0;
}

/* By type: of products that were computed, and of one that had none yet as the
 * backend expects it. */
static json_t *rates(const struct pst_agent *a)
{
	const struct pst_agent_rates *r = pst_agent_executor_rates(a->executor);
	json_t *all = json_object();
	double gflops;
	uint32_t t;

	for (t = PST_WIRE_F32; t <= PST_WIRE_I8; t++) {
		gflops = r->of[t].n ? r->of[t].gflops
				    : expected_gflops(&a->compute, t);
		if (gflops > 0)
			json_object_set_new(all, pst_dtype_name(t),
					    json_pack("{s:f, s:o?}", "gflops",
						      gflops, "products",
						      u64(r->of[t].n)));
	}
	return all;
}

char *pst_agent_report_info(struct pst_agent *a, uint64_t session)
{
	const char *list = models_text(a);
	json_t *gpu = gpu_info(a);
	PST_CLEANUP_FREE char *gpu_text =
		json_dumps(gpu, JSON_COMPACT | JSON_ENCODE_ANY);
	PST_CLEANUP_FREE char *rates_text = NULL;
	char *text;

	json_decref(gpu);
	gpu = rates(a);
	rates_text = json_dumps(gpu, JSON_COMPACT);
	json_decref(gpu);
	if (!a->texts.info)
		a->texts.info = dump(constant(a));
	/* One object: the constant one's members follow. */
	if (!list || !gpu_text || !rates_text || !a->texts.info ||
	    asprintf(&text,
		     "{\"session\":%" PRIu64
		     ",\"gpu\":%s,\"rates\":%s,\"models\":%s,%s",
		     session, gpu_text, rates_text, list,
		     a->texts.info + 1) < 0)
		return NULL;
	return text;
}

/* A slow mapping is no failure: its cost and remedy are reported apart. */
static json_t *notes(const struct pst_agent *a)
{
	const char *why = pst_agent_compute_registration_why(&a->compute);
	json_t *list = json_array();
	char remedy[PST_AGENT_MEASURE_REMEDY], high[PST_AGENT_REACH_WARNING];

	if (why[0])
		json_array_append_new(
			list, json_sprintf("the GPU registration of the "
					   "region is %s, since %s",
					   pst_agent_compute_registration(
						   &a->compute),
					   why));
	pst_agent_measure_remedy(&a->region, &a->facts.measure, remedy);
	if (remedy[0])
		json_array_append_new(list, json_string(remedy));
	pst_agent_reach_warning(&a->facts.reach, high);
	if (high[0])
		json_array_append_new(list, json_string(high));
	return list;
}

char *pst_agent_report_health(const struct pst_agent *a)
{
	const uint64_t now = pst_now_ns();
	const uint64_t stuck = pst_agent_executor_stuck_since(a->executor);
	const uint64_t beats =
		a->heartbeat ? pst_agent_heartbeat_count(a->heartbeat) : 0;
	const uint64_t word =
		pst_shm_load(&pst_region_header(&a->region)->heartbeat.value);
	json_t *reasons = json_array(), *root = json_object();
	json_t *gpu = gpu_health(a, reasons);
	char text[128];

	if (a->draining)
		json_array_append_new(
			reasons, json_string("the agent is shutting down"));
	if (stuck && now - stuck > PST_NS_PER_S) {
		snprintf(text, sizeof(text),
			 "the backend has not given up a cancelled operation "
			 "for %" PRIu64 " s",
			 (now - stuck) / PST_NS_PER_S);
		json_array_append_new(reasons, json_string(text));
	}
	/* One beat may lie between the two reads. */
	if (word > beats + 1 || word + 1 < beats)
		json_array_append_new(reasons,
				      json_string("another process writes the "
						  "region's heartbeat"));
	json_object_set_new(root, "healthy",
			    json_boolean(json_array_size(reasons) == 0));
	json_object_set_new(root, "reasons", reasons);
	json_object_set_new(root, "notes", notes(a));
	json_object_set_new(root, "gpu", gpu);
	json_object_set_new(root, "uptime_s",
			    json_real((double)(now - a->facts.started_ns) /
				      (double)PST_NS_PER_S));
	json_object_set_new(root, "heartbeat", u64(word));
	json_object_set_new(root, "sessions", u64(a->seats.n_sessions));
	add_mapping(a, root);
	return dump(root);
}

/* A session in the place of its lowest lane, with what all have done. */
static json_t *client(const struct pst_agent *a, uint32_t first,
		      struct pst_agent_lane_stats *ret_sum)
{
	const struct pst_agent_peer *peer = &a->seats.lanes[first].peer;
	struct pst_agent_lane_stats st, sum = {.last_error = ""};
	struct pst_agent_tensor_usage t;
	json_t *lanes = json_array();
	uint32_t i;

	for (i = first; i < a->config.limits.max_clients; i++) {
		if (a->seats.lanes[i].state != PST_AGENT_SEAT_USED ||
		    a->seats.lanes[i].peer.owner != peer->owner)
			continue;
		pst_agent_executor_lane_stats(a->executor, i, &st);
		sum.ops += st.ops;
		sum.errors += st.errors;
		sum.compute_ns += st.compute_ns;
		if (!sum.last_error[0])
			sum.last_error = st.last_error;
		json_array_append_new(lanes, u64(i));
	}
	*ret_sum = sum;
	pst_agent_tensors_usage(a->holdings.tensors, peer->owner, &t);
	return json_pack(
		"{s:o?, s:s, s:o?, s:o?, s:o?, s:o?, s:o?, s:o?, s:o?, "
		"s:o?, s:s}",
		"session", u64(peer->owner), "name", peer->name, "pid",
		u64(peer->pid), "lanes", lanes, "leased_bytes",
		u64(pst_agent_extents_leased(a->holdings.extents, peer->owner)),
		"tensor_bytes", u64(t.bytes), "tensors", u64(t.n), "ops",
		u64(sum.ops), "errors", u64(sum.errors), "compute_ns",
		u64(sum.compute_ns), "last_error", sum.last_error);
}

/* Whether a lane is its session's lowest. */
static bool is_lowest(const struct pst_agent_seats *seats, uint32_t lane)
{
	const uint64_t owner = seats->lanes[lane].peer.owner;
	uint32_t i;

	for (i = 0; i < lane; i++)
		if (seats->lanes[i].state == PST_AGENT_SEAT_USED &&
		    seats->lanes[i].peer.owner == owner)
			return false;
	return seats->lanes[lane].state == PST_AGENT_SEAT_USED;
}

static void add_clients(const struct pst_agent *a, json_t *root)
{
	uint64_t ops = a->counters.ops_ended;
	uint64_t errors = a->counters.errors_ended;
	uint64_t compute_ns = a->counters.compute_ns_ended;
	json_t *list = json_array();
	struct pst_agent_lane_stats st;
	uint32_t i;

	for (i = 0; i < a->config.limits.max_clients; i++) {
		if (!is_lowest(&a->seats, i))
			continue;
		json_array_append_new(list, client(a, i, &st));
		ops += st.ops;
		errors += st.errors;
		compute_ns += st.compute_ns;
	}
	json_object_set_new(root, "ops", u64(ops));
	json_object_set_new(root, "errors", u64(errors));
	json_object_set_new(root, "compute_ns", u64(compute_ns));
	json_object_set_new(root, "clients", list);
}

char *pst_agent_report_stats(const struct pst_agent *a)
{
	const struct pst_agent_counters *c = &a->counters;
	const struct {
		const char *name;
		uint64_t value;
	} counters[] = {
		{"sessions", a->seats.n_sessions},
		{"control_sessions", a->seats.n_control},
		{"connections", c->connections},
		{"sessions_started", c->sessions_started},
		{"sessions_ended", c->sessions_ended},
		{"broken", c->broken},
		{"rejected_cid", c->rejected_cid},
		{"rejected_full", c->rejected_full},
		{"rejected_version", c->rejected_version},
		{"rejected_nonce", c->rejected_nonce},
		{"rejected_epoch", c->rejected_epoch},
		{"rejected_late", c->rejected_late},
		{"rejected_lanes", c->rejected_lanes},
		{"rejected_frames", c->rejected_frames},
		{"frames", c->frames},
		{"leases", c->leases},
		{"releases", c->releases},
		{"cancels", c->cancels},
		{"failures", c->failures},
		{"tensors_created", c->tensors_created},
		{"tensors_destroyed", c->tensors_destroyed},
		{"models_loaded", c->models_loaded},
		{"models_unloaded", c->models_unloaded},
		{"wakes_sent", c->wakes_sent},
	};
	struct pst_agent_extents_stats st;
	struct pst_agent_models_usage models;
	struct pst_agent_tensor_usage t;
	json_t *root = json_object();
	size_t i;

	pst_agent_extents_stats(a->holdings.extents, &st);
	json_object_set_new(root, "epoch", epoch(a));
	json_object_set_new(root, "uptime_ns",
			    u64(pst_now_ns() - a->facts.started_ns));
	json_object_set_new(root, "arena_bytes", u64(st.total));
	json_object_set_new(root, "leased_bytes", u64(st.leased));
	json_object_set_new(root, "quarantined_bytes", u64(st.quarantined));
	json_object_set_new(root, "largest_free_bytes", u64(st.largest_free));
	pst_agent_tensors_usage(a->holdings.tensors, 0, &t);
	json_object_set_new(root, "tensors", u64(t.n));
	json_object_set_new(root, "tensor_bytes", u64(t.bytes));
	json_object_set_new(root, "tensor_quarantined_bytes",
			    u64(t.quarantined_bytes));
	pst_agent_models_usage(a->models, &models);
	json_object_set_new(root, "models", u64(models.n));
	json_object_set_new(root, "model_bytes", u64(models.bytes));
	for (i = 0; i < PST_ARRAY_SIZE(counters); i++)
		json_object_set_new(root, counters[i].name,
				    u64(counters[i].value));
	pst_agent_report_meters(a->executor, root);
	add_clients(a, root);
	return dump(root);
}
