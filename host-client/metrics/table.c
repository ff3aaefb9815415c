/* SPDX-License-Identifier: MIT */
/* The table of metrics: names, types, meaning, and where values come from. */
#include "host-client/metrics/table.h"

#include <stddef.h>

#define GAUGE     PST_METRIC_GAUGE
#define COUNTER   PST_METRIC_COUNTER
#define HISTOGRAM PST_METRIC_HISTOGRAM
#define INFO      PST_METRIC_INFO
#define HEALTH    PST_METRIC_HEALTH
#define STATS     PST_METRIC_STATS
#define NS        1e-9

#define REJECTED(reason)                                                       \
	{                                                                      \
		"penstock_connections_rejected_total",                         \
			"Connections that the agent refused.",                 \
			"Connections refused", COUNTER, STATS,                 \
			"rejected_" reason, 0, "reason=\"" reason "\""         \
	}

const struct pst_metric pst_metrics[] = {
	{"penstock_up", "1 if the agent answered the last time it was asked.",
	 "Agent answers", GAUGE, PST_METRIC_UP, NULL, 0, NULL},
	{"penstock_answer_age_seconds",
	 "Age of the agent's last answer, which the other values are from.",
	 "Age of the last answer", GAUGE, PST_METRIC_AGE, NULL, 0, NULL},
	{"penstock_healthy", "1 if the agent says that it is well.",
	 "Agent is well", GAUGE, HEALTH, "healthy", 0, NULL},
	{"penstock_agent_info", "What the agent is, in its labels.", NULL,
	 GAUGE, PST_METRIC_ABOUT, NULL, 0, NULL},
	{"penstock_uptime_seconds", "Time since the agent started.", NULL,
	 GAUGE, HEALTH, "uptime_s", 0, NULL},

	{"penstock_operations_total",
	 "Operations completed, by kind and by the protocol's status.",
	 "Operations", COUNTER, PST_METRIC_RESULTS, NULL, 0, NULL},
	{"penstock_operation_queue_seconds",
	 "Time of operations from being taken to the start.",
	 "Time in the queue", HISTOGRAM, PST_METRIC_OPERATIONS, "queue", NS,
	 NULL},
	{"penstock_operation_compute_seconds",
	 "Time of operations in the backend.", "Time in the backend", HISTOGRAM,
	 PST_METRIC_OPERATIONS, "compute", NS, NULL},
	{"penstock_region_read_bytes_total",
	 "Bytes of the region that operations read.", "Read from the region",
	 COUNTER, PST_METRIC_OPERATIONS, "bytes_read", 0, NULL},
	{"penstock_region_written_bytes_total",
	 "Bytes of the region that operations wrote.", "Written to the region",
	 COUNTER, PST_METRIC_OPERATIONS, "bytes_written", 0, NULL},
	{"penstock_queue_operations",
	 "Operations that the agent has taken and not completed.",
	 "Operations in hand", GAUGE, STATS, "waiting", 0, "state=\"waiting\""},
	{"penstock_queue_operations",
	 "Operations that the agent has taken and not completed.",
	 "Operations in hand", GAUGE, STATS, "running", 0, "state=\"running\""},
	{"penstock_product_flops_per_second",
	 "How fast products of a type of element were computed.",
	 "Speed of products", GAUGE, PST_METRIC_RATES, "gflops", 1e9, NULL},

	{"penstock_sessions", "Sessions, those that only ask among them.",
	 "Sessions", GAUGE, STATS, "sessions", 0, NULL},
	{"penstock_control_sessions",
	 "Sessions without a lane, which only ask.", NULL, GAUGE, STATS,
	 "control_sessions", 0, NULL},
	{"penstock_sessions_started_total", "Sessions that began.", NULL,
	 COUNTER, STATS, "sessions_started", 0, NULL},
	{"penstock_sessions_broken_total",
	 "Sessions that ended since the client broke the protocol.", NULL,
	 COUNTER, STATS, "broken", 0, NULL},
	REJECTED("cid"),
	REJECTED("full"),
	REJECTED("version"),
	REJECTED("nonce"),
	REJECTED("epoch"),
	REJECTED("late"),
	REJECTED("lanes"),
	REJECTED("frames"),
	{"penstock_control_frames_total", "Frames on control sockets.", NULL,
	 COUNTER, STATS, "frames", 0, NULL},
	{"penstock_wakes_total", "Sleeping clients that the agent woke.",
	 "Clients woken", COUNTER, STATS, "wakes_sent", 0, NULL},

	{"penstock_arena_size_bytes", "The arena, which matrices lie in.", NULL,
	 GAUGE, STATS, "arena_bytes", 0, NULL},
	{"penstock_arena_bytes", "Bytes of the arena by their state.", "Arena",
	 GAUGE, STATS, "leased_bytes", 0, "state=\"leased\""},
	{"penstock_arena_bytes", "Bytes of the arena by their state.", "Arena",
	 GAUGE, STATS, "quarantined_bytes", 0, "state=\"quarantined\""},
	{"penstock_arena_largest_free_bytes",
	 "The largest piece of the arena that is free.", NULL, GAUGE, STATS,
	 "largest_free_bytes", 0, NULL},
	{"penstock_tensors", "Resident tensors.", NULL, GAUGE, STATS, "tensors",
	 0, NULL},
	{"penstock_tensor_bytes", "Memory of resident tensors.",
	 "Resident tensors", GAUGE, STATS, "tensor_bytes", 0, NULL},
	{"penstock_models", "Loaded models.", NULL, GAUGE, STATS, "models", 0,
	 NULL},
	{"penstock_model_bytes", "Memory of loaded models.", "Models", GAUGE,
	 STATS, "model_bytes", 0, NULL},

	{"penstock_gpu_temperature_celsius", "Temperature of the GPU.",
	 "GPU temperature", GAUGE, HEALTH, "gpu.temperature_c", 0, NULL},
	{"penstock_gpu_power_watts", "Power that the GPU draws.", "GPU power",
	 GAUGE, HEALTH, "gpu.power_w", 0, NULL},
	{"penstock_gpu_utilization_ratio",
	 "Part of the time in which the GPU computed.", "GPU use", GAUGE,
	 HEALTH, "gpu.utilisation_pct", 0.01, NULL},
	{"penstock_gpu_memory_size_bytes", "Memory of the GPU.", NULL, GAUGE,
	 HEALTH, "gpu.memory_total", 0, NULL},
	{"penstock_gpu_memory_free_bytes", "Memory of the GPU that is free.",
	 "GPU memory free", GAUGE, HEALTH, "gpu.memory_free", 0, NULL},
	{"penstock_region_copy_bytes_per_second",
	 "How fast the agent's CPU copied to and from the region at its start.",
	 NULL, GAUGE, INFO, "read_gbps", 1e9, "direction=\"read\""},
	{"penstock_region_copy_bytes_per_second",
	 "How fast the agent's CPU copied to and from the region at its start.",
	 NULL, GAUGE, INFO, "write_gbps", 1e9, "direction=\"write\""},
	{0},
};
