/* SPDX-License-Identifier: MIT */
/* Fuzz target: the header of .npy files; what is taken is a matrix, exactly. */
#include "host-client/files/npy.h"
#include "host-client/penstock.h"
#include "tests/fuzz/fuzz.h"

static bool same(const struct pst_npy *a, const struct pst_npy *b)
{
	return a->dtype == b->dtype && a->elem_size == b->elem_size &&
	       a->fortran == b->fortran && a->rows == b->rows &&
	       a->cols == b->cols && a->data_size == b->data_size;
}

static unsigned int size_of(uint32_t dtype)
{
	switch (dtype) {
	case PST_I8:
		return 1;
	case PST_F16:
		return 2;
	case PST_F32:
	case PST_I32:
		return 4;
	default:
		FUZZ_CHECK(dtype == PST_F64);
		return 8;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t header[PST_NPY_HEADER];
	struct pst_error err = {0};
	struct pst_npy npy, again;
	unsigned __int128 bytes;

	if (pst_npy_parse(data, size, &npy, &err) < 0) {
		FUZZ_CHECK(err.code < 0 && err.text[0]);
		return 0;
	}
	FUZZ_CHECK(npy.data_off >= 10 && npy.data_off <= size);
	FUZZ_CHECK(npy.elem_size == size_of(npy.dtype));
	bytes = (unsigned __int128)npy.rows * npy.cols * npy.elem_size;
	FUZZ_CHECK(bytes == npy.data_size);
	FUZZ_CHECK(npy.data_off + npy.data_size <= INT64_MAX);
	/* Written anew, it says the same; so does a copy without what follows
	 * the header. */
	pst_npy_format(npy.dtype, npy.fortran, npy.rows, npy.cols, header);
	if (pst_npy_parse(header, sizeof(header), &again, &err) == 0)
		FUZZ_CHECK(same(&npy, &again) && !again.big_endian);
	else
		FUZZ_CHECK(npy.data_off < PST_NPY_HEADER);
	FUZZ_CHECK(pst_npy_parse(data, npy.data_off, &again, &err) == 0);
	FUZZ_CHECK(same(&npy, &again) && npy.big_endian == again.big_endian);
	return 0;
}
