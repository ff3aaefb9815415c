#!/bin/bash
# SPDX-License-Identifier: MIT
# Checks a card from this folder alone: builds and installs nothing.
#
# gpu-check.sh OUT
#
# Leaves in OUT: summary.txt (at most 60 lines; first each claim of Penstock as
# met, missed or not measured), summary.json (the same for programs), gpu.md (for
# bench/results), log.txt, sanitizer.txt. Ends by itself within 300 s. cuBLAS
# comes from this machine's toolkit, from Python's packages (as PyTorch's), or
# from $GPU_LIB_PATH.
# Exit: 0 all that ran is right; 1 not, or the card cannot be used; 77 there is
# none.
set -u
[ $# -eq 1 ] || {
	sed -n '3,/^set/s/^# \{0,1\}//p' "$0" >&2
	exit 2
}
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1" && out=$(cd "$1" && pwd) || exit 1
rm -f "$out"/{summary.txt,summary.json,gpu.md,log.txt,sanitizer.txt}
t0=$(date +%s)
# Tests put smaller numbers here.
patience=${GPU_CHECK_PATIENCE:-20}
limit=${GPU_CHECK_LIMIT:-280}
sides=${GPU_CHECK_SIDES:-64 128 256 512 1024 2048 4096 8192}
side=${GPU_CHECK_SIDE:-192}
runs=${GPU_CHECK_RUNS:-8}
calls=${GPU_CHECK_CALLS:-2000}
types=${GPU_CHECK_TYPES:-f32 tf32 f16 bf16 f64}
ways=${GPU_CHECK_WAYS:-auto pipelined whole mapped}
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
tar -C "$tmp" -xzf "$here/lib.tar.gz" || exit 1
failed=0 disagree=0 failures=0
: >"$tmp/json"
: >"$tmp/claims"
: >"$tmp/rest"

left() { echo $((limit - $(date +%s) + t0)); }
log() { echo "[$(($(date +%s) - t0)) s] $*" >>"$out/log.txt"; }
# say WORDS: a line of the summary.
say() {
	log "$*"
	cut -c1-160 <<<"$*" | tee -a "$out/summary.txt" "$tmp/rest"
}
# detail LINE: why something failed; ten of them in all.
detail() {
	failures=$((failures + 1))
	[ $failures -gt 10 ] || say "  $1"
}
# note NAME VALUE: of the summary for programs; VALUE is JSON.
note() { echo "\"$1\":$2" >>"$tmp/json"; }
# within SECONDS COMMAND...: no longer than that, and than there is time.
within() {
	local most=$1
	shift
	[ "$(left)" -ge "$most" ] || most=$(left)
	[ "$most" -gt 5 ] || return 124
	timeout -k 5 "$most" "$@"
}
# end EXIT: the summary in its order, claims first.
end() {
	note seconds $(($(date +%s) - t0))
	note exit "$1"
	echo "{$(paste -sd, "$tmp/json")}" >"$out/summary.json"
	say "$(($(date +%s) - t0)) s, exit $1"
	{
		tail -n 1 "$tmp/rest"
		cat "$tmp/claims"
		sed '$d' "$tmp/rest"
	} | head -n 60 >"$out/summary.txt"
	exit "$1"
}

