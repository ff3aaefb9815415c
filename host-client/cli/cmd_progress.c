/* SPDX-License-Identifier: MIT */
/* A line on the terminal for what takes more than two seconds. */
#include "host-client/cli/cmd_progress.h"

#include <pthread.h>
#include <string.h>

#include "transport/base/thread.h"
#include "transport/base/util.h"

/* Until then nobody wonders. */
#define PATIENCE_NS (2 * PST_NS_PER_S)
#define TICK_NS     (500 * PST_NS_PER_MS)

/* A command is one thread, which may be anywhere when the line is due. */
static struct {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	pthread_t thread;
	const struct pst_cmd_ctx *ctx;
	char what[80];
	uint64_t start_ns;
	bool runs, stop, shown;
} line = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
};

static void show(void)
{
	const uint64_t ns = pst_now_ns() - line.start_ns;

	if (ns < PATIENCE_NS)
		return;
	fprintf(stderr, "\r\033[K%s: %s, %u s", line.ctx->path, line.what,
		(unsigned int)(ns / PST_NS_PER_S));
	line.shown = true;
}

static void *tick(void *arg)
{
	struct timespec until;
	uint64_t ns;

	pthread_mutex_lock(&line.lock);
	while (!line.stop) {
		show();
		ns = pst_now_ns() + TICK_NS;
		until.tv_sec = (time_t)(ns / PST_NS_PER_S);
		until.tv_nsec = (long)(ns % PST_NS_PER_S);
		pthread_cond_timedwait(&line.changed, &line.lock, &until);
	}
	pthread_mutex_unlock(&line.lock);
	return arg;
}

/* Without a thread there is no line, and nothing else is missing. */
static void start(const struct pst_cmd_ctx *ctx)
{
	pthread_condattr_t attr;

	line.ctx = ctx;
	line.start_ns = pst_now_ns();
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&line.changed, &attr);
	pthread_condattr_destroy(&attr);
	line.runs = pst_thread_start(&line.thread, NULL, tick, NULL) == 0;
}

static void stop(void)
{
	pthread_mutex_lock(&line.lock);
	line.stop = true;
	pthread_cond_signal(&line.changed);
	pthread_mutex_unlock(&line.lock);
	pthread_join(line.thread, NULL);
	pthread_cond_destroy(&line.changed);
	if (line.shown)
		fputs("\r\033[K", stderr);
	line.runs = line.stop = line.shown = false;
}

void pst_cmd_progress_hide(void)
{
	pthread_mutex_lock(&line.lock);
	if (line.shown)
		fputs("\r\033[K", stderr);
	line.shown = false;
	pthread_mutex_unlock(&line.lock);
}

void pst_cmd_progress(const struct pst_cmd_ctx *ctx, const char *what)
{
	if (!what) {
		if (line.runs)
			stop();
		return;
	}
	if (!isatty(STDERR_FILENO))
		return;
	pthread_mutex_lock(&line.lock);
	snprintf(line.what, sizeof(line.what), "%s", what);
	pthread_mutex_unlock(&line.lock);
	if (!line.runs)
		start(ctx);
}
