/* SPDX-License-Identifier: MIT */
/* Fuzz target: agent.conf; values lie in the text, and say the same when they
 * are written anew. */
#include "guest-agent/config.h"

#include <errno.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"

#define N_KEYS 4

static const struct pst_agent_config_key keys[N_KEYS] = {
	{"agent", "listen"},
	{"agent", "region"},
	{"agent", "threads"},
	{"other", "region"},
};

/* The values as a file of their own, parsed again. */
static void again(const struct pst_agent_config_value *values, size_t size)
{
	struct pst_agent_config_value copies[N_KEYS];
	struct pst_error err = {0};
	size_t n = 0, room = size + N_KEYS * 64;
	char *text = malloc(room);
	int i;

	FUZZ_CHECK(text);
	for (i = 0; i < N_KEYS; i++)
		if (values[i].text)
			n += (size_t)snprintf(
				text + n, room - n, "[%s]\n%s = %s\n",
				keys[i].section, keys[i].name, values[i].text);
	FUZZ_CHECK(n < room);
	FUZZ_CHECK(pst_agent_config_parse("again", text, n, keys, N_KEYS,
					  copies, &err) == 0);
	for (i = 0; i < N_KEYS; i++)
		FUZZ_CHECK(values[i].text ? copies[i].text &&
						    strcmp(values[i].text,
							   copies[i].text) == 0
					  : !copies[i].text);
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct pst_agent_config_value values[N_KEYS];
	struct pst_error err = {0};
	/* Of exactly that size, so that a byte beyond is seen. */
	char *text = malloc(size + 1);
	int i, r;

	FUZZ_CHECK(text);
	memcpy(text, data, size);
	text[size] = 'x';
	r = pst_agent_config_parse("f", text, size, keys, N_KEYS, values, &err);
	if (r < 0) {
		FUZZ_CHECK(r == -EINVAL && err.code == r);
		FUZZ_CHECK(strncmp(err.text, "f:", 2) == 0);
	} else {
		for (i = 0; i < N_KEYS; i++) {
			const struct pst_agent_config_value *v = &values[i];

			if (!v->text)
				continue;
			FUZZ_CHECK(v->text > text && v->text < text + size);
			FUZZ_CHECK(*v->text &&
				   v->text + strlen(v->text) <= text + size);
			FUZZ_CHECK(v->line >= 2 && v->line <= size);
		}
		again(values, size);
	}
	free(text);
	return 0;
}
