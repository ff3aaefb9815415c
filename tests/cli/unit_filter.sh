#!/bin/sh
# SPDX-License-Identifier: MIT
# The agent under the system calls that its unit leaves it: libnuma, io_uring
# and the backend's threads work.
. "$PST_TOP_SRCDIR/tests/cli/lib.sh"

unit=$PST_TOP_BUILDDIR/guest-agent/penstock-agent.service
filter=$PST_TOP_BUILDDIR/tests/cli/unit_filter
if [ ! -x "$filter" ]; then
	echo "skipped: built without libseccomp"
	exit 77
fi
if ! systemd-analyze syscall-filter @default >/dev/null 2>&1; then
	echo "skipped: no systemd-analyze"
	exit 77
fi

# $1: a system call, or the name of a set. Prints calls, sets taken apart.
expand() {
	case $1 in
	@*)
		systemd-analyze --no-pager syscall-filter "$1" |
			sed '1d; s/#.*//' | tr -d ' \t' | sort -u |
			while read -r each; do
				[ -z "$each" ] || (expand "$each")
			done
		;;
	*) echo "$1" ;;
	esac
}

# What a unit may do that has the lines of stdin; an allow-list has @default
# in it (systemd.exec(5)).
allowed() {
	expand @default >"$tmp/set"
	while IFS='=' read -r _ words; do
		case $words in
		'~'*) take=deny words=${words#?} ;;
		*) take=allow ;;
		esac
		for word in $words; do
			expand "$word"
		done | sort -u >"$tmp/words"
		if [ $take = allow ]; then
			sort -u "$tmp/words" -o "$tmp/words" "$tmp/set"
			mv "$tmp/words" "$tmp/set"
		else
			sort -u "$tmp/set" | comm -23 - "$tmp/words" >"$tmp/new"
			mv "$tmp/new" "$tmp/set"
		fi
	done
	sort -u "$tmp/set"
}

grep '^SystemCallFilter=' "$unit" | allowed >"$tmp/unit.calls"
check "the unit allows some calls and not all" \
	[ "$(wc -l <"$tmp/unit.calls")" -gt 100 ]
for call in mount bpf chroot setuid ptrace kexec_load init_module; do
	check "the unit does not allow $call" \
		[ "$(grep -cx "$call" "$tmp/unit.calls")" -eq 0 ]
done
for call in mbind set_mempolicy sched_setaffinity io_uring_enter \
	get_mempolicy move_pages mlock; do
	check "the unit allows $call" grep -qx "$call" "$tmp/unit.calls"
done

# agent_under FILE: $agent becomes the agent under the calls in FILE.
plain_agent=$agent
agent_under() {
	printf '#!/bin/sh\nexec "%s" "%s" "%s" "$@"\n' "$filter" "$1" \
		"$plain_agent" >"$tmp/agent"
	chmod +x "$tmp/agent"
	agent=$tmp/agent
}

node=
if [ -e /sys/devices/system/node/node0 ]; then
	node="--numa-node 0"
fi
agent_under "$tmp/unit.calls"
mkdir "$tmp/models"
echo no model >"$tmp/models/none.onnx"
# shellcheck disable=SC2086 # two words or none
start_agent "unix://$tmp/sock" --region memfd:64M --backend cpu $node \
	--models-dir "$tmp/models"
check "the agent uses io_uring" grep -q 'loop io_uring' "$tmp/agent.log"
# What the runner says, once it has narrowed itself, or has no library.
tries=0
until grep -q 'none is not loaded' "$tmp/agent.log" || [ $tries -ge 200 ]; do
	sleep 0.1
	tries=$((tries + 1))
done
check "the runner of models starts" grep -Eq \
	'none is not loaded: (the file is no ONNX|ONNX Runtime is not inst)' \
	"$tmp/agent.log"
npy "$tmp/a.npy" "'<f8'" False "(300, 300)" $((8 * 300 * 300))
expect "a product is computed" 0 "verified" "$penstock" gemm -e "$endpoint" \
	"$tmp/a.npy" "$tmp/a.npy" -o "$tmp/c.npy" --verify
kill "$agent_pid"
wait "$agent_pid"
check "the agent ends as told" [ $? -eq 0 ]
pids=
rm -f "$tmp/sock"

# That the filter does filter: without @resources libnuma cannot work.
if [ -n "$node" ]; then
	{
		grep '^SystemCallFilter=' "$unit"
		echo 'SystemCallFilter=~@resources'
	} | allowed >"$tmp/less.calls"
	# shellcheck disable=SC2086
	"$filter" "$tmp/less.calls" "$plain_agent" --config /dev/null $node \
		--region memfd:64M --listen "unix:$tmp/sock" 2>"$tmp/stderr" &
	pids=$!
	wait $pids
	check "without @resources it ends with a sentence" [ $? -eq 1 ]
	pids=
	check "which names the node" grep -q 'CPUs of node 0' "$tmp/stderr"
fi
finish
