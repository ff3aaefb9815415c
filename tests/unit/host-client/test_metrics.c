/* SPDX-License-Identifier: MIT */
/* Metrics of what an agent says, and of one that lies. */
#include <string.h>

#include "host-client/metrics/metrics.h"
#include "host-client/metrics/table.h"
#include "tests/fixtures/unit.h"

static char *text;

static void teardown(void)
{
	free(text);
	text = NULL;
}

static void print(const struct pst_metrics_agent *a, size_t n)
{
	size_t size;
	FILE *to;

	free(text);
	to = open_memstream(&text, &size);
	pst_metrics_print(to, a, n);
	ck_assert_int_eq(fclose(to), 0);
}

/* Prints metrics of an agent whose STATS is this. */
static void print_stats(const char *json)
{
	json_t *o = json_loads(json, 0, NULL);
	const struct pst_metrics_agent a = {
		.name = "titan", .up = true, .stats = o};

	ck_assert_ptr_nonnull(o);
	print(&a, 1);
	json_decref(o);
}

static bool has(const char *line)
{
	const char *at = strstr(text, line);

	return at && (at == text || at[-1] == '\n') && at[strlen(line)] == '\n';
}

START_TEST(an_agent_that_never_answered_is_down_and_nothing_else)
{
	const struct pst_metrics_agent a = {.name = "titan"};
	const char *p;
	unsigned int values = 0;

	print(&a, 1);
	ck_assert(has("penstock_up{agent=\"titan\"} 0"));
	for (p = text; *p; p = strchr(p, '\n') + 1)
		values += *p != '#';
	ck_assert_uint_eq(values, 1);
}
END_TEST

START_TEST(a_number_comes_from_its_place_in_its_unit)
{
	json_t *health =
		json_loads("{\"healthy\":true,\"gpu\":{\"temperature_c\":-3,"
			   "\"utilisation_pct\":50,\"power_w\":null}}",
			   0, NULL);
	const struct pst_metrics_agent a = {
		.name = "titan", .up = true, .health = health};

	print(&a, 1);
	ck_assert(has("penstock_healthy{agent=\"titan\"} 1"));
	ck_assert(has("penstock_gpu_temperature_celsius{agent=\"titan\"} -3"));
	ck_assert(has("penstock_gpu_utilization_ratio{agent=\"titan\"} 0.5"));
	ck_assert_ptr_null(strstr(text, "power_watts{"));
	json_decref(health);
}
END_TEST

START_TEST(operations_have_results_and_bytes)
{
	print_stats("{\"operations\":{\"GEMM\":{\"results\":{\"OK\":7,"
		    "\"EBOUNDS\":2},\"bytes_read\":9007199254740993}}}");
	ck_assert(has("penstock_operations_total{agent=\"titan\",op=\"GEMM\","
		      "result=\"OK\"} 7"));
	ck_assert(has("penstock_operations_total{agent=\"titan\",op=\"GEMM\","
		      "result=\"EBOUNDS\"} 2"));
	ck_assert_ptr_nonnull(strstr(text, "read_bytes_total{agent=\"titan\","
					   "op=\"GEMM\"} 9.0071992547409"));
}
END_TEST

#define QUEUE "penstock_operation_queue_seconds"

START_TEST(buckets_are_added_up_and_end_with_all)
{
	print_stats("{\"operations\":{\"NOP\":{\"queue\":{\"sum_ns\":1500,"
		    "\"buckets\":[3,0,2]}}}}");
	ck_assert(has(QUEUE "_bucket{agent=\"titan\",op=\"NOP\","
			    "le=\"2.56e-07\"} 3"));
	ck_assert(has(QUEUE "_bucket{agent=\"titan\",op=\"NOP\","
			    "le=\"1.024e-06\"} 5"));
	ck_assert(has(QUEUE "_bucket{agent=\"titan\",op=\"NOP\","
			    "le=\"68.7194767\"} 5"));
	ck_assert(has(QUEUE "_bucket{agent=\"titan\",op=\"NOP\","
			    "le=\"+Inf\"} 5"));
	ck_assert(has(QUEUE "_sum{agent=\"titan\",op=\"NOP\"} 1.5e-06"));
	ck_assert(has(QUEUE "_count{agent=\"titan\",op=\"NOP\"} 5"));
}
END_TEST

