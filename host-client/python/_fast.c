/* SPDX-License-Identifier: MIT */
/* The calls of the Python package that are made often, without ctypes. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "host-client/penstock.h"
#include "host-client/python/_view.h"

/* The package has loaded libpenstock already: the one that it was told of. */
static struct {
	void (*pst_close)(struct pst *c);
	int (*pst_gemm)(struct pst *c, const struct pst_gemm_args *g,
			uint64_t timeout_ns, struct pst_completion *done);
	int (*pst_infer)(struct pst *c, const struct pst_infer_args *f,
			 uint64_t timeout_ns, struct pst_completion *done);
	struct pst *(*pst_owner)(const void *ptr);
} lib;

/* Of the package: numpy's class and its own, whose objects are read here; what
 * raises for a code and for a gate that is shut; and who asks for signals. */
static PyObject *ndarray, *array, *check, *refuse, *interrupt, *raised;
static PyObject *name_struct, *name_armed, *name_arm;
static PyTypeObject *gate_type;

/* How often this process has been forked from another one. */
static unsigned long forks;
/* Connections that may own memory which an operand lies in, and such that a
 * parent had: their memory is not mapped here, or something else is there. */
static unsigned long n_gates, n_inherited;

static void count_fork(void)
{
	forks++;
	n_inherited += n_gates;
	n_gates = 0;
}

/* ---- Who uses a connection ---------------------------------------------- */

/* Whoever holds the GIL may look and change; _gate.py is the same in Python. */
struct gate {
	PyObject base;
	struct pst *c;
	unsigned long users;
	unsigned long forks;
	bool closing;
};

static bool is_forked(const struct gate *gate)
{
	return gate->forks != forks;
}

/* Returns the connection, or NULL with an exception. */
static struct pst *enter(struct gate *gate)
{
	PyObject *r;
	bool armed;

	/* First: it runs Python, and another thread may close meanwhile. */
	r = PyObject_GetAttr(interrupt, name_armed);
	armed = r == Py_True;
	Py_XDECREF(r);
	if (r && !armed) {
		r = PyObject_CallMethodObjArgs(interrupt, name_arm, NULL);
		Py_XDECREF(r);
	}
	if (!r)
		return NULL;
	if (gate->closing || is_forked(gate)) {
		r = PyObject_CallFunction(refuse, "i", is_forked(gate));
		Py_XDECREF(r);
		return NULL;
	}
	gate->users++;
	return gate->c;
}

static void close_if_last(struct gate *gate)
{
	struct pst *c = gate->c;

	if (!gate->closing || gate->users || !c)
		return;
	gate->c = NULL;
	if (is_forked(gate))
		return;
	n_gates--;
	Py_BEGIN_ALLOW_THREADS;
	lib.pst_close(c);
	Py_END_ALLOW_THREADS;
}

static void leave(struct gate *gate)
{
	gate->users--;
	close_if_last(gate);
}

/* Raises what a code means, or a signal's handler raised meanwhile. */
static int checked(struct pst *c, int code)
{
	PyObject *r;

	if (code >= 0 && PyList_Size(raised) == 0)
		return code;
	r = PyObject_CallFunction(check, "ni", (Py_ssize_t)c, code);
	if (!r)
		return -1;
	Py_DECREF(r);
	return code;
}

static int gate_init(struct gate *self, PyObject *args, PyObject *kw)
{
	Py_ssize_t c;

	(void)kw;
	if (!PyArg_ParseTuple(args, "n", &c))
		return -1;
	self->c = (struct pst *)c;
	self->forks = forks;
	n_gates++;
	return 0;
}

static void free_object(PyObject *self)
{
	PyTypeObject *type = Py_TYPE(self);
	freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);

	release(self);
	Py_DECREF(type);
}

static PyObject *gate_enter(struct gate *self, PyObject *unused)
{
	struct pst *c = enter(self);

	(void)unused;
	return c ? PyLong_FromVoidPtr(c) : NULL;
}

/* As enter(), for what began before close(); None: it is closed. */
static PyObject *gate_hold(struct gate *self, PyObject *unused)
{
	(void)unused;
	if (!self->c || is_forked(self))
		Py_RETURN_NONE;
	self->users++;
	return PyLong_FromVoidPtr(self->c);
}

static PyObject *gate_leave(struct gate *self, PyObject *unused)
{
	(void)unused;
	leave(self);
	Py_RETURN_NONE;
}

