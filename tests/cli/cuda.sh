#!/bin/sh
# SPDX-License-Identifier: MIT
# The agent loads the cuda backend, here over a double of CUDA.
. "$PST_TOP_SRCDIR/tests/cli/lib.sh"

PENSTOCK_BACKEND_DIR=$PST_TOP_BUILDDIR/tests/fakecuda/.libs
export PENSTOCK_BACKEND_DIR
"$penstock" host region create r --size 32M --path "$tmp" >/dev/null || exit 1
region=$tmp/penstock-r
export PENSTOCK_ENDPOINT="unix://$tmp/sock?region=$region"

# matrix FILE ROWS COLS: a .npy file of noise of float32.
matrix() {
	npy "$1" "'<f4'" False "($2, $3)" 0
	# Bytes of which each four are a float between 1 and 2.
	head -c $(($2 * $3 * 3)) /dev/urandom |
		od -An -v -tu1 -w3 | awk '{
			printf "\\%03o\\%03o\\%03o\\077", $1, $2, $3 % 128 + 128
		}' >"$tmp/octal"
	# shellcheck disable=SC2059 # that is the point
	printf "$(cat "$tmp/octal")" >>"$1"
}

# restart ARGUMENT...: an agent in place of the one before.
restart() {
	if [ -n "$pids" ]; then
		kill "$agent_pid" 2>/dev/null
		wait "$agent_pid" 2>/dev/null
		rm -f "$tmp/sock"
	fi
	start_agent "$PENSTOCK_ENDPOINT" --region "file:$region" "$@"
}

matrix "$tmp/a.npy" 40 30
matrix "$tmp/b.npy" 30 50

restart --backend cuda
expect "info names the card" 0 "Fake GPU 9000" "$penstock" info
expect "and what was measured at start" 0 \
	'"calibration":{"h2d_gbps":' "$penstock" info --json
expect "and how its driver has the region" 0 '"gpu_registration":"plain"' \
	"$penstock" info --json
PENSTOCK_NVML=$PST_TOP_BUILDDIR/tests/fakecuda/.libs/fakenvml.so
export PENSTOCK_NVML
restart --backend cuda
expect "health has the card's temperature" 0 "61" "$penstock" health --json
unset PENSTOCK_NVML
expect "a product computed there is right" 0 "verified" "$penstock" gemm \
	"$tmp/a.npy" "$tmp/b.npy" -o "$tmp/c.npy" --verify

for strategy in mapped pipelined whole; do
	export PENSTOCK_CUDA_STRATEGY=$strategy
	restart --backend cuda
	expect "and the $strategy way" 0 "verified" "$penstock" gemm \
		"$tmp/a.npy" "$tmp/b.npy" -o "$tmp/c.npy" --verify
done
unset PENSTOCK_CUDA_STRATEGY

export FAKECUDA_REFUSE_PLAIN=1 FAKECUDA_REFUSE_IOMEMORY=1
restart --backend cuda
expect "a region that cannot be registered is staged" 0 \
	'"gpu_registration":"staged"' "$penstock" info --json
expect "health says why, in the driver's words" 0 \
	"staged, since plain: operation not supported" "$penstock" health
expect "and so does the agent's log" 0 "iomemory: invalid argument" \
	cat "$tmp/agent.log"
expect "and computed with" 0 "verified" "$penstock" gemm \
	"$tmp/a.npy" "$tmp/b.npy" -o "$tmp/c.npy" --verify
unset FAKECUDA_REFUSE_PLAIN FAKECUDA_REFUSE_IOMEMORY

# What runs on a card where there is one, here with small sizes.
expect "every kind of product agrees with sums in double precision" 0 \
	"$tmp/results.md" env PENSTOCK_BUILD="$PST_TOP_BUILDDIR" \
	PENSTOCK_AGENT="$agent" \
	PENSTOCK_SIDE_BY_SIDE="$PST_TOP_BUILDDIR/tests/fakecuda/side_by_side" \
	"$PST_TOP_SRCDIR/bench/gpu/run" -o "$tmp/results.md" -r 2 -s 20 48
for words in "# Fake GPU 9000, 20" "Linux $(uname -r)" "CUDA 13.0" "staged:" \
	'    ok 198 - i8 to i32' '    {"n":48,"runs":2,"penstock":'; do
	check "what is kept has $words" grep -qF -e "$words" "$tmp/results.md"
done

