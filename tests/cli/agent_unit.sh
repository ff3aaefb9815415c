#!/bin/sh
# SPDX-License-Identifier: MIT
# The agent's systemd unit: what systemd itself thinks of it.
unit=$PST_TOP_BUILDDIR/guest-agent/penstock-agent.service
if ! systemd-analyze security --help >/dev/null 2>&1; then
	echo "skipped: no systemd-analyze"
	exit 77
fi
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
# The installed program need not be there yet.
sed 's,^ExecStart=[^ ]*,ExecStart=/bin/true,' "$unit" \
	>"$dir/penstock-agent.service" || exit 1
if grep '@[a-z]*dir@' "$unit"; then
	echo "not ok 1 - every path is filled in"
	exit 1
fi
echo "ok 1 - every path is filled in"
if ! systemd-analyze verify --man=no "$dir/penstock-agent.service" \
	>"$dir/out" 2>&1 || grep penstock-agent "$dir/out"; then
	cat "$dir/out"
	echo "not ok 2 - systemd finds nothing wrong"
	exit 1
fi
echo "ok 2 - systemd finds nothing wrong"
if ! systemd-analyze security --offline=yes --threshold=35 \
	"$dir/penstock-agent.service" >"$dir/out" 2>&1; then
	cat "$dir/out"
	echo "not ok 3 - exposure is medium at most"
	exit 1
fi
echo "ok 3 - exposure is medium at most"
