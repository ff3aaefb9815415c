#!/bin/sh
# SPDX-License-Identifier: MIT
# Agent and command where io_uring is denied: poll and pread, said in a line.
. "$PST_TOP_SRCDIR/tests/cli/lib.sh"

deny=$PST_TOP_BUILDDIR/tests/cli/deny_uring
"$deny" /bin/true
if [ $? -eq 77 ]; then
	echo "skipped: no seccomp filters here"
	exit 77
fi
plain_agent=$agent
printf '#!/bin/sh\nexec "%s" "%s" "$@"\n' "$deny" "$plain_agent" >"$tmp/agent"
chmod +x "$tmp/agent"
agent=$tmp/agent
start_agent "unix://$tmp/sock" --region memfd:64M --backend cpu
check "the agent says in one line that and why it polls" [ "$(grep -c \
	'loop poll: the kernel denies io_uring' "$tmp/agent.log")" = 1 ]
npy "$tmp/a.npy" "'<f8'" False "(300, 300)" $((8 * 300 * 300))
expect "the command reads with pread and says so" 0 "(pread)" \
	"$deny" "$penstock" gemm -e "$endpoint" "$tmp/a.npy" "$tmp/a.npy" \
	-o "$tmp/c.npy" --verify
check "the product is right" grep -q "verified *yes" "$tmp/stdout"
expect "info names the loop" 0 "the kernel denies io_uring" \
	"$penstock" info -e "$endpoint"
finish
