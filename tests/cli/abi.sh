#!/bin/sh
# SPDX-License-Identifier: MIT
# Programs that were compiled with the recorded header go on with this library:
# no function, structure or value of host-client/abi has changed.
. "$PST_TOP_SRCDIR/tests/cli/lib.sh"
abi=$PST_TOP_SRCDIR/host-client/abi
lib=$(readlink -f "$PST_TOP_BUILDDIR/host-client/.libs/libpenstock.so")

skip() {
	echo "$*"
	exit 77
}
command -v abidw >/dev/null 2>&1 || skip "no abidw (package abigail-tools)"
case $(uname -m) in
x86_64) ;;
*) skip "the record is of x86_64, this is $(uname -m)" ;;
esac
readelf -S "$lib" | grep -q '\.debug_info' ||
	skip "the library has no debugging information"
! readelf -d "$lib" | grep -q 'lib[at]san' || skip "the library has a sanitizer"

check "the library's interface can be read" "$abi/record" "$lib" \
	"$PST_TOP_SRCDIR/host-client/penstock.h" "$tmp/now"
if abidiff --no-added-syms "$abi/libpenstock.abi" "$tmp/now" >"$tmp/diff"; then
	ok "no function and no structure has changed"
else
	not_ok "no function and no structure has changed" \
		"host-client/abi/README.md says how a change is made"
	sed 's/^/  | /' "$tmp/diff"
fi
gone=$(grep -vxF -f "$tmp/now.constants" "$abi/libpenstock.abi.constants")
if [ -z "$gone" ]; then
	ok "no constant has changed"
else
	not_ok "no constant has changed" "$gone"
fi

# A change is found: 4, without the 1 and 2 of a failure.
sed "/class-decl name='pst_completion'/s/size-in-bits='512'/size-in-bits='576'/" \
	"$tmp/now" >"$tmp/other"
abidiff "$abi/libpenstock.abi" "$tmp/other" >/dev/null 2>&1
check "a structure of another size is found" [ $(($? & 7)) -eq 4 ]
finish
