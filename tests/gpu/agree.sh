#!/bin/sh
# SPDX-License-Identifier: MIT
# tests/gpu/agree on this machine's card, each way to the device.
. "$PST_TOP_SRCDIR/tests/cli/lib.sh"

if [ ! -e /dev/nvidiactl ] && [ ! -e /sys/module/nvidia ]; then
	echo "no NVIDIA driver here: neither /dev/nvidiactl nor" \
		"/sys/module/nvidia"
	exit 77
fi
PENSTOCK_BACKEND_DIR=$PST_TOP_BUILDDIR/guest-agent/cuda/.libs
PENSTOCK_AGENT=$agent
PENSTOCK_AGENT_LOG=$tmp/agent.log
PENSTOCK_ENDPOINT="spawn:?size=256M"
# Not every installation of CUDA tells the loader where its libraries are.
LD_LIBRARY_PATH=$PST_CUDA/lib64${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
export PENSTOCK_BACKEND_DIR PENSTOCK_AGENT PENSTOCK_AGENT_LOG PENSTOCK_ENDPOINT
export LD_LIBRARY_PATH

# agree SENTENCE SIDE [VARIABLE=VALUE...]: also shows what the agent said, such
# as why it computes on the cpu.
agree() {
	sentence=$1
	side=$2
	shift 2
	: >"$tmp/agent.log"
	check "$sentence" env "$@" "$PST_TOP_BUILDDIR/tests/gpu/agree" "$side"
	sed 's/^/# /' "$tmp/agent.log"
}

for way in auto mapped pipelined whole; do
	agree "products agree ($way)" 300 PENSTOCK_CUDA_STRATEGY=$way
done
agree "products agree (staged)" 300 PENSTOCK_CUDA_REGISTRATION=staged
# Larger than the tiles' memory.
agree "products agree (out of core)" 700 PENSTOCK_CUDA_STRATEGY=pipelined \
	PENSTOCK_CUDA_MEMORY=1M
finish
