#!/bin/sh
# SPDX-License-Identifier: MIT
# The walls and floors of the source: which folder may include what, that calls
# only go down, that no name means two things, that no folder grows too long.
#
# What breaks a rule today stands in the list of its rule. A list only shrinks:
# a line whose breach is gone has to go too.
. "$PST_TOP_SRCDIR/tests/cli/lib.sh"
cd "$PST_TOP_SRCDIR" || exit 99
LC_ALL=C
export LC_ALL

# A line: FOLDER: PREFIX...; the longest FOLDER that holds a file counts.
# Commands make, inspect and remove regions, and name types of elements; the unit of
# a region and the agent's port are numbers of the wire. The demo speaks QMP over a
# socket.
cli='host-client/penstock.h host-client/files/ host-client/cli/ kernel-params/'
cli="$cli libvirt-xml/ bench/ transport/base/ transport/region/ transport/dtype.h"
cli="$cli transport/wire.h host-client/metrics/"
# A host as it was read, and all that reads it.
scanned='transport/base/ kernel-params/root/ kernel-params/syntax/ kernel-params/machine/'
scanned="$scanned kernel-params/boot/ kernel-params/config/ kernel-params/scan/"
cat >"$tmp/walls" <<END
transport/base: transport/base/
transport: transport/
guest-agent/service: transport/base/ guest-agent/service/
guest-agent/region: transport/ guest-agent/service/ guest-agent/region/
guest-agent/model: transport/ guest-agent/model/
guest-agent/exec: transport/ guest-agent/model/ guest-agent/exec/
guest-agent/cpu: transport/ guest-agent/model/model.h guest-agent/exec/backend.h guest-agent/cpu/
guest-agent/cuda: transport/ guest-agent/model/model.h guest-agent/exec/backend.h guest-agent/cuda/
guest-agent/ort: transport/ guest-agent/exec/backend.h guest-agent/runner/runner.h guest-agent/ort/
guest-agent/sim: transport/ guest-agent/exec/backend.h guest-agent/sim/
guest-agent/backends: transport/ guest-agent/service/ guest-agent/exec/ guest-agent/cpu/ guest-agent/sim/ guest-agent/backends/
guest-agent/runner: transport/base/ guest-agent/runner/
guest-agent/serve/state: transport/ guest-agent/service/ guest-agent/region/ guest-agent/exec/ guest-agent/serve/state/
guest-agent/serve/report: transport/ guest-agent/exec/ guest-agent/serve/state/ guest-agent/serve/report/
guest-agent/serve/models: transport/ guest-agent/service/ guest-agent/model/ guest-agent/exec/ guest-agent/ort/ort.h guest-agent/serve/state/ guest-agent/serve/report/ guest-agent/serve/models/
guest-agent/serve/frames: transport/ guest-agent/service/ guest-agent/model/ guest-agent/serve/state/ guest-agent/serve/report/ guest-agent/serve/models/ guest-agent/serve/frames/
guest-agent/serve: transport/ guest-agent/service/ guest-agent/region/ guest-agent/model/ guest-agent/exec/ guest-agent/backends/ guest-agent/ort/ort.h guest-agent/serve/
guest-agent: transport/ guest-agent/
host-client/lib/plain: transport/ host-client/penstock.h host-client/lib/plain/
host-client/lib/session: transport/ host-client/penstock.h host-client/lib/plain/ host-client/lib/session/
host-client/lib/ops: transport/ host-client/penstock.h host-client/lib/plain/ host-client/lib/session/ host-client/lib/ops/
host-client/lib/gemm: transport/ host-client/penstock.h host-client/lib/
host-client/blas: host-client/penstock.h host-client/blas/
host-client/gateway/http: host-client/penstock.h transport/base/ host-client/gateway/http/
host-client/gateway/agents: host-client/penstock.h transport/base/ host-client/gateway/http/ host-client/gateway/agents/
host-client/gateway/oip: host-client/penstock.h transport/base/ host-client/gateway/http/ host-client/gateway/agents/ host-client/gateway/oip/
host-client/gateway/pages: host-client/penstock.h host-client/metrics/ transport/base/ host-client/gateway/http/ host-client/gateway/agents/ host-client/gateway/pages/
host-client/gateway: host-client/penstock.h host-client/metrics/ transport/base/ host-client/gateway/
host-client/files: transport/base/ transport/dtype.h host-client/penstock.h host-client/files/
host-client/metrics: host-client/metrics/
host-client/cli: $cli
host-client/cli/demo: $cli transport/sock.h
host-client/node: host-client/penstock.h host-client/node/
host-client/python: host-client/penstock.h host-client/python/
host-client: host-client/penstock.h penstock_run.h
kernel-params/root: transport/base/ kernel-params/root/
kernel-params/syntax: transport/base/ kernel-params/root/ kernel-params/syntax/
kernel-params/machine: transport/base/ kernel-params/root/ kernel-params/syntax/ kernel-params/machine/
kernel-params/boot: transport/base/ kernel-params/root/ kernel-params/syntax/ kernel-params/boot/
kernel-params/config: transport/base/ kernel-params/root/ kernel-params/syntax/ kernel-params/machine/ kernel-params/boot/ kernel-params/config/
kernel-params/scan: $scanned
kernel-params/check: $scanned kernel-params/check/
kernel-params/device: $scanned kernel-params/check/ kernel-params/device/
kernel-params/edit: $scanned kernel-params/edit/
kernel-params/journal: $scanned kernel-params/edit/ kernel-params/journal/
kernel-params: transport/base/ kernel-params/
libvirt-xml/config: transport/base/ kernel-params/ libvirt-xml/config/
libvirt-xml/plan: transport/base/ kernel-params/ libvirt-xml/config/ libvirt-xml/plan/
libvirt-xml/xml: transport/base/ kernel-params/ libvirt-xml/config/ libvirt-xml/xml/
libvirt-xml/virt: transport/base/ kernel-params/ libvirt-xml/config/ libvirt-xml/xml/ libvirt-xml/virt/
libvirt-xml: transport/base/ kernel-params/ libvirt-xml/
bench: host-client/penstock.h bench/ worker.grpc.pb.h
END