static PyObject *gate_close(struct gate *self, PyObject *unused)
{
	(void)unused;
	self->closing = true;
	close_if_last(self);
	Py_RETURN_NONE;
}

static PyObject *get_pointer(struct gate *self, void *unused)
{
	(void)unused;
	if (!self->c)
		Py_RETURN_NONE;
	return PyLong_FromVoidPtr(self->c);
}

static PyObject *get_closed(struct gate *self, void *unused)
{
	(void)unused;
	return PyBool_FromLong(self->closing);
}

static PyObject *get_forked(struct gate *self, void *unused)
{
	(void)unused;
	return PyBool_FromLong(is_forked(self));
}

/* ---- Arrays ------------------------------------------------------------- */

/* Whether an object is an array that can be used where it lies. Leaves no
 * exception: whoever takes all other objects finds it again. */
static bool look(PyObject *x, struct view *ret)
{
	PyTypeObject *type = Py_TYPE(x);
	struct interface *i;
	PyObject *capsule;
	bool ok;

	if (type != (PyTypeObject *)ndarray && type != (PyTypeObject *)array)
		return false;
	capsule = PyObject_GetAttr(x, name_struct);
	i = capsule ? PyCapsule_GetPointer(capsule, NULL) : NULL;
	ok = i && describe(i, ret);
	Py_XDECREF(capsule);
	PyErr_Clear();
	return ok;
}

/* Another connection's memory is any memory to the library, and zeros once that
 * one is lost: Python looks at it, and at all memory where some is a parent's.
 */
static bool is_foreign(const struct gate *gate, const struct view *v)
{
	struct pst *owner = n_gates > 1 ? lib.pst_owner(v->data) : NULL;

	return n_inherited || (owner && owner != gate->c);
}

/* ---- Calls -------------------------------------------------------------- */

struct plan {
	PyObject base;
	struct gate *gate;
	PyObject *kept;
	PyObject *result;
	uint64_t timeout_ns;
	bool infers;
	union {
		struct pst_gemm_args gemm;
		struct pst_infer_args infer;
	} args;
};

static int run(struct gate *gate, bool infers, const void *args,
	       uint64_t timeout_ns, bool again)
{
	struct pst *c = enter(gate);
	int r;

	if (!c)
		return -1;
	Py_BEGIN_ALLOW_THREADS;
	r = infers ? lib.pst_infer(c, args, timeout_ns, NULL)
		   : lib.pst_gemm(c, args, timeout_ns, NULL);
	Py_END_ALLOW_THREADS;
	/* Nothing was written: operands overlap, or room has to be made. */
	if (!again || (r != -EINVAL && r != -ENOSPC) || PyList_Size(raised))
		r = checked(c, r);
	leave(gate);
	return r;
}

static PyObject *answer(int r)
{
	if (PyErr_Occurred())
		return NULL;
	return PyBool_FromLong(r >= 0);
}

/* matmul(a, b, out, alpha, beta): whether it is done. If not, nothing is, and
 * Python finds out why. */
static PyObject *gate_matmul(struct gate *self, PyObject *args)
{
	struct pst_gemm_args g = PST_GEMM_INIT;
	PyObject *xa, *xb, *xc;
	struct view a, b, c;

	if (!PyArg_ParseTuple(args, "OOOdd", &xa, &xb, &xc, &g.alpha, &g.beta))
		return NULL;
	if (!look(xa, &a) || !look(xb, &b) || !look(xc, &c) || a.n_dims != 2 ||
	    b.n_dims != 2 || c.n_dims != 2 || a.dtype != b.dtype ||
	    a.dtype == PST_I32 || a.cols != b.rows || c.rows != a.rows ||
	    c.cols != b.cols || !c.writeable ||
	    c.dtype != (a.dtype == PST_I8 ? (uint32_t)PST_I32 : a.dtype) ||
	    is_foreign(self, &a) || is_foreign(self, &b) ||
	    is_foreign(self, &c))
		Py_RETURN_FALSE;
	g.dtype = a.dtype;
	g.order = c.col ? PST_COL_MAJOR : PST_ROW_MAJOR;
	g.transa = a.col != c.col;
	g.transb = b.col != c.col;
	g.m = (uint32_t)a.rows;
	g.n = (uint32_t)b.cols;
	g.k = (uint32_t)a.cols;
	g.lda = a.ld;
	g.ldb = b.ld;
	g.ldc = c.ld;
	g.a = a.data;
	g.b = b.data;
	g.c = c.data;
	return answer(run(self, false, &g, PST_FOREVER, true));
}

