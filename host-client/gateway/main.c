/* SPDX-License-Identifier: MIT */
/* penstock-gateway: options, signals, and the server between them. */
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/stat.h>

#include "host-client/gateway/http/log.h"
#include "host-client/gateway/http/narrow.h"
#include "host-client/gateway/server.h"
#include "transport/base/notify.h"

static int stop_fd = -1;

/* A handler and not a signalfd: threads that libraries start do not block our
 * signals. */
static void on_signal(int sig)
{
	const uint64_t one = 1;
	int saved = errno;

	(void)sig;
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

static int serve(const struct pst_gw_options *o, struct pst_error *err)
{
	struct pst_gw_server *server;
	int r;

	r = catch_signals(err);
	if (r == 0)
		r = pst_gw_server_open(o, &server, err);
	if (r < 0)
		return r;
	r = pst_gw_narrow(err);
	if (r == 0) {
		(void)pst_service_notify("READY=1");
		r = pst_gw_server_run(server, stop_fd, err);
		(void)pst_service_notify("STOPPING=1");
	}
	pst_gw_server_close(server);
	return r;
}

int main(int argc, char **argv)
{
	struct pst_gw_options options;
	struct pst_error err = {0};
	int r;

	/* Its only file is its socket. Threads would see a change later. */
	(void)umask(0117);
	r = pst_gw_options_parse(argc, argv, &options, &err);
	if (r == 1)
		return 0;
	if (r == 0) {
		r = serve(&options, &err);
		if (r == 0)
			return 0;
	}
	pst_gw_log(PST_GW_LOG_ERROR, "%s", err.text);
	return r == -EINVAL ? 2 : 1;
}
