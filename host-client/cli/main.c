/* SPDX-License-Identifier: MIT */
/* The penstock command: its table, and the start of the program. */
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host-client/cli/cmd.h"
#include "host-client/cli/cmds.h"

/* In the order in which help shows them; one a line, as they come and go. */
/* clang-format off */
static const struct pst_cmd *const commands[] = {
	&pst_cmd_gemm,
	&pst_cmd_model,
	&pst_cmd_run,
	&pst_cmd_infer,
	&pst_cmd_ping,
	&pst_cmd_info,
	&pst_cmd_health,
	&pst_cmd_metrics,
	&pst_cmd_bench,
	&pst_cmd_demo,
	&pst_cmd_blas,
	&pst_cmd_host,
	&pst_cmd_vm,
	&pst_cmd_completion,
	&pst_cmd_help,
	NULL,
};
/* clang-format on */

static const struct pst_cmd_opt root_opts[] = {
	{'V', "version", NULL, "print the version and exit"},
	{0},
};

static const struct pst_cmd root = {
	.name = "penstock",
	.summary = "Matrix products in a virtual machine's GPU, through memory "
		   "that both share",
	.end = "Try first; nothing has to be prepared for it:\n"
	       "  penstock demo --no-vm   a product by this machine's "
	       "processors\n"
	       "  penstock -e spawn: gemm A.npy B.npy -o C.npy\n"
	       "                          your own matrices (numpy.save), "
	       "without a guest\n"
	       "  penstock host check     what this host lacks to give its card "
	       "to a guest\n"
	       "Then, with QEMU and a guest's image (./bootstrap demo makes it):\n"
	       "  penstock demo           the product through a throw-away guest\n\n"
	       "penstock COMMAND --help shows a command's options and an "
	       "example. Exit codes: 0 ok,\n1 failed or degraded, 2 usage, 3 "
	       "findings, 4 unreachable. The manual: penstock(1).\n",
	.opts = root_opts,
	.sub = commands,
};

/*
 * In a build tree spawn: shall start the agent that was built with this
 * program, not one that is installed.
 */
static void find_built_agent(void)
{
	static const char beside[] = "/../guest-agent/penstock-agent";
	char path[PATH_MAX + sizeof(beside)];
	char *slash;
	ssize_t n;

	if (getenv("PENSTOCK_AGENT"))
		return;
	n = readlink("/proc/self/exe", path, PATH_MAX - 1);
	if (n <= 0)
		return;
	path[n] = '\0';
	slash = strrchr(path, '/');
	if (!slash)
		return;
	strcpy(slash, beside);
	if (access(path, X_OK) == 0)
		setenv("PENSTOCK_AGENT", path, 1);
}

/*
 * A standard descriptor that is closed would become a socket's or a file's, and
 * what is printed would go there. Opened the wrong way round, each use of it
 * fails as before.
 */
static void keep_standard_descriptors(void)
{
	int fd;

	for (fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0)
			(void)!open("/dev/null",
				    fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
}

int main(int argc, char **argv)
{
	int r;

	keep_standard_descriptors();
	/* A file that becomes too large is an error of write(2), as a full disk
	 * is. */
	signal(SIGXFSZ, SIG_IGN);
	find_built_agent();
	r = pst_cmd_main(&root, argc, argv);
	/* A full disk behind a redirection must not look like success. */
	if (fflush(stdout) || ferror(stdout)) {
		perror("penstock: standard output");
		if (r == PST_EXIT_OK)
			r = PST_EXIT_FAILED;
	}
	return r;
}