# Breaches of the walls: FILE INCLUDED.
cat >"$tmp/known-includes" <<'END'
END

# Objects and folders that call each other in circles.
cat >"$tmp/known-circles" <<'END'
END

# Functions and types that are defined twice. Each backend completes the type
# pst_backend of guest-agent/exec/backend.h in its own way.
cat >"$tmp/known-names" <<'END'
pst_backend
END

# rule SENTENCE LIST: the breaches in $tmp/LIST are those of $tmp/known-LIST.
rule() {
	sort -u "$tmp/$2" >"$tmp/found"
	sort -u "$tmp/known-$2" >"$tmp/known"
	comm -23 "$tmp/found" "$tmp/known" >"$tmp/new"
	comm -13 "$tmp/found" "$tmp/known" >"$tmp/gone"
	if [ -s "$tmp/new" ] || [ -s "$tmp/gone" ]; then
		not_ok "$1"
		sed 's/^/  breach: /' "$tmp/new"
		sed "s/^/  gone, take it off the list known-$2: /" "$tmp/gone"
	else
		ok "$1"
	fi
}

# ---- Walls, from the sources -------------------------------------------------

# included: grep's lines FILE:TEXT on stdin as FILE INCLUDED. In angle brackets
# a header is ours if its path begins with a folder of ours.
included() {
	sed -n 's/:[[:space:]]*#[[:space:]]*include[[:space:]]*"\([^"]*\)".*/ \1/p
s/:[[:space:]]*#[[:space:]]*include[[:space:]]*<\([^>]*\)>.*/ <\1/p' |
		awk -v ours="$(sources '*.h' | sed 's|/.*||' | sort -u | xargs)" '
			BEGIN {
				for (n = split(ours, d, " "); n > 0; n--)
					own[d[n]]
			}
			{
				first = $2
				sub(/\/.*/, "", first)
			}
			!sub(/^</, "", $2) || substr(first, 2) in own
		'
}

