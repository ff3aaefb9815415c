#!/bin/sh
# SPDX-License-Identifier: MIT
# penstock gemm with bad input: a sentence, an exit code, and nothing lost.
. "$PST_TOP_SRCDIR/tests/cli/lib.sh"

start_agent "unix://$tmp/sock" --region memfd:16M --backend cpu
export PENSTOCK_ENDPOINT="$endpoint"
mkdir "$tmp/out"
old=$tmp/out/old.npy
npy "$tmp/a.npy" "'<f4'" False "(4, 3)" 48
npy "$tmp/b.npy" "'<f4'" False "(3, 2)" 24
npy "$old" "'<f4'" False "(1, 1)" 4
cp "$old" "$tmp/old.copy"

# bad SENTENCE WORDS A B [ARGUMENT...]: refused, and the output untouched.
bad() {
	sentence=$1
	words=$2
	shift 2
	refuse "$sentence" 1 "$words" "$penstock" gemm "$@" -o "$old"
	cmp -s "$old" "$tmp/old.copy" ||
		not_ok "$sentence" "the existing output changed"
	[ "$(ls -A "$tmp/out")" = old.npy ] ||
		not_ok "$sentence" "left behind: $(ls -A "$tmp/out")"
}

expect "good input is good" 0 "written" \
	"$penstock" gemm "$tmp/a.npy" "$tmp/b.npy" -o "$tmp/c.npy" --verify
check "its result is whole" [ "$(stat -c %s "$tmp/c.npy")" = $((128 + 32)) ]

bad "a missing file is named" "$tmp/none.npy: No such file" \
	"$tmp/none.npy" "$tmp/b.npy"
bad "a missing second file is named" "$tmp/none.npy" \
	"$tmp/a.npy" "$tmp/none.npy"
bad "a directory is no matrix" "not a regular file" "$tmp" "$tmp/b.npy"
mkfifo "$tmp/fifo"
bad "a FIFO is refused and not waited for" "not a regular file" \
	"$tmp/fifo" "$tmp/b.npy"
: >"$tmp/empty.npy"
bad "an empty file is no matrix" "not a .npy file" \
	"$tmp/empty.npy" "$tmp/b.npy"
echo "some text, not a matrix" >"$tmp/text.npy"
bad "a text file is no matrix" "not a .npy file" "$tmp/text.npy" "$tmp/b.npy"
npy "$tmp/x.npy" "'<f4'" False "(4, 3)" 47
bad "a truncated file is told with both sizes" "175 bytes" \
	"$tmp/x.npy" "$tmp/b.npy"
head -c 60 "$tmp/a.npy" >"$tmp/x.npy"
bad "a truncated header is told" "truncated in its .npy header" \
	"$tmp/x.npy" "$tmp/b.npy"
npy "$tmp/x.npy" "'<f4'" False "(4, 3)" 49
bad "bytes behind the matrix are told" "1 bytes behind" \
	"$tmp/x.npy" "$tmp/b.npy"
npy "$tmp/x.npy" "'|O'" False "(4, 3)" 96
bad "objects are refused" "Python objects" "$tmp/x.npy" "$tmp/b.npy"
npy "$tmp/x.npy" "[('x', '<f4')]" False "(4, 3)" 48
bad "structures are refused" "structured" "$tmp/x.npy" "$tmp/b.npy"
npy "$tmp/x.npy" "'<i8'" False "(4, 3)" 96
bad "64-bit integers are refused" "'<i8'" "$tmp/x.npy" "$tmp/b.npy"
npy "$tmp/x.npy" "'<f4'" False "(4, 3, 1)" 48
bad "three dimensions are refused" "3 dimensions" "$tmp/x.npy" "$tmp/b.npy"
npy "$tmp/x.npy" "'<f4'" False "(12,)" 48
bad "a vector is refused with advice" "reshape" "$tmp/x.npy" "$tmp/b.npy"
npy "$tmp/x.npy" "'<f8'" False "(3, 2)" 48
bad "two types are refused by name" "f64" "$tmp/a.npy" "$tmp/x.npy"
bad "shapes that do not fit are told" "A is 4 x 3, B is 4 x 3" \
	"$tmp/a.npy" "$tmp/a.npy"
bad "transposed shapes are told as such" "B is 3 x 2, transposed" \
	"$tmp/a.npy" "$tmp/b.npy" --transb
