/* SPDX-License-Identifier: MIT */
/* Fuzz target: bytes on a connection of the gateway, all of which runs here, in
 * a thread, with an agent of its own behind it.
 *
 * So that mutations do not end at a wrong length: in the head, a byte 1 stands
 * for the bytes behind the head, and a byte 2 for those up to the last "}". */
#include <errno.h>
#include <linux/sockios.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "host-client/gateway/http/options.h"
#include "host-client/gateway/server.h"
#include "tests/fuzz/fuzz.h"

#define INPUT_MAX 65536U
#define REPLY_MAX (1U << 20)
#define UP_S      60

const unsigned long fuzz_rounds = 3000;

static char dir[] = "/tmp/penstock-fuzz.XXXXXX";
static char agent_path[64];
static pid_t agent;
static struct sockaddr_un address = {.sun_family = AF_UNIX};
static struct pst_gw_server *server;
static pthread_t thread;
static int stop_fd;
static char reply[REPLY_MAX];

static void *serve(void *arg)
{
	struct pst_error err = {0};

	(void)arg;
	FUZZ_CHECK(pst_gw_server_run(server, stop_fd, &err) == 0);
	return NULL;
}

/* Until the other end has read all, or ended: libmicrohttpd does not see an end
 * that comes together with bytes. */
static void wait_taken(int fd)
{
	int left = 1;

	while (ioctl(fd, SIOCOUTQ, &left) == 0 && left > 0)
		sched_yield();
}

/* Sends n bytes and the end; returns the bytes of all replies. */
static size_t ask(const char *data, size_t n)
{
	size_t at = 0;
	ssize_t k = 1;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	FUZZ_CHECK(fd >= 0);
	FUZZ_CHECK(connect(fd, (struct sockaddr *)&address, sizeof(address)) ==
		   0);
	(void)!send(fd, data, n, MSG_NOSIGNAL);
	wait_taken(fd);
	(void)shutdown(fd, SHUT_WR);
	while (k > 0 && at < sizeof(reply) - 1) {
		k = recv(fd, reply + at, sizeof(reply) - 1 - at, 0);
		at += k > 0 ? (size_t)k : 0;
	}
	FUZZ_CHECK(k == 0 || errno == ECONNRESET);
	close(fd);
	reply[at] = '\0';
	return at;
}

/* Whether a product is computed. */
static bool is_well(void)
{
	static const char text[] =
		"POST /v2/models/gemm/infer HTTP/1.1\r\nHost: localhost\r\n"
		"Content-Length: 134\r\n\r\n{\"inputs\":["
		"{\"name\":\"A\",\"datatype\":\"FP32\",\"shape\":[1,2],"
		"\"data\":[1,2]},"
		"{\"name\":\"B\",\"datatype\":\"FP32\",\"shape\":[2,1],"
		"\"data\":[3,4]}]}      ";

	ask(text, sizeof(text) - 1);
	return strncmp(reply, "HTTP/1.1 200", 12) == 0 &&
	       strstr(reply, "\"data\":[11]");
}

static void end(void)
{
	const uint64_t one = 1;

	FUZZ_CHECK(write(stop_fd, &one, sizeof(one)) == sizeof(one));
	pthread_join(thread, NULL);
	pst_gw_server_close(server);
	kill(agent, SIGKILL);
	waitpid(agent, NULL, 0);
	unlink(agent_path);
	rmdir(dir);
}

static void start_agent(void)
{
	const char *top = getenv("PST_TOP_BUILDDIR");
	char program[4096], listen[128];

	snprintf(program, sizeof(program), "%s/guest-agent/penstock-agent",
		 top ? top : ".");
	snprintf(agent_path, sizeof(agent_path), "%s/agent", dir);
	snprintf(listen, sizeof(listen), "unix:%s", agent_path);
	agent = fork();
	FUZZ_CHECK(agent >= 0);
	if (agent > 0)
		return;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	execl(program, program, "--config", "/dev/null", "--region",
	      "memfd:64M", "--listen", listen, "--backend", "cpu", "--threads",
	      "1", (char *)NULL);
	_exit(127);
}

static void begin(void)
{
	static struct pst_gw_options options;
	static char endpoint[160];
	static char a0[] = "fuzz_http", a1[] = "--endpoint", a3[] = "--socket";
	char *argv[] = {a0, a1, endpoint, a3, address.sun_path, NULL};
	struct pst_error err = {0};
	int i;

	FUZZ_CHECK(mkdtemp(dir));
	start_agent();
	snprintf(endpoint, sizeof(endpoint), "a=unix://%s", agent_path);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s/s", dir);
	if (pst_gw_options_parse(5, argv, &options, &err) != 0 ||
	    pst_gw_server_open(&options, &server, &err) < 0) {
		fprintf(stderr, "%s\n", err.text);
		abort();
	}
	stop_fd = eventfd(0, EFD_CLOEXEC);
	FUZZ_CHECK(stop_fd >= 0);
	FUZZ_CHECK(pthread_create(&thread, NULL, serve, NULL) == 0);
	for (i = 0; !is_well(); i++) {
		FUZZ_CHECK(i < 100 * UP_S);
		nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
	}
	atexit(end);
}

/* Copies data with its lengths written out. Returns the bytes. */
static size_t fill_in(const char *data, size_t n, char *to, size_t size)
{
	const char *body = memmem(data, n, "\r\n\r\n", 4), *brace;
	const size_t head = body ? (size_t)(body + 4 - data) : n;
	size_t i, at = 0;

	brace = memrchr(data + head, '}', n - head);
	for (i = 0; i < n && at < size - 32; i++) {
		if (i >= head || (data[i] != 1 && data[i] != 2)) {
			to[at++] = data[i];
			continue;
		}
		at += (size_t)snprintf(to + at, 32, "%zu",
				       data[i] == 1 ? n - head
				       : brace ? (size_t)(brace + 1 - data) -
							 head
					       : 0);
	}
	return at;
}

/* No reply is one that says "our fault", and each is what it declares. */
static void check_reply(void)
{
	static const char known[] = " 100 200 400 403 404 405 411 413 414 415 "
				    "417 422 429 431 501 503 505 ";
	char status[6] = {0};

	if (!reply[0])
		return;
	FUZZ_CHECK(strncmp(reply, "HTTP/1.", 7) == 0);
	memcpy(status, reply + 8, 5);
	FUZZ_CHECK(strstr(known, status));
	FUZZ_CHECK(strstr(reply, "\r\n\r\n"));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static unsigned long rounds;
	static char filled[INPUT_MAX];

	if (!server)
		begin();
	ask(filled, fill_in((const char *)data, n, filled, sizeof(filled)));
	check_reply();
	if (++rounds % 1024 == 0)
		FUZZ_CHECK(is_well());
	return 0;
}
