/* SPDX-License-Identifier: MIT */
/* How numpy describes an array to C, and how BLAS can read it there. */
#ifndef PST_HOST_CLIENT_PYTHON_VIEW_H
#define PST_HOST_CLIENT_PYTHON_VIEW_H

#include <Python.h>

#include <stdbool.h>
#include <stdint.h>

#include "host-client/penstock.h"

/* What __array_struct__ points to: numpy's array interface, version 3. */
struct interface {
	int two;
	int n_dims;
	char kind;
	int item;
	int flags;
	Py_ssize_t *shape;
	Py_ssize_t *strides;
	void *data;
};

#define ALIGNED     0x100
#define NOT_SWAPPED 0x200
#define WRITEABLE   0x400

/* An array as BLAS sees it. */
struct view {
	void *data;
	Py_ssize_t rows, cols;
	uint32_t dtype;
	uint32_t ld;
	int n_dims;
	bool col;
	bool writeable;
};

static inline uint32_t dtype_of(const struct interface *i)
{
	if (i->kind == 'f')
		return i->item == 4   ? PST_F32
		       : i->item == 8 ? PST_F64
		       : i->item == 2 ? PST_F16
				      : 0;
	if (i->kind == 'i')
		return i->item == 1 ? PST_I8 : i->item == 4 ? PST_I32 : 0;
	return 0;
}

/* As _leading() of _layout.py; 0: not such. */
static inline uint32_t leading(Py_ssize_t lines, Py_ssize_t line,
			       Py_ssize_t between, Py_ssize_t within, int item)
{
	if (line > 1 && within != item)
		return 0;
	if (lines == 1)
		return (uint32_t)line;
	if (between % item || between / item < line ||
	    between / item > UINT32_MAX)
		return 0;
	return (uint32_t)(between / item);
}

static inline bool describe(const struct interface *i, struct view *ret)
{
	Py_ssize_t within, between;

	if (i->two != 2 || i->n_dims < 1 || i->n_dims > 2 ||
	    (i->flags & (ALIGNED | NOT_SWAPPED)) != (ALIGNED | NOT_SWAPPED))
		return false;
	ret->data = i->data;
	ret->n_dims = i->n_dims;
	ret->writeable = i->flags & WRITEABLE;
	ret->dtype = dtype_of(i);
	ret->rows = i->n_dims == 2 ? i->shape[0] : 1;
	ret->cols = i->shape[i->n_dims - 1];
	within = i->strides[i->n_dims - 1];
	between = i->n_dims == 2 ? i->strides[0] : 0;
	if (!ret->dtype || ret->rows < 1 || ret->rows > UINT32_MAX ||
	    ret->cols < 1 || ret->cols > UINT32_MAX)
		return false;
	ret->col = false;
	ret->ld = leading(ret->rows, ret->cols, between, within, i->item);
	if (ret->ld)
		return true;
	ret->col = true;
	ret->ld = leading(ret->cols, ret->rows, within, between, i->item);
	return ret->ld;
}

#endif
