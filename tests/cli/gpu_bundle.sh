#!/bin/sh
# SPDX-License-Identifier: MIT
# The check on a card, from its bundle, with the double of CUDA in the card's
# place: an empty environment, nothing of this build tree, small sizes.
. "$PST_TOP_SRCDIR/tests/cli/lib.sh"

cd "$PST_TOP_BUILDDIR" || exit 1
check "a bundle is packed" "$PST_TOP_SRCDIR/bench/gpu/make-bundle" . \
	"$tmp/bundle" "" "tests/fakecuda/.libs/penstock-backend-cuda.so" \
	"tests/fakecuda/side_by_side"
# The double needs no cuBLAS.
printf 'CUBLAS_MAJOR=0\nCUDART_MAJOR=0\n' >"$tmp/bundle/versions"
# hidden COMMAND...: in a namespace where what the bundle brings is nowhere else, if
# this machine lets us make one.
libraries=$(ldd "$tmp"/bundle/bin/* "$tmp"/bundle/modules/*.so | awk '/=> \// { print $3 }' |
	sort -u | grep -F "$(tar -tzf "$tmp/bundle/lib.tar.gz" | sed -n 's,^lib/\(..*\),/\1,p')")
hidden() {
	# shellcheck disable=SC2016,SC2086 # for that shell; a list of files
	unshare --mount $user sh -c 'while [ "$1" != -- ]; do
			mount --bind /dev/null "$1" || exit 99
			shift
		done
		shift
		exec "$@"' - $libraries -- "$@"
}
user=
[ "$(id -u)" = 0 ] || user=--map-root-user
if hidden true 2>/dev/null; then
	! hidden "$agent" --version >"$tmp/stdout" 2>&1
	check "without the bundle's libraries the agent does not run" \
		[ $? -eq 0 ]
else
	echo "# libraries cannot be hidden here: no mount namespace"
	# shellcheck disable=SC2317 # called below
	hidden() {
		"$@"
	}
fi
mv "$tmp/bundle" "$tmp/elsewhere"
cd "$tmp" || exit 1
check "it checks the card, from another folder and an empty environment" \
	hidden env -i PATH="$PATH" HOME="$tmp" TMPDIR="$tmp" GPU_CHECK_SIDE=40 \
	GPU_CHECK_SIDES="16 32" GPU_CHECK_RUNS=2 GPU_CHECK_LIMIT=170 \
	GPU_CHECK_WAYS="auto pipelined" GPU_CHECK_TYPES="f32 bf16" \
	GPU_CHECK_CALLS=64 GPU_CHECK_SMALL=16 \
	FAKECUDA_MEMORY=268435456 \
	"$tmp/elsewhere/gpu-check.sh" "$tmp/out"
sed 's/^/# /' "$tmp/out/summary.txt"
sed -n 2p "$tmp/out/summary.txt" >"$tmp/second"
check "the summary begins with claims" grep -q "^claim 1, " "$tmp/second"
check "the summary is short" [ "$(wc -l <"$tmp/out/summary.txt")" -le 60 ]
for words in "agreement, smallest: 198 right, 0 wrong" \
	"models: 10 batches as on the CPU" "two clients at once: exits 0 0" \
	"f32 pipelined, times as fast as copy-compute-copy: 16: " \
	"bf16 auto, times as fast" "n = 16, resident: p50 " \
	"claim 1, agreement everywhere, failed: met (0, at most 0)" \
	"claim 2, resident, beside cuBLAS for n >= 2048: not measured" \
	"claim 3, pipelined beside copy-compute-copy, f32, n = 8192: not m" \
	"claim 4, us added to n <= 256: m" \
	"claim 5, copies of the region beside pinned memory: m"; do
	check "it has $words" grep -qF "$words" "$tmp/out/summary.txt"
done
if [ -n "$PST_PYTHON" ]; then
	check "programs can read it" "$PST_PYTHON" -c "
import json
s = json.load(open('$tmp/out/summary.json'))
assert s['exit'] == 0 and len(s['products']) == 8, s
assert s['latency'][0]['p99_us'] > 0, s"
fi
# An nvidia-smi that never ends, as beside a driver that is stuck.
mkdir "$tmp/stuck"
printf '#!/bin/sh\nexec sleep 1000\n' >"$tmp/stuck/nvidia-smi"
chmod +x "$tmp/stuck/nvidia-smi"
expect "without a card it says so" 77 "no NVIDIA driver is loaded" env -i \
	PATH="$tmp/stuck:$PATH" GPU_CHECK_PATIENCE=1 FAKECUDA_DRIVER=0 \
	"$tmp/elsewhere/gpu-check.sh" "$tmp/out"
check "it has waited for nvidia-smi once" \
	grep -q "nvidia-smi does not answer" "$tmp/out/summary.txt"
check "it says which libraries it wants" \
	grep -q "this bundle needs both" "$tmp/out/summary.txt"
finish
