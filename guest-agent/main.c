/* SPDX-License-Identifier: MIT */
/* penstock-agent: options, signals, and the server between them. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "guest-agent/options.h"
#include "guest-agent/service/journal.h"
#include "guest-agent/settings.h"
#include "transport/base/group.h"
#include "transport/base/listen_fds.h"
#include "transport/base/notify.h"
#include "transport/base/util.h"

static int stop_fd = -1;

/* A handler and not a signalfd: threads that a BLAS starts when it is loaded
 * do not block our signals, and one delivered there would kill. */
static void on_signal(int sig)
{
	const uint64_t one = 1;
	int saved = errno;

	if (write(stop_fd, &one, sizeof(one)) < 0) {
		/* Only a full counter fails, and that is readable. */
	}
	errno = saved;
}

static int catch_signals(struct pst_error *err)
{
	struct sigaction stop = {.sa_handler = on_signal,
				 .sa_flags = SA_RESTART};
	struct sigaction ignore = {.sa_handler = SIG_IGN};

	stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (stop_fd < 0)
		return pst_error_set_errno(err, errno, "eventfd");
	if (sigaction(SIGTERM, &stop, NULL) < 0 ||
	    sigaction(SIGINT, &stop, NULL) < 0 ||
	    sigaction(SIGHUP, &ignore, NULL) < 0 ||
	    sigaction(SIGPIPE, &ignore, NULL) < 0)
		return pst_error_set_errno(err, errno, "sigaction");
	return 0;
}

static int serve(const struct pst_agent_server_config *config,
		 struct pst_error *err)
{
	struct pst_agent_server *server;
	int r;

	r = catch_signals(err);
	if (r < 0)
		return r;
	r = pst_agent_server_open(config, &server, err);
	if (r < 0)
		return r;
	r = pst_agent_server_watch_stop(server, stop_fd, err);
	if (r == 0) {
		if (pst_service_notify("READY=1") < 0)
			pst_agent_log(PST_AGENT_LOG_WARNING,
				      "cannot tell the service manager that "
				      "the agent is ready");
		r = pst_agent_server_run(server, err);
		pst_service_notify("STOPPING=1");
	}
	pst_agent_server_close(server);
	return r;
}

/* What the service manager hands over: sockets, and a watchdog. */
static int take_service(struct pst_agent_server_config *c,
			struct pst_error *err)
{
	int r;

	r = pst_activation_take(c->passed, PST_AGENT_MAX_LISTENERS, false, err);
	if (r < 0)
		return r;
	c->n_passed = (unsigned int)r;
	return pst_service_notify_watchdog(getenv("WATCHDOG_USEC"),
					   getenv("WATCHDOG_PID"), getpid(),
					   &c->watchdog_ns, err);
}

/* What an agent without privileges needs: before it starts, as root. */
static int grant(const struct pst_agent_options *o, struct pst_error *err)
{
	const struct pst_agent_server_config *c = &o->server;
	gid_t gid = (gid_t)-1;
	int r;

	r = pst_group_find(o->grant, &gid);
	if (r < 0)
		return pst_error_set(err, -EINVAL,
				     "--grant %s: there is no such group",
				     o->grant);
	r = pst_region_grant(c->region, c->sysfs, gid, err);
	if (r < 0)
		return r;
	pst_agent_log(PST_AGENT_LOG_INFO,
		      "%d %s of region %s given to group %s", r,
		      r == 1 ? "device" : "devices", c->region, o->grant);
	return 0;
}

int main(int argc, char **argv)
{
	struct pst_agent_options options;
	struct pst_error err = {0};
	int r;

	pst_agent_log_open(PST_AGENT_JOURNAL_SOCKET);
	r = pst_agent_options_parse(argc, argv, &options, &err);
	if (r == 0)
		r = take_service(&options.server, &err);
	if (r < 0)
		pst_agent_log(PST_AGENT_LOG_ERROR, "%s", err.text);
	if (r) {
		pst_agent_options_done(&options);
		return r < 0 ? 2 : 0;
	}
	pst_agent_log_set_level(options.log_level);
	pst_agent_settings_listen(&options.server);
	r = options.grant ? grant(&options, &err)
			  : serve(&options.server, &err);
	if (r < 0)
		pst_agent_log(PST_AGENT_LOG_ERROR, "%s", err.text);
	pst_agent_options_done(&options);
	return r < 0;
}
