#!/bin/sh
# SPDX-License-Identifier: MIT
# What guest-setup prints, run as it is printed, on archives of empty packages: apt
# resolves them (--simulate), with names, versions and dependencies as published by
# Debian and NVIDIA. The module's version is that of the package that apt chose.
. "$PST_TOP_SRCDIR/tests/cli/lib.sh"
command -v apt-get >/dev/null || {
	echo "no apt-get here"
	exit 77
}
setup=$PST_TOP_SRCDIR/guest-agent/setup/guest-setup
root=$tmp/root
LC_ALL=C
export LC_ALL
unset APT_CONFIG

# packages FILE: lines "name|version|source|depends|provides", made what apt reads.
packages() {
	mkdir -p "$(dirname "$1")"
	awk -F'|' 'NF {
		print "Package: " $1 "\nVersion: " $2 "\nSource: " $3
		print "Architecture: amd64\nMaintainer: nobody"
		gsub(/ or /, " | ", $4)
		if ($4) print "Depends: " $4
		if ($5) print "Provides: " $5
		print "Filename: " $1 ".deb\nSize: 1\nSHA256: 0\nDescription: x\n"
	}' >"$1"
}

# release CODENAME: of the components that are there.
release() {
	(cd "$tmp/debian/dists/$1" && {
		printf 'Origin: Debian\nCodename: %s\nSuite: %s\n' "$1" "$1"
		echo "Architectures: amd64"
		echo "Components: main contrib non-free non-free-firmware"
		echo "Date: Thu, 01 Jan 2026 00:00:00 UTC"
		echo "SHA256:"
		find . -name Packages | sed 's,^\./,,' | while read -r f; do
			echo " $(sha256sum "$f" | cut -d' ' -f1)" \
				"$(wc -c <"$f") $f"
		done
	} >Release.new && mv Release.new Release)
}

# debian CODENAME DRIVER CUDA CUBLAS: its driver and toolkit, Debian's.
debian() {
	d=$tmp/debian/dists/$1 v=$2 s=nvidia-graphics-drivers
	packages "$d/main/binary-amd64/Packages" <<-END
	dkms|3.0.10|dkms||
	gcc|12.2|gcc-defaults||
	make|4.3|make-dfsg||
	qemu-guest-agent|7.2|qemu||
	linux-headers-amd64|6.1|linux-signed-amd64||
	linux-headers-cloud-amd64|6.1|linux-signed-amd64||
	ca-certificates|2023|ca-certificates||
	wget|1.21|wget||
	END
	packages "$d/contrib/binary-amd64/Packages" <<-END
	nvidia-installer-cleanup|20220217+3|nvidia-support||
	nvidia-support|20220217+3|nvidia-support||
	nvidia-kernel-common|20220217+3|nvidia-support||
	nvidia-modprobe|$v|nvidia-modprobe||
	nvidia-persistenced|$v|nvidia-persistenced|libnvidia-cfg1 or libnvidia-cfg.so.1|
	glx-alternative-nvidia|1.2.2|glx-alternatives||
	END
	packages "$d/non-free-firmware/binary-amd64/Packages" <<-END
	firmware-nvidia-gsp|$v|$s||firmware-nvidia-gsp-${v%-*}
	END
	packages "$d/non-free/binary-amd64/Packages" <<-END
	nvidia-legacy-check|$v|$s|nvidia-installer-cleanup|
	nvidia-alternative|$v|$s|nvidia-legacy-check (>= 495), glx-alternative-nvidia|nvidia-alternative--kmod-alias
	nvidia-kernel-support|$v|$s|nvidia-alternative (= $v), nvidia-alternative--kmod-alias, nvidia-kernel-common, nvidia-modprobe (>= 535)|nvidia-kernel-support--v1
	nvidia-kernel-dkms|$v|$s|dkms, nvidia-installer-cleanup, firmware-nvidia-gsp (= ${v%-*}) or firmware-nvidia-gsp-${v%-*}, nvidia-kernel-support--v1|
	libcuda1|$v|$s|nvidia-legacy-check, nvidia-support, nvidia-alternative (= $v), libnvidia-ptxjitcompiler1 (= $v)|libcuda.so.1 (= ${v%-*})
	libnvidia-ptxjitcompiler1|$v|$s||
	libnvidia-cfg1|$v|$s|nvidia-alternative (= $v)|libnvidia-cfg.so.1 (= ${v%-*})
	libnvidia-ml1|$v|$s|nvidia-alternative (= $v)|libnvidia-ml.so.1 (= ${v%-*})
	nvidia-smi|$v|$s|nvidia-alternative (= $v), libnvidia-ml1 (= $v)|
	libcublaslt${3%%.*}|$4|nvidia-cuda-toolkit||
	libcublas${3%%.*}|$4|nvidia-cuda-toolkit|libcublaslt${3%%.*} (= $4)|
	nvidia-cuda-dev|$3|nvidia-cuda-toolkit|libcublas${3%%.*} (= $4), libnvidia-ml1 (>= 520) or libnvidia-ml.so.1 (>= 520), libcuda1 (>= 520) or libcuda.so.1 (>= 520)|
	nvidia-cuda-toolkit|$3|nvidia-cuda-toolkit|nvidia-cuda-dev (= $3)|
	END
	release "$1"
}