# folders: where libraries of CUDA may be. Asked without importing anything:
# PyTorch alone takes seconds.
folders() {
	local site sites
	sites=$(timeout 20 python3 -c 'import importlib.util as u
for n in "nvidia", "torch":
    s = u.find_spec(n)
    for d in s.submodule_search_locations or [] if s else []: print(d)' \
		2>/dev/null | tr ' ' '?')
	# shellcheck disable=SC2046,SC2086 # a list of words, with wildcards
	printf '%s\n' ${GPU_LIB_PATH:-} /usr/local/cuda/lib64 \
		/usr/local/cuda-*/lib64 \
		/usr/local/cuda/targets/x86_64-linux/lib /opt/cuda/lib64 \
		${CONDA_PREFIX:+$CONDA_PREFIX/lib} $(for site in $sites; do
			echo "$site/cu*/lib $site/*/lib $site/lib"
		done) /usr/lib/x86_64-linux-gnu /usr/lib64
}
# library NAME: the folder it is in.
library() {
	local d
	while read -r d; do
		[ ! -e "$d/$1" ] || {
			echo "$d"
			return
		}
	done <"$tmp/folders"
}
# shellcheck source=/dev/null
. "$here/versions"
folders >"$tmp/folders"
blas=$(library "libcublasLt.so.$CUBLAS_MAJOR")
rt=$(library "libcudart.so.$CUDART_MAJOR")
say "cuBLAS $CUBLAS_MAJOR in ${blas:-nowhere}, CUDA's runtime $CUDART_MAJOR in ${rt:-nowhere}"
note cublas_dir "\"$blas\""
if [ -z "$blas" ] || [ -z "$rt" ]; then
	while read -r d; do
		ls "$d"/libcublasLt.so.?? "$d"/libcudart.so.??* 2>/dev/null
	done <"$tmp/folders" | sort -u >"$tmp/others"
	say "this bundle needs both (GPU_LIB_PATH=FOLDER); here are:" \
		"$(tr '\n' ' ' <"$tmp/others")"
fi
path=$tmp/lib
# The driver's own library is not in the loader's list in some containers.
for d in "$blas" "$rt" ${LD_LIBRARY_PATH:-} /usr/local/nvidia/lib64 \
	/usr/lib/wsl/lib /run/opengl-driver/lib; do
	[ -z "$d" ] || path=$path:$d
done
ours() {
	env LD_LIBRARY_PATH="$path" PENSTOCK_AGENT="$here/bin/penstock-agent" \
		PENSTOCK_BACKEND_DIR="$here/modules" \
		PENSTOCK_AGENT_LOG="$tmp/agent.log" "$@"
}
export -f ours
export path here tmp
# smi OPTION...: beside a driver that is stuck it may never end.
smi() {
	[ -e "$tmp/stuck" ] || timeout -k 2 "$patience" nvidia-smi "$@"
	case $? in
	124 | 137) touch "$tmp/stuck" ;;
	esac
}
{
	uname -a
	nproc
	smi
	smi -q -d CLOCK,PERFORMANCE
	ls -l /dev/nvidia*
	grep -E 'MemTotal|Huge' /proc/meminfo
	cat /proc/driver/nvidia/version
	ulimit -l
	df -h /dev/shm "$tmp"
} >>"$out/log.txt" 2>&1
ours timeout 20 ldd "$here"/bin/* "$here"/modules/*.so >"$tmp/ldd" 2>&1
missing=$(grep -o -E '[^ 	]+ => not found|GLIBC_[0-9.]+. not found' "$tmp/ldd" |
	sort -u | tr '\n' ' ')
[ -z "$missing" ] || say "libraries that are missing here: $missing"
card=$(smi --format=csv,noheader --query-gpu=name,driver_version,pcie.link.gen.max,pcie.link.width.max,clocks.max.sm,compute_mode 2>/dev/null | head -n 1)
[ -z "$card" ] || say "card: $card"
[ ! -e "$tmp/stuck" ] || say "nvidia-smi does not answer"

# has_card: whether there is one, whatever can be done with it. The driver's
# libraries make /dev/nvidiactl also where there is none.
has_card() {
	ls /dev/nvidia[0-9]* >/dev/null 2>&1 || [ -e /dev/dxg ] ||
		grep -qsx 0x10de /sys/bus/pci/devices/*/vendor
}
# no_card: why the agent has none, in its own words when it must have one.
no_card() {
	local why
	why=$(ours timeout -k 2 20 "$here/bin/penstock-agent" --backend cuda \
		--region memfd:64M --listen "unix:$tmp/socket" 2>&1 | tail -n 1)
	say "no card: ${why#penstock-agent: }"
	has_card || end 77
	say "there is a card of NVIDIA's, which cannot be used so"
	end 1
}
# A driver that is older than the toolkit: such cards as run in datacenters take
# the toolkit's own libcuda.
compat() {
	local d
	for d in ${rt:+"${rt%/*}/compat"} /usr/local/cuda/compat \
		"/usr/local/cuda-${CUDART_MAJOR%%.*}"*/compat; do
		case :$path in *":$d"*) continue ;; esac
		[ ! -e "$d/libcuda.so.1" ] || {
			path=$d:$path
			say "with the toolkit's libcuda, of $d"
			return 0
		}
	done
	return 1
}

