#!/bin/sh
# SPDX-License-Identifier: MIT
# The Python package, installed below a prefix of its own, used from the build
# tree, and as a wheel: it finds its library and agent with nothing set, and
# says what it looked for when it does not.
set -u
tmp=$(mktemp -d "$PST_TOP_BUILDDIR/pyinstall-XXXXXX") || exit 99
trap 'rm -rf "$tmp"' EXIT
python=$PST_PYTHON

built=
[ ! -e "$PST_TOP_BUILDDIR/host-client/python/.libs/_fast.abi3.so" ] || built=1

fail() {
	echo "FAIL: $*"
	exit 1
}

# A make of its own, not a part of the one that runs this test.
run_make() {
	env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL make -C "$PST_TOP_BUILDDIR" -s \
		prefix="$tmp/p" "$@" >"$tmp/make.log" 2>&1 ||
		fail "make $*: $(tail -5 "$tmp/make.log")"
}

# Python with nothing set but what is given, elsewhere.
clean() {
	(cd / && env -i PATH="$PATH" BUILT="$built" "$@") >"$tmp/out" 2>&1
}

works='
import penstock
with penstock.open("spawn:?size=32M") as c:
    assert c.matmul([[1., 2.]], [[3.], [4.]])[0, 0] == 11
    maps = [s.split()[-1] for s in open("/proc/self/maps") if "libpenstock" in s]
    pid = open("/proc/self/task/%d/children" % __import__("os").getpid()).read()
    agent = __import__("os").readlink("/proc/%d/exe" % int(pid))
print(penstock.__version__, maps[0], agent)
# Of the installation or the build, if there is one.
built = __import__("os").environ.get("BUILT")
if built:
    assert penstock._memory.calls().__name__ == "penstock._fast"'

# ---- make install --------------------------------------------------------

