# SPDX-License-Identifier: MIT
# A host's files for the tests of "penstock vm"; to be sourced after lib.sh.
# shellcheck shell=sh

# pci ADDR VENDOR DEVICE CLASS DRIVER GROUP: one function, on NUMA node 1, with
# a BAR of 16 MiB.
pci() {
	at=$tree/sys/devices/pci0000:00/$1
	mkdir -p "$at" "$tree/sys/bus/pci/devices"
	ln -s "../../../devices/pci0000:00/$1" "$tree/sys/bus/pci/devices/$1"
	echo "$2" >"$at/vendor"
	echo "$3" >"$at/device"
	echo "$4" >"$at/class"
	echo 1 >"$at/numa_node"
	{
		echo 0x00000000fa000000 0x00000000faffffff 0x0000000000040200
		for i in 1 2 3 4 5 6; do
			echo 0x0000000000000000 0x0000000000000000 \
				0x0000000000000000
		done
	} >"$at/resource"
	if [ -n "$5" ]; then
		mkdir -p "$tree/sys/bus/pci/drivers/$5"
		ln -s "../../../bus/pci/drivers/$5" "$at/driver"
	fi
	if [ -n "$6" ]; then
		g=$tree/sys/kernel/iommu_groups/$6
		mkdir -p "$g/devices"
		ln -s "../../../kernel/iommu_groups/$6" "$at/iommu_group"
		ln -s "../../../../devices/pci0000:00/$1" "$g/devices/$1"
	fi
}

# make_tree DIR: 8 CPUs on two nodes, 8 GiB of hugepages, a card with two
# functions on vfio-pci (01:00), the host's display (02:00), a card whose group
# the disk shares (03:00), one with a function in no group (04:00).
make_tree() {
	tree=$1
	for i in 0 1 2 3 4 5 6 7; do
		cpu=$tree/sys/devices/system/cpu/cpu$i
		node=$((i / 4))
		mkdir -p "$cpu/topology" "$tree/sys/devices/system/node/node$node"
		echo $((i % 4)) >"$cpu/topology/core_id"
		echo $node >"$cpu/topology/physical_package_id"
		echo $i >"$cpu/topology/thread_siblings_list"
		ln -s "../../node/node$node" "$cpu/node$node"
		echo $((node * 4))-$((node * 4 + 3)) \
			>"$tree/sys/devices/system/node/node$node/cpulist"
	done
	echo 0-7 >"$tree/sys/devices/system/cpu/online"
	echo 0-1 >"$tree/sys/devices/system/node/online"
	pool=$tree/sys/kernel/mm/hugepages/hugepages-2048kB
	mkdir -p "$pool" "$tree/proc" "$tree/etc" "$tree/dev"
	: >"$tree/dev/kvm"
	: >"$tree/dev/vhost-vsock"
	for f in nr free; do
		echo 4096 >"$pool/${f}_hugepages"
	done
	for f in resv surplus; do
		echo 0 >"$pool/${f}_hugepages"
	done
	cat >"$tree/proc/meminfo" <<-END
	MemTotal:       33554432 kB
	Hugepagesize:       2048 kB
	END
	echo "hugetlbfs /mnt/huge hugetlbfs rw,pagesize=2M 0 0" \
		>"$tree/proc/mounts"
	echo "kvm:x:104:" >"$tree/etc/group"
	for i in 0 1 2 3 4 5 6 7; do
		printf 'processor\t: %s\nvendor_id\t: %s\n' $i GenuineIntel
		printf 'address sizes\t: 46 bits physical, 48 bits virtual\n\n'
	done >"$tree/proc/cpuinfo"
	pci 0000:01:00.0 0x10de 0x17c2 0x030000 vfio-pci 1
	pci 0000:01:00.1 0x10de 0x0fb0 0x040300 vfio-pci 1
	pci 0000:02:00.0 0x10de 0x1e87 0x030000 nvidia 2
	echo 1 >"$tree/sys/devices/pci0000:00/0000:02:00.0/boot_vga"
	pci 0000:03:00.0 0x10de 0x1b06 0x030000 vfio-pci 3
	pci 0000:05:00.0 0x144d 0xa808 0x010802 nvme 3
	pci 0000:04:00.0 0x10de 0x1b80 0x030000 vfio-pci 4
	pci 0000:04:00.1 0x10de 0x10f0 0x040300 vfio-pci ''
	mkdir -p "$tree/usr/share/OVMF"
	: >"$tree/usr/share/OVMF/OVMF_CODE_4M.fd"
	: >"$tree/usr/share/OVMF/OVMF_VARS_4M.fd"
}