# agree WORDS SIDE [VARIABLE=VALUE...]: one line of the summary, failures below.
agree() {
	local words=$1 n=$2 r ok bad skipped line
	shift 2
	within 60 bash -c 'ours "$@"' - "$@" "$here/bin/agree" "$n" \
		>"$tmp/agree" 2>&1
	r=$?
	cat "$tmp/agree" >>"$out/log.txt"
	ok=$(grep -c '^ok' "$tmp/agree")
	bad=$(grep -c '^not ok' "$tmp/agree")
	skipped=$(grep -c '# SKIP' "$tmp/agree")
	if [ $r = 77 ]; then
		if has_card && compat; then
			agree "$words" "$n" "$@"
			return
		fi
		no_card
	fi
	[ $r = 0 ] || failed=1 disagree=$((disagree + 1))
	say "agreement, $words: $ok right, $bad wrong, $skipped not had, exit $r"
	note "agree_${words// /_}" "{\"ok\":$ok,\"wrong\":$bad,\"skipped\":$skipped,\"exit\":$r}"
	[ $r = 0 ] || [ "$bad" -gt 0 ] || detail "$(tail -n 1 "$tmp/agree")"
	while read -r line; do
		detail "$line"
	done < <(grep '^not ok' "$tmp/agree" | head -n 3)
}
region='PENSTOCK_ENDPOINT=spawn:?size=256M'
agree "smallest" 40 "$region"
say "$(head -n 1 "$tmp/agree")"
agree "chosen way" "$side" "$region"
agree "in place" "$side" "$region" PENSTOCK_CUDA_STRATEGY=mapped
agree "in tiles" "$side" "$region" PENSTOCK_CUDA_STRATEGY=pipelined
agree "staged" 96 "$region" PENSTOCK_CUDA_REGISTRATION=staged
agree "beyond memory" $((side * 2)) "$region" \
	PENSTOCK_CUDA_STRATEGY=pipelined PENSTOCK_CUDA_MEMORY=1M

# Models, against the same on the CPU.
if within 40 bash -c 'ours "$@"' - "$region" "$here/bin/agree" -m "$here/data" \
	>"$tmp/models" 2>&1; then
	say "models: $(grep -c '^ok' "$tmp/models") batches as on the CPU"
	note models true
else
	say "models: not as on the CPU: $(grep -v '^ok' "$tmp/models" |
		tail -n 2 | tr '\n' ';')"
	note models false
	failed=1 disagree=$((disagree + 1))
fi
cat "$tmp/models" >>"$out/log.txt"

# Two clients at once.
for i in 1 2; do
	(within 40 bash -c 'ours "$@"' - "$region" "$here/bin/agree" 64 \
		>"$tmp/client$i" 2>&1; echo $? >"$tmp/client$i.rc") &
done
wait
both="$(cat "$tmp/client1.rc") $(cat "$tmp/client2.rc")"
[ "$both" = "0 0" ] || failed=1 disagree=$((disagree + 1))
say "two clients at once: exits $both"
note two_clients "\"$both\""

ours "$region" timeout 20 "$here/bin/penstock" info >"$tmp/info" 2>&1
ours "$region" timeout 20 "$here/bin/penstock" health >>"$tmp/info" 2>&1
cat "$tmp/info" >>"$out/log.txt"
while read -r l; do
	say "$l"
done < <(grep -i -E 'gpu|cuda|registration|health|temperature' "$tmp/info" |
	head -n 6)

