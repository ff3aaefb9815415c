/* SPDX-License-Identifier: MIT */
/* Converts the protocol's status to an errno and back. */
#include "transport/status.h"

#include <errno.h>

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