run_make install
dir=$(find "$tmp/p" -path '*/penstock/connection.py')
dir=${dir%/penstock/connection.py}
case $dir in
"$tmp"/p/lib/python3.*/*-packages) ;;
*) fail "the package is in $dir" ;;
esac
grep -qF "export PYTHONPATH=$dir" "$tmp/make.log" ||
	fail "make install does not say how Python finds it: $(cat "$tmp/make.log")"
version=$("$PST_TOP_BUILDDIR/host-client/penstock" --version)
clean PYTHONPATH="$dir" "$python" -c "$works" || fail "installed: $(cat "$tmp/out")"
real=$(cd "$tmp/p" && pwd -P)
case $(cat "$tmp/out") in
"${version#penstock } $real/lib/libpenstock.so.0"*" $real/sbin/penstock-agent") ;;
*) fail "another library or agent: $(cat "$tmp/out")" ;;
esac
[ -d "$dir/penstock/__pycache__" ] || fail "Python left nothing to remove"

# What stands in the way is named.
mv "$tmp/p/lib/libpenstock.so.0" "$tmp/away"
clean PYTHONPATH="$dir" "$python" -c 'import penstock; penstock.open("spawn:")'
for word in "$tmp/p/lib/libpenstock.so.0" 'where the loader looks' PENSTOCK_LIBRARY; do
	grep -qF "$word" "$tmp/out" ||
		fail "no library: no \"$word\" in $(cat "$tmp/out")"
done
mv "$tmp/away" "$tmp/p/lib/libpenstock.so.0"
clean PYTHONPATH="$dir" PENSTOCK_LIBRARY=libc.so.6 "$python" -c \
	'import penstock; penstock.open("spawn:")'
grep -q 'libc.so.6 is no library of Penstock' "$tmp/out" ||
	fail "a library that is another's: $(cat "$tmp/out")"
PYTHONPATH=$dir PYTHONDONTWRITEBYTECODE=1 "$python" -c '
from penstock import _library
for name, _, _ in _library._FUNCTIONS:
    print("const char *%s(void) { return \"0.8.3\"; }" % name)' >"$tmp/old.c"
${PST_CC:-cc} -shared -fPIC -o "$tmp/old.so" "$tmp/old.c" || fail "old.so"
clean PYTHONPATH="$dir" PENSTOCK_LIBRARY="$tmp/old.so" "$python" -c \
	'import penstock; penstock.open("spawn:")'
grep -q "old.so is of Penstock 0.8.3, the Python package in $dir/penstock of" \
	"$tmp/out" || fail "a library of another version: $(cat "$tmp/out")"
rm "$tmp/p/sbin/penstock-agent"
clean PYTHONPATH="$dir" PENSTOCK_AGENT="$tmp/p/sbin/penstock-agent" "$python" \
	-c 'import penstock; penstock.open("spawn:")'
grep -q "cannot start the agent $tmp/p/sbin/penstock-agent" "$tmp/out" ||
	fail "no agent: $(cat "$tmp/out")"

run_make uninstall
left=$(find "$tmp/p" -name '*python3*' -prune -exec find {} ! -type d \;)
[ -z "$left" ] || fail "uninstall leaves $left"
[ ! -e "$dir/penstock" ] || fail "uninstall leaves $dir/penstock"

# ---- The build tree ------------------------------------------------------

# A clone with its build/, wherever this build is.
mkdir "$tmp/clone"
ln -s "$PST_TOP_SRCDIR/host-client" "$tmp/clone/host-client"
ln -s "$PST_TOP_BUILDDIR" "$tmp/clone/build"
(cd "$tmp/clone" && env -i PATH="$PATH" BUILT="$built" PYTHONDONTWRITEBYTECODE=1 \
	PYTHONPATH=host-client/python "$python" -c "$works") >"$tmp/out" 2>&1 ||
	fail "the build tree: $(cat "$tmp/out")"
case $(cat "$tmp/out") in
*/host-client/.libs/libpenstock.so.0*/guest-agent/penstock-agent) ;;
*/host-client/.libs/libpenstock.so.0*/guest-agent/.libs/*penstock-agent) ;;
*) fail "the build tree's library or agent is another: $(cat "$tmp/out")" ;;
esac

# ---- A wheel -------------------------------------------------------------

if ! "$python" -c 'import setuptools, wheel, pip' 2>/dev/null; then
	echo "no pip, setuptools and wheel: the wheel is not tried"
	exit 0
fi
mkdir -p "$tmp/tree/host-client"
cp -r "$PST_TOP_SRCDIR/host-client/python" "$PST_TOP_SRCDIR"/host-client/*.h \
	"$tmp/tree/host-client" || fail cp
chmod -R u+w "$tmp/tree"
(cd "$tmp/tree/host-client/python" && "$python" -m pip wheel --no-deps \
	--no-build-isolation --no-index .) >"$tmp/out" 2>&1 ||
	fail "pip wheel: $(tail -5 "$tmp/out")"
wheel=$(find "$tmp/tree" -name "penstock-${version#penstock }-*.whl")
[ -n "$wheel" ] || fail "no wheel of version $version: $(ls "$tmp/tree/host-client/python")"
library=$PST_TOP_BUILDDIR/host-client/.libs/libpenstock.so.0
# numpy is the system's.
"$python" -m venv --system-site-packages --without-pip "$tmp/w" >"$tmp/out" 2>&1 ||
	fail "venv: $(tail -5 "$tmp/out")"
"$tmp/w/bin/python" -m pip install --no-index --no-deps --no-compile \
	--disable-pip-version-check "$wheel" >"$tmp/out" 2>&1 || fail "pip install: $(tail -5 "$tmp/out")"
clean PENSTOCK_LIBRARY="$library" "$tmp/w/bin/python" -c "$works" ||
	fail "the wheel: $(cat "$tmp/out")"
# Any Python from 3.9 on takes one with a compiled module.
if [ -n "$(find "$tmp/w" -name '_fast.abi3.so')" ]; then
	case $wheel in
	*-cp39-abi3-linux_*.whl) ;;
	*) fail "a wheel for one Python only: $wheel" ;;
	esac
elif [ -e "$PST_TOP_BUILDDIR/host-client/python/.libs/_fast.abi3.so" ]; then
	fail "the wheel has no compiled module"
fi
# In a clone git sees nothing of it.
if [ -e "$PST_TOP_SRCDIR/.gitignore" ] && command -v git >/dev/null; then
	cp "$PST_TOP_SRCDIR/.gitignore" "$tmp/tree"
	git -C "$tmp/tree" init -q
	seen=$(git -C "$tmp/tree" ls-files --others --exclude-standard |
		grep -vE '\.(py|pyi|typed|toml|md|c|h)$|^\.gitignore$')
	[ -z "$seen" ] || fail "pip wheel leaves $seen"
fi
exit 0
