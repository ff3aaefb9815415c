/* SPDX-License-Identifier: MIT */
/* What the gateway may ask of the kernel once it serves. */
#ifndef PST_HOST_CLIENT_GATEWAY_HTTP_NARROW_H
#define PST_HOST_CLIENT_GATEWAY_HTTP_NARROW_H

#include "transport/base/error.h"

/*
 * Leaves all threads of the process the system calls that serving takes: no
 * program is started, no address of the Internet connected to, no memory
 * becomes code, no file is made. Others fail with EPERM. Does nothing where it
 * was built without libseccomp, or with a sanitizer, which has calls of its
 * own. Returns 0 or -errno.
 */
int pst_gw_narrow(struct pst_error *err);

#endif
