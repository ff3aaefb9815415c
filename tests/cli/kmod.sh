#!/bin/sh
# SPDX-License-Identifier: MIT
# The kernel module compiles, without a warning, for each cloud kernel whose
# headers this Debian has. Needs the network the first time.
set -u
PATH=$PATH:/sbin:/usr/sbin
build=$PST_TOP_SRCDIR/guest-agent/kmod/build-module
out=$PST_TOP_BUILDDIR/guest-agent/kmod
tools=$PST_TOP_BUILDDIR/tools
done=0
failed=0

"$build" >/dev/null 2>&1
[ $? -eq 2 ] || {
	echo "FAIL: no usage without arguments"
	failed=1
}
command -v apt-cache >/dev/null 2>&1 || {
	echo "SKIP: no apt here to take headers of cloud kernels from"
	exit 77
}

# Versions behind the packages that follow a kernel, such as
# linux-headers-6.12-cloud-amd64.
versions() {
	apt-cache search --names-only \
		'^linux-headers-([0-9.]*-)?cloud-amd64$' 2>/dev/null |
		cut -d' ' -f1 | while read -r meta; do
		apt-cache depends --important "$meta" 2>/dev/null |
			sed -n 's/^ *Depends: linux-headers-\([0-9].*\)$/\1/p'
	done | sort -Vu
}

for v in $(versions); do
	"$build" -o "$out" --tools "$tools" --kernel "$v"
	case $? in
	0)
		echo "ok: $v"
		done=$((done + 1))
		;;
	77) ;;
	*)
		echo "FAIL: $v"
		tail -n 20 "$out/$v/log"
		failed=1
		;;
	esac
done
[ $failed -eq 0 ] || exit 1
[ $done -gt 0 ] || {
	echo "SKIP: no headers of a cloud kernel can be had here"
	exit 77
}
