#!/bin/sh
# SPDX-License-Identifier: MIT
# penstock gemm against numpy, through one agent on a Unix socket.
. "$PST_TOP_SRCDIR/tests/cli/lib.sh"

if [ -z "${PST_PYTHON:-}" ]; then
	echo "skipped: no python3 with numpy"
	exit 77
fi
start_agent "unix://$tmp/sock" --region memfd:64M --backend cpu
check "all products are numpy's" "$PST_PYTHON" \
	"$PST_TOP_SRCDIR/tests/cli/numpy_cases.py" "$penstock" \
	"$endpoint" "$tmp"
finish
