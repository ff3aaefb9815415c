/* SPDX-License-Identifier: MIT */
/* Where the files of named endpoints are looked for. */
#include "transport/base/endpoint_dirs.h"

#include <stdio.h>
#include <stdlib.h>

void pst_endpoint_dirs_find(struct pst_endpoint_dirs *ret)
{
	const char *xdg = secure_getenv("XDG_CONFIG_HOME");
	const char *home = secure_getenv("HOME");
	int n = 0;

	*ret = (struct pst_endpoint_dirs){
		.dirs = {"/etc/penstock/endpoints.d"}};
	if (xdg && xdg[0] == '/')
		n = snprintf(ret->user, sizeof(ret->user),
			     "%s/penstock/endpoints.d", xdg);
	else if (home && home[0] == '/')
		n = snprintf(ret->user, sizeof(ret->user),
			     "%s/.config/penstock/endpoints.d", home);
	if (n > 0 && (size_t)n < sizeof(ret->user))
		ret->dirs[1] = ret->user;
}
