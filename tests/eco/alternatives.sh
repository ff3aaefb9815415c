#!/bin/sh
# SPDX-License-Identifier: MIT
# shellcheck disable=SC2016,SC2317 # sh -c gets words; check calls
# Debian's alternatives: libblas.so.3 of ours is never chosen by itself; chosen, all
# programs offload; taken back, none does. In a mount namespace, with copies of what
# update-alternatives writes.
. "$PST_TOP_SRCDIR/tests/cli/lib.sh"
. "$PST_TOP_SRCDIR/tests/eco/lib.sh"
need "$alternative" libopenblas-dev
need /var/lib/dpkg/alternatives/libblas.so.3-"$triplet" libopenblas0
if [ -z "${PST_IN_NAMESPACE:-}" ]; then
	if ! unshare -m true 2>/dev/null; then
		echo "SKIP: no mount namespace without root"
		exit 77
	fi
	PST_IN_NAMESPACE=1 unshare -m "$0"
	exit
fi
mount --make-rprivate /
for dir in /etc/alternatives /var/lib/dpkg/alternatives; do
	cp -a "$dir" "$tmp/copy" && mount --bind "$tmp/copy" "$dir" || exit 99
	mv "$tmp/copy" "$tmp/$(basename "$(dirname "$dir")")"
done
name=libblas.so.3-$triplet
link=$libdir/libblas.so.3
PENSTOCK_BLAS=force PENSTOCK_BLAS_MIN=64 PENSTOCK_BLAS_LOG=$tmp/log
export PENSTOCK_BLAS PENSTOCK_BLAS_MIN PENSTOCK_BLAS_LOG

chosen() {
	[ "$(readlink "/etc/alternatives/$name")" = "$1" ]
}

# products: by how many an unchanged program's product is offloaded.
products() {
	rm -f "$tmp/log"
	/usr/bin/python3 -c '
import numpy as np
a, b = (np.arange(90000.).reshape(300, 300) % k for k in (7, 5))
assert np.array_equal(a @ b, np.einsum("ij,jk->ik", a, b))' || return 1
	[ -e "$tmp/log" ] && offloaded "$tmp/log" || echo 0
}

/usr/bin/python3 -c 'import numpy' 2>/dev/null || need /none python3-numpy
before=$(readlink "/etc/alternatives/$name")
check "it installs with priority 1" update-alternatives --quiet --install "$link" \
	"$name" "$alternative" 1
check "and is not chosen by itself" chosen "$before"
check "so nothing is offloaded" [ "$(products)" = 0 ]
check "it can be chosen" update-alternatives --quiet --set "$name" "$alternative"
check "and is" chosen "$alternative"
check "a program offloads that knows nothing of it" [ "$(products)" = 1 ]
check "auto takes it back" update-alternatives --quiet --auto "$name"
check "to what was there" chosen "$before"
check "and nothing is offloaded" [ "$(products)" = 0 ]
finish
