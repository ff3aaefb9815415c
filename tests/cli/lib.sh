# SPDX-License-Identifier: MIT
# What the tests of the command share; to be sourced.
# shellcheck shell=sh
set -u
penstock=$PST_TOP_BUILDDIR/host-client/penstock
agent=$PST_TOP_BUILDDIR/guest-agent/penstock-agent
unset PENSTOCK_ENDPOINT PENSTOCK_AGENT_LOG
tmp=$(mktemp -d "${TMPDIR:-/tmp}/penstock-cli.XXXXXX") || exit 99
failed=0
pids=

# Processes of this test end with it, by their numbers.
cleanup() {
	for pid in $pids; do
		kill "$pid" 2>/dev/null
		wait "$pid" 2>/dev/null
	done
	rm -rf "$tmp"
}
trap cleanup EXIT
trap 'exit 1' HUP INT TERM

# copy_for_all: $for_all is the command with its module where other users find
# them, which a clone may not be.
copy_for_all() {
	chmod 755 "$tmp"
	mkdir -p "$tmp/all/host-client" "$tmp/all/libvirt-xml/.libs"
	for_all=$tmp/all/host-client/penstock
	cp "$penstock" "$for_all"
	cp "$PST_TOP_BUILDDIR/libvirt-xml/.libs/penstock-vm.so" \
		"$tmp/all/libvirt-xml/.libs"
	chmod -R a+rX "$tmp/all"
}

# sources PATTERN...: the files below the folders of the source whose names match,
# in order. Git need not be there, nor the source a checkout.
sources() (
	cd "$PST_TOP_SRCDIR" || exit 1
	set -f
	names=
	for pattern; do
		names="$names ${names:+-o} -name $pattern"
	done
	# shellcheck disable=SC2086 # several words
	find transport guest-agent host-client kernel-params libvirt-xml bench \
		tests -name __pycache__ -prune -o -type f ! -path bench/REVISION \
		\( $names \) -print | LC_ALL=C sort
)

# ok SENTENCE, not_ok SENTENCE [WHY...]
ok() {
	echo "ok - $1"
}

not_ok() {
	echo "not ok - $1"
	shift
	[ $# -eq 0 ] || echo "  $*"
	failed=1
}

# check SENTENCE COMMAND...: the command succeeds.
check() {
	sentence=$1
	shift
	if "$@"; then
		ok "$sentence"
	else
		not_ok "$sentence" "failed: $*"
	fi
}

# expect SENTENCE CODE WORDS COMMAND...: the command's exit code, and words in
# what it prints. Its output is left in $tmp/stdout and $tmp/stderr.
expect() {
	sentence=$1
	want=$2
	words=$3
	shift 3
	"$@" >"$tmp/stdout" 2>"$tmp/stderr"
	got=$?
	if [ "$got" -ne "$want" ]; then
		not_ok "$sentence" "exit $got, not $want: $*"
	elif ! cat "$tmp/stdout" "$tmp/stderr" | grep -qF -e "$words"; then
		not_ok "$sentence" "no '$words' from: $*"
	else
		ok "$sentence"
		return
	fi
	sed 's/^/  | /' "$tmp/stdout" "$tmp/stderr"
}

# The same for an error: nothing on stdout, one line on stderr.
refuse() {
	expect "$@"
	[ ! -s "$tmp/stdout" ] || not_ok "$1" "it printed on stdout"
	[ "$(wc -l <"$tmp/stderr")" -eq 1 ] ||
		not_ok "$1" "stderr is not one line: $(cat "$tmp/stderr")"
}

# unless OPTION VALUE ARGUMENT...: OPTION and VALUE, unless the arguments have
# that option: two values would be refused.
unless() {
	option=$1
	value=$2
	shift 2
	case " $* " in
	*" $option "*) ;;
	*) echo "$option $value" ;;
	esac
}

# npy FILE DESCR ORDER SHAPE BYTES [VERSION]: a .npy file with BYTES of zeros.
npy() {
	dict="{'descr': $2, 'fortran_order': $3, 'shape': $4, }"
	{
		if [ "${6:-1}" = 1 ]; then
			printf '\223NUMPY\001\000\166\000'
		else
			printf '\223NUMPY\00%s\000\164\000\000\000' "$6"
		fi
		if [ "${6:-1}" = 1 ]; then
			printf '%-117s\n' "$dict"
		else
			printf '%-115s\n' "$dict"
		fi
	} >"$1"
	truncate -s $((128 + $5)) "$1"
}

# start_agent ENDPOINT ARGUMENT...: an agent on $tmp/sock, whose endpoint is
# ENDPOINT. It is up when this returns.
start_agent() {
	endpoint=$1
	shift
	"$agent" --config /dev/null --listen "unix:$tmp/sock" "$@" \
		>"$tmp/agent.log" 2>&1 &
	agent_pid=$!
	pids="$pids $agent_pid"
	tries=0
	while ! "$penstock" -e "$endpoint" health >/dev/null 2>&1; do
		tries=$((tries + 1))
		if [ $tries -gt 100 ] || ! kill -0 "$agent_pid" 2>/dev/null; then
			echo "the agent did not come up:"
			cat "$tmp/agent.log"
			exit 1
		fi
		sleep 0.1
	done
}

# commands: the full names of all commands, one a line, as the help lists them.
commands() {
	"$penstock" --help | sed -n 's/^  \([a-z][a-z]*\)  *\(COMMAND\)\{0,1\}  .*/\1 \2/p' |
		while read -r name group; do
			if [ -z "$group" ]; then
				echo "$name"
				continue
			fi
			"$penstock" "$name" --help |
				sed -n '/^Commands:/,/^$/s/^  \([a-z ]*[a-z]\)  .*/\1/p' |
				sed "s/^/$name /"
		done
}

# To be the last line of a test.
finish() {
	exit "$failed"
}
