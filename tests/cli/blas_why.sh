#!/bin/sh
# SPDX-License-Identifier: MIT
# shellcheck disable=SC2016 # sh -c gets words
# penstock blas why: files with the symbols of those that users have. None of the
# libraries does anything; names and where they are defined are what counts.
. "$PST_TOP_SRCDIR/tests/cli/lib.sh"
if "$penstock" blas why true 2>&1 | grep -q libelf; then
	echo "1..0 # SKIP built without libelf"
	exit 77
fi

# defines NAME...: C functions of these names.
defines() {
	for name; do
		echo "void $name(void) { }"
	done
}
# calls FUNCTION NAME...: one that calls the others.
calls() {
	function=$1
	shift
	for name; do
		echo "extern void $name(void);"
	done
	echo "void $function(void) {"
	for name; do
		echo "$name();"
	done
	echo "}"
}
# library FILE ARG...: of the C code on standard input.
library() {
	file=$1
	shift
	$PST_CC -w -shared -fPIC -x c -o "$tmp/$file" - -x none "$@" || exit 99
}
# program FILE ARG...: one that calls start().
program() {
	file=$1
	shift
	echo 'void start(void); int main(void) { start(); }' |
		$PST_CC -w -x c -o "$tmp/$file" - -x none "$@" \
			-Wl,-rpath,"$tmp" || exit 99
}
# says SENTENCE FILE WORDS: of that file.
says() {
	check "$1" grep -q "/$2 .*$3" "$tmp/out"
	grep -q "/$2 .*$3" "$tmp/out" || cat "$tmp/out"
}
# said_nothing SENTENCE FILE
said_nothing() {
	check "$1" sh -c '! grep -q "/$1 " "$2"' - "$2" "$tmp/out"
}
why() {
	"$penstock" blas why "$@" >"$tmp/out" 2>&1
}

# A wheel of numpy: a BLAS with names and LAPACK of its own.
defines scipy_cblas_dgemm64_ scipy_dgemm_64_ scipy_dgetrf_64_ \
	scipy_openblas_get_config64_ | library libscipy_openblas64_.so
calls start scipy_cblas_dgemm64_ |
	library _multiarray.so "$tmp/libscipy_openblas64_.so" -Wl,-rpath,"$tmp"
program wheel "$tmp/_multiarray.so" "$tmp/libscipy_openblas64_.so"
why "$tmp/wheel"
says "a wheel's module can be intercepted" _multiarray.so \
	'calls a BLAS by names that are'
says "the LAPACK of its OpenBLAS cannot" libscipy_openblas64_.so \
	'is a BLAS; the LAPACK in it calls its own'
check "what can be comes last" sh -c 'tail -n 1 "$1" | grep -q "can be offloaded"' \
	- "$tmp/out"
check "for programs, too" sh -c '"$1" blas why --json "$2" |
	grep -q "\"intercepted\": *true"' - "$penstock" "$tmp/wheel"

# Debian's OpenBLAS: its LAPACK is a file that calls BLAS, and kernels.
{
	defines dgemm_ openblas_get_config
	echo 'void *gotoblas;'
} | library libopenblas.so
{
	calls dgetrf_ dgemm_
	echo 'extern void *gotoblas; void *kernels(void) { return gotoblas; }'
} | library liblapack.so "$tmp/libopenblas.so"
calls dgetrf_ dgemm_ | library libreference.so "$tmp/libopenblas.so"
calls start dgetrf_ | library libsolve.so "$tmp/liblapack.so" -Wl,-rpath,"$tmp"
program solve "$tmp/libsolve.so" "$tmp/liblapack.so" "$tmp/libopenblas.so"
why "$tmp/solve"
says "a LAPACK with kernels of OpenBLAS keeps factorizations here" liblapack.so \
	'is a LAPACK with its own kernels.*reference helps'
