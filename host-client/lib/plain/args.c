/* SPDX-License-Identifier: MIT */
/* Reads structures that begin with their size, from callers of older and newer
 * headers. */
#include "host-client/lib/plain/args.h"

#include <errno.h>
#include <string.h>

/* More is no structure of any header, but a size that was never set. */
#define SIZE_MOST 4096

int pst_args_take(const struct pst_args_kind *kind, const void *args, void *ret,
		  struct pst_error *err)
{
	const unsigned char *bytes = args;
	size_t given, i;

	memcpy(&given, args, sizeof(given));
	if (given < kind->least || given > SIZE_MOST)
		return pst_error_set(err, -EINVAL,
				     "a structure has a size of %zu bytes: "
				     "begin with %s",
				     given, kind->init);
	for (i = kind->size; i < given; i++)
		if (bytes[i])
			return pst_error_set(err, -EINVAL,
					     "a structure of %s is of a newer "
					     "penstock.h, and byte %zu of it "
					     "is set",
					     kind->init, i);
	memset(ret, 0, kind->size);
	memcpy(ret, args, given < kind->size ? given : kind->size);
	memcpy(ret, &kind->size, sizeof(kind->size));
	return 0;
}
