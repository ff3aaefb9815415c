/* SPDX-License-Identifier: MIT */
/* Keeps another's library from printing to stderr. */
#include "transport/base/quiet.h"

#include <fcntl.h>
#include <unistd.h>

int pst_quiet_begin(void)
{
	const int saved = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
	const int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

	if (saved >= 0 && null >= 0)
		dup2(null, STDERR_FILENO);
	if (null >= 0)
		close(null);
	return saved;
}

void pst_quiet_end(int saved)
{
	if (saved < 0)
		return;
	dup2(saved, STDERR_FILENO);
	close(saved);
}
