#!/bin/sh
# SPDX-License-Identifier: MIT
# The guest image builder and bootstrap's front, without a network or a guest.
set -u
PATH=$PATH:/sbin:/usr/sbin
mkimage=$PST_TOP_SRCDIR/guest-agent/image/mkimage
for tool in cpio busybox xz; do
	command -v $tool >/dev/null 2>&1 || {
		echo "SKIP: $tool is not installed"
		exit 77
	}
done
tmp=$(mktemp -d) || exit 99
trap 'rm -rf "$tmp"' EXIT
failed=0

fail() {
	echo "FAIL: $*"
	failed=1
}

# make_image ARGS...: builds the image from the made-up kernel.
# shellcheck disable=SC2317 # called by expect
make_image() {
	"$mkimage" -o "$tmp/image" --kernel "$tmp/vmlinuz" \
		--modules "$tmp/modules" "$@"
}

# expect CODE WORDS COMMAND...: exit code, and words in what it prints.
expect() {
	code=$1
	words=$2
	shift 2
	"$@" >"$tmp/out" 2>&1
	got=$?
	[ "$got" -eq "$code" ] || fail "$*: exit $got, not $code"
	[ -z "$words" ] || grep -qF -- "$words" "$tmp/out" ||
		fail "$*: no \"$words\" in: $(cat "$tmp/out")"
}

# A kernel with one module plain, one compressed, one built in.
mkdir -p "$tmp/modules/kernel"
echo kernel >"$tmp/vmlinuz"
for m in virtio virtio_pci vmw_vsock_virtio_transport vhost_vsock; do
	echo "$m" >"$tmp/modules/kernel/$m.ko"
done
xz "$tmp/modules/kernel/virtio_pci.ko"
echo kernel/net/vsock.ko >"$tmp/modules/modules.builtin"
cat >"$tmp/modules/modules.dep" <<END
kernel/virtio.ko:
kernel/virtio_pci.ko.xz: kernel/virtio.ko
kernel/vmw_vsock_virtio_transport.ko: kernel/virtio.ko
kernel/vhost_vsock.ko:
END
cp "$(command -v cat)" "$tmp/penstock-agent"
cp "$(command -v ls)" "$tmp/more"
cp "$(command -v ls)" "$tmp/libx.so.1.21.0"
agent=$tmp/penstock-agent

expect 2 "usage:" "$mkimage"
expect 2 "usage:" "$mkimage" -o "$tmp/image" --agent "$agent" --kernel x
expect 1 "cannot read" make_image --agent "$tmp/none"
echo "#!/bin/sh" >"$tmp/script"
expect 1 "not an ELF program" make_image --agent "$tmp/script"

expect 0 "" make_image --agent "$agent" --library "$tmp/libx.so.1.21.0"
cpio -t --quiet <"$tmp/image/initrd.img" 2>/dev/null |
	grep -qx lib/libx.so.1 || fail "no library by its name in the image"
expect 0 "" make_image --agent "$agent" --add "$tmp/more"
cpio -t --quiet <"$tmp/image/initrd.img" >"$tmp/list" 2>/dev/null
for f in init bin/busybox bin/penstock-agent bin/more lib/libc.so.6 \
	lib/modules/virtio_pci.ko; do
	grep -qx "$f" "$tmp/list" || fail "no $f in the image"
done
cmp -s "$tmp/vmlinuz" "$tmp/image/vmlinuz" || fail "another kernel"
mkdir "$tmp/x"
(cd "$tmp/x" && cpio -id --quiet 'lib/modules/*' <"$tmp/image/initrd.img")
[ "$(cat "$tmp/x/lib/modules/virtio_pci.ko")" = virtio_pci ] ||
	fail "a compressed module was not unpacked"
[ "$(tr '\n' ' ' <"$tmp/x/lib/modules/base")" = \
	"virtio.ko virtio_pci.ko vmw_vsock_virtio_transport.ko " ] ||
	fail "order of modules: $(cat "$tmp/x/lib/modules/base")"

# Modules of our own are a set that /init loads last.
echo own >"$tmp/own.ko"
expect 1 "cannot read" make_image --agent "$agent" --module "$tmp/none.ko"
[ ! -s "$tmp/x/lib/modules/own" ] || fail "a set of own modules out of nothing"
expect 0 "" make_image --agent "$agent" --add "$tmp/more" \
	--module "$tmp/own.ko"
(cd "$tmp/x" && cpio -idu --quiet 'lib/modules/*' <"$tmp/image/initrd.img")
[ "$(cat "$tmp/x/lib/modules/own")" = own.ko ] || fail "own.ko is not listed"
[ "$(cat "$tmp/x/lib/modules/own.ko")" = own ] || fail "own.ko is not there"
expect 0 "" make_image --agent "$agent" --add "$tmp/more"

# Nothing is built again without a changed input; the same gives the same.
sum=$(sha256sum <"$tmp/image/initrd.img")
touch -d @0 "$tmp/image/initrd.img"
expect 0 "" make_image --agent "$agent" --add "$tmp/more"
[ "$(stat -c %Y "$tmp/image/initrd.img")" = 0 ] || fail "built again"
rm "$tmp/image/stamp"
expect 0 "" make_image --agent "$agent" --add "$tmp/more"
[ "$(sha256sum <"$tmp/image/initrd.img")" = "$sum" ] || fail "not reproducible"
cp "$(command -v cp)" "$agent"
expect 0 "" make_image --agent "$agent" --add "$tmp/more"
[ "$(sha256sum <"$tmp/image/initrd.img")" != "$sum" ] ||
	fail "not built again for another agent"
ls "$tmp/image"/root.* >/dev/null 2>&1 && fail "left something behind"

# A module that base needs has to be there.
sed -i '/^kernel.vmw/d' "$tmp/modules/modules.dep"
expect 1 "missing libraries or modules: vmw_vsock_virtio_transport" \
	make_image --agent "$agent"

expect 0 "./bootstrap demo" "$PST_TOP_SRCDIR/bootstrap" help
expect 2 "./bootstrap demo" "$PST_TOP_SRCDIR/bootstrap" nonsense
exit $failed
