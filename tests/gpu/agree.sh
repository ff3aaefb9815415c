#!/bin/sh
# SPDX-License-Identifier: MIT
# tests/gpu/agree on this machine's card, each way to the device.
. "$PST_TOP_SRCDIR/tests/cli/lib.sh"

if [ ! -e /dev/nvidiactl ]; then
	echo "no NVIDIA driver here: there is no /dev/nvidiactl"
	exit 77
fi
PENSTOCK_BACKEND_DIR=$PST_TOP_BUILDDIR/guest-agent/cuda/.libs
export PENSTOCK_BACKEND_DIR
for way in auto mapped pipelined; do
	check "products agree ($way)" env PENSTOCK_CUDA_STRATEGY=$way \
		PENSTOCK_ENDPOINT="spawn:?size=256M" \
		PENSTOCK_AGENT="$agent" \
		"$PST_TOP_BUILDDIR/tests/gpu/agree" 300
done
check "products agree (staged)" env PENSTOCK_CUDA_REGISTRATION=staged \
	PENSTOCK_ENDPOINT="spawn:?size=256M" PENSTOCK_AGENT="$agent" \
	"$PST_TOP_BUILDDIR/tests/gpu/agree" 300
# Larger than the tiles' memory.
check "products agree (out of core)" env PENSTOCK_CUDA_STRATEGY=pipelined \
	PENSTOCK_CUDA_MEMORY=1M \
	PENSTOCK_ENDPOINT="spawn:?size=256M" PENSTOCK_AGENT="$agent" \
	"$PST_TOP_BUILDDIR/tests/gpu/agree" 700
finish
