#!/bin/sh
# SPDX-License-Identifier: MIT
# guest-setup --print: the commands for each system and card.
. "$PST_TOP_SRCDIR/tests/cli/lib.sh"
setup=$PST_TOP_SRCDIR/guest-agent/setup/guest-setup

# guest OS-RELEASE-LINE DEVICE-ID: a tree in $tmp/root.
guest() {
	rm -rf "$tmp/root"
	mkdir -p "$tmp/root/etc"
	printf '%s\nVERSION_ID="13"\nVERSION_CODENAME=trixie\n' "$1" \
		>"$tmp/root/etc/os-release"
	[ -n "$2" ] || return 0
	dev=$tmp/root/sys/bus/pci/devices/0000:01:00.0
	mkdir -p "$dev"
	echo 0x10de >"$dev/vendor"
	echo 0x030000 >"$dev/class"
	echo "$2" >"$dev/device"
}

# prints SENTENCE WORDS...: all of them, and it is a script.
prints() {
	sentence=$1
	shift
	"$setup" --root "$tmp/root" >"$tmp/stdout" 2>"$tmp/stderr"
	check "$sentence: it succeeds" [ $? -eq 0 ]
	check "$sentence: it is a script" sh -n "$tmp/stdout"
	for words in "$@"; do
		check "$sentence: has $words" grep -qF -e "$words" "$tmp/stdout"
	done
}

guest ID=debian 0x17c2
prints "Debian with a GTX Titan X" "nvidia-kernel-dkms libcuda1" \
	"/guest-agent/kmod'" \
	"headers=linux-headers-cloud-amd64" "--with-cuda=/usr," \
	"systemctl enable --now penstock-agent"
check "gets none of NVIDIA's repositories" \
	[ "$(grep -c repos/ "$tmp/stdout")" = 0 ]
guest ID=debian 0x2bb1
prints "Debian with an RTX PRO 6000" nvidia-kernel-open-dkms
check "without a pin" [ "$(grep -c Pin: "$tmp/stdout")" = 0 ]
guest ID=arch 0x17c2
prints "Arch with a GTX Titan X" "org/nvidia-580xx-utils.git" linux-headers \
	"-gt 589"
check "asks for no base that the AUR lacks" \
	[ "$(grep -c 580xx.git "$tmp/stdout")" = 0 ]
guest ID=arch 0x1e07
prints "Arch with a Turing card" "nvidia-open-dkms nvidia-utils" \
	"--with-cuda=/opt/cuda,"
guest "$(printf 'ID=ubuntu\nID_LIKE=debian')" 0x1db1
prints "what is like Debian, with a Volta card" "Branch 580" \
	"headers=linux-headers-\$(uname -r)" "from this system's packages"
check "gets no repository of Debian's" [ "$(grep -c repos/ "$tmp/stdout")" = 0 ]
guest ID=debian ""
prints "a guest without a card" penstock-bar
check "gets no driver" [ "$(grep -ci 'nvidia\|cuda' "$tmp/stdout")" = 0 ]
check "--gpu decides" sh -c "'$setup' --root '$tmp/root' --gpu legacy |
	grep -q 580"

# What a tree says is never a command, not while printing and not in what is
# printed, whichever shell reads it.
hostile() {
	for shell in sh bash; do
		command -v $shell >/dev/null 2>&1 || continue
		rm -f "$tmp/ran"
		(cd "$tmp" && $shell "$setup" --root "$tmp/root") \
			>"$tmp/stdout" 2>"$tmp/stderr"
		check "$1: nothing ran in $shell" [ ! -e "$tmp/ran" ]
		check "$1: nothing to run is printed" \
			[ "$(grep -c 'ran$\|ran)' "$tmp/stdout")" = 0 ]
		check "$1: no control character is printed" \
			[ "$(cat "$tmp/stdout" "$tmp/stderr" | tr -d '\n\t' |
				grep -c '[[:cntrl:]]')" = 0 ]
	done
}
# shellcheck disable=SC2016 # not for this shell
for id in 'PATH[$(touch ran)]' '0x1db1$(touch ran)' '0x1db1;touch ran' \
	'a[$(touch ran)]' '`touch ran`' "$(printf '0x1db1\ntouch ran')"; do
	guest ID=debian "$id"
	hostile "device '$id'"
	guest ID=debian 0x1db1
	echo "$id" >"$tmp/root/sys/bus/pci/devices/0000:01:00.0/vendor"
	hostile "vendor '$id'"
done
# shellcheck disable=SC2016
for value in "x'; touch ran" '$(touch ran)' '`touch ran`' '"; touch ran' \
	"$(printf '\033]0;ran')" 'trixie -o ran'; do
	guest "$(printf 'ID=debian\nVERSION_CODENAME=%s\n' "$value")" 0x1db1
	hostile "code name '$value'"
	guest "$(printf 'ID=debian\nVERSION_ID=%s\n' "$value")" 0x1db1
	hostile "version '$value'"
	guest "$(printf 'ID=%s\nID_LIKE=debian\n' "$value")" 0x1db1
	hostile "id '$value'"
	guest "$(printf 'ID_LIKE=%s\n' "$value")" 0x1db1
	hostile "kind '$value'"
done
guest ID=debian 0x17c2
rm "$tmp/root/sys/bus/pci/devices/0000:01:00.0/device"
mkfifo "$tmp/root/sys/bus/pci/devices/0000:01:00.0/device"
prints "a pipe in the place of a number" penstock-bar

guest ID=debian 0x1180
refuse "a Kepler card is refused" 1 "older than Maxwell" \
	"$setup" --root "$tmp/root"
guest ID=fedora ""
refuse "another system is told what is needed" 1 "penstock-agent" \
	"$setup" --root "$tmp/root"
refuse "--apply elsewhere is refused" 1 "this machine" \
	"$setup" --root "$tmp/root" --apply
expect "an unknown option is a usage error" 2 "usage:" "$setup" --bogus
expect "--help" 0 "--print (default)" "$setup" --help
finish