/* The agent is not trusted: what cannot be is not there. */
START_TEST(counts_that_cannot_be_are_left_out)
{
	static const char *const lies[] = {
		"{\"operations\":{\"NOP\":{\"queue\":{\"sum_ns\":-1,"
		"\"buckets\":[1]}}}}",
		"{\"operations\":{\"NOP\":{\"queue\":{\"sum_ns\":1,"
		"\"buckets\":[-1]}}}}",
		"{\"operations\":{\"NOP\":{\"queue\":{\"sum_ns\":1,"
		"\"buckets\":[0.5]}}}}",
		"{\"operations\":{\"NOP\":{\"queue\":{\"sum_ns\":1,"
		"\"buckets\":[9223372036854775807,9223372036854775807,2]}}}}",
		"{\"operations\":{\"NOP\":{\"queue\":{\"sum_ns\":1,\"buckets\":"
		"[0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,"
		"1]}}}}",
		"{\"operations\":{\"NOP\":{\"queue\":7}}}",
		"{\"operations\":[1,2]}",
		"{\"operations\":{\"NOP\":{\"results\":{\"OK\":-1}}}}",
		"{\"operations\":{\"NOP\":{\"results\":{\"LOVE\":1}}}}",
		"{\"operations\":{\"MY\\n\\\"OP\":{\"results\":{\"OK\":1}}}}",
		"{\"sessions\":\"many\",\"frames\":-5,\"broken\":[]}",
	};
	unsigned int i;

	for (i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		const char *p, *end;

		print_stats(lies[i]);
		for (p = text; *p; p = end + 1) {
			end = strchr(p, '\n');
			ck_assert_msg(
				*p == '#' ||
					strncmp(p, "penstock_up", 11) == 0 ||
					strncmp(p, "penstock_answer_age", 19) ==
						0,
				"%u: %.*s", i, (int)(end - p), p);
		}
	}
}
END_TEST

START_TEST(a_text_of_the_agent_is_short_and_ends_no_line)
{
	json_t *info = json_pack(
		"{s:s, s:{s:s}}", "version", "1\n\"\\\x1b[2J", "gpu", "name",
		"123456789 123456789 123456789 123456789 123456789 123456789 "
		"12\xc3\xa4\xc3\xa4");
	const struct pst_metrics_agent a = {
		.name = "titan", .up = true, .info = info};

	ck_assert_ptr_nonnull(info);
	print(&a, 1);
	ck_assert_ptr_nonnull(strstr(text, ",version=\"1?\\\"\\\\?[2J\","));
	ck_assert_ptr_nonnull(strstr(text, " 12\xc3\xa4\","));
	json_decref(info);
}
END_TEST

START_TEST(values_of_several_agents_stand_under_one_name)
{
	const struct pst_metrics_agent a[] = {
		{.name = "one", .up = true},
		{.name = "two"},
	};

	print(a, 2);
	ck_assert_ptr_nonnull(strstr(text,
				     "# TYPE penstock_up gauge\n"
				     "penstock_up{agent=\"one\"} 1\n"
				     "penstock_up{agent=\"two\"} 0\n# HELP "));
}
END_TEST

START_TEST(every_panel_has_a_query_of_its_metric)
{
	json_t *dashboard = pst_metrics_dashboard(), *panels, *targets;
	const struct pst_metric *m;
	const char *last = "";
	size_t n = 0, i;

	panels = json_object_get(dashboard, "panels");
	for (m = pst_metrics; m->name; m++) {
		if (m->panel && strcmp(m->name, last) != 0) {
			targets = json_object_get(json_array_get(panels, n++),
						  "targets");
			ck_assert_uint_gt(json_array_size(targets), 0);
			for (i = 0; i < json_array_size(targets); i++)
				ck_assert_ptr_nonnull(strstr(
					json_string_value(json_object_get(
						json_array_get(targets, i),
						"expr")),
					m->name));
		}
		last = m->name;
	}
	ck_assert_uint_eq(n, json_array_size(panels));
	json_decref(dashboard);
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_checked_fixture(tc, NULL, teardown);
	tcase_add_test(tc,
		       an_agent_that_never_answered_is_down_and_nothing_else);
	tcase_add_test(tc, a_number_comes_from_its_place_in_its_unit);
	tcase_add_test(tc, operations_have_results_and_bytes);
	tcase_add_test(tc, buckets_are_added_up_and_end_with_all);
	tcase_add_test(tc, counts_that_cannot_be_are_left_out);
	tcase_add_test(tc, a_text_of_the_agent_is_short_and_ends_no_line);
	tcase_add_test(tc, values_of_several_agents_stand_under_one_name);
	tcase_add_test(tc, every_panel_has_a_query_of_its_metric);
}

int main(void)
{
	return pst_unit_run("metrics", add, 30);
}
