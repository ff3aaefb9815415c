/* SPDX-License-Identifier: MIT */
/* Fuzz target: the fields of a request's head, as the gateway judges them. */
#include <errno.h>
#include <string.h>

#include "host-client/gateway/http/head.h"
#include "host-client/gateway/http/text.h"
#include "tests/fuzz/fuzz.h"
#include "transport/base/text.h"

/* The room for a token has exactly size bytes. */
static void check_token(const char *text, size_t size)
{
	char *room = malloc(size);
	const char *token;

	FUZZ_CHECK(room);
	token = pst_gw_token_of(text, room, size);
	if (token) {
		FUZZ_CHECK(token >= room && token < room + size);
		FUZZ_CHECK(memchr(token, '\0', (size_t)(room + size - token)));
		FUZZ_CHECK(pst_gw_token_equal(token, token));
		FUZZ_CHECK(strncasecmp(text, "Bearer ", 7) == 0 ||
			   strncasecmp(text, "Basic ", 6) == 0);
	}
	free(room);
}

static void check_length(const char *text)
{
	uint64_t n;
	int r = pst_gw_length(text, &n);

	FUZZ_CHECK(r == 0 || r == -EINVAL);
	FUZZ_CHECK((r == 0) ==
		   (*text && strspn(text, "0123456789") == strlen(text) &&
		    !(errno = 0, strtoull(text, NULL, 10), errno == ERANGE)));
}

static void check_path(const char *path)
{
	char words[2][64];

	memset(words, 'x', sizeof(words));
	if (!pst_gw_path_match("/v2/models/*/versions/*", path, 2, words))
		return;
	FUZZ_CHECK(memchr(words[0], '\0', 64) && memchr(words[1], '\0', 64));
	FUZZ_CHECK(words[0][0] && !strchr(words[0], '/'));
	FUZZ_CHECK(words[1][0] && !strchr(words[1], '/'));
}

static void check_json(const char *text)
{
	struct pst_gw_text t = {0};
	size_t i;

	pst_gw_text_json(&t, text);
	pst_gw_text_bytes(&t, "", 1);
	FUZZ_CHECK(!t.failed && t.at[0] == '"');
	FUZZ_CHECK(pst_utf8_is_valid(t.at));
	for (i = 0; t.at[i]; i++)
		FUZZ_CHECK((unsigned char)t.at[i] >= ' ');
	pst_gw_text_done(&t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const char *const name[] = {"box.example"};
	const struct pst_gw_names names = {.name = name, .n = 1};
	char *text = malloc(n + 1);

	FUZZ_CHECK(text);
	memcpy(text, data, n);
	text[n] = '\0';
	check_token(text, 1);
	check_token(text, 24);
	check_token(text, 1024);
	check_length(text);
	check_path(text);
	check_json(text);
	if (pst_gw_host_is_ours(text, &names))
		FUZZ_CHECK(strcspn(text, ":") <= strlen("box.example"));
	if (pst_gw_type_is_good(text))
		FUZZ_CHECK(strncasecmp(text, "application/", 12) == 0);
	free(text);
	return 0;
}