# includes: all of the tree, as lines FILE INCLUDED.
includes() {
	sources '*.[ch]' '*.cu' '*.cc' | grep -v '^tests/' |
		xargs grep -H '^[[:space:]]*#[[:space:]]*include' | included
}

# breaches: what of the includes on stdin a wall forbids.
breaches() {
	awk -v walls="$tmp/walls" '
		BEGIN {
			while ((getline line < walls) > 0) {
				split(line, q, ":")
				may[q[1]] = q[2]
			}
		}
		{
			d = $1
			while (sub(/\/[^\/]*$/, "", d))
				if (d in may)
					break
			m = split(may[d], p, " ")
			ok = $2 == "config.h"
			for (i = 1; i <= m; i++)
				if (index($2, p[i]) == 1)
					ok = 1
			if (!ok)
				print
		}'
}

# types: names of types that headers define, or that have the prefix.
types() {
	sources '*.[ch]' '*.cu' | grep -v '^tests/' |
		xargs grep -HE '^(struct|union|enum) [a-z0-9_]+ \{' |
		sed 's/^\([^:]*\):[a-z]* \([a-z0-9_]*\).*/\1 \2/' |
		awk '$1 ~ /\.h$/ || $2 ~ /^pst_/ { print $2 }'
}

# crowded: folders of more than 40 C files of their own.
crowded() {
	sources '*.c' | sed 's/[^/]*$//' | uniq -c | awk '$1 > 40'
}

includes >"$tmp/all"
check "the sources include each other" [ "$(wc -l <"$tmp/all")" -gt 500 ]
breaches <"$tmp/all" >"$tmp/includes"
rule "no file includes what its folder must not know" includes
check "a forbidden include is found" [ "$(
	echo "transport/ring.c guest-agent/serve/state/agent.h" | breaches
)" = "transport/ring.c guest-agent/serve/state/agent.h" ]
check "a forbidden include in angle brackets is found" [ "$(
	printf '%s\n' 'bench/run.c:#include <host-client/lib/session/conn.h>' \
		'bench/run.c:# include <sys/stat.h>' | included | breaches
)" = "bench/run.c host-client/lib/session/conn.h" ]
check "a file behind no wall is found" [ "$(
	echo "new/ring.c transport/ring.h" | breaches
)" = "new/ring.c transport/ring.h" ]
crowded >"$tmp/crowded"
check "no folder has more than 40 C files" [ ! -s "$tmp/crowded" ]
cat "$tmp/crowded"
types >"$tmp/types"

# magic FILE: the stamp of a region, as FILE has it.
magic() {
	sed -n 's/^#define \(PST_WIRE_\)*STAMP_MAGIC *\([^ ]*\).*/\2/p' "$1"
}
stamp=$(magic transport/wire.h)
check "the kernel module knows the protocol's stamp" \
	[ "$(magic guest-agent/kmod/penstock_bar.c)" = "${stamp:-none}" ]

# ---- Floors, from the objects ------------------------------------------------

# targets: every library and program but the tests', as TARGET OBJECT...
targets() {
	# shellcheck disable=SC2016 # make expands it
	MAKEFLAGS='' make -s -C "$PST_TOP_BUILDDIR" --no-print-directory \
		--eval 'pst-targets: ; $(foreach t,$(LTLIBRARIES) $(PROGRAMS),$(info $t $($(subst /,_,$(subst -,_,$(subst .,_,$t)))_OBJECTS)))@:' \
		pst-targets | grep -v '^tests/'
}

