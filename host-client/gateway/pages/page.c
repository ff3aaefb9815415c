/* SPDX-License-Identifier: MIT */
/* The status page: one file, made part of the program. */
#include "host-client/gateway/http/routes.h"
#include "host-client/gateway/pages/page_data.h"

/* Nothing from elsewhere, and nothing that is not in the file. */
static const char policy[] =
	"default-src 'none'; connect-src 'self'; img-src data:; "
	"style-src 'sha256-" PST_GW_PAGE_STYLE "'; "
	"script-src 'sha256-" PST_GW_PAGE_SCRIPT "'; "
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

static void page(struct pst_gw_request *r)
{
	pst_gw_reply_static(r, "text/html; charset=utf-8", pst_gw_page,
			    sizeof(pst_gw_page));
	pst_gw_reply_header(r, "Content-Security-Policy", policy);
	pst_gw_reply_header(r, "Referrer-Policy", "no-referrer");
}

const struct pst_gw_route pst_gw_page_routes[] = {
	{.path = "/", .methods = PST_GW_GET, .handle = page},
	{0},
};