# predict NAME TOLERANCE: as scikit-learn told the same rows.
predict() {
	expect "the model $1 runs there" 0 "360 rows" "$penstock" infer "$1" \
		"$data/digits-x.npy" -o "$tmp/y.npy" --batch 7 \
		--load "$data/$1.safetensors"
	check "and tells digits as scikit-learn does" "$PST_PYTHON" \
		"$PST_TOP_SRCDIR/tests/cli/infer_compare.py" "$tmp/y.npy" \
		"$data/$1-y.npy" "$2"
}
restart --backend cuda
if [ -n "$PST_PYTHON" ]; then
	data=$PST_TOP_SRCDIR/tests/data
	predict digits 1e-5
	predict digits-f16 5e-3
	export FAKECUDA_NO_CAPTURE=1
	restart --backend cuda
	predict digits 1e-5
	unset FAKECUDA_NO_CAPTURE
fi

# Without a driver.
export FAKECUDA_DRIVER=0
restart --backend auto
expect "auto computes on the cpu" 0 "verified" "$penstock" gemm \
	"$tmp/a.npy" "$tmp/b.npy" -o "$tmp/c.npy" --verify
check "and says why in one line" \
	[ "$(grep -c "not on a GPU: no NVIDIA driver" "$tmp/agent.log")" = 1 ]
kill "$agent_pid"
wait "$agent_pid"
rm -f "$tmp/sock"
refuse "cuda alone does not start" 1 "no NVIDIA driver is loaded" \
	"$agent" --config /dev/null --listen "unix:$tmp/sock" \
	--region "file:$region" --backend cuda
unset FAKECUDA_DRIVER
export FAKECUDA_MAJOR=5
refuse "a card that is too old is named with both versions" 1 \
	"Fake GPU 9000 (compute capability 5.0) is too old for CUDA 13.0" \
	"$agent" --config /dev/null --listen "unix:$tmp/sock" \
	--region "file:$region" --backend cuda
unset FAKECUDA_MAJOR
# card MAJOR MINOR WORDS: its line in what info prints.
card() {
	export FAKECUDA_MAJOR="$1" FAKECUDA_MINOR="$2" FAKECUDA_RUNTIME=12000
	restart --backend cuda
	expect "info says what a card of $1.$2 has" 0 "card       $3" \
		"$penstock" info
}
pids=
card 5 2 "f16, bf16, tf32, i8 by f32; f64 at 1/32 of f32"
card 6 1 "i8 by dp4a; f16, bf16, tf32 by f32; f64 at 1/32 of f32"
card 7 5 "f16, i8 by tensor cores; bf16, tf32 by f32; f64 at 1/32 of f32"
card 9 0 "f16, bf16, tf32, i8 by tensor cores; f64 at 1/2 of f32"
unset FAKECUDA_MAJOR FAKECUDA_MINOR FAKECUDA_RUNTIME
kill "$agent_pid"
wait "$agent_pid"
rm -f "$tmp/sock"
refuse "a folder without the module is named" 1 "$tmp/none" \
	env PENSTOCK_BACKEND_DIR="$tmp/none" \
	"$agent" --config /dev/null --listen "unix:$tmp/sock" \
	--region "file:$region" --backend cuda

# The module as it is installed, with the real libraries; a library that misses
# a symbol would say so here.
if [ ! -e /dev/nvidiactl ]; then
	refuse "the real module loads, and finds no driver" 1 \
		"no NVIDIA driver is loaded" env \
		PENSTOCK_BACKEND_DIR="$PST_TOP_BUILDDIR/guest-agent/cuda/.libs" \
		LD_LIBRARY_PATH="$PST_CUDA/lib64" \
		"$agent" --config /dev/null --listen "unix:$tmp/sock" \
		--region "file:$region" --backend cuda
fi

# A card that falls off the bus ends its call and the agent, not more.
export FAKECUDA_LOSE_AT=2000
pids=
start_agent "$PENSTOCK_ENDPOINT" --region "file:$region" --backend cuda
tries=0
while "$penstock" gemm "$tmp/a.npy" "$tmp/b.npy" -o "$tmp/c.npy" \
	>"$tmp/stdout" 2>"$tmp/stderr"; do
	tries=$((tries + 1))
	[ $tries -lt 200 ] || break
done
check "the call on a lost card fails" [ $tries -lt 200 ]
tries=0
while kill -0 "$agent_pid" 2>/dev/null; do
	tries=$((tries + 1))
	[ $tries -lt 100 ] || break
	sleep 0.1
done
check "and the agent ends" [ $tries -lt 100 ]
check "saying why" grep -q "is lost to this agent" "$tmp/agent.log"
finish
