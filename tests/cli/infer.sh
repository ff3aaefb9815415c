#!/bin/sh
# SPDX-License-Identifier: MIT
# penstock model and penstock infer: trained networks through a private agent
# and through one that stays, and bad input of every kind.
. "$PST_TOP_SRCDIR/tests/cli/lib.sh"

data=$PST_TOP_SRCDIR/tests/data
compare=$PST_TOP_SRCDIR/tests/cli/infer_compare.py

# predict SENTENCE NAME ROWS TOLERANCE [ARGUMENT...]: through spawn:, compared
# with what scikit-learn made of the same rows.
predict() {
	sentence=$1
	name=$2
	rows=$3
	tolerance=$4
	shift 4
	expect "$name is loaded, run and unloaded in one command" 0 "written" \
		"$penstock" infer "$name" "$data/$rows-x.npy" -o "$tmp/y.npy" \
		--load "$data/$name.safetensors" -e "spawn:?size=16M" "$@"
	check "$sentence" "$PST_PYTHON" "$compare" "$tmp/y.npy" \
		"$data/$name-y.npy" "$tolerance"
}

predict "digits are told as scikit-learn tells them, all 360" \
	digits digits 1e-5
predict "and one row at a time" digits digits 1e-5 --batch 1
predict "and in batches that do not divide them" digits digits 1e-5 --batch 7
predict "and with weights of 16 bits" digits-f16 digits 5e-3
predict "two classes have one probability" cancer cancer 1e-5
predict "a regressor gives its values" diabetes diabetes 1e-3

# Tensors that are no part of the network: types that came later, one that is
# not known, and none of them aligned.
cp "$data/diabetes-x.npy" "$tmp/more-x.npy"
cp "$data/diabetes-y.npy" "$tmp/more-y.npy"
"$PST_PYTHON" - "$data/diabetes.safetensors" "$tmp/more.safetensors" <<'EOF'
import json, sys
whole = open(sys.argv[1], "rb").read()
n = int.from_bytes(whole[:8], "little")
head, data = json.loads(whole[8:8 + n]), whole[8 + n:]
for i, (dtype, shape, size) in enumerate((
        ("U8", [1], 1), ("I64", [2], 16), ("C64", [1], 8), ("F4", [6], 3),
        ("F6_E2M3", [4], 3), ("F8_E8M0", [5], 5), ("F8_E4M3FNUZ", [1], 1),
        ("F2_E1M0", [3], 7))):
    head[f"other{i}"] = {"dtype": dtype, "shape": shape,
                         "data_offsets": [len(data), len(data) + size]}
    data += bytes(size)
head = json.dumps(head).encode()
with open(sys.argv[2], "wb") as f:
    f.write(len(head).to_bytes(8, "little") + head + data)
EOF
data=$tmp predict "tensors of no layer may have any type and place" more more \
	1e-3

start_agent "unix://$tmp/sock" --region memfd:16M --backend cpu --max-models 2
export PENSTOCK_ENDPOINT="$endpoint"

expect "a model is loaded" 0 "64 to 10 elements" \
	"$penstock" model load digits "$data/digits.safetensors"
expect "it is told as JSON" 0 '"inputs":10' \
	"$penstock" model load diabetes "$data/diabetes.safetensors" --json
expect "both are listed" 0 "diabetes" "$penstock" model list
check "with their names" grep -q "^digits " "$tmp/stdout"
expect "and as JSON" 0 '"models":[{' "$penstock" model list --json
expect "info counts them" 0 "model_bytes" "$penstock" info --stats
expect "rows go through one, loaded by another command" 0 "360 rows" \
	"$penstock" infer digits "$data/digits-x.npy" -o "$tmp/y.npy"
check "and come out right" "$PST_PYTHON" "$compare" "$tmp/y.npy" \
	"$data/digits-y.npy" 1e-5
expect "the result is told as JSON" 0 '"batches":4' \
	"$penstock" infer digits "$data/digits-x.npy" -o "$tmp/y.npy" \
	--batch 100 --json

# Other types and orders are converted, with a word.
for how in f8 i4 i1 f2 fortran big; do
	"$PST_PYTHON" "$compare" --convert "$data/digits-x.npy" "$tmp/x.npy" $how
	expect "rows of $how are taken" 0 "360 rows" "$penstock" infer digits \
		"$tmp/x.npy" -o "$tmp/y.npy" --batch 50
	case $how in
	fortran | big) ;;
	*) check "with a word" grep -q "converted to f32" "$tmp/stdout" ;;
	esac
	check "and come out right" "$PST_PYTHON" "$compare" "$tmp/y.npy" \
		"$data/digits-y.npy" 1e-5
done
npy "$tmp/none.npy" "'<f4'" False "(0, 64)" 0
expect "no rows give no rows" 0 "0 rows" \
	"$penstock" infer digits "$tmp/none.npy" -o "$tmp/y.npy"

# Many more rows than are read at once, from a pipe: 72 MB of 32.
repeat() {
	"$PST_PYTHON" "$compare" --repeat "$1" 400 f8
}
mkfifo "$tmp/rows"
repeat "$data/digits-x.npy" >"$tmp/rows" &
pids="$pids $!"
expect "a pipe's rows are taken" 0 "144000 rows of f64" \
	"$penstock" infer digits - -o "$tmp/y.npy" <"$tmp/rows"
