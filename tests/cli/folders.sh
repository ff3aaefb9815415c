#!/bin/sh
# SPDX-License-Identifier: MIT
# Every folder with C files has a README.md of a page. Its table names each file
# there; it says who may use what, and where to start reading.
. "$PST_TOP_SRCDIR/tests/cli/lib.sh"
cd "$PST_TOP_SRCDIR" || exit 99
# named FOLDER: what the first column of the table in its README.md names.
named() {
	sed -n 's/^| \(`[^|]*\) | .*/\1/p' "$1/README.md" 2>/dev/null |
		tr -d '` ' | tr ',' '\n' | LC_ALL=C sort
}

# held FOLDER: its files, and the folders in it with a slash behind them.
held() {
	sed -n "s|^$1/||p" "$tmp/files" | sed 's|/.*|/|' |
		grep -vx README.md | LC_ALL=C sort -u
}

sources '*' >"$tmp/files"
grep -v '^tests/' "$tmp/files" |
	sed -n -e 's,/[^/]*\.\(c\|h\|cc\|cu\)$,,p' -e 's,/README\.md$,,p' |
	sort -u >"$tmp/folders"
check "there are folders" [ "$(wc -l <"$tmp/folders")" -gt 30 ]
while read -r folder; do
	held "$folder" >"$tmp/held"
	named "$folder" >"$tmp/named"
	check "$folder/README.md names its files and no others" \
		cmp -s "$tmp/held" "$tmp/named"
	diff "$tmp/held" "$tmp/named" | sed -n -e 's/^</  not named:/p' \
		-e 's/^>/  not there:/p'
	check "$folder/README.md has at most 75 lines" \
		[ "$(wc -l <"$folder/README.md")" -le 75 ]
	for word in 'Who may use what' 'Start reading'; do
		check "$folder/README.md has: $word" \
			grep -qF -e "**$word**: " "$folder/README.md"
	done
	top=${folder%%/*}
	check "$folder/README.md is distributed" grep -qF -e \
		"%D%${folder#"$top"}/README.md" "$top/subdir.am"
done <"$tmp/folders"
finish