calls start dgetrf_ | library libsolve.so "$tmp/libreference.so" -Wl,-rpath,"$tmp"
program solve "$tmp/libsolve.so" "$tmp/libreference.so" "$tmp/libopenblas.so"
why "$tmp/solve"
says "that of the reference does not" libreference.so \
	'calls a BLAS by names that are'

# torch as it is on PyPI: MKL inside of a library.
{
	defines mkl_blas_sgemm mkl_serv_malloc sgemm_
	calls start sgemm_
} >"$tmp/torch.c"
library libtorch_cpu.so <"$tmp/torch.c"
program torch "$tmp/libtorch_cpu.so"
why "$tmp/torch"
says "MKL inside of a library cannot be intercepted" libtorch_cpu.so \
	'has MKL inside: its products cannot be'
check "what cannot be comes last" grep -q '^None of its files' "$tmp/out"
library libtorch_cpu.so -fvisibility=hidden <"$tmp/torch.c"
{
	defines mkl_blas_sgemm mkl_serv_malloc sgemm_ | sed 's/^/static /'
	echo 'void start(void) { sgemm_(); mkl_serv_malloc(); mkl_blas_sgemm(); }'
} | library libtorch_cpu.so -O0
why "$tmp/torch"
says "nor where only it can call it" libtorch_cpu.so \
	'has MKL inside: its products cannot be'
defines mkl_blas_sgemm mkl_serv_malloc sgemm_ cblas_sgemm |
	library libmkl_rt.so.2 -Wl,-soname,libmkl_rt.so.2
calls start cblas_sgemm mkl_serv_malloc |
	library numpy_of_conda.so "$tmp/libmkl_rt.so.2" -Wl,-rpath,"$tmp"
program conda "$tmp/numpy_of_conda.so" "$tmp/libmkl_rt.so.2"
why "$tmp/conda"
says "MKL as a library is a BLAS as others are" libmkl_rt.so.2 'is a BLAS; what'
says "who uses it can be intercepted" numpy_of_conda.so \
	'calls a BLAS by names that are'

# OpenBLAS's archive in a library that has its names for itself.
{
	defines dgemm_ cblas_dgemm | sed 's/^/static /'
	echo 'void start(void) { dgemm_(); cblas_dgemm(); }'
} | library libinside.so -O0
program inside "$tmp/libinside.so"
why "$tmp/inside"
says "another BLAS inside is seen" libinside.so 'has a BLAS inside'
echo 'static void sgemm(void) { } void start(void) { sgemm(); }' |
	library libown.so -O0
program own "$tmp/libown.so"
why "$tmp/own"
said_nothing "a function of its own called sgemm is none" libown.so
echo 'void start(void) { }' | library libempty.so
program static "$tmp/libempty.so"
if echo 'int main(void) { return 0; }' |
	$PST_CC -static -x c -o "$tmp/static" - 2>/dev/null; then
	why "$tmp/static"
	says "a static program is" static 'is linked statically'
fi

# Modules of Python: whatever is mapped once they are imported.
mkdir "$tmp/python"
cat >"$tmp/python/wheely.py" <<'END_PY'
import ctypes, os
ctypes.CDLL(os.environ["PST_MODULE"])
END_PY
if python3 -c 'import ctypes' 2>/dev/null; then
	PYTHONPATH=$tmp/python PST_MODULE=$tmp/_multiarray.so
	export PYTHONPATH PST_MODULE
	why python:wheely
	says "a module of Python is looked at with what it loads" \
		_multiarray.so 'calls a BLAS by names that are'
	says "and its BLAS" libscipy_openblas64_.so 'is a BLAS; the LAPACK in it'
	PST_MODULE=$tmp/libtorch_cpu.so
	why python:wheely
	says "MKL in it is seen" libtorch_cpu.so 'has MKL inside'
	expect "a module that is not there is said" 1 'cannot import nowhere' \
		"$penstock" blas why python:nowhere
else
	echo "# SKIP modules: there is no python3"
fi
finish
