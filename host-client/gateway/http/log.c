/* SPDX-License-Identifier: MIT */
/* Lines on standard error, which systemd takes for its journal. */
#include "host-client/gateway/http/log.h"

#include <stdarg.h>

#include "transport/base/text.h"

void pst_gw_log(int level, const char *fmt, ...)
{
	char line[512];
	va_list args;

	va_start(args, fmt);
	vsnprintf(line, sizeof(line), fmt, args);
	va_end(args);
	pst_text_clean(line);
	if (getenv("JOURNAL_STREAM"))
		fprintf(stderr, "<%d>%s\n", level, line);
	else
		fprintf(stderr, "penstock-gateway: %s\n", line);
}