# of_branch VERSION: NVIDIA's packages of a driver, for its repository.
of_branch() {
	v=$1 s=nvidia-graphics-drivers
	cat <<-END
	nvidia-driver-cuda|$v|$s|libcuda1 (= $v), libnvidia-ml1 (= $v), nvidia-smi (= $v), nvidia-persistenced (= $v), nvidia-kernel-dkms (= $v) or nvidia-kernel-open-dkms (= $v)|
	nvidia-kernel-dkms|$v|$s|dkms, nvidia-kernel-support (= $v), nvidia-installer-cleanup|
	nvidia-kernel-open-dkms|$v|$s|dkms, nvidia-kernel-support (= $v), nvidia-installer-cleanup|
	nvidia-kernel-support|$v|$s|nvidia-modprobe (>= $v)|
	libcuda1|$v|$s|nvidia-support, libnvidia-ptxjitcompiler1 (= $v)|
	libnvidia-ptxjitcompiler1|$v|$s||
	libnvidia-ml1|$v|$s||
	libnvcuvid1|$v|$s|libcuda1 (= $v)|
	nvidia-smi|$v|$s|libnvidia-ml1 (= $v)|
	nvidia-modprobe|$v|nvidia-modprobe||
	nvidia-persistenced|$v|nvidia-persistenced||
	libxnvctrl0|$v|nvidia-settings||
	cuda-drivers|$v|cuda-drivers|nvidia-driver-cuda (= $v)|
	END
}

# nvidia RELEASE TOOLKIT... -- BRANCH...: NVIDIA's repository for that Debian.
nvidia() {
	dir=$tmp/nvidia/debian$1
	shift
	{
		while [ "$1" != -- ]; do
			echo "${1%%=*}|${1#*=}|cuda||"
			shift
		done
		shift
		for v; do
			of_branch "$v"
		done
	} | packages "$dir/Packages"
	printf 'Origin: NVIDIA\nSHA256:\n %s %s Packages\n' \
		"$(sha256sum "$dir/Packages" | cut -d' ' -f1)" \
		"$(wc -c <"$dir/Packages")" >"$dir/Release"
}

# guest VERSION CODENAME [SOURCE-OPTIONS]: a guest with main alone.
guest() {
	rm -rf "$root"
	mkdir -p "$root"/etc/apt/sources.list.d "$root"/etc/apt/preferences.d "$root"/etc/apt/apt.conf.d \
		"$root"/etc/modprobe.d "$root"/etc/modules-load.d "$root"/run \
		"$root"/etc/systemd/system "$root"/state/lists/partial \
		"$root"/cache/archives/partial \
		"$root/lib/modules/$(uname -r)/build"
	: >"$root/status"
	: >"$root/ran"
	printf 'ID=debian\nVERSION_ID="%s"\nVERSION_CODENAME=%s\n' "$1" "$2" \
		>"$root/etc/os-release"
	echo "deb ${3:-}file:$tmp/debian $2 main" >"$root/etc/apt/sources.list"
	cat >"$root/apt.conf" <<-END
	#clear APT::Update;
	#clear DPkg;
	APT::Architecture "amd64";
	APT::Architectures "amd64";
	APT::Sandbox::User "";
	APT::Get::AllowUnauthenticated "true";
	Acquire::AllowInsecureRepositories "true";
	Acquire::Languages "none";
	Dir::Etc "$root/etc/apt";
	Dir::State "$root/state";
	Dir::State::status "$root/status";
	Dir::Cache "$root/cache";
	END
}

