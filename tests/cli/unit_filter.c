/* SPDX-License-Identifier: MIT */
/* unit_filter FILE COMMAND...: runs a command that may make the system calls
 * whose names are in FILE, a line each; others fail with EPERM, as under a unit
 * with SystemCallFilter= and SystemCallErrorNumber=EPERM. */
#include <errno.h>
#include <seccomp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	char name[64];
	int nr, n = 0, r;
	FILE *f;

	if (argc < 3)
		return 2;
	f = fopen(argv[1], "re");
	if (!f || !ctx) {
		perror(argv[1]);
		return 1;
	}
	while (fgets(name, sizeof(name), f)) {
		name[strcspn(name, "\n")] = '\0';
		nr = seccomp_syscall_resolve_name(name);
		/* One of another architecture, or of a newer kernel. */
		if (nr == __NR_SCMP_ERROR || nr < 0)
			continue;
		r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, nr, 0);
		if (r < 0) {
			fprintf(stderr, "unit_filter: %s: %s\n", name,
				strerror(-r));
			return 1;
		}
		n++;
	}
	fclose(f);
	r = seccomp_load(ctx);
	seccomp_release(ctx);
	if (r < 0) {
		fprintf(stderr, "unit_filter: seccomp: %s\n", strerror(-r));
		return 77;
	}
	fprintf(stderr, "unit_filter: %d system calls\n", n);
	execv(argv[2], argv + 2);
	perror(argv[2]);
	return 127;
}
