/* SPDX-License-Identifier: MIT */
/* Errors as -errno and a sentence, and the protocol's status table. */
#include "transport/base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "transport/base/util.h"
#include "transport/wire.h"

/* The one table between the protocol's status and errno. */
static const int status_errno[PST_WIRE_N_STATUS] = {
	[PST_WIRE_OK] = 0,
	[PST_WIRE_EINVAL] = EINVAL,
	[PST_WIRE_EBOUNDS] = EFAULT,
	[PST_WIRE_ELIMIT] = EMSGSIZE,
	[PST_WIRE_ENOSPC] = ENOSPC,
	[PST_WIRE_EBUSY] = EBUSY,
	[PST_WIRE_ENOTSUP] = EOPNOTSUPP,
	[PST_WIRE_EVERSION] = EPROTONOSUPPORT,
	[PST_WIRE_EAUTH] = EACCES,
	[PST_WIRE_EPROTO] = EPROTO,
	[PST_WIRE_ECANCELED] = ECANCELED,
	[PST_WIRE_EIO] = EIO,
	[PST_WIRE_ENOENT] = ENOENT,
	[PST_WIRE_ENOMEM] = ENOMEM,
	[PST_WIRE_ESHUTDOWN] = ECONNRESET,
	[PST_WIRE_ETIMEDOUT] = ETIMEDOUT,
};

static const struct {
	int err;
	const char *text;
} errno_texts[] = {
	{0, "no error"},
	{EINVAL, "invalid argument"},
	{EMSGSIZE, "above a limit, or sizes do not match"},
	{EOVERFLOW, "size overflows"},
	{EFAULT, "memory outside the connection's buffers"},
	{EBADF, "connection of the process that forked this one"},
	{ESTALE, "buffer or call of a session that is gone"},
	{ECONNRESET, "the agent or its VM went away"},
	{ECONNREFUSED, "nobody serves at the endpoint"},
	{ETIMEDOUT, "timed out"},
	{EAGAIN, "too many operations outstanding"},
	{EBUSY, "busy"},
	{ENOSPC, "no room in the arena"},
	{ENOMEM, "out of memory"},
	{ENODEV, "no such device"},
	{ENOENT, "not found"},
	{EACCES, "permission denied"},
	{EPERM, "not permitted"},
	{EPROTO, "protocol error"},
	{EPROTONOSUPPORT, "no common protocol version"},
	{EOPNOTSUPP, "not supported by the backend"},
	{ECANCELED, "cancelled"},
	{EINTR, "the call was interrupted"},
	{EIO, "input/output error"},
	{ENODATA, "unexpected end of data"},
};

const char *pst_errno_text(int err)
{
	size_t i;

	if (err < 0)
		err = -err;
	for (i = 0; i < PST_ARRAY_SIZE(errno_texts); i++)
		if (errno_texts[i].err == err)
			return errno_texts[i].text;
	return "unknown error";
}

int pst_status_to_errno(uint32_t status)
{
	return status < PST_WIRE_N_STATUS ? -status_errno[status] : -EPROTO;
}

uint32_t pst_status_from_errno(int err)
{
	uint32_t i;

	if (err < 0)
		err = -err;
	/* Not a status of its own: a size that wraps is a malformed one. */
	if (err == EOVERFLOW)
		return PST_WIRE_EINVAL;
	for (i = 0; i < PST_WIRE_N_STATUS; i++)
		if (status_errno[i] == err)
			return i;
	return PST_WIRE_EIO;
}

static void clean(char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s < ' ' || *s == 0x7f)
			*s = '?';
}

int pst_error_set(struct pst_error *e, int code, const char *fmt, ...)
{
	va_list ap;

	if (!e)
		return code;
	e->code = code;
	va_start(ap, fmt);
	vsnprintf(e->text, sizeof(e->text), fmt, ap);
	va_end(ap);
	clean(e->text);
	return code;
}

int pst_error_set_errno(struct pst_error *e, int err, const char *fmt, ...)
{
	va_list ap;
	size_t n;

	if (err < 0)
		err = -err;
	if (!e)
		return -err;
	e->code = -err;
	va_start(ap, fmt);
	vsnprintf(e->text, sizeof(e->text), fmt, ap);
	va_end(ap);
	n = strlen(e->text);
	snprintf(e->text + n, sizeof(e->text) - n, ": %s", strerror(err));
	clean(e->text);
	return -err;
}