# What is no package's: each is told of in $root/ran.
mkdir -p "$tmp/bin"
for program in dkms update-initramfs systemctl systemd-sysusers udevadm modprobe \
	nvidia-smi nvcc; do
	printf '#!/bin/sh\necho "%s $*" >>"%s/ran"\n' $program "$root" \
		>"$tmp/bin/$program"
done
cat >"$tmp/bin/apt-get" <<END
#!/bin/sh
# install simulates; what it would install is kept.
[ "\$1" = install ] || exec $(command -v apt-get) "\$@"
$(command -v apt-get) --simulate "\$@" >"$root/simulated" 2>&1 || {
	cat "$root/simulated" >&2
	exit 100
}
grep '^Inst' "$root/simulated" >>"$root/installed"
END
cat >"$tmp/bin/modinfo" <<END
#!/bin/sh
[ ! -e "$root/modinfo" ] || exec cat "$root/modinfo"
sed -n 's/^Inst nvidia-kernel-[a-z-]*dkms (\([0-9.]*\).*/\1/p' "$root/installed"
END
cat >"$tmp/bin/wget" <<'END'
#!/bin/sh
# -qO FILE URL: the keyring's address has the repository's name.
echo "$3" | sed 's,.*/repos/\([a-z0-9]*\)/.*,\1,' >"$2"
END
cat >"$tmp/bin/dpkg" <<END
#!/bin/sh
# As that package does.
[ "\$1" = -i ] || exec $(command -v dpkg) "\$@"
echo "deb file:$tmp/nvidia/\$(cat "\$2") /" >"$root/etc/apt/sources.list.d/cuda.list"
END
chmod +x "$tmp/bin"/*

# setup SENTENCE CODE WORDS ARGUMENT...: the script runs, with its own files below
# the root.
setup() {
	sentence=$1 code=$2 words=$3
	shift 3
	: >"$root/installed"
	"$setup" --root "$root" "$@" >"$tmp/printed" || {
		not_ok "$sentence: it prints"
		return
	}
	sed "s,/etc/apt/,$root&,g; s,/etc/mod,$root&,g; s,/etc/systemd,$root&,g
		s,/run/cuda,$root&,g; s,/lib/modules,$root&,g
		s,/usr[a-z/]*/bin/nvcc,nvcc,g; s,/usr/bin/nvcc,nvcc,g" "$tmp/printed" >"$tmp/run"
	expect "$sentence" "$code" "$words" env PATH="$tmp/bin:$PATH" \
		APT_CONFIG="$root/apt.conf" sh "$tmp/run"
}

# installs PACKAGE VERSION: apt chose it.
installs() {
	check "with $1 $2" grep -qF "Inst $1 ($2" "$root/installed"
}

debian bookworm 535.261.03-1 11.8.89~11.8.0-5 11.11.3.6~11.8.0-5
debian trixie 550.163.01-2 12.4.131~12.4.1-2 12.4.5.8~12.4.1-2
nvidia 12 cuda-toolkit-12-9=12.9.1-1 cuda-toolkit=13.1.0-1 -- \
	570.211.01-1 580.126.20-1 590.48.01-1 595.45.04-1
nvidia 13 cuda-toolkit=13.1.0-1 -- 590.48.01-1 595.45.04-1

guest 12 bookworm
setup "Debian 12, Maxwell: Debian's own driver" 0 "built without CUDA: configure it --with-cuda=/usr," --gpu legacy
installs nvidia-kernel-dkms 535.261.03-1
installs libcuda1 535.261.03-1
installs nvidia-cuda-toolkit 11.8.89
check "and the nodes of the device before the agent" grep -q \
	'^ExecStart=/usr/bin/nvidia-modprobe -c 0 -u' \
	"$root/etc/systemd/system/penstock-gpu-nodes.service"
