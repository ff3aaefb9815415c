#!/bin/sh
# SPDX-License-Identifier: MIT
# The manual knows every command and option, and every page can be made.
. "$PST_TOP_SRCDIR/tests/cli/lib.sh"
page=$PST_TOP_SRCDIR/host-client/penstock.1.scd

"$penstock" --help |
	sed -n '/^Commands:/,/^$/s/^  \([a-z ]*[a-z]\)  .*/\1/p' >"$tmp/commands"
check "there are commands" [ -s "$tmp/commands" ]

# The command's own section: from its line to the next command's or heading.
section() {
	awk -v name="*$1*" '
		/^[*#]/ { on = index($0, name " ") == 1 || $0 == name }
		on' "$page"
}

while read -r name; do
	section "$name" >"$tmp/section"
	check "the manual has $name" [ -s "$tmp/section" ]
	# shellcheck disable=SC2086 # a name is several words
	"$penstock" $name --help |
		sed -n '/^Options:/,$s/^  *\(-., \)\{0,1\}\(--[a-z-]*\).*/\2/p' |
		grep -vx -e --endpoint -e --help >"$tmp/options"
	while read -r option; do
		# The manual escapes no dash, so a plain search finds it.
		check "the manual has $name $option" \
			grep -qF -e "*$option*" "$tmp/section"
	done <"$tmp/options"
	# And the other way round: nothing that is no longer there.
	grep -o -e '\*--[a-z-]*\*' "$tmp/section" | tr -d '*' | sort -u |
		grep -vx -e --endpoint -e --help >"$tmp/written"
	while read -r option; do
		check "$name has $option, as the manual says" \
			grep -qx -e "$option" "$tmp/options"
	done <"$tmp/written"
done <"$tmp/commands"

sed -n '/^# COMMANDS/,/^# ENDPOINTS/p' "$page" | grep '^\*' |
	sed 's/^\*\([a-z ]*\)\*.*/\1/' | sort >"$tmp/headings"
sort -o "$tmp/commands" "$tmp/commands"
check "the manual has no other commands" cmp "$tmp/commands" "$tmp/headings"

# page_is_made SOURCE: scdoc makes it and has nothing to say.
# shellcheck disable=SC2317 # check calls it
page_is_made() {
	scdoc <"$1" >"$tmp/page" 2>"$tmp/warnings" &&
		[ -s "$tmp/page" ] && [ ! -s "$tmp/warnings" ]
}

if command -v scdoc >/dev/null; then
	find "$PST_TOP_SRCDIR/transport" "$PST_TOP_SRCDIR/host-client" \
		"$PST_TOP_SRCDIR/guest-agent" "$PST_TOP_SRCDIR/bench" \
		"$PST_TOP_SRCDIR/kernel-params" -name '*.scd' >"$tmp/pages"
	while read -r source; do
		check "$(basename "$source") can be made without a warning" \
			page_is_made "$source"
	done <"$tmp/pages"
else
	echo "# no scdoc: the pages were not made"
fi
finish
