/* SPDX-License-Identifier: MIT */
/* What the environment says: PENSTOCK_BLAS and its relatives. */
#include "host-client/blas/config.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

#include "host-client/penstock.h"

static struct pst_blas_config config;
static pthread_once_t once = PTHREAD_ONCE_INIT;
/* For the line at the end, when a program may have closed its own. */
static int stderr_fd = -1;

static const char *get(const char *name)
{
	const char *value = secure_getenv(name);

	return value ? value : "";
}

static double number(const char *name, double max)
{
	const char *text = get(name);
	char *end;
	double v = strtod(text, &end);

	if (!*text)
		return -1;
	if (*end || !(v >= 0) || v > max) {
		pst_blas_say("%s=%s is no number up to %g; it is ignored", name,
			     text, max);
		return -1;
	}
	return v;
}

static void read_mode(void)
{
	const char *mode = get("PENSTOCK_BLAS");

	config.mode = PST_BLAS_AUTO;
	if (getauxval(AT_SECURE) || strcmp(mode, "off") == 0)
		config.mode = PST_BLAS_OFF;
	else if (strcmp(mode, "force") == 0)
		config.mode = PST_BLAS_FORCE;
	else if (strcmp(mode, "trace") == 0)
		config.trace = true;
	else if (*mode && strcmp(mode, "auto") != 0)
		pst_blas_say("PENSTOCK_BLAS=%s is none of auto, off, force and "
			     "trace; it is taken as auto",
			     mode);
}

static void read_compute(void)
{
	const char *compute = get("PENSTOCK_BLAS_COMPUTE");

	if (strcmp(compute, "tf32") == 0)
		config.compute = PST_COMPUTE_TF32;
	else if (strcmp(compute, "fast_f16") == 0)
		config.compute = PST_COMPUTE_FAST_F16;
	else if (*compute && strcmp(compute, "default") != 0)
		pst_blas_say(
			"PENSTOCK_BLAS_COMPUTE=%s is none of default, tf32 "
			"and fast_f16; it is ignored",
			compute);
}

static void read_all(void)
{
	const char *endpoint = get("PENSTOCK_BLAS_ENDPOINT");
	double v;

	read_mode();
	read_compute();
	if (!*endpoint)
		endpoint = get("PENSTOCK_ENDPOINT");
	snprintf(config.endpoint, sizeof(config.endpoint), "%s", endpoint);
	config.stats = strcmp(get("PENSTOCK_BLAS_STATS"), "1") == 0;
	config.resident = strcmp(get("PENSTOCK_BLAS_RESIDENT"), "1") == 0;
	if (config.stats)
		stderr_fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 100);
	v = number("PENSTOCK_BLAS_MIN", 1e9);
	config.has_min = v >= 0;
	config.min = v >= 0 ? v * v * v : 0;
	v = number("PENSTOCK_BLAS_BLOCK", 1e9);
	config.block = v >= 1 ? (int64_t)v : 0;
	if (config.mode != PST_BLAS_OFF && !*endpoint)
		pst_blas_trace("no PENSTOCK_BLAS_ENDPOINT and no "
			       "PENSTOCK_ENDPOINT: only arrays of "
			       "penstock.empty() are offloaded");
}

locale_t pst_blas_plain_numbers(void)
{
	/* "C" is always there. */
	return uselocale(newlocale(LC_ALL_MASK, "C", (locale_t)0));
}

static void read_plainly(void)
{
	const locale_t own = pst_blas_plain_numbers();

	read_all();
	uselocale(own);
}

const struct pst_blas_config *pst_blas_config(void)
{
	(void)pthread_once(&once, read_plainly);
	return &config;
}

static __attribute__((format(printf, 1, 0))) void say(const char *fmt,
						      va_list ap)
{
	const char *path = get("PENSTOCK_BLAS_LOG");
	int fd = stderr_fd >= 0 ? stderr_fd : STDERR_FILENO, n;
	char line[600];

	n = snprintf(line, sizeof(line), "penstock-blas[%d]: ", (int)getpid());
	vsnprintf(line + n, sizeof(line) - (size_t)n - 1, fmt, ap);
	strcat(line, "\n");
	if (*path)
		fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC,
			  0600);
	if (fd < 0)
		return;
	/* Nobody to tell if that fails. */
	if (write(fd, line, strlen(line)) < 0)
		n = 0;
	if (*path)
		close(fd);
}

void pst_blas_say(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(fmt, ap);
	va_end(ap);
}

void pst_blas_trace(const char *fmt, ...)
{
	va_list ap;

	if (!config.trace)
		return;
	va_start(ap, fmt);
	say(fmt, ap);
	va_end(ap);
}
