/* SPDX-License-Identifier: MIT */
/* What the agents last said, as objects, and what is wrong with them. */
#include "host-client/gateway/agents/status.h"

#include "transport/base/text.h"

/* An agent may list as many reasons as it likes. */
#define MAX_WRONG 16U

static json_t *parse(const char *text)
{
	json_t *o =
		text ? json_loads(text, JSON_REJECT_DUPLICATES, NULL) : NULL;

	if (json_is_object(o))
		return o;
	json_decref(o);
	return NULL;
}

void pst_gw_status_read(struct pst_gw_status *s, const struct pst_gw_agent *a,
			uint64_t now_ns)
{
	const struct pst_gw_snapshot *seen = a->seen;

	*s = (struct pst_gw_status){
		.name = a->name,
		.up = seen->up,
		.info = parse(seen->info),
		.health = parse(seen->health),
		.stats = parse(seen->stats),
		.error = seen->error,
	};
	s->has_values = s->info && s->health && s->stats;
	/* Answers that are no objects are no answer. */
	if (s->up && !s->has_values) {
		s->up = false;
		s->error = "the agent's answer is not a JSON object";
	}
	if (now_ns > seen->taken_ns)
		s->age_s = (double)(now_ns - seen->taken_ns) /
			   (double)PST_NS_PER_S;
}

void pst_gw_status_done(struct pst_gw_status *s)
{
	json_decref(s->info);
	json_decref(s->health);
	json_decref(s->stats);
}

bool pst_gw_status_is_well(const struct pst_gw_status *s)
{
	return s->up && json_is_true(json_object_get(s->health, "healthy"));
}

/* A path in a sentence may be cut, and need not be UTF-8; JSON is. */
static void add(json_t *list, const char *what, const char *remedy)
{
	char *text = pst_utf8_copy(what);

	if (text)
		json_array_append_new(list, json_pack("{s:s, s:s}", "what",
						      text, "remedy", remedy));
	free(text);
}

json_t *pst_gw_status_wrong(const struct pst_gw_status *s)
{
	const json_t *reasons = json_object_get(s->health, "reasons"), *reason;
	json_t *list = json_array();
	size_t i;

	if (!s->up) {
		add(list, s->error[0] ? s->error : "the agent does not answer",
		    "See whether its VM runs and is not paused: penstock vm "
		    "status. Then in the guest: systemctl status "
		    "penstock-agent.");
		return list;
	}
	json_array_foreach(reasons, i, reason)
	{
		if (i < MAX_WRONG && json_is_string(reason))
			add(list, json_string_value(reason),
			    "The agent's journal says more; in the guest: "
			    "journalctl -u penstock-agent.");
	}
	if (!pst_gw_status_is_well(s) && json_array_size(list) == 0)
		add(list, "the agent says that it is not well, and not why",
		    "In the guest: journalctl -u penstock-agent.");
	return list;
}
