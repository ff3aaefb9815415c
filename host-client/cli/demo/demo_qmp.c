/* SPDX-License-Identifier: MIT */
/* Speaks QMP: ends, stops and continues a guest. */
#include <string.h>

#include <jansson.h>

#include "host-client/cli/demo/demo.h"
#include "transport/sock.h"

/* Events between a command and its answer; more is not QEMU. */
#define MAX_EVENTS 1000

/* Reads one line as a JSON object into *ret, which the caller releases. */
static int read_object(struct pst_demo_qmp *q, uint64_t deadline_ns,
		       json_t **ret, struct pst_error *err)
{
	char *end;
	json_t *o;
	int n;

	while (!(end = memchr(q->buf, '\n', q->len))) {
		if (q->len == sizeof(q->buf))
			return pst_error_set(err, -EPROTO,
					     "QMP: a line of more than %d "
					     "bytes",
					     PST_DEMO_QMP_LINE);
		n = pst_sock_recv(q->fd, q->buf + q->len,
				  sizeof(q->buf) - q->len, NULL, deadline_ns,
				  err);
		if (n < 0)
			return n;
		q->len += (size_t)n;
	}
	o = json_loadb(q->buf, (size_t)(end - q->buf), 0, NULL);
	q->len -= (size_t)(end + 1 - q->buf);
	memmove(q->buf, end + 1, q->len);
	if (!json_is_object(o)) {
		json_decref(o);
		return pst_error_set(err, -EPROTO,
				     "QMP: a line that is no JSON object");
	}
	*ret = o;
	return 0;
}

static int run(struct pst_demo_qmp *q, const char *command,
	       uint64_t deadline_ns, struct pst_error *err)
{
	char line[96];
	json_t *o, *e;
	int i, n, rc;

	n = snprintf(line, sizeof(line), "{\"execute\":\"%s\"}\n", command);
	if (n < 0 || (size_t)n >= sizeof(line))
		return pst_error_set(err, -EINVAL, "QMP: command too long");
	rc = pst_sock_send(q->fd, line, (size_t)n, -1, deadline_ns, err);
	for (i = 0; rc == 0 && i < MAX_EVENTS; i++) {
		rc = read_object(q, deadline_ns, &o, err);
		if (rc)
			return rc;
		e = json_object_get(o, "error");
		if (e) {
			const char *desc =
				json_string_value(json_object_get(e, "desc"));

			rc = pst_error_set(err, -EIO, "QEMU refuses %s: %s",
					   command, desc ? desc : "?");
			json_decref(o);
			return rc;
		}
		e = json_object_get(o, "return");
		json_decref(o);
		if (e)
			return 0;
	}
	return rc ? rc
		  : pst_error_set(err, -EPROTO, "QMP: no answer to %s",
				  command);
}

int pst_demo_qmp_open(const char *path, uint64_t timeout_ns,
		      struct pst_demo_qmp *ret, struct pst_error *err)
{
	uint64_t deadline_ns = pst_now_ns() + timeout_ns;
	struct pst_endpoint ep = {.scheme = PST_SCHEME_UNIX};
	json_t *greeting, *qmp;
	int r;

	ret->fd = -1;
	ret->len = 0;
	if (strlen(path) >= sizeof(ep.path))
		return pst_error_set(err, -EINVAL, "%s: path too long", path);
	strcpy(ep.path, path);
	r = pst_sock_connect(&ep, timeout_ns, err);
	if (r < 0)
		return r;
	ret->fd = r;
	r = read_object(ret, deadline_ns, &greeting, err);
	if (r == 0) {
		qmp = json_object_get(greeting, "QMP");
		json_decref(greeting);
		r = qmp ? run(ret, "qmp_capabilities", deadline_ns, err)
			: pst_error_set(err, -EPROTO, "%s: not QMP", path);
	}
	if (r)
		pst_demo_qmp_close(ret);
	return r;
}

void pst_demo_qmp_close(struct pst_demo_qmp *q)
{
	pst_close_fd(q->fd);
	q->fd = -1;
	q->len = 0;
}

int pst_demo_qmp_run(struct pst_demo_qmp *q, const char *command,
		     uint64_t timeout_ns, struct pst_error *err)
{
	return run(q, command, pst_now_ns() + timeout_ns, err);
}
