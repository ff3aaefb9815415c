#!/bin/sh
# SPDX-License-Identifier: MIT
# A Maxwell card's guest for real, but for the card: guest-setup --apply in new roots of
# Debian 12 and 13, from Debian's own archive, driver built by DKMS; then configure
# --with-cuda=/usr, and the module built there, also for sm_52, and loaded by an agent
# with the toolkit's libraries; then the tests of the module, whose double is built with
# the toolkit's headers.
#
# guest_card.sh FOLDER [SUITE...]: the roots are made there, the packages kept (2 GB a
# release). Needs root, debootstrap, and a Debian archive with non-free.
# PST_TOP_SRCDIR and PST_TOP_BUILDDIR as for the tests of the command.
. "$PST_TOP_SRCDIR/tests/cli/lib.sh"
. "$PST_TOP_SRCDIR/tests/long/rootlib.sh"
LC_ALL=C
DEBIAN_FRONTEND=noninteractive
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export LC_ALL DEBIAN_FRONTEND PATH
unset LIBRARY_PATH LD_LIBRARY_PATH CUDA_HOME
roots=$(realpath "$1") || exit 99
shift
[ $# -gt 0 ] || set -- bookworm trixie

# stub NAME [COMMAND]: what a root without a kernel of its own cannot do.
stub() {
	printf '#!/bin/sh\n%s\n' "${2:-exit 0}" >"$root/usr/local/bin/$1"
	chmod 755 "$root/usr/local/bin/$1"
}

# step WORDS COMMAND: in the root; its output is shown when it fails.
step() {
	inside "$root" "cd /root/penstock && $2" >"$tmp/log" 2>&1 </dev/null
	rc=$?
	check "$suite: $1" [ $rc -eq 0 ]
	[ $rc -eq 0 ] || tail -n 30 "$tmp/log"
	return $rc
}

for suite; do
	root=$roots/card-$suite archives=$roots/archives-$suite
	rm -rf --one-file-system "$root"
	mkdir -p "$archives"
	debian_at "$root" "$suite" >"$tmp/log" 2>&1 || {
		tail -n 5 "$tmp/log"
		echo "no root of $suite"
		exit 99
	}
	echo force-unsafe-io >"$root/etc/dpkg/dpkg.cfg.d/card"
	printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
	chmod 755 "$root/usr/sbin/policy-rc.d"
	rm -rf "$root/var/cache/apt/archives"
	ln "$archives"/*.deb -t "$root/var/cache/apt" 2>/dev/null
	mkdir -p "$root/var/cache/apt/archives/partial" "$root/root/penstock"
	mv "$root"/var/cache/apt/*.deb "$root/var/cache/apt/archives/" 2>/dev/null
	git -C "$PST_TOP_SRCDIR" archive HEAD | tar -x -C "$root/root/penstock"
	step "what a build needs" "apt-get update &&
		./bootstrap install build &&
		apt-get install -y --no-install-recommends linux-headers-cloud-amd64" ||
		continue
	kernel=$(basename "$root"/lib/modules/*-cloud-amd64)
	stub uname "[ \"\$1\" = -r ] && echo $kernel && exit
exec /usr/bin/uname \"\$@\""
	stub modinfo "exec /sbin/modinfo -k $kernel \"\$@\""
	for name in systemctl systemd-sysusers udevadm modprobe update-initramfs; do
		stub $name
	done
	step "guest-setup --apply" "guest-agent/setup/guest-setup --gpu legacy --apply"
	ln -f "$root"/var/cache/apt/archives/*.deb -t "$archives" 2>/dev/null
	step "the driver is built, and knows the card" "modinfo -F version nvidia-current |
		grep -E '^(5[2-7][0-9]|58[0-9])[.]'" && cat "$tmp/log"
	step "configure --with-cuda=/usr" "autoreconf -fi && mkdir -p build && cd build &&
		../configure --enable-werror --with-cuda=/usr --without-libvirt"
	step "the module" "cd build &&
		make -j2 guest-agent/cuda/penstock-backend-cuda.la" || continue
	step "has code for its cards" "cuobjdump --list-elf \
		build/guest-agent/cuda/.libs/penstock-backend-cuda.so | grep sm_5" &&
		sed 's/.*\(sm_[0-9]*\).*/  \1/' "$tmp/log"
	step "the module for sm_52 alone" "cd build &&
		rm guest-agent/cuda/kernels.o guest-agent/cuda/penstock-backend-cuda.la &&
		make NVCCFLAGS='-O3 -gencode arch=compute_52,code=sm_52' \
			guest-agent/cuda/penstock-backend-cuda.la &&
		cuobjdump --list-elf guest-agent/cuda/.libs/penstock-backend-cuda.so |
		grep sm_52"
	step "an agent" "cd build && make -j2 guest-agent/penstock-agent \
		host-client/penstock" || continue
	# Without a card it gets as far as asking for one. All symbols are bound. The
	# driver's library makes nodes in /dev, which is not to be this machine's.
	step "an agent loads the module for sm_52" "cd build &&
		host-client/penstock host region create r --size 32M --path /root &&
		mount -t tmpfs none /dev && mknod -m 666 /dev/null c 1 3 &&
		mknod -m 666 /dev/urandom c 1 9 && mknod -m 666 /dev/zero c 1 5 &&
		LD_BIND_NOW=1 PENSTOCK_BACKEND_DIR=\$PWD/guest-agent/cuda/.libs \
			guest-agent/penstock-agent --config /dev/null --backend cuda \
			--listen unix:/root/sock --region file:/root/penstock-r \
			>/root/said 2>&1; cat /root/said
		grep -E 'sees no card|no NVIDIA' /root/said" &&
		sed -n 's/^penstock-agent: /  /p' "$tmp/log" | head -n 1
	step "the module's tests" "apt-get install -y --no-install-recommends check &&
		cd build && ../configure --enable-werror --with-cuda=/usr \
			--without-libvirt --disable-vm-tests && make check-cuda"
	inside "$root" "nvcc --version | tail -n 1; dpkg-query -W libcuda1 nvidia-cuda-dev"
	rm -rf --one-file-system "$root"
done
finish
