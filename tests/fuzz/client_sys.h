/* SPDX-License-Identifier: MIT */
/* Put before every source of the library in fuzz_client: what it asks of the
 * system is answered by the target, in virtual time and without threads. */
#ifndef PST_TESTS_FUZZ_CLIENT_SYS_H
#define PST_TESTS_FUZZ_CLIENT_SYS_H

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <sys/socket.h>
#include <time.h>

int fuzz_clock_gettime(clockid_t clock, struct timespec *ret);
int fuzz_nanosleep(const struct timespec *ts, struct timespec *rest);
int fuzz_poll(struct pollfd *p, nfds_t n, int timeout_ms);
int fuzz_ppoll(struct pollfd *p, nfds_t n, const struct timespec *timeout,
	       const sigset_t *mask);
ssize_t fuzz_send(int fd, const void *buf, size_t n, int flags);
ssize_t fuzz_recv(int fd, void *buf, size_t n, int flags);
int fuzz_cond_timedwait(pthread_cond_t *cond, pthread_mutex_t *lock,
			const struct timespec *until);
int fuzz_thread_start(pthread_t *ret, const pthread_attr_t *attr,
		      void *(*run)(void *), void *arg);
int fuzz_thread_join(pthread_t thread, void **ret);

struct pst_endpoint;
struct pst_error;
int fuzz_sock_check_peer(int fd, const char *path, uid_t *ret,
			 struct pst_error *err);
int fuzz_sock_connect(const struct pst_endpoint *ep, uint64_t timeout_ns,
		      struct pst_error *err);
int fuzz_sock_send(int fd, const void *buf, size_t n, int pass_fd,
		   uint64_t deadline_ns, struct pst_error *err);
int fuzz_sock_recv(int fd, void *buf, size_t n, int *ret_fd,
		   uint64_t deadline_ns, struct pst_error *err);

/* The agent, in the same program, has functions of these names. */
#if defined(FUZZ_LIBRARY) || defined(FUZZ_CALLER)
#define pst_tensor_create  fuzz_tensor_create
#define pst_tensor_destroy fuzz_tensor_destroy
#define pst_tensor_list    fuzz_tensor_list
#endif

#ifdef FUZZ_LIBRARY
#define clock_gettime          fuzz_clock_gettime
#define nanosleep              fuzz_nanosleep
#define poll                   fuzz_poll
#define ppoll                  fuzz_ppoll
#define send                   fuzz_send
#define recv                   fuzz_recv
#define pthread_cond_timedwait fuzz_cond_timedwait
#define pst_thread_start       fuzz_thread_start
#define pthread_join           fuzz_thread_join
#define pthread_setname_np(t, name)
#define pst_sock_check_peer fuzz_sock_check_peer
#define pst_sock_connect    fuzz_sock_connect
#define pst_sock_send       fuzz_sock_send
#define pst_sock_recv       fuzz_sock_recv
#endif

#endif