# symbols: all that their objects define and use, as SOURCE TARGET NAME TYPE.
symbols() {
	targets | while read -r target objects; do
		for o in $objects; do
			o=$PST_TOP_BUILDDIR/${o%.*}.o
			[ -e "$o" ] || o=${o%/*}/.libs/${o##*/}
			[ ! -e "$o" ] || nm -P "$o" | sed "s|^|$o $target |"
		done
	done | awk -v top="$PST_TOP_BUILDDIR/" '
		{
			# libx_la-name.o was made from name.c.
			o = substr($1, length(top) + 1)
			sub(/\.libs\//, "", o)
			sub(/\.o$/, "", o)
			n = split(o, part, "-")
			if (part[n] !~ /\//)
				sub(/[^\/]*$/, part[n], o)
			print o, $2, $3, $4
		}'
}

# calls: from symbols, who needs whom: SOURCE SOURCE. A name that is defined
# twice is that of the own library, or nobody knows whose.
calls() {
	awk '
		$4 == "U" { source[++n] = $1; target[n] = $2; name[n] = $3 }
		$4 ~ /^[TDBRVGSC]$/ {
			own[$2, $3] = $1
			if (($3 in def) && def[$3] != $1)
				twice[$3]
			def[$3] = $1
		}
		END {
			for (i = 1; i <= n; i++) {
				d = ""
				if ((target[i], name[i]) in own)
					d = own[target[i], name[i]]
				else if ((name[i] in def) && !(name[i] in twice))
					d = def[name[i]]
				if (d != "" && d != source[i])
					print source[i], d
			}
		}' "$1" | sort -u
}

# folders: the same between folders. A program's main is a roof of its own.
folders() {
	sed 's|/main |/main/ |; s|/[^/ ]* | |; s|/[^/]*$||' |
		awk '$1 != $2' | sort -u
}

# circles: what of a graph on stdin reaches itself.
circles() {
	awk '
		function lone(x, list, m, k, e) {
			m = split(list, e, " ")
			for (k = 1; k <= m; k++)
				if (!(e[k] in gone))
					return 0
			return 1
		}
		function reaches(x, seen, queue, h, t, m, k, e) {
			split("", seen)
			queue[t = 1] = x
			for (h = 1; h <= t; h++) {
				m = split(below[queue[h]], e, " ")
				for (k = 1; k <= m; k++) {
					if (e[k] == x)
						return 1
					if (!(e[k] in gone) && !(e[k] in seen)) {
						seen[e[k]]
						queue[++t] = e[k]
					}
				}
			}
			return 0
		}
		{ below[$1] = below[$1] " " $2; above[$2] = above[$2] " " $1
		  all[$1]; all[$2] }
		END {
			do {
				changed = 0
				for (x in all)
					if (!(x in gone) &&
					    (lone(x, below[x]) || lone(x, above[x]))) {
						gone[x]
						changed = 1
					}
			} while (changed)
			for (x in all)
				if (!(x in gone) && reaches(x))
					print x
		}'
}

# twice: functions of symbols that more than one source defines.
twice() {
	awk '$4 ~ /^[TDBRVGSC]$/ && $3 != "main" { print $3, $1 }' "$1" |
		sort -u | cut -d ' ' -f 1 | uniq -d
}

symbols >"$tmp/symbols"
calls "$tmp/symbols" >"$tmp/calls"
folders <"$tmp/calls" >"$tmp/folders"
check "the objects call each other" [ "$(wc -l <"$tmp/calls")" -gt 500 ]
{
	circles <"$tmp/calls"
	circles <"$tmp/folders"
} >"$tmp/circles"
rule "calls between files and between folders only go down" circles
# turned: a graph with one of its lines turned round.
turned() {
	awk '{ print } NR == 1 { print $2, $1 }'
}
check "a call upwards is found" \
	[ "$(turned <"$tmp/calls" | circles | wc -l)" -ge 2 ]
check "a call upwards between folders is found" \
	[ "$(turned <"$tmp/folders" | circles | wc -l)" -ge 2 ]
{
	twice "$tmp/symbols"
	sort "$tmp/types" | uniq -d
} >"$tmp/names"
rule "no function or type is defined twice" names
check "a name that is defined twice is found" [ "$(
	{ cat "$tmp/symbols" && echo "new/ring new.la pst_op_check T 0 0"; } \
		>"$tmp/more"
	twice "$tmp/more" | grep -cx pst_op_check
)" -eq 1 ]

finish
