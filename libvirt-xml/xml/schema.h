/* SPDX-License-Identifier: MIT */
/* Validates XML by libvirt's RELAX NG schema, in process. */
#ifndef PST_LIBVIRT_XML_XML_SCHEMA_H
#define PST_LIBVIRT_XML_XML_SCHEMA_H

#include "transport/base/error.h"
#include "transport/base/util.h"

/* Where libvirt installs it. */
#define PST_VM_SCHEMA "/usr/share/libvirt/schemas/domain.rng"

/*
 * Validates a domain's XML against the schema in that file. Returns 0, -EINVAL
 * (not valid: libxml2's sentence), -ENOENT (no such schema here), -EPROTO (the
 * schema itself is broken), -ENOMEM.
 */
PST_MUST_USE int pst_vm_schema_check(const char *xml, const char *schema,
				     struct pst_error *err);

#endif
