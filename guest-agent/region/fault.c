/* SPDX-License-Identifier: MIT */
/* The handler of SIGBUS. */
#include "guest-agent/region/fault.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "guest-agent/service/log.h"
#include "transport/base/util.h"

/* Written before the handler is installed, only read by it. */
static struct {
	uintptr_t begin;
	uintptr_t end;
	char text[256];
	size_t len;
} watched;

static void on_bus(int sig, siginfo_t *info, void *context)
{
	const uintptr_t at = (uintptr_t)info->si_addr;

	(void)context;
	if (info->si_code > 0 && at >= watched.begin && at < watched.end) {
		/* No log, no exit(): other threads hold their locks. */
		if (write(STDERR_FILENO, watched.text, watched.len) < 0)
			_exit(1);
		_exit(1);
	}
	/* The access is repeated, or the signal sent again, and kills. */
	signal(sig, SIG_DFL);
	if (info->si_code <= 0)
		raise(sig);
}

int pst_agent_fault_watch(const struct pst_region *r, struct pst_error *err)
{
	struct sigaction sa = {
		.sa_sigaction = on_bus,
		.sa_flags = SA_SIGINFO,
	};
	char prefix[PST_AGENT_LOG_PREFIX];
	int n;

	pst_agent_log_prefix(PST_AGENT_LOG_ERROR, prefix);
	watched.begin = (uintptr_t)r->base;
	watched.end = watched.begin + r->size;
	n = snprintf(watched.text, sizeof(watched.text),
		     "%sthe region's memory is gone: %s %s was "
		     "unbound, or its file cut short\n",
		     prefix, pst_provider_name(r->provider), r->name);
	watched.len = n < 0 ? 0
		      : (size_t)n < sizeof(watched.text)
			      ? (size_t)n
			      : sizeof(watched.text) - 1;
	if (sigaction(SIGBUS, &sa, NULL) < 0)
		return pst_error_set_errno(err, errno, "sigaction");
	return 0;
}
