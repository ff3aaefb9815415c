/* SPDX-License-Identifier: MIT */
/* Tells a process from its forked child, and drops what the child inherited. */
#include "host-client/lib/session/fork.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "host-client/lib/session/conn.h"

/* A page that the kernel gives a forked child empty, whoever forked and how; a
 * child that shares memory, vfork()'s, has its parent's. */
static atomic_uint_least64_t *word;
static uint64_t last_number;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void before_fork(void)
{
	pthread_mutex_lock(&lock);
}

static void after_fork(void)
{
	pthread_mutex_unlock(&lock);
}

static void in_child(void)
{
	/* Where the kernel did not. */
	if (word)
		atomic_store_explicit(word, 0, memory_order_relaxed);
	pthread_mutex_unlock(&lock);
}

static int make_word(void)
{
	void *p = mmap(NULL, sizeof(*word), PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return -ENOMEM;
	/* Without it only fork() itself is noticed, by its handlers. */
	(void)madvise(p, (size_t)sysconf(_SC_PAGESIZE), MADV_WIPEONFORK);
	if (pthread_atfork(before_fork, after_fork, in_child) != 0) {
		munmap(p, sizeof(*word));
		return -ENOMEM;
	}
	word = p;
	return 0;
}

int pst_process_number(const atomic_uint_least64_t **ret_word,
		       uint64_t *ret_number)
{
	int r = 0;

	pthread_mutex_lock(&lock);
	if (!word)
		r = make_word();
	if (!r && atomic_load_explicit(word, memory_order_relaxed) == 0)
		atomic_store_explicit(word, ++last_number,
				      memory_order_relaxed);
	if (!r) {
		*ret_word = word;
		*ret_number = atomic_load_explicit(word, memory_order_relaxed);
	}
	pthread_mutex_unlock(&lock);
	return r;
}

int pst_forked(struct pst *c)
{
	struct pst_error err;

	return pst_fail(c,
			pst_error_set(&err, -EBADF,
				      "the connection belongs to the process "
				      "that forked this one"),
			&err);
}

/* The parent's threads may hold the lock for ever here. */
static void close_files(struct pst *c)
{
	int *const fds[] = {&c->channel.sock, &c->events.epfd,
			    &c->events.notice, &c->watcher.fd, &c->mem.map.fd};
	size_t i;

	if (!c->session.live)
		c->mem.map.fd = -1;
	for (i = 0; i < PST_ARRAY_SIZE(fds); i++) {
		pst_close_fd(*fds[i]);
		*fds[i] = -1;
	}
	c->session.live = false;
}

int pst_after_fork(struct pst *c)
{
	struct pst_error err;

	if (!pst_is_forked(c))
		return pst_fail(c,
				pst_error_set(&err, -EINVAL,
					      "this process opened the "
					      "connection"),
				&err);
	close_files(c);
	return 0;
}

void pst_forked_close(struct pst *c)
{
	close_files(c);
	/* Nothing of the region is mapped here: what lies at its addresses by
	 * now is somebody else's. */
	pst_heap_done(&c->mem.heap);
	pst_tensor_table_done(&c->mem.tensors);
	free(c->channel.req.payload);
	free(c->channel.rx.buf);
	free(c->queue);
	free(c->memo);
	free(c);
}