/* infer(address of the struct pst_model, rows, out), in the same way. */
static PyObject *gate_infer(struct gate *self, PyObject *args)
{
	struct pst_infer_args f = PST_INFER_INIT;
	PyObject *xin, *xout;
	struct view in, out;
	Py_ssize_t model;

	if (!PyArg_ParseTuple(args, "nOO", &model, &xin, &xout))
		return NULL;
	f.model = (const struct pst_model *)model;
	if (!look(xin, &in) || !look(xout, &out) || in.dtype != PST_F32 ||
	    out.dtype != PST_F32 || in.n_dims != out.n_dims ||
	    in.rows != out.rows || in.cols != f.model->n_in ||
	    out.cols != f.model->n_out || in.col || out.col || !out.writeable ||
	    is_foreign(self, &in) || is_foreign(self, &out))
		Py_RETURN_FALSE;
	f.in = in.data;
	f.out = out.data;
	f.rows = (uint32_t)in.rows;
	f.ld_in = in.ld;
	f.ld_out = out.ld;
	return answer(run(self, true, &f, PST_FOREVER, true));
}

static const char no_plan[] = "Connection.plan() and Model.plan() make plans";

/* Plan(gate, infers, descriptor, kept, result, timeout_ns): a call whose
 * descriptor, the bytes of penstock.h's structure, is made already. kept is
 * what it points to. */
static int plan_init(struct plan *self, PyObject *args, PyObject *kw)
{
	PyObject *gate, *kept, *result;
	unsigned long long timeout_ns;
	const char *bytes;
	Py_ssize_t n;
	size_t want;
	int infers;

	if (!PyArg_ParseTuple(args, "O!py#OOK", gate_type, &gate, &infers,
			      &bytes, &n, &kept, &result, &timeout_ns))
		return -1;
	want = infers ? sizeof(self->args.infer) : sizeof(self->args.gemm);
	if (kw || self->gate || (size_t)n != want) {
		PyErr_SetString(PyExc_TypeError, no_plan);
		return -1;
	}
	memcpy(&self->args, bytes, (size_t)n);
	self->infers = infers;
	self->timeout_ns = timeout_ns;
	Py_INCREF(gate);
	self->gate = (struct gate *)gate;
	Py_INCREF(kept);
	self->kept = kept;
	Py_INCREF(result);
	self->result = result;
	return 0;
}

/* An operand may have the plan as an attribute. */
static int plan_traverse(struct plan *self, visitproc visit, void *arg)
{
	Py_VISIT(Py_TYPE(self));
	Py_VISIT(self->kept);
	Py_VISIT(self->result);
	return 0;
}

static int plan_clear(struct plan *self)
{
	Py_CLEAR(self->kept);
	Py_CLEAR(self->result);
	return 0;
}

static void plan_free(struct plan *self)
{
	PyObject_GC_UnTrack(self);
	(void)plan_clear(self);
	Py_XDECREF((PyObject *)self->gate);
	free_object((PyObject *)self);
}

static PyObject *plan_call(struct plan *self, PyObject *args, PyObject *kw)
{
	if (PyTuple_Size(args) || (kw && PyDict_Size(kw))) {
		PyErr_SetString(PyExc_TypeError, "a plan takes no arguments");
		return NULL;
	}
	if (!self->kept || !self->result) {
		PyErr_SetString(PyExc_TypeError, no_plan);
		return NULL;
	}
	if (run(self->gate, self->infers, &self->args, self->timeout_ns,
		false) < 0)
		return NULL;
	Py_INCREF(self->result);
	return self->result;
}

/* ---- DLPack -------------------------------------------------------------- */

/* The end of a capsule of Tensor.__dlpack__() that nobody took. An exception
 * may be on its way, as Python's code does not bear. */
static void end_capsule(PyObject *capsule)
{
	static const char *const names[] = {"dltensor", "dltensor_versioned"};
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (PyCapsule_IsValid(capsule, names[i]))
			free(PyCapsule_GetPointer(capsule, names[i]));
}

static PyObject *get_end_capsule(PyObject *self, PyObject *unused)
{
	(void)self;
	(void)unused;
	return PyLong_FromVoidPtr((void *)end_capsule);
}

/* ---- The module --------------------------------------------------------- */

