/* SPDX-License-Identifier: MIT */
/* Formats and collects notes for the user. */
#include <stdarg.h>
#include <stdio.h>

#include "libvirt-xml/plan/plan.h"

void pst_vm_note(struct pst_vm_notes *notes, const char *fmt, ...)
{
	va_list ap;

	if (notes->n == PST_VM_MAX_NOTES)
		return;
	va_start(ap, fmt);
	vsnprintf(notes->text[notes->n++], sizeof(notes->text[0]), fmt, ap);
	va_end(ap);
}
