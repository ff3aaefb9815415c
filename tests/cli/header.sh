#!/bin/sh
# SPDX-License-Identifier: MIT
# penstock.h compiles in every standard of C and C++ from C99 and C++11 on, by gcc
# and clang, with no warning; each initialiser with it, in both languages. Python's
# structures are the same.
. "$PST_TOP_SRCDIR/tests/cli/lib.sh"
cat >"$tmp/x.c" <<'END'
#include <penstock.h>
int use(struct pst *c);
int use(struct pst *c)
{
	struct pst_options o = PST_OPTIONS_INIT;
	struct pst_info i = PST_INFO_INIT;
	struct pst_gemm_args g = PST_GEMM_INIT;
	struct pst_copy_args k = PST_COPY_INIT;
	struct pst_infer_args f = PST_INFER_INIT;
	struct pst_submission s = PST_SUBMISSION_INIT;
	struct pst_load_args l = PST_LOAD_INIT;
	struct pst_io io = PST_IO_INIT;
	struct pst_run_args r = PST_RUN_INIT;

	o.flags = PST_OPEN_WAIT;
	s.op = PST_OP_GEMM;
	s.args.gemm = &g;
	return pst_get_info(c, &i) + pst_gemm(c, &g, PST_FOREVER, NULL) +
	       pst_copy(c, &k, o.flags, NULL) + pst_infer(c, &f, 1, NULL) +
	       pst_submit(c, &s, 1, NULL) + (o.size == sizeof(o)) +
	       (g.alpha == 1.0) + (i.size == sizeof(i)) +
	       (k.size == sizeof(k)) + (f.size == sizeof(f)) +
	       (l.size == sizeof(l)) + (io.size == sizeof(io)) +
	       pst_run(c, &r, 1, NULL);
}
END
# Names of functions do not hide structures in C++.
sed 's/struct pst_\([a-z]*_args\|options\|info\|submission\|io\) /pst_\1 /' \
	"$tmp/x.c" >"$tmp/x.cc"

# try COMPILER STANDARD FILE: no warning, where the compiler knows the standard.
try() {
	"$1" -std="$2" -E -x c++ /dev/null >/dev/null 2>&1 ||
		"$1" -std="$2" -E -x c /dev/null >/dev/null 2>&1 || return 0
	check "$1 -std=$2" "$1" -std="$2" -Wall -Wextra -pedantic \
		-Werror -I"$PST_TOP_SRCDIR/host-client" -fsyntax-only "$3"
}

any=
for cc in gcc clang; do
	command -v $cc >/dev/null 2>&1 || continue
	any=$cc
	for std in c99 gnu99 c11 c17 c2x gnu2x; do
		try $cc $std "$tmp/x.c"
	done
done
for cc in g++ clang++; do
	command -v $cc >/dev/null 2>&1 || continue
	for std in c++11 c++14 c++17 c++20 gnu++20; do
		try $cc $std "$tmp/x.cc"
	done
done

# As C sees it, member by member.
cat >"$tmp/layout.py" <<'END'
import ctypes, penstock._library, pstlib
print("#include <penstock.h>")
names = {"Options": "options", "Info": "info", "Gemm": "gemm_args",
         "Infer": "infer_args", "TensorSpec": "tensor_spec", "Io": "io",
         "ModelSpec": "model_spec", "Run": "run_args", "Load": "load_args", "Model": "model", "Completion": "completion"}
seen = 0
for module in penstock._library, pstlib:
    for python, name in names.items():
        cls = getattr(module, python, None)
        if not cls:
            continue
        c = "struct pst_" + name
        for field, kind in cls._fields_:
            member = {"input": "in", "output": "out"}.get(field, field)
            at = getattr(cls, field)
            print(f"_Static_assert(offsetof({c}, {member}) == {at.offset} && "
                  f"sizeof((({c} *)0)->{member}) == {at.size}, "
                  f"\"{module.__name__} {python}.{field}\");")
            seen += 1
        # Of pst_info they have the first members.
        if python != "Info":
            print(f"_Static_assert(sizeof({c}) == {ctypes.sizeof(cls)}, "
                  f"\"{module.__name__} {python}\");")
assert seen > 80, seen
END
# shellcheck disable=SC2317 # called by check
layout() {
	PYTHONPATH=$PST_TOP_SRCDIR/host-client/python:$PST_TOP_SRCDIR/tests/vm \
		"$PST_PYTHON" -B "$tmp/layout.py" >"$tmp/layout.c" &&
		"$any" -I"$PST_TOP_SRCDIR/host-client" -fsyntax-only "$tmp/layout.c"
}
if [ -n "$any" ] && "${PST_PYTHON:-python3}" -c 'import numpy' 2>/dev/null; then
	PST_PYTHON=${PST_PYTHON:-python3}
	check "Python's structures are those of C" layout
fi
[ -n "$any" ] || {
	echo "neither gcc nor clang"
	exit 77
}
finish
