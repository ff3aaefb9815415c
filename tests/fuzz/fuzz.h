/* SPDX-License-Identifier: MIT */
/* What every fuzz target is made of; see replay.c for how it is run. */
#ifndef PST_TESTS_FUZZ_H
#define PST_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/*
 * The target: takes any n bytes, returns 0. In tests/fuzz/fuzz_NAME.c, its
 * corpus in tests/fuzz/corpus/NAME.
 */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* Mutations in make check, where a target is slow enough to say so. */
extern const unsigned long fuzz_rounds __attribute__((weak));

/* A rule that must hold for every input, whatever NDEBUG says. */
#define FUZZ_CHECK(condition)                                                  \
	do {                                                                   \
		if (!(condition)) {                                            \
			fprintf(stderr, "%s:%d: %s does not hold\n", __FILE__, \
				__LINE__, #condition);                         \
			abort();                                               \
		}                                                              \
	} while (0)

#endif