bad "an input C of another shape is told" "the input C is 4 x 3" \
	"$tmp/a.npy" "$tmp/b.npy" -c "$tmp/a.npy"
npy "$tmp/x.npy" "'<f4'" False "(4611686018427387904, 4611686018427387904)" 0
bad "a size that overflows is told" "overflows" "$tmp/x.npy" "$tmp/b.npy"
npy "$tmp/x.npy" "'<f4'" False "(4294967296, 3)" 0
bad "a size that is not there is told" "51539607680" "$tmp/x.npy" "$tmp/b.npy"
npy "$tmp/x.npy" "'<f4'" False "(3, 5000)" 60000
expect "a skinny product is done" 0 "5000 x 5000 x 3" \
	"$penstock" gemm "$tmp/x.npy" "$tmp/x.npy" --transa -o "$tmp/c.npy" \
	-e "spawn:?size=128M"
expect "a result larger than the region goes through it in pieces" 0 \
	"in pieces" "$penstock" gemm "$tmp/x.npy" "$tmp/x.npy" --transa \
	-o "$tmp/c.npy" --verify
npy "$tmp/x.npy" "'<f4'" False "(1024, 4096)" $((4 << 22))
expect "so do matrices larger than the region" 0 "in pieces" \
	"$penstock" gemm "$tmp/x.npy" "$tmp/x.npy" --transb -o "$tmp/c.npy"
npy "$tmp/x.npy" "'<i4'" False "(3, 3)" 36
bad "32-bit integers are not multiplied" "i8" "$tmp/x.npy" "$tmp/x.npy"
npy "$tmp/x.npy" "'<f4'" False "(1, 3)" 12
bad "a bias of another length is told" "the bias is 1 x 3" \
	"$tmp/a.npy" "$tmp/b.npy" --bias "$tmp/x.npy"
refuse "an unknown activation is a usage error" 2 "--act" "$penstock" gemm \
	"$tmp/a.npy" "$tmp/b.npy" -o "$old" --act tanh

# Over the agent's limits: a file of the right size that has no blocks.
max=$("$penstock" info --json | sed -n 's/.*"max_dim":\([0-9]*\).*/\1/p')
check "the agent tells its limit" [ "${max:-0}" -gt 0 ]
npy "$tmp/x.npy" "'<f4'" False "($((max + 1)), 1)" $((4 * (max + 1)))
npy "$tmp/y.npy" "'<f4'" False "(1, 1)" 4
expect "a dimension over the limit goes in pieces" 0 "in pieces" \
	"$penstock" gemm "$tmp/x.npy" "$tmp/y.npy" -o "$tmp/c.npy"

refuse "no space for the output is told" 1 "No such file or directory" \
	"$penstock" gemm "$tmp/a.npy" "$tmp/b.npy" -o "$tmp/no/dir/c.npy"
refuse "a device is not replaced by a file" 1 "not a regular file" \
	"$penstock" gemm "$tmp/a.npy" "$tmp/b.npy" -o /dev/null
check "the device is still there" [ -c /dev/null ]
refuse "an output that is a directory is refused" 1 "is a directory" \
	"$penstock" gemm "$tmp/a.npy" "$tmp/b.npy" -o "$tmp/out"
npy "$tmp/x.npy" "'<f4'" False "(1000, 1000)" 4000000
bad "a deadline that passes is told" "deadline" \
	"$tmp/x.npy" "$tmp/x.npy" --timeout 100us

# Another user, whom root becomes: may not write there, may not use the region.
if [ "$(id -u)" -eq 0 ] && command -v setpriv >/dev/null; then
	chmod 755 "$tmp"
	chmod 666 "$tmp/sock"
	refuse "an output that may not be written is told before the work" 1 \
		"Permission denied" setpriv --reuid=65534 --regid=65534 \
		--clear-groups "$penstock" gemm "$tmp/a.npy" "$tmp/b.npy" \
		-o "$tmp/out/new.npy"
	refuse "an existing output that may not be written is not replaced" 1 \
		"Permission denied" setpriv --reuid=65534 --regid=65534 \
		--clear-groups "$penstock" gemm "$tmp/a.npy" "$tmp/b.npy" \
		-o "$old"
	check "it is still there" cmp "$old" "$tmp/old.copy"
else
	echo "# not root, or no setpriv: permissions were not tried"
fi
finish
