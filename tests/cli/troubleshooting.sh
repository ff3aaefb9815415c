#!/bin/sh
# SPDX-License-Identifier: MIT
# TROUBLESHOOTING.md has every hint and every error that the programs print.
# shellcheck disable=SC2016 # backticks are Markdown's
. "$PST_TOP_SRCDIR/tests/cli/lib.sh"
top=$PST_TOP_SRCDIR

# tokens FILE...: C as lines of S<tab>literal (adjacent ones joined), I<tab>word
# and P<tab>character.
tokens() {
	cat "$@" | awk '
	function flush() {
		if (open)
			print "S\t" text
		open = 0
		text = ""
	}
	{ all = all $0 "\n" }
	END {
		while (all != "") {
			if (match(all, /^[ \t\n]+/) ||
			    match(all, /^#[^\n]*\n/)) {
				;
			} else if (substr(all, 1, 2) == "/*") {
				RLENGTH = index(all, "*/") + 1
			} else if (match(all, /^"([^"\\]|\\.)*"/)) {
				open = 1
				text = text substr(all, 2, RLENGTH - 2)
			} else if (match(all, /^\047([^\047\\]|\\.)*\047/)) {
				flush()
			} else if (match(all, /^[A-Za-z_0-9]+/)) {
				flush()
				print "I\t" substr(all, 1, RLENGTH)
			} else {
				RLENGTH = 1
				flush()
				print "P\t" substr(all, 1, 1)
			}
			all = substr(all, RLENGTH + 1)
		}
	}'
}

# Of tokens: the third literal of each {"word", "other", "hint"}.
third() {
	awk -F'\t' '
	$1 == "P" && $2 == "{" { n = 0 }
	$1 == "S" && ++n == 3 { print $2 }'
}

# Of tokens: the literal of each {ERRNO, "text"}.
of_errnos() {
	awk -F'\t' '
	$1 == "S" && before ~ /^E[A-Z]+,$/ { print $2 }
	$1 == "I" { before = $2; next }
	{ before = before $2 }'
}

# Of tokens: all literals.
all_of() {
	awk -F'\t' '$1 == "S" { print $2 }'
}

# Of tokens: what a check advises. It is the third argument of ..finding_add(),
# what ..text_add() adds to "fix" or "ret", or the value of a "fix" or "load";
# or a sentence that a function returns.
advice() {
	awk -F'\t' '
	$1 == "I" {
		if ($2 ~ /(finding|text)_add$/) {
			call = $2
			depth = 0
			arg = 1
		} else if (call != "" && arg == 1) {
			first = $2
		}
		value = $2 ~ /(fix|load)$/
		returns = $2 == "return"
	}
	$1 == "P" && call != "" {
		if ($2 == "(") {
			depth++
		} else if ($2 == ")") {
			if (--depth == 0)
				call = ""
		} else if ($2 == "," && depth == 1) {
			arg++
		}
	}
	$1 == "P" && $2 == ";" { value = returns = 0 }
	$1 == "S" && (call ~ /finding_add$/ && arg == 3 ||
		      call ~ /text_add$/ && first ~ /^(fix|ret)$/ && arg == 2 ||
		      call == "" && value ||
		      returns && length($2) > 30) { print $2 }'
}

# Texts, of printf, as the pieces between their directives; short ones say
# nothing.
pieces() {
	awk '{
		gsub(/\\n/, "\n")
		gsub(/\\/, "")
		gsub(/%[-#0-9.*]*[lz]*[a-zA-Z]/, "\n")
		gsub(/%[-#0-9.*]*$/, "")
		print
	}' | sed 's/^[ ;:,]*//; s/[ ]*$//' | awk 'length($0) >= 12' | sort -u
}

# Markdown on stdin in one line, without its backticks.
flat() {
	tr '\n' ' ' | tr -d '`' | tr -s ' \t' ' '
}

# missing DOCUMENT: lines of stdin that are not in it.
missing() {
	awk -v page="$1" '
		BEGIN { getline text <page }
		!index(text, $0)'
}

flat <"$top/TROUBLESHOOTING.md" >"$tmp/page"

# holds WHAT LEAST: the pieces in $tmp/texts, at least so many, are in it.
holds() {
	pieces <"$tmp/texts" >"$tmp/pieces"
	check "there are $1" [ "$(wc -l <"$tmp/pieces")" -ge "$2" ]
	missing "$tmp/page" <"$tmp/pieces" >"$tmp/missing"
	check "TROUBLESHOOTING.md has all $1" [ ! -s "$tmp/missing" ]
	sed 's/^/  missing: /' "$tmp/missing"
}

tokens "$top/libvirt-xml/config/hint.c" | third >"$tmp/texts"
holds "hints for a failed start" 8
tokens "$top/kernel-params/machine/mounts.h" "$top/kernel-params/check/verdict.h" |
	all_of | grep -E '^(mount|initcall_blacklist)' >"$tmp/texts"
holds "remedies that two programs print" 2
tokens "$top/guest-agent/region/measure.c" | all_of >"$tmp/texts"
holds "hints for a slow region" 6
tokens "$top/guest-agent/region/dma_reach.c" | all_of |
	awk 'length($0) > 30 && !/^%s\// { print }' >"$tmp/texts"
holds "hints for a region too high" 3
tokens "$top"/kernel-params/check/*.c | advice >"$tmp/texts"
holds "remedies of penstock host check" 80
tokens "$top/kernel-params/device/rom.c" | advice >"$tmp/texts"
holds "remedies of penstock host rom" 8
tokens "$top/transport/base/error.c" | of_errnos >"$tmp/texts"
holds "texts of errors" 20
tokens "$top/kernel-params/check/check.c" |
	awk -F'\t' '$1 == "S" && $2 ~ /^[a-z]+\.[a-z_]+$/ { print $2 }' \
		>"$tmp/texts"
sort "$tmp/texts" >"$tmp/ids"
sed -n 's/^### `\([a-z]*\.[a-z_]*\)`.*/\1/p' "$top/TROUBLESHOOTING.md" |
	sort >"$tmp/headings"
check "TROUBLESHOOTING.md has a heading for each check" \
	cmp "$tmp/ids" "$tmp/headings"

# The test itself.
cat >"$tmp/sample.c" <<'END'
#include "a.h"
/* "not this" */
	pst_finding_add(out, PST_FAIL, g(h, 1) ? "turn the first "
		"knob" : "turn the other knob", "seen %s", "value, long enough");
	static const char fix[] = "mend all the %d wheels of it";
	pst_text_add(&fix, "or have \"them\" mended", 1);
	pst_text_add(&seen, "a remark about the host");
END
tokens "$tmp/sample.c" | advice | pieces >"$tmp/sample"
check "advice is found in C, and nothing else" [ "$(tr '\n' '|' <"$tmp/sample")" = \
	'mend all the|or have "them" mended|turn the first knob|turn the other knob|wheels of it|' ]
check "a hint that is not in the page is noticed" [ "$(
	echo "turn the first knob" | missing "$tmp/page"
)" = "turn the first knob" ]

finish
