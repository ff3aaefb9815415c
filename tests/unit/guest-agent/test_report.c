/* SPDX-License-Identifier: MIT */
/* What INFO, HEALTH and WELCOME say of a GPU. */
#include <jansson.h>
#include <math.h>

#include "guest-agent/serve/report/report.h"
#include "tests/fixtures/agent_fixture.h"
#include "tests/fixtures/unit.h"

static struct fixture f;
static struct pst_backend_ops ops;
static struct pst_backend_device card;
static int answer; /* of the device */
static uint8_t *base;
static json_t *json;

static int device_info(struct pst_backend *b, struct pst_backend_device *ret,
		       struct pst_error *err)
{
	if (answer < 0)
		return pst_error_set(err, answer, "the GPU fell off the bus");
	*ret = card;
	return 0;
}

static void setup(void)
{
	base = aligned_alloc(4096, PST_WIRE_CTL_SIZE + FIXTURE_ARENA);
	ck_assert_ptr_nonnull(base);
	memset(base, 0, PST_WIRE_CTL_SIZE);
	ck_assert_int_eq(fixture_init(&f, base), 0);
	ops = fixture_ops;
	f.agent.compute.ops = &ops;
	answer = 0;
	card = (struct pst_backend_device){
		.known =
			PST_AGENT_DEVICE_SM | PST_AGENT_DEVICE_MULTIPROCESSORS |
			PST_AGENT_DEVICE_MEM_TOTAL | PST_AGENT_DEVICE_MEM_FREE |
			PST_AGENT_DEVICE_TEMPERATURE | PST_AGENT_DEVICE_POWER |
			PST_AGENT_DEVICE_UTILISATION,
		.name = "Card",
		.uuid = "GPU-1",
		.pci = "0000:01:00.0",
		.driver = "580.1",
		.runtime = "12.9",
		.cublas = "12.9.1",
		.sm_major = 5,
		.sm_minor = 2,
		.multiprocessors = 24,
		.mem_total = 12884901888,
		.mem_free = 12000000000,
		.temperature_c = -3,
		.power_w = 71.5,
		.utilisation_pct = 0,
	};
}

static void teardown(void)
{
	json_decref(json);
	json = NULL;
	pst_agent_done(&f.agent);
	free(base);
}

static void ask(char *text)
{
	ck_assert_ptr_nonnull(text);
	json_decref(json);
	json = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	free(text);
	ck_assert_ptr_nonnull(json);
}

/* The gpu object as JSON text. */
static void expect_gpu(const char *want)
{
	char *got = json_dumps(json_object_get(json, "gpu"),
			       JSON_COMPACT | JSON_ENCODE_ANY);

	ck_assert_str_eq(got, want);
	free(got);
}

START_TEST(without_a_gpu_there_is_none_and_all_is_well)
{
	ask(pst_agent_report_info(&f.agent, 1));
	expect_gpu("null");
	ask(pst_agent_report_health(&f.agent));
	expect_gpu("null");
	ck_assert(json_is_true(json_object_get(json, "healthy")));
}
END_TEST

START_TEST(info_says_what_the_gpu_is)
{
	ops.device_info = device_info;
	ask(pst_agent_report_info(&f.agent, 1));
	expect_gpu("{\"name\":\"Card\",\"uuid\":\"GPU-1\","
		   "\"pci\":\"0000:01:00.0\",\"driver\":\"580.1\","
		   "\"cuda\":\"12.9\",\"cublas\":\"12.9.1\","
		   "\"compute_capability\":\"5.2\",\"multiprocessors\":24,"
		   "\"memory_total\":12884901888,\"memory_free\":12000000000}");
}
END_TEST

/* 2 x 1024^3 operations. */
static uint64_t estimate_ns(struct pst_backend *b, const struct pst_op *op)
{
	(void)b;
	return op->dtype == PST_WIRE_F32 ? 1ULL << 30 : 1ULL << 31;
}

static bool can(struct pst_backend *b, const struct pst_agent_gemm_kind *kind,
		struct pst_error *why)
{
	(void)b;
	(void)why;
	return kind->dtype == PST_WIRE_F32 || kind->dtype == PST_WIRE_F64;
}

START_TEST(info_has_rates_before_the_first_product)
{
	char *got;

	ops.can = can;
	ops.estimate_ns = estimate_ns;
	ask(pst_agent_report_info(&f.agent, 1));
	got = json_dumps(json_object_get(json, "rates"),
			 JSON_COMPACT | JSON_REAL_PRECISION(3));
	ck_assert_str_eq(got, "{\"f32\":{\"gflops\":2.0,\"products\":0},"
			      "\"f64\":{\"gflops\":1.0,\"products\":0}}");
	free(got);
}
END_TEST

START_TEST(health_says_how_the_gpu_is)
{
	ops.device_info = device_info;
	ask(pst_agent_report_health(&f.agent));
	expect_gpu("{\"name\":\"Card\",\"temperature_c\":-3,\"power_w\":71.5,"
		   "\"utilisation_pct\":0,\"memory_total\":12884901888,"
		   "\"memory_free\":12000000000}");
	ck_assert(json_is_true(json_object_get(json, "healthy")));
}
END_TEST

START_TEST(what_is_not_known_is_null_and_never_zero)
{
	ops.device_info = device_info;
	card = (struct pst_backend_device){.known = PST_AGENT_DEVICE_POWER,
					   .power_w = NAN,
					   .name = "\xff"};
	ask(pst_agent_report_info(&f.agent, 1));
	expect_gpu("{\"name\":null,\"uuid\":null,\"pci\":null,\"driver\":null,"
		   "\"cuda\":null,\"cublas\":null,\"compute_capability\":null,"
		   "\"multiprocessors\":null,\"memory_total\":null,"
		   "\"memory_free\":null}");
	ask(pst_agent_report_health(&f.agent));
	expect_gpu("{\"name\":null,\"temperature_c\":null,\"power_w\":null,"
		   "\"utilisation_pct\":null,\"memory_total\":null,"
		   "\"memory_free\":null}");
}
END_TEST

