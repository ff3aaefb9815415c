#!/bin/sh
# SPDX-License-Identifier: MIT
# The documents name only files and names that the source has.
# shellcheck disable=SC2016 # backticks are Markdown's
. "$PST_TOP_SRCDIR/tests/cli/lib.sh"
cd "$PST_TOP_SRCDIR" || exit 99

# sources PATTERN...: files of the tree with such a name.
sources() {
	find . \( -name .git -o -path ./build -o -path ./_build \) -prune -o \
		-type f \( -name "$1" -o -name "${2:-$1}" \) -print |
		sed 's,^\./,,'
}

# spans FILE: what stands there in `backticks`, or where a [link](leads); not in
# sections about parts that are still coming.
spans() {
	awk '/^## / { coming = /coming/ } !coming' "$1" |
		grep -o -e '`[^`]*`' -e '](\([^)]*\))' |
		sed -e 's/^`//; s/`$//' -e 's/^](//; s/)$//' -e 's/#.*//'
}

# paths: of spans on stdin those that are a path of the tree, as patterns: a
# word in capitals stands for anything. build/ is not in the source.
paths() {
	grep -x -e '[A-Za-z0-9_.-][A-Za-z0-9_./*-]*' |
		grep -e / -e '\.[chd]$' -e '\.\(sh\|py\|md\|am\|scd\)$' |
		grep -v -e '^build/' -e '^\.\.\.' -e '^\./bootstrap' -e //
}

# is_there PATH FOLDER: it is a file or a folder, seen from FOLDER or one above.
# A program is there when its source is.
is_there() {
	any=$(echo "$1" | sed 's/[A-Z][A-Z][A-Z]*/*/g')
	from=$2
	while :; do
		for p in "$from/$1" "$from/$1.c" "$from/$any"; do
			# shellcheck disable=SC2086 # a pattern
			for q in $p; do
				[ ! -e "$q" ] || return 0
			done
		done
		case $from in
		. | /) return 1 ;;
		esac
		from=$(dirname "$from")
	done
}

# lost FILE: the paths in it that lead nowhere.
lost() {
	spans "$1" | paths | sort -u | while read -r path; do
		is_there "$path" "$(dirname "$1")" || echo "$1: $path"
	done
}

# names: our names on stdin, one a line.
names() {
	grep -h -o -e 'pst_[a-z0-9_]*[a-z0-9]' -e 'PST_[A-Z0-9_]*[A-Z0-9]' \
		-- "$@" | sort -u
}

sources '*.md' >"$tmp/documents"
check "there are documents" [ "$(wc -l <"$tmp/documents")" -gt 5 ]
while read -r document; do
	lost "$document"
done <"$tmp/documents" >"$tmp/lost"
check "every path in a document is there" [ ! -s "$tmp/lost" ]
sed 's/^/  /' "$tmp/lost"

# A prefix alone counts as a name when something has it.
sources '*.[ch]' '*.cu' | tr '\n' '\0' | xargs -0 cat | names - >"$tmp/known"
while read -r document; do
	names "$document" | while read -r name; do
		grep -q "^$name\(_\|\$\)" "$tmp/known" ||
			echo "$document: $name"
	done
done <"$tmp/documents" >"$tmp/unknown"
check "every name in a document is in the source" [ ! -s "$tmp/unknown" ]
sed 's/^/  /' "$tmp/unknown"

# The test itself.
mkdir "$tmp/folder"
touch "$tmp/above.h" "$tmp/folder/kept.c"
echo 'See `gone.c`, [this](gone.md#part), `above.h`, `kept.c`, `NAME.c`, `kept`,
`build/x/y.c`, `/etc/passwd`, `a b.c`.
## Homes of coming parts
`later.c`' >"$tmp/folder/a.md"
check "a path that leads nowhere is found" [ "$(
	lost "$tmp/folder/a.md" | sed 's/.*: //' | tr '\n' ' '
)" = "gone.c gone.md " ]

finish
