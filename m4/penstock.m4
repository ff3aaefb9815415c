# SPDX-License-Identifier: MIT
# Optional parts of the build, each three-state: guess, yes-or-fail, no.

# PST_ARG_PKG(VAR, NAME, PKG-CONFIG-SPEC)
# --with-NAME; sets pst_have_NAME, VAR_CFLAGS, VAR_LIBS and HAVE_VAR.
AC_DEFUN([PST_ARG_PKG], [
	AC_ARG_WITH([$2], [AS_HELP_STRING([--with-$2],
		[use $2 @<:@guess@:>@])], [], [with_$2=guess])
	pst_have_$2=no
	AS_IF([test "x$with_$2" != xno], [
		PKG_CHECK_MODULES([$1], [$3], [pst_have_$2=yes], [
			AS_IF([test "x$with_$2" != xguess],
				[AC_MSG_ERROR([--with-$2 was given, but $3 was not found: $$1][_PKG_ERRORS])])])])
	AS_IF([test "$pst_have_$2" = yes],
		[AC_DEFINE([HAVE_$1], [1], [Define when $2 is used.])])
	AM_CONDITIONAL([HAVE_$1], [test "$pst_have_$2" = yes])
])

# --with-cblas: the cpu backend's BLAS; OpenBLAS before BLIS.
AC_DEFUN([PST_ARG_CBLAS], [
	AC_ARG_WITH([cblas], [AS_HELP_STRING([--with-cblas=openblas|blis],
		[the cpu backend's BLAS @<:@guess@:>@])], [], [with_cblas=guess])
	pst_have_cblas=no
	pst_cblas_why="not wanted"
	AS_IF([test "x$with_cblas" != xno], [
		pst_cblas_why="neither openblas nor blis found"
		AS_CASE(["$with_cblas"], [guess|yes], [pst_cblas_try="openblas blis"],
			[pst_cblas_try=$with_cblas])
		for pst_lib in $pst_cblas_try; do
			AS_IF([test "$pst_have_cblas" = no], [
				pst_cblas_errors=`$PKG_CONFIG --exists --print-errors "$pst_lib" 2>&1`
				AS_IF([test $? -eq 0], [
					CBLAS_CFLAGS=`$PKG_CONFIG --cflags $pst_lib`
					CBLAS_LIBS=`$PKG_CONFIG --libs $pst_lib`
					pst_have_cblas=yes
					pst_cblas_why="$pst_lib `$PKG_CONFIG --modversion $pst_lib`"
					AS_IF([test $pst_lib = openblas],
						[AC_DEFINE([HAVE_OPENBLAS], [1],
							[Define when the CBLAS is OpenBLAS.])],
						[AC_DEFINE([HAVE_BLIS], [1],
							[Define when the CBLAS is BLIS.])])])])
		done
		AS_IF([test "$pst_have_cblas" = no && test "x$with_cblas" != xguess],
			[AC_MSG_ERROR([--with-cblas was given, but $pst_cblas_why])])])
	AC_SUBST([CBLAS_CFLAGS])
	AC_SUBST([CBLAS_LIBS])
	AS_IF([test "$pst_have_cblas" = yes],
		[AC_DEFINE([HAVE_CBLAS], [1], [Define when a CBLAS is used.])])
	AM_CONDITIONAL([HAVE_CBLAS], [test "$pst_have_cblas" = yes])
])

# --with-cuda[=DIR]: CUDA runtime, cuBLAS and nvcc for the cuda backend. LIBS
# and CPPFLAGS are restored; a toolkit without a driver links against its stubs.
AC_DEFUN([PST_ARG_CUDA], [
	AC_ARG_WITH([cuda], [AS_HELP_STRING([--with-cuda=DIR],
		[the CUDA toolkit @<:@guess, /usr/local/cuda@:>@])], [],
		[with_cuda=guess])
	AC_ARG_VAR([NVCC], [the CUDA compiler])
	AC_ARG_VAR([NVCCFLAGS], [its flags])
	pst_have_cuda=no
	pst_cuda_why="not wanted"
	AS_IF([test "x$with_cuda" != xno], [
		AS_CASE(["$with_cuda"], [guess|yes], [pst_cuda=/usr/local/cuda],
			[pst_cuda=$with_cuda])
		pst_save_LIBS=$LIBS
		pst_save_CPPFLAGS=$CPPFLAGS
		CUDA_CFLAGS="-isystem $pst_cuda/include"
		CUDA_LIBS="-L$pst_cuda/lib64 -L$pst_cuda/lib64/stubs -lcublasLt -lcublas -lcudart"
		CPPFLAGS="$CPPFLAGS $CUDA_CFLAGS"
		LIBS="$CUDA_LIBS $LIBS"
		pst_cuda_why="not found in $pst_cuda"
		AC_MSG_CHECKING([for the CUDA runtime and cuBLAS in $pst_cuda])
		AC_LINK_IFELSE([AC_LANG_PROGRAM([[#include <cuda_runtime_api.h>
#include <cublas_v2.h>
#include <cublasLt.h>]], [[cublasHandle_t h; cublasLtHandle_t l;
#if CUDART_VERSION < 11080
#error too old
#endif
return cublasCreate(&h) + cublasLtCreate(&l) + cudaGetLastError();]])],
			[pst_have_cuda=yes
			 pst_cuda_why=$pst_cuda])
		AC_MSG_RESULT([$pst_have_cuda])
		LIBS=$pst_save_LIBS
		CPPFLAGS=$pst_save_CPPFLAGS
		AS_IF([test "$pst_have_cuda" = yes], [
			AC_PATH_PROG([NVCC], [nvcc], [], [$pst_cuda/bin:$PATH])
			AS_IF([test -z "$NVCC"], [
				pst_have_cuda=no
				pst_cuda_why="$pst_cuda has no nvcc"])])
		AS_IF([test "$pst_have_cuda" = no && test "x$with_cuda" != xguess],
			[AC_MSG_ERROR([--with-cuda was given, but CUDA 11.8 or newer: $pst_cuda_why])])])
	test -n "$NVCCFLAGS" || NVCCFLAGS="-O3 -arch=all-major"
	AC_SUBST([CUDA], [$pst_cuda])
	AC_SUBST([CUDA_CFLAGS])
	AC_SUBST([CUDA_LIBS])
	AM_CONDITIONAL([HAVE_CUDA], [test "$pst_have_cuda" = yes])
])

# Manual pages are written in scdoc.
AC_DEFUN([PST_ARG_SCDOC], [
	AC_ARG_WITH([scdoc], [AS_HELP_STRING([--with-scdoc],
		[make the manual pages @<:@guess@:>@])], [], [with_scdoc=guess])
	pst_have_scdoc=no
	AS_IF([test "x$with_scdoc" != xno], [
		AC_PATH_PROG([SCDOC], [scdoc])
		AS_IF([test -n "$SCDOC"], [pst_have_scdoc=yes],
			[test "x$with_scdoc" != xguess],
			[AC_MSG_ERROR([--with-scdoc was given, but scdoc was not found])])])
	AM_CONDITIONAL([HAVE_SCDOC], [test "$pst_have_scdoc" = yes])
])

# --with-node[=DIR]: the Node addon; DIR has node_api.h and uv.h. Tests run it
# with node.
AC_DEFUN([PST_ARG_NODE], [
	AC_ARG_WITH([node], [AS_HELP_STRING([--with-node=DIR],
		[headers of Node.js @<:@guess@:>@])], [], [with_node=guess])
	AC_CHECK_PROGS([NODE], [node nodejs])
	pst_have_node=no
	NODE_CPPFLAGS=
	AS_CASE(["$with_node"], [no], [pst_node_try=],
		[guess|yes], [pst_node_try="/usr/include/node /usr/include/nodejs/src /usr/local/include/node"],
		[pst_node_try=$with_node])
	pst_save_CPPFLAGS=$CPPFLAGS
	for pst_dir in $pst_node_try; do
		AS_IF([test "$pst_have_node" = no && test -r "$pst_dir/node_api.h"], [
			CPPFLAGS="$pst_save_CPPFLAGS -isystem $pst_dir"
			AC_PREPROC_IFELSE([AC_LANG_SOURCE([[
#define NAPI_VERSION 8
#include <node_api.h>
#include <uv.h>
]])], [pst_have_node=yes
				NODE_CPPFLAGS="-isystem $pst_dir"])])
	done
	CPPFLAGS=$pst_save_CPPFLAGS
	AS_IF([test "$pst_have_node" = no],
		[AS_CASE(["$with_node"], [guess|no], [],
			[AC_MSG_ERROR([--with-node was given, but node_api.h and uv.h were not found in: $pst_node_try])])])
	AC_SUBST([NODE_CPPFLAGS])
	AM_CONDITIONAL([HAVE_NODE], [test "$pst_have_node" = yes])
])

# A python3 that has numpy; the first on PATH need not be the one.
AC_DEFUN([PST_PYTHON_NUMPY], [
	AC_ARG_VAR([PYTHON3], [a Python 3 interpreter with numpy])
	AC_MSG_CHECKING([for a python3 with numpy])
	pst_have_numpy=no
	for pst_python in $PYTHON3 python3 /usr/bin/python3; do
		AS_IF([test $pst_have_numpy = no &&
			"$pst_python" -c 'import sys, numpy; sys.exit(sys.version_info < (3, 9))' >/dev/null 2>&1],
			[pst_have_numpy=yes
			 PYTHON3=$pst_python])
	done
	AC_MSG_RESULT([$pst_have_numpy${PYTHON3:+, $PYTHON3}])
	AM_CONDITIONAL([HAVE_NUMPY], [test $pst_have_numpy = yes])
])

# Our own flags; the user's CFLAGS are left alone.
AC_DEFUN([PST_WARNINGS], [
	PST_CFLAGS=
	for pst_flag in -std=gnu11 -Wall -Wextra -Wshadow -Wstrict-prototypes \
		-Wmissing-prototypes -Wpointer-arith -Wwrite-strings -Wvla \
		-Wformat=2 -Wundef -Wno-unused-parameter \
		-fno-common -fstack-protector-strong; do
		pst_save_CFLAGS=$CFLAGS
		CFLAGS="$CFLAGS -Werror $pst_flag"
		AC_MSG_CHECKING([whether $CC takes $pst_flag])
		AC_COMPILE_IFELSE([AC_LANG_PROGRAM([])],
			[PST_CFLAGS="$PST_CFLAGS $pst_flag"
			 AC_MSG_RESULT([yes])], [AC_MSG_RESULT([no])])
		CFLAGS=$pst_save_CFLAGS
	done
	AC_SUBST([PST_CFLAGS])
])

AC_DEFUN([PST_ARG_WERROR], [
	AC_ARG_ENABLE([werror], [AS_HELP_STRING([--enable-werror],
		[warnings are errors @<:@no@:>@])], [], [enable_werror=no])
	AS_IF([test "$enable_werror" = yes], [PST_CFLAGS="$PST_CFLAGS -Werror"])
])

# --enable-sanitizers=address,undefined or thread
AC_DEFUN([PST_ARG_SANITIZERS], [
	AC_ARG_ENABLE([sanitizers], [AS_HELP_STRING([--enable-sanitizers=LIST],
		[e.g. address,undefined or thread @<:@no@:>@])], [],
		[enable_sanitizers=no])
	AS_CASE(["$enable_sanitizers"], [no], [],
		[yes], [AC_MSG_ERROR([--enable-sanitizers needs a list])],
		[PST_SANITIZE="-fsanitize=$enable_sanitizers -fno-omit-frame-pointer -fno-sanitize-recover=all"])
	AC_SUBST([PST_SANITIZE])
	AM_CONDITIONAL([SANITIZERS], [test "$enable_sanitizers" != no])
])

# --enable-fuzzers: libFuzzer programs beside the targets that replay their
# corpus in make check. Everything is built to tell the fuzzer where it was.
AC_DEFUN([PST_ARG_FUZZERS], [
	AC_ARG_ENABLE([fuzzers], [AS_HELP_STRING([--enable-fuzzers],
		[build libFuzzer programs, needs clang @<:@no@:>@])], [],
		[enable_fuzzers=no])
	AS_IF([test "$enable_fuzzers" = yes], [
		PST_SANITIZE="$PST_SANITIZE -fsanitize=fuzzer-no-link"
		pst_save_CFLAGS=$CFLAGS
		CFLAGS="$CFLAGS $PST_SANITIZE -fsanitize=fuzzer"
		AC_MSG_CHECKING([whether $CC has libFuzzer])
		AC_LINK_IFELSE([AC_LANG_SOURCE([[#include <stddef.h>
int LLVMFuzzerTestOneInput(const unsigned char *data, size_t n);
int LLVMFuzzerTestOneInput(const unsigned char *data, size_t n) { return 0; }]])],
			[AC_MSG_RESULT([yes])],
			[AC_MSG_RESULT([no])
			 AC_MSG_ERROR([--enable-fuzzers needs clang with libFuzzer: CC=clang])])
		CFLAGS=$pst_save_CFLAGS])
	AM_CONDITIONAL([FUZZERS], [test "$enable_fuzzers" = yes])
])

# Tests in a VM take minutes without KVM: one build of many runs them.
AC_DEFUN([PST_ARG_VM_TESTS], [
	AC_ARG_ENABLE([vm-tests], [AS_HELP_STRING([--disable-vm-tests],
		[leave the tests in a VM out of make check @<:@no@:>@])], [],
		[enable_vm_tests=yes])
	AM_CONDITIONAL([VM_TESTS_WANTED], [test "$enable_vm_tests" = yes])
])

# --with-python-module: what the Python package calls often, compiled. Without
# it the package uses ctypes.
AC_DEFUN([PST_ARG_PYTHON_MODULE], [
	AC_ARG_WITH([python-module], [AS_HELP_STRING([--with-python-module],
		[the compiled part of the Python package @<:@guess@:>@])], [],
		[with_python_module=guess])
	pst_have_python_module=no
	PYTHON_CPPFLAGS=
	AS_IF([test "x$with_python_module" != xno && test "x$PYTHON3" != x], [
		pst_dir=`"$PYTHON3" -I -c 'import sysconfig; print(sysconfig.get_paths()@<:@"include"@:>@)' 2>/dev/null`
		pst_save_CPPFLAGS=$CPPFLAGS
		CPPFLAGS="$CPPFLAGS -isystem $pst_dir"
		AC_PREPROC_IFELSE([AC_LANG_SOURCE([[
#define Py_LIMITED_API 0x03090000
#include <Python.h>
]])], [pst_have_python_module=yes
			PYTHON_CPPFLAGS="-isystem $pst_dir"])
		CPPFLAGS=$pst_save_CPPFLAGS])
	AS_IF([test "$pst_have_python_module$with_python_module" = noyes],
		[AC_MSG_ERROR([--with-python-module was given, but Python.h was not found])])
	AC_SUBST([PYTHON_CPPFLAGS])
	AM_CONDITIONAL([HAVE_PYTHON_MODULE], [test "$pst_have_python_module" = yes])
])

# PST_PYTHONDIR(VARIABLE)
# Where a Python package goes: the directory below PREFIX that PYTHON3 searches
# by itself (site-packages, or Debian's dist-packages), else the one that a
# Python of that PREFIX would search.
AC_DEFUN([PST_PYTHONDIR], [
	AC_MSG_CHECKING([where Python looks for packages])
	pst_prefix=$prefix
	AS_IF([test "x$pst_prefix" = xNONE], [pst_prefix=$ac_default_prefix])
	$1=`"$PYTHON3" -I -c '[
import os, re, site, sys
part = "lib/python%d.%d/site-packages" % sys.version_info[:2]
for d in site.getsitepackages():
    found = os.path.relpath(d, sys.argv[1])
    if re.match("lib[^/]*/python[^/]*/(site|dist)-packages$", found):
        part = found
        break
print("$" + "{prefix}/" + part)]' "$pst_prefix" 2>/dev/null`
	AS_IF([test "x$$1" = x], [$1='${datadir}/penstock/python'])
	AC_MSG_RESULT([$$1])
])