check "its module at boot" grep -qx nvidia_uvm \
	"$root/etc/modules-load.d/penstock-nvidia.conf"
check "and they are enabled" grep -qx "systemctl enable penstock-gpu-nodes" \
	"$root/ran"

guest 12 bookworm "[signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] "
setup "where main is signed by name, so are the others" 0 "" --gpu legacy
installs nvidia-kernel-dkms 535.261.03-1

guest 12 bookworm
echo "deb file:$tmp/debian bookworm contrib non-free non-free-firmware" \
	>"$root/etc/apt/sources.list.d/mine.list"
setup "where all components are there, none is added" 0 "" --gpu legacy
check "as a file" [ ! -e "$root/etc/apt/sources.list.d/penstock-components.list" ]

guest 12 bookworm
setup "Debian 12, Maxwell: NVIDIA's branch 580" 0 "--with-cuda=/usr/local/cuda," \
	--gpu legacy --driver nvidia
installs nvidia-kernel-dkms 580.126.20-1
installs libcuda1 580.126.20-1
installs nvidia-modprobe 580.126.20-1
installs cuda-toolkit-12-9 12.9.1

guest 12 bookworm
setup "Debian 12, Turing and later: the open module" 0 "" --gpu current
installs nvidia-kernel-open-dkms 595.45.04-1
installs nvidia-driver-cuda 595.45.04-1
check "with no pin" [ ! -e "$root/etc/apt/preferences.d/penstock-nvidia" ]

guest 13 trixie
setup "Debian 13, Maxwell: Debian's own driver" 0 "--with-cuda=/usr," --gpu legacy
installs nvidia-kernel-dkms 550.163.01-2
installs nvidia-cuda-toolkit 12.4.131

guest 13 trixie
setup "Debian 13, Turing and later: the open module" 0 "" --gpu current
installs nvidia-kernel-open-dkms 595.45.04-1

guest 13 trixie
refuse "Debian 13, Maxwell: NVIDIA has no such branch" 1 "--driver debian" \
	"$setup" --root "$root" --gpu legacy --driver nvidia

# An archive may change: what does not know the card is no success.
nvidia 12 cuda-toolkit-12-9=12.9.1-1 -- 590.48.01-1 595.45.04-1
guest 12 bookworm
setup "a repository that has lost the branch" 1 \
	"NVIDIA's package is NVIDIA's driver 595.45.04, and this card (legacy) needs branch 520 to 580" \
	--gpu legacy --driver nvidia
check "installs no driver" sh -c "! grep -q 'nvidia' '$root/installed'"
guest 12 bookworm
echo 595.45.04 >"$root/modinfo"
setup "another module than the package's" 1 \
	"built here is NVIDIA's driver 595.45.04" --gpu legacy
check "is the end before the agent" sh -c "! grep -q penstock-agent '$root/ran'"
guest 13 trixie
: >"$root/modinfo"
setup "a module that was not built" 1 "NVIDIA's driver none" --gpu current
nvidia 12 cuda-toolkit=12.2.0-1 -- 535.261.03-1
guest 12 bookworm
dev=$root/sys/bus/pci/devices/0000:01:00.0
mkdir -p "$dev"
echo 0x10de >"$dev/vendor"
echo 0x030000 >"$dev/class"
echo 0x2bb1 >"$dev/device"
setup "a Blackwell card with a driver before it" 1 \
	"this card (current, 0x2bb1) needs branch 570 or newer"
guest 12 bookworm
printf '#!/bin/sh\necho "Cuda compilation tools, release 13.0, V13.0.48"\n' \
	>"$tmp/bin/nvcc"
setup "a toolkit without code for the card" 1 "the toolkit in /usr is CUDA 13" \
	--gpu legacy
guest 12 bookworm
sed -i 's/Origin: Debian/Origin: Nobody/' "$tmp/debian/dists/bookworm/Release"
setup "a guest without Debian's archive" 1 "add them to its sources" --gpu legacy
finish
