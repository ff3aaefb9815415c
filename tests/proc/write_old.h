/* SPDX-License-Identifier: MIT */
/* Writing through a pointer into a session that is lost. */
#ifndef PST_TESTS_WRITE_OLD_H
#define PST_TESTS_WRITE_OLD_H

#include <stddef.h>
#include <stdint.h>

/*
 * Sets n bytes. That the memory is replaced under the writer is what is
 * tested: TSan, which takes it for a race, must not look.
 */
__attribute__((no_sanitize("thread"), unused)) static void
write_old(void *p, size_t n, uint8_t value)
{
	volatile uint8_t *q = p;
	size_t i;

	for (i = 0; i < n; i++)
		q[i] = value;
}

#endif
