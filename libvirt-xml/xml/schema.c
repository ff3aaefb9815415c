/* SPDX-License-Identifier: MIT */
/* Validates XML by libvirt's RELAX NG schema, in process. */
#include "libvirt-xml/xml/schema.h"

#include <libxml/relaxng.h>
#include <string.h>
#include <unistd.h>

#include "libvirt-xml/xml/xml.h"

/* Keeps the first thing that is said; what follows are consequences. */
static void stash_first(void *arg, const xmlError *e)
{
	struct pst_error *first = arg;
	char text[256];

	if (first->code || !e || !e->message)
		return;
	snprintf(text, sizeof(text), "%s", e->message);
	text[strcspn(text, "\n")] = '\0';
	pst_error_set(first, -EINVAL, "line %d: %s", e->line, text);
}

/* The callback's argument lost its const before libxml2 2.12. */
#define STASH_FIRST ((xmlStructuredErrorFunc)(void (*)(void))stash_first)

static int validate(xmlRelaxNG *rng, xmlDoc *doc, struct pst_error *why)
{
	xmlRelaxNGValidCtxt *ctx = xmlRelaxNGNewValidCtxt(rng);
	int r;

	if (!ctx)
		return -ENOMEM;
	xmlRelaxNGSetValidStructuredErrors(ctx, STASH_FIRST, why);
	r = xmlRelaxNGValidateDoc(ctx, doc);
	xmlRelaxNGFreeValidCtxt(ctx);
	return r == 0 ? 0 : r > 0 ? -EINVAL : -EPROTO;
}

int pst_vm_schema_check(const char *xml, const char *schema,
			struct pst_error *err)
{
	PST_VM_CLEANUP_XML_DOC xmlDoc *doc = NULL;
	struct pst_error why = {0};
	xmlRelaxNGParserCtxt *ctx;
	xmlRelaxNG *rng = NULL;
	int r;

	if (access(schema, R_OK) < 0)
		return pst_error_set(err, -ENOENT, "no schema of libvirt in %s",
				     schema);
	r = pst_vm_xml_parse(xml, strlen(xml), &doc, err);
	if (r)
		return r;
	ctx = xmlRelaxNGNewParserCtxt(schema);
	if (ctx) {
		xmlRelaxNGSetParserStructuredErrors(ctx, STASH_FIRST, &why);
		rng = xmlRelaxNGParse(ctx);
		xmlRelaxNGFreeParserCtxt(ctx);
	}
	if (!rng)
		return pst_error_set(err, -EPROTO, "%s is no schema: %s",
				     schema, why.text);
	r = validate(rng, doc, &why);
	xmlRelaxNGFree(rng);
	if (r)
		return pst_error_set(err, r,
				     "libvirt's schema refuses this domain: %s",
				     why.code ? why.text : "no reason given");
	return 0;
}