/* setup(path, ndarray, array, check, refuse, interrupt) */
static PyObject *setup(PyObject *self, PyObject *args)
{
	static const char *const names[] = {"pst_close", "pst_gemm",
					    "pst_infer", "pst_owner"};
	void **slots = (void **)&lib;
	const char *path;
	void *handle;
	size_t i;

	(void)self;
	if (!PyArg_ParseTuple(args, "sOOOOO", &path, &ndarray, &array, &check,
			      &refuse, &interrupt))
		return NULL;
	Py_INCREF(ndarray);
	Py_INCREF(array);
	Py_INCREF(check);
	Py_INCREF(refuse);
	Py_INCREF(interrupt);
	raised = PyObject_GetAttrString(interrupt, "raised");
	name_struct = PyUnicode_InternFromString("__array_struct__");
	name_armed = PyUnicode_InternFromString("armed");
	name_arm = PyUnicode_InternFromString("arm");
	if (!raised || !name_struct || !name_armed || !name_arm)
		return NULL;
	handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		slots[i] = handle ? dlsym(handle, names[i]) : NULL;
		if (slots[i])
			continue;
		PyErr_SetString(PyExc_ImportError, dlerror());
		return NULL;
	}
	(void)pthread_atfork(NULL, NULL, count_fork);
	Py_RETURN_NONE;
}

#define METHOD(f) (PyCFunction)(void (*)(void))(f)

static PyMethodDef gate_methods[] = {
	{"enter", METHOD(gate_enter), METH_NOARGS, NULL},
	{"hold", METHOD(gate_hold), METH_NOARGS, NULL},
	{"leave", METHOD(gate_leave), METH_NOARGS, NULL},
	{"close", METHOD(gate_close), METH_NOARGS, NULL},
	{"matmul", METHOD(gate_matmul), METH_VARARGS, NULL},
	{"infer", METHOD(gate_infer), METH_VARARGS, NULL},
	{NULL, NULL, 0, NULL},
};

static PyGetSetDef gate_members[] = {
	{"pointer", (getter)get_pointer, NULL, NULL, NULL},
	{"closed", (getter)get_closed, NULL, NULL, NULL},
	{"forked", (getter)get_forked, NULL, NULL, NULL},
	{NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot gate_slots[] = {
	{Py_tp_init, (void *)gate_init},
	{Py_tp_dealloc, (void *)free_object},
	{Py_tp_methods, gate_methods},
	{Py_tp_getset, gate_members},
	{0, NULL},
};

static PyType_Spec gate_spec = {
	.name = "penstock._fast.Gate",
	.basicsize = sizeof(struct gate),
	.flags = Py_TPFLAGS_DEFAULT,
	.slots = gate_slots,
};

static char plan_doc[] =
	"A prepared call; see Connection.plan() and Model.plan().";

static PyType_Slot plan_slots[] = {
	{Py_tp_init, (void *)plan_init},
	{Py_tp_dealloc, (void *)plan_free},
	{Py_tp_traverse, (void *)plan_traverse},
	{Py_tp_clear, (void *)plan_clear},
	{Py_tp_call, (void *)plan_call},
	{Py_tp_doc, plan_doc},
	{0, NULL},
};

static PyType_Spec plan_spec = {
	.name = "penstock.Plan",
	.basicsize = sizeof(struct plan),
	.flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
	.slots = plan_slots,
};

static PyMethodDef functions[] = {
	{"setup", setup, METH_VARARGS, NULL},
	{"end_capsule", get_end_capsule, METH_NOARGS, NULL},
	{NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
	PyModuleDef_HEAD_INIT,
	.m_name = "penstock._fast",
	.m_size = -1,
	.m_methods = functions,
};

/* Returns the type, which the module keeps, or NULL. */
static PyTypeObject *add_type(PyObject *m, const char *name, PyType_Spec *spec)
{
	PyObject *type = PyType_FromSpec(spec);

	if (type && PyModule_AddObject(m, name, type) == 0)
		return (PyTypeObject *)type;
	Py_XDECREF(type);
	return NULL;
}

PyMODINIT_FUNC PyInit__fast(void);
PyMODINIT_FUNC PyInit__fast(void)
{
	const long version = PST_VERSION_MAJOR * 1000 + PST_VERSION_MINOR;
	PyObject *m = PyModule_Create(&module);

	gate_type = m ? add_type(m, "Gate", &gate_spec) : NULL;
	Py_XINCREF((PyObject *)gate_type);
	if (gate_type && add_type(m, "Plan", &plan_spec) &&
	    PyModule_AddIntConstant(m, "VERSION", version) == 0)
		return m;
	Py_XDECREF(m);
	return NULL;
}
