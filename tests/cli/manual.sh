#!/bin/sh
# SPDX-License-Identifier: MIT
# The manuals know every command and option, and every page can be made.
. "$PST_TOP_SRCDIR/tests/cli/lib.sh"

# page_of COMMAND: the source of the page that describes it.
page_of() {
	case $1 in
	blas*) echo "$PST_TOP_SRCDIR/host-client/penstock-blas.7.scd" ;;
	host*) echo "$PST_TOP_SRCDIR/kernel-params/penstock-host.8.scd" ;;
	vm*) echo "$PST_TOP_SRCDIR/libvirt-xml/penstock-vm.8.scd" ;;
	*) echo "$PST_TOP_SRCDIR/host-client/penstock.1.scd" ;;
	esac
}

commands >"$tmp/commands"
check "there are commands" [ -s "$tmp/commands" ]

# The command's own section: from its line to the next command's or heading.
section() {
	awk -v name="*$1*" '
		/^[*#]/ { on = index($0, name " ") == 1 || $0 == name }
		on' "$(page_of "$1")"
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

# penstock(1) names the groups, whose commands have pages of their own.
for group in "" blas host vm; do
	if [ "$group" ]; then
		grep "^$group " "$tmp/commands"
	else
		sed 's/^\(blas\|host\|vm\) .*/\1/' "$tmp/commands"
	fi | sort -u >"$tmp/there"
	awk '/^#/ { on = $0 == "# COMMANDS" } on && /^\*/' \
		"$(page_of "$group")" |
		sed 's/^\*\([a-z ]*\)\*.*/\1/' | sort >"$tmp/headings"
	check "the page of ${group:-all} has exactly its commands" \
		cmp "$tmp/there" "$tmp/headings"
done

# A page that something refers to exists.
find "$PST_TOP_SRCDIR"/[a-z]* "$PST_TOP_SRCDIR"/*.md -name build -prune -o -type f \
	\( -name '*.[ch]' -o -name '*.scd' -o -name '*.md' -o -name '*.in' \
	-o -name '*.py' -o -name '*.sh' \) \
	-exec grep -hoE 'penstock(-[a-z]+)?[*_]?\([1-9]\)' {} + |
	tr -d '*_)' | sort -u >"$tmp/references"
check "there are references" [ "$(wc -l <"$tmp/references")" -gt 6 ]
while IFS='(' read -r name number; do
	source=$(ls "$PST_TOP_SRCDIR"/*/"$name.$number.scd" \
		"$PST_TOP_SRCDIR"/*/*/"$name.$number.scd" 2>/dev/null)
	check "$name($number) exists" [ "$source" ]
done <"$tmp/references"

# page_is_made SOURCE: scdoc makes it and has nothing to say.
# shellcheck disable=SC2317 # check calls it
page_is_made() {
	scdoc <"$1" >"$tmp/page" 2>"$tmp/warnings" &&
		[ -s "$tmp/page" ] && [ ! -s "$tmp/warnings" ]
}

if command -v scdoc >/dev/null; then
	for source in "$PST_TOP_SRCDIR"/*/*.scd; do
		check "$(basename "$source") can be made without a warning" \
			page_is_made "$source"
	done
else
	echo "# no scdoc: the pages were not made"
fi
finish