"$PST_PYTHON" "$compare" --repeat "$data/digits-y.npy" 400 f4 >"$tmp/want.npy"
check "and come out right" "$PST_PYTHON" "$compare" "$tmp/y.npy" \
	"$tmp/want.npy" 1e-5

# 256 MB of zeros that take no room on the disk, nor in memory: what the
# command holds is at most 130 MB, also when a sanitizer keeps its books.
npy "$tmp/big.npy" "'<f4'" False "(1000000, 64)" 256000000
expect "a file is never in memory whole" 0 "1000000 rows" \
	"$PST_PYTHON" "$compare" --peak 130 \
	"$penstock" infer digits "$tmp/big.npy" -o "$tmp/y.npy"
rm -f "$tmp/big.npy"

# bad SENTENCE WORDS ARGUMENT...: refused by infer, and the output untouched.
cp "$tmp/y.npy" "$tmp/old.npy"
bad() {
	sentence=$1
	words=$2
	shift 2
	refuse "$sentence" 1 "$words" "$penstock" infer "$@" -o "$tmp/y.npy"
	cmp -s "$tmp/y.npy" "$tmp/old.npy" ||
		not_ok "$sentence" "the existing output changed"
}

bad "an unknown model is named" "no model named nobody" \
	nobody "$data/digits-x.npy"
bad "rows of another length are told" "rows of 30 elements" \
	digits "$data/cancer-x.npy"
bad "a batch above the model's is told" "takes at most 65536" \
	digits "$data/digits-x.npy" --batch 65537
bad "a missing file is named" "$tmp/no.npy" digits "$tmp/no.npy"
npy "$tmp/x.npy" "'<f4'" False "(64,)" 256
npy "$tmp/cut.npy" "'<f4'" False "(100, 64)" 25599
bad "a truncated file is told" "is truncated: 25727 bytes" \
	digits "$tmp/cut.npy"
repeat "$data/digits-x.npy" 2>/dev/null | head -c 40000000 >"$tmp/cut"
bad "so is a truncated stream, half-way" \
	"standard input is truncated: 40000000 bytes" digits - <"$tmp/cut"
bad "a closed standard input is told" "standard input: Bad file" digits - <&-
# As a full disk: the result would be 4 MB, of which 1 or 2 may be written.
npy "$tmp/big.npy" "'<f4'" False "(100000, 64)" 25600000
(
	trap '' XFSZ
	ulimit -f 2000
	bad "an output that does not fit is told" "cannot write" \
		digits "$tmp/big.npy"
	exit "$failed"
) || failed=1
rm -f "$tmp/cut" "$tmp/big.npy"
bad "a vector is refused with advice" "reshape" digits "$tmp/x.npy"
refuse "a batch of 0 is a usage error" 2 "--batch" \
	"$penstock" infer digits "$data/digits-x.npy" -o "$tmp/y.npy" --batch 0
refuse "so is no output" 2 "needs -o" \
	"$penstock" infer digits "$data/digits-x.npy"

# load SENTENCE WORDS NAME FILE: refused by model load.
load() {
	refuse "$1" 1 "$2" "$penstock" model load "$3" "$4"
}

load "a name is taken once" "already loaded" digits \
	"$data/digits.safetensors"
load "the number of models is bounded" "--max-models" third \
	"$data/cancer.safetensors"
expect "a model is unloaded" 0 '"unloaded":true' \
	"$penstock" model unload diabetes --json
refuse "only once" 1 "no model named diabetes" \
	"$penstock" model unload diabetes
bad "and is unknown from then on" "no model named diabetes" \
	diabetes "$data/diabetes-x.npy"
load "a missing file is named" "$tmp/no.safetensors" m "$tmp/no.safetensors"
load "a directory is no model" "not a regular file" m "$tmp"
mkfifo "$tmp/fifo"
load "a FIFO is refused and not waited for" "not a regular file" m "$tmp/fifo"
: >"$tmp/m"
load "an empty file is no model" "no safetensors file" m "$tmp/m"
load "a .npy file is no model" "no safetensors file" m "$data/digits-x.npy"
size=$(stat -c %s "$data/digits.safetensors")
for n in 100 1000 $((size - 1)); do
	head -c "$n" "$data/digits.safetensors" >"$tmp/m"
	load "a file cut to $n bytes is told" "cut short" m "$tmp/m"
done
{
	cat "$data/digits.safetensors"
	echo
} >"$tmp/m"
load "bytes behind the weights are told" "belong to no tensor" m "$tmp/m"
sed 's/fc2.bias/fc9.bias/' "$data/digits.safetensors" >"$tmp/m"
load "a missing tensor is told with its layer" \
	'layer 4 (linear "fc2"): the file has no tensor' m "$tmp/m"
sed 's/\[48,64\]/[64,48]/' "$data/digits.safetensors" >"$tmp/m"
load "a layer that does not fit is named" \
	'layer 0 (linear "fc0"): bias has 48 elements' m "$tmp/m"
sed 's/relu/reLU/' "$data/digits.safetensors" >"$tmp/m"
load "an unknown layer is named" "layer 1 (reLU)" m "$tmp/m"
expect "after all that the agent is well" 0 "360 rows" \
	"$penstock" infer digits "$data/digits-x.npy" -o "$tmp/y.npy"
expect "and holds nothing of it" 0 '"tensors":0' \
	"$penstock" info --stats --json
finish
