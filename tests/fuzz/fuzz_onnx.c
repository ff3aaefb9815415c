/* SPDX-License-Identifier: MIT */
/* Fuzz target: ONNX files; what passes with no file at hand names none. */
#include <string.h>

#include "guest-agent/runner/onnx.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct pst_onnx_file file = {"w", 16};
	struct pst_error err = {0};
	int alone, with;

	alone = pst_onnx_walk(data, size, NULL, 0, &err);
	FUZZ_CHECK(alone == 0 || (err.code == alone && err.text[0]));
	err = (struct pst_error){0};
	with = pst_onnx_walk(data, size, &file, 1, &err);
	FUZZ_CHECK(with == 0 || (err.code == with && err.text[0]));
	/* A file more allows more. */
	FUZZ_CHECK(alone != 0 || with == 0);
	return 0;
}