# Speed. An agent has one way to the card, and calibrates once: one process for
# each type and way, all sides in it, and those first that claims are about.
say "speed; behind each ~: the slowest run of Penstock's by the fastest"
: >"$tmp/beside"
# of KEY: its value in each line of JSON on stdin.
of() { sed -n "s,.*\"$1\":\([0-9.a-z]*\).*,\1,p"; }
# beside ARGUMENT...: side_by_side, whose lines are left in $tmp/one.
beside() {
	local mib=$((${sides##* } * ${sides##* } * 24 / 1048576 + 128))
	: >"$tmp/one"
	within 60 bash -c 'ours "$@"' - "PENSTOCK_ENDPOINT=spawn:?size=${mib}M" \
		"$way" "$here/bin/side_by_side" "$@" >"$tmp/one" \
		2>"$tmp/versions"
}
# speed TYPE WAY SIDE...
speed() {
	local type=$1 way=PENSTOCK_CUDA_STRATEGY=$2 words
	words="$1 $2"
	shift 2
	[ "$(left)" -gt 30 ] || {
		say "no time for $words"
		return
	}
	beside -r "$runs" -s 0.7 -t "$type" "$@" || {
		say "$words: $(tail -n 1 "$tmp/versions")"
		failed=1
	}
	sed "s/}\$/,\"way\":\"${words#* }\"}/" "$tmp/one" >>"$tmp/beside"
	if grep -q refused "$tmp/one"; then
		say "$words: cuBLAS has none on this card"
		return
	fi
	say "$words, times as fast as copy-compute-copy:$(while read -r l; do
		printf ' %s: %.2f~%.1f' "$(of n <<<"$l")" \
			"$(of copy_compute_copy/penstock <<<"$l")" \
			"$(of spread <<<"$l")"
	done <"$tmp/one")"
}
# shellcheck disable=SC2086 # lists of numbers
for way in $ways; do
	speed f32 "$way" $sides
	[ "$way" = "${ways%% *}" ] || continue
	way=PENSTOCK_CUDA_STRATEGY=auto
	if beside -l "$calls" ${GPU_CHECK_SMALL:-64 256}; then
		while read -r l; do
			say "n = $(of latency_n <<<"$l"), resident:" \
				"p50 $(of p50_us <<<"$l"), p99 $(of p99_us <<<"$l");" \
				"launch, kernel and look $(of bare_p50_us <<<"$l")," \
				"$(of bare_p99_us <<<"$l"); NOP" \
				"$(of nop_p50_us <<<"$l"), $(of nop_p99_us <<<"$l") us"
		done <"$tmp/one"
		cp "$tmp/one" "$tmp/latency"
	else
		say "single calls: $(tail -n 1 "$tmp/versions")"
		failed=1
	fi
done
for way in $ways; do
	for type in $types; do
		# shellcheck disable=SC2086
		[ "$type" = f32 ] || speed "$type" "$way" $sides
	done
done
touch "$tmp/latency"
cat "$tmp/beside" "$tmp/latency" "$tmp/versions" >>"$out/log.txt" 2>/dev/null
note products "[$(paste -sd, "$tmp/beside")]"
note latency "[$(paste -sd, "$tmp/latency")]"

# claim NUMBER WORDS FIGURES BOUND least|most: the worst of FIGURES (one a line)
# beside the bound.
claim() {
	local worst words
	worst=$(sort -g <<<"$3" | sed '/^$/d')
	if [ "$5" = least ]; then
		worst=$(head -n 1 <<<"$worst")
	else
		worst=$(tail -n 1 <<<"$worst")
	fi
	words=$(awk -v w="$worst" -v b="$4" -v least="$5" 'BEGIN {
		if (w == "") print "not measured"
		else print (least == "least" ? w >= b : w <= b) ? "met" : "missed"
	}')
	say "claim $1, $2: $words${worst:+ ($worst, at $5 $4)}"
	tail -n 1 "$tmp/rest" >>"$tmp/claims"
	sed -i '$d' "$tmp/rest"
	note "claim_$1" "\"$words\""
}
# of_n N...: the lines of these sides, of a file or stdin.
of_n() {
	local n
	for n; do
		grep "\"n\":$n," "$tmp/beside"
	done
}
claim 1 "agreement everywhere, failed" "$disagree" 0 most
claim 2 "resident, beside cuBLAS for n >= 2048" \
	"$(of_n 2048 4096 8192 | of penstock_resident/resident)" 1.03 most
claim 2b "whole, beside copy-compute-copy for n >= 2048" "$(of_n 2048 4096 8192 |
	grep '"whole"' | of copy_compute_copy/penstock)" 0.97 least
claim 3 "pipelined beside copy-compute-copy, f32, n = 8192" "$(of_n 8192 |
	grep '"f32".*"pipelined"' | of copy_compute_copy/penstock)" 1.3 least
claim 4 "us added to n <= 256" "$(of added_p50_us <"$tmp/latency")" 5 most
claim 5 "copies of the region beside pinned memory" "$(of_n "${sides##* }" |
	grep '"f32".*"auto"' | sed -n 's/.*"upload\/penstock_upload":\([0-9.]*\),.*download":\([0-9.]*\).*/\1\n\2/p')" 0.97 least

PATH=$PATH:${rt%/lib*}/bin:${rt%/targets/*}/bin:/usr/local/cuda/bin
if command -v compute-sanitizer >/dev/null && [ "$(left)" -gt 60 ]; then
	within 80 bash -c 'ours "$@"' - PENSTOCK_CUDA_MEMORY=16M \
		PENSTOCK_ENDPOINT='spawn:?size=64M' compute-sanitizer \
		--target-processes all --report-api-errors no \
		"$here/bin/agree" 24 >"$out/sanitizer.txt" 2>&1
	r=$?
	say "compute-sanitizer: exit $r; $(grep -h 'ERROR SUMMARY' \
		"$out/sanitizer.txt" | sort | uniq -c | tr '\n' ';')"
	note sanitizer $r
else
	say "compute-sanitizer: not run (not here, or no time left)"
fi
sort -u "$tmp/agent.log" 2>/dev/null | cut -c1-300 >>"$out/log.txt"
{
	echo "# ${card:-a card}, $(date -u +%F)"
	echo
	sed 's/^/    /' "$out/summary.txt"
} >"$out/gpu.md"
end $failed
