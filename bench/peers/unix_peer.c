/* SPDX-License-Identifier: MIT */
/* The plain peer: worker and client over a Unix stream socket, raw buffers. */
#include <cblas.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "bench/peers/peer.h"

/* What precedes the bytes of a request. */
struct request {
	uint64_t n;     /* of a product, 0: bytes only */
	uint64_t bytes; /* that follow */
	uint64_t back;  /* bytes of the answer */
};

static bool send_all(int fd, const void *data, uint64_t n)
{
	const char *p = data;
	ssize_t r;

	for (; n; n -= (uint64_t)r, p += r) {
		r = send(fd, p, n, MSG_NOSIGNAL);
		if (r <= 0)
			return false;
	}
	return true;
}

static bool recv_all(int fd, void *data, uint64_t n)
{
	char *p = data;
	ssize_t r;

	for (; n; n -= (uint64_t)r, p += r) {
		r = recv(fd, p, n, 0);
		if (r <= 0)
			return false;
	}
	return true;
}

/* Memory of at least n bytes that stays from request to request. */
static char *room(char **p, uint64_t *have, uint64_t n)
{
	if (n > *have) {
		free(*p);
		*p = calloc(1, n);
		*have = *p ? n : 0;
	}
	return *p;
}

static void serve(int fd)
{
	uint64_t have_in = 0, have_out = 0;
	char *in = NULL, *out = NULL;
	struct request r;
	int n;

	while (recv_all(fd, &r, sizeof(r))) {
		if (!room(&in, &have_in, r.bytes + 1) ||
		    !room(&out, &have_out, r.back + 1) ||
		    !recv_all(fd, in, r.bytes))
			break;
		n = (int)r.n;
		if (n)
			cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans,
				    n, n, n, 1, (float *)in, n,
				    (float *)in + r.n * r.n, n, 0, (float *)out,
				    n);
		if (!send_all(fd, out, r.back))
			break;
	}
	free(in);
	free(out);
}

static int worker(const struct sockaddr_un *sa)
{
	int l = socket(AF_UNIX, SOCK_STREAM, 0), fd;

	if (l < 0 || bind(l, (const struct sockaddr *)sa, sizeof(*sa)) < 0 ||
	    listen(l, 4) < 0)
		return 1;
	while ((fd = accept(l, NULL, NULL)) >= 0) {
		serve(fd);
		close(fd);
	}
	return 1;
}

struct client {
	int fd;
	struct request request;
	char *out, *in;
};

static bool once(void *arg)
{
	const struct client *c = arg;

	return send_all(c->fd, &c->request, sizeof(c->request)) &&
	       send_all(c->fd, c->out, c->request.bytes) &&
	       recv_all(c->fd, c->in, c->request.back);
}

int main(int argc, char **argv)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	struct client c;
	uint64_t size;

	if (argc < 3)
		return 2;
	snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", argv[2]);
	if (strcmp(argv[1], "worker") == 0)
		return worker(&sa);
	if (argc != 6)
		return 2;
	size = strtoull(argv[4], NULL, 10);
	c.request = (struct request){.bytes = size, .back = size};
	if (strcmp(argv[3], "gemm") == 0)
		c.request = (struct request){size, 8 * size * size,
					     4 * size * size};
	else if (strcmp(argv[3], "bandwidth") == 0)
		c.request.back = 8;
	c.out = calloc(1, c.request.bytes + 1);
	c.in = calloc(1, c.request.back + 1);
	c.fd = socket(AF_UNIX, SOCK_STREAM, 0);
	if (!c.out || !c.in || c.fd < 0 ||
	    connect(c.fd, (struct sockaddr *)&sa, sizeof(sa)) < 0)
		return 1;
	/* Every page has its memory before anything is timed. */
	memset(c.out, 0, c.request.bytes);
	memset(c.in, 1, c.request.back);
	return peer_measure(argv[3], size, atof(argv[5]), once, &c);
}
