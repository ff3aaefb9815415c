/* SPDX-License-Identifier: MIT */
/* A guest's console on two descriptors, through libvirt's stream. */
#include <string.h>
#include <unistd.h>

#include "libvirt-xml/virt/virt.h"
#include "libvirt-xml/virt/virt_int.h"

/* Ctrl-], as telnet and virsh have it. */
#define ESCAPE 0x1d
#define CHUNK  4096

struct console {
	virStreamPtr stream;
	int in_fd, out_fd;
	int watch;
	bool over;
	size_t n; /* typed, not yet taken by the guest */
	char typed[CHUNK];
};

static void set_events(struct console *c)
{
	int events = VIR_STREAM_EVENT_READABLE;

	if (c->n)
		events |= VIR_STREAM_EVENT_WRITABLE;
	virStreamEventUpdateCallback(c->stream, events);
	/* Nothing more is read while the guest does not take it. */
	virEventUpdateHandle(c->watch, c->n < sizeof(c->typed)
					       ? VIR_EVENT_HANDLE_READABLE
					       : 0);
}

static bool write_all(int fd, const char *p, size_t n)
{
	ssize_t done;

	while (n) {
		done = write(fd, p, n);
		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return false;
		p += done;
		n -= (size_t)done;
	}
	return true;
}

static void from_guest(struct console *c)
{
	char buf[CHUNK];
	int n = virStreamRecv(c->stream, buf, sizeof(buf));

	if (n == -2) /* nothing there yet */
		return;
	if (n <= 0 || !write_all(c->out_fd, buf, (size_t)n))
		c->over = true;
}

static void to_guest(struct console *c)
{
	int n = virStreamSend(c->stream, c->typed, c->n);

	if (n == -2)
		return;
	if (n < 0) {
		c->over = true;
		return;
	}
	c->n -= (size_t)n;
	memmove(c->typed, c->typed + n, c->n);
}

static void on_stream(virStreamPtr stream, int events, void *arg)
{
	struct console *c = arg;

	if (events & VIR_STREAM_EVENT_READABLE)
		from_guest(c);
	if (!c->over && c->n && (events & VIR_STREAM_EVENT_WRITABLE))
		to_guest(c);
	if (events & (VIR_STREAM_EVENT_ERROR | VIR_STREAM_EVENT_HANGUP))
		c->over = true;
	if (!c->over)
		set_events(c);
}

static void on_typed(int watch, int fd, int events, void *arg)
{
	struct console *c = arg;
	ssize_t n;
	char *end;

	n = read(fd, c->typed + c->n, sizeof(c->typed) - c->n);
	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	end = n > 0 ? memchr(c->typed + c->n, ESCAPE, (size_t)n) : NULL;
	if (n <= 0 || end)
		c->over = true;
	if (end)
		n = end - (c->typed + c->n);
	if (n > 0)
		c->n += (size_t)n;
	if (c->over && c->n)
		to_guest(c);
	if (!c->over)
		set_events(c);
}

static int run(struct pst_vm_virt *v, struct console *c, struct pst_error *err)
{
	int r = 0;

	if (virStreamEventAddCallback(c->stream, VIR_STREAM_EVENT_READABLE,
				      on_stream, c, NULL) < 0)
		return pst_vm_virt_error(err, "the console's stream");
	c->watch = virEventAddHandle(c->in_fd, VIR_EVENT_HANDLE_READABLE,
				     on_typed, c, NULL);
	if (c->watch < 0)
		r = pst_error_set(err, -EINVAL,
				  "cannot wait for the console's input");
	while (r == 0 && !c->over)
		r = pst_vm_virt_tick(v, err);
	if (c->watch >= 0)
		virEventRemoveHandle(c->watch);
	virStreamEventRemoveCallback(c->stream);
	return r;
}

int pst_vm_virt_console(struct pst_vm_virt *v, const char *name, int in_fd,
			int out_fd, struct pst_error *err)
{
	struct console c = {.in_fd = in_fd, .out_fd = out_fd, .watch = -1};
	PST_VM_CLEANUP_DOMAIN virDomainPtr dom = NULL;
	int r;

	r = pst_vm_virt_find(v, name, &dom, err);
	if (r)
		return r;
	if (virDomainIsActive(dom) != 1)
		return pst_error_set(err, -EALREADY, "%s does not run", name);
	c.stream = virStreamNew(v->conn, VIR_STREAM_NONBLOCK);
	if (!c.stream)
		return pst_vm_virt_error(err, "the console of %s", name);
	if (virDomainOpenConsole(dom, NULL, c.stream, 0) < 0)
		r = pst_vm_virt_error(err, "the console of %s", name);
	else
		r = run(v, &c, err);
	virStreamAbort(c.stream);
	virStreamFree(c.stream);
	return r;
}