START_TEST(a_gpu_that_does_not_answer_is_a_reason)
{
	const char *reason;

	ops.device_info = device_info;
	answer = -ENODEV;
	ask(pst_agent_report_health(&f.agent));
	expect_gpu("null");
	ck_assert(json_is_false(json_object_get(json, "healthy")));
	reason = json_string_value(
		json_array_get(json_object_get(json, "reasons"), 0));
	ck_assert_str_eq(reason, "the GPU fell off the bus");
	ask(pst_agent_report_info(&f.agent, 1));
	expect_gpu("null");
}
END_TEST

START_TEST(welcome_names_driver_and_libraries)
{
	static struct fixture_peer p;
	struct pst_wire_welcome w;
	struct pst_frame in;

	pst_agent_done(&f.agent);
	ck_assert_int_eq(fixture_init(&f, base), 0);
	ops.device_info = device_info;
	f.agent.compute.ops = &ops;
	ck_assert_int_eq(pst_agent_compute_device(&f.agent.compute,
						  &f.agent.facts.device, NULL),
			 1);
	ck_assert_int_eq(fixture_connect(&f, &p, 0), 0);
	fixture_hello(&f, &p, 0, 0);
	ck_assert_int_gt(fixture_recv(&p, &in), 0);
	ck_assert_int_eq(pst_frame_welcome(&in, &w, NULL), 0);
	ck_assert_str_eq(w.driver, "580.1");
	ck_assert_str_eq(w.cuda, "12.9");
	ck_assert_str_eq(w.cublas, "12.9.1");
	pst_agent_session_free(p.session);
}
END_TEST

static const char *staged(struct pst_backend *b)
{
	return "staged";
}

static const char *why_staged(struct pst_backend *b)
{
	return "plain: invalid argument; iomemory: not supported";
}

START_TEST(why_a_region_is_not_registered_plainly_is_a_note)
{
	const char *text;

	ask(pst_agent_report_info(&f.agent, 1));
	ck_assert_ptr_null(json_object_get(json, "gpu_registration_reason"));
	ops.registration = staged;
	ops.registration_why = why_staged;
	f.agent.compute.ops = &ops;
	/* As another agent, where it is so from the start. */
	free(f.agent.texts.info);
	f.agent.texts.info = NULL;
	ask(pst_agent_report_info(&f.agent, 1));
	ck_assert_str_eq(json_string_value(json_object_get(
				 json, "gpu_registration_reason")),
			 why_staged(NULL));
	ask(pst_agent_report_health(&f.agent));
	text = json_string_value(
		json_array_get(json_object_get(json, "notes"), 0));
	ck_assert_ptr_nonnull(strstr(text, "staged, since plain: invalid"));
	ck_assert(json_is_true(json_object_get(json, "healthy")));
}
END_TEST

static unsigned int n_threads_calls;

static uint32_t count_threads(struct pst_backend *b)
{
	n_threads_calls++;
	return 1;
}

START_TEST(what_stays_the_same_in_info_is_made_once)
{
	ops.threads = count_threads;
	f.agent.compute.ops = &ops;
	ask(pst_agent_report_info(&f.agent, 1));
	ask(pst_agent_report_info(&f.agent, 2));
	ck_assert_uint_eq(n_threads_calls, 1);
	ck_assert_int_eq(json_integer_value(json_object_get(json, "session")),
			 2);
}
END_TEST

START_TEST(a_region_out_of_the_gpus_reach_is_a_note_with_its_cure)
{
	const char *text;

	f.agent.region.phys = 1ULL << 40;
	f.agent.facts.reach =
		(struct pst_agent_reach){.phys = 1ULL << 40,
					 .size = f.agent.region.size,
					 .device_bits = 40};
	ask(pst_agent_report_info(&f.agent, 1));
	text = json_string_value(json_object_get(json, "dma_warning"));
	ck_assert_ptr_nonnull(text);
	ck_assert_ptr_nonnull(strstr(text, "above the 40 bits"));
	ck_assert_str_eq(json_string_value(json_object_get(
				 json_object_get(json, "region"), "phys")),
			 "0x10000000000");
	ask(pst_agent_report_health(&f.agent));
	ck_assert_ptr_nonnull(json_object_get(json, "dma_warning"));
	ck_assert_uint_eq(json_array_size(json_object_get(json, "notes")), 1);
	ck_assert(json_is_true(json_object_get(json, "healthy")));
	f.agent.facts.reach.device_bits = 47;
	ask(pst_agent_report_health(&f.agent));
	ck_assert_ptr_null(json_object_get(json, "dma_warning"));
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, without_a_gpu_there_is_none_and_all_is_well);
	tcase_add_test(tc, info_says_what_the_gpu_is);
	tcase_add_test(tc, info_has_rates_before_the_first_product);
	tcase_add_test(tc, health_says_how_the_gpu_is);
	tcase_add_test(tc, what_is_not_known_is_null_and_never_zero);
	tcase_add_test(tc, a_gpu_that_does_not_answer_is_a_reason);
	tcase_add_test(tc,
		       a_region_out_of_the_gpus_reach_is_a_note_with_its_cure);
	tcase_add_test(tc, why_a_region_is_not_registered_plainly_is_a_note);
	tcase_add_test(tc, welcome_names_driver_and_libraries);
	tcase_add_test(tc, what_stays_the_same_in_info_is_made_once);
}

int main(void)
{
	return pst_unit_run("report", add, 10);
}
