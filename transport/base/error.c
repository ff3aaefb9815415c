/* SPDX-License-Identifier: MIT */
/* Errors as -errno and a sentence. */
#include "transport/base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "transport/base/text.h"
#include "transport/base/util.h"

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
	{ECONNREFUSED, "no agent listens at the endpoint"},
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

int pst_error_set(struct pst_error *e, int code, const char *fmt, ...)
{
	va_list ap;

	if (!e)
		return code;
	e->code = code;
	va_start(ap, fmt);
	vsnprintf(e->text, sizeof(e->text), fmt, ap);
	va_end(ap);
	pst_text_clean(e->text);
	return code;
}

int pst_error_prefix(struct pst_error *e, const char *what)
{
	const struct pst_error old = *e;

	return pst_error_set(e, old.code, "%s: %s", what, old.text);
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
	pst_text_clean(e->text);
	return -err;
}
