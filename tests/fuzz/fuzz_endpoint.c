/* SPDX-License-Identifier: MIT */
/* Fuzz target: endpoints and listening addresses as a user may write them. */
#include <errno.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"
#include "transport/sock.h"

static void check_endpoint(const struct pst_endpoint *ep)
{
	FUZZ_CHECK(memchr(ep->path, '\0', sizeof(ep->path)));
	FUZZ_CHECK(memchr(ep->region, '\0', sizeof(ep->region)));
	FUZZ_CHECK(memchr(ep->agent, '\0', sizeof(ep->agent)));
	switch (ep->scheme) {
	case PST_SCHEME_VSOCK:
		FUZZ_CHECK(ep->cid > 0 && ep->cid < UINT32_MAX);
		FUZZ_CHECK(ep->port < UINT32_MAX);
		break;
	case PST_SCHEME_VSOCK_UDS:
	case PST_SCHEME_UNIX:
		FUZZ_CHECK(ep->path[0] == '/');
		break;
	case PST_SCHEME_SPAWN:
		FUZZ_CHECK(!ep->region[0] && !ep->path[0]);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	char *text = malloc(n + 1);
	struct pst_endpoint ep;
	struct pst_listen l;
	struct pst_error err;
	int r;

	FUZZ_CHECK(text);
	memcpy(text, data, n);
	text[n] = '\0';
	r = pst_endpoint_parse(text, &ep, &err);
	FUZZ_CHECK(r == 0 || r == -EINVAL || r == -EMSGSIZE);
	if (r == 0)
		check_endpoint(&ep);
	else
		FUZZ_CHECK(err.code == r && err.text[0]);
	FUZZ_CHECK(pst_endpoint_parse(text, &ep, NULL) == r);
	r = pst_listen_parse(text, &l, &err);
	FUZZ_CHECK(r == 0 || r == -EINVAL || r == -EMSGSIZE);
	if (r == 0)
		FUZZ_CHECK(memchr(l.path, '\0', sizeof(l.path)));
	free(text);
	return 0;
}
