# SPDX-License-Identifier: MIT
# Commands in a root file system of their own; to be sourced by tests that run as root.
# shellcheck shell=sh disable=SC2016 # for that shell; words of apt

# inside ROOT COMMAND: in mount and pid namespaces of its own, where ROOT is /.
inside() {
	unshare --mount --pid --fork --kill-child sh -c '
		mount --make-rprivate / && mount --bind "$1" "$1" &&
		mount -t proc proc "$1/proc" && mount --rbind /dev "$1/dev" &&
		mount --rbind /sys "$1/sys" && exec chroot "$1" sh -c "$2"' - "$1" "$2"
}

# debian_at ROOT SUITE: a new one by debootstrap, from where this machine's apt has
# its own packages.
debian_at() {
	uri=$(apt-get indextargets 'Created-By: Packages' 'Origin: Debian' \
		--format '$(REPO_URI)' | grep -v security | sort -u | head -n 1)
	debootstrap --variant=minbase "$2" "$1" "$uri" &&
		cp -L /etc/resolv.conf /etc/hosts "$1/etc/"
}
