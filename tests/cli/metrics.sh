#!/bin/sh
# SPDX-License-Identifier: MIT
# penstock metrics: the table as text and as a dashboard, and the file that
# node_exporter reads.
. "$PST_TOP_SRCDIR/tests/cli/lib.sh"
start_agent "unix://$tmp/sock" --region memfd:16M --backend cpu
"$penstock" -e "$endpoint" ping >/dev/null

"$penstock" -e "$endpoint" metrics >"$tmp/m"
check "metrics of an agent that answers exit 0" [ $? -eq 0 ]
has() { # has NAME PATTERN
	check "$1" grep -qE "$2" "$tmp/m"
}
has "it is up" "^penstock_up\{agent=\"$endpoint\"\} 1\$"
has "its operations are counted" \
	'^penstock_operations_total\{.*,op="NOP",result="OK"\} [1-9]'
has "times are a histogram" \
	'^penstock_operation_queue_seconds_bucket\{.*,op="NOP",le="\+Inf"\} [1-9]'
has "the agent says what it is" '^penstock_agent_info\{.*,backend="cpu",.*\} 1$'
# Each name has one HELP and one TYPE, before all its values.
# shellcheck disable=SC2016 # awk's own
check "values of a metric stand together" awk '
	/^# HELP / { if (seen[$3]++) exit 1; name = $3; next }
	/^# TYPE / { if ($3 != name) exit 1; next }
	{ n = $1; sub(/\{.*/, "", n); sub(/_(bucket|sum|count)$/, "", n)
	  if (n != name) exit 1; values++ }
	END { if (values < 40) exit 1 }' "$tmp/m"

# The file appears whole, and under its name only.
mkdir "$tmp/d"
check "--textfile writes a file" "$penstock" -e "$endpoint" metrics \
	--textfile "$tmp/d/p.prom"
check "others may read it" [ "$(stat -c %a "$tmp/d/p.prom")" = 644 ]
check "it has the same metrics" [ "$(grep -c '^#' "$tmp/d/p.prom")" = \
	"$(grep -c '^#' "$tmp/m")" ]
# The old file stays as it is for who has it open.
exec 3<"$tmp/d/p.prom"
kill -KILL "$agent_pid"
wait "$agent_pid" 2>/dev/null
refuse "an agent that is gone is exit 4" 4 . "$penstock" -e "$endpoint" metrics \
	--textfile "$tmp/d/p.prom"
check "and penstock_up 0 in the file" grep -q '^penstock_up{.*} 0$' \
	"$tmp/d/p.prom"
check "the file is a new one" grep -q '^penstock_up{.*} 1$' /dev/fd/3
check "no other file is left" [ "$(ls "$tmp/d")" = p.prom ]
refuse "a folder that is not there is refused" 1 "$tmp/none" \
	env PENSTOCK_AGENT="$agent" "$penstock" -e spawn: metrics \
	--textfile "$tmp/none/p.prom"
refuse "a dashboard is no metric" 2 textfile "$penstock" metrics --dashboard \
	--textfile "$tmp/d/p.prom"

# Each metric of the dashboard is one of the text, and asks for its type.
"$penstock" metrics --dashboard >"$tmp/dashboard"
check "a dashboard needs no agent" [ -s "$tmp/dashboard" ]
sed -n 's/^ *"expr": "\(.*\)",*$/\1/p' "$tmp/dashboard" |
	grep -o 'penstock_[a-z_]*' | sed 's/_bucket$//' | sort -u >"$tmp/asked"
sed -n 's/^# TYPE \([^ ]*\) .*/\1/p' "$tmp/m" | sort >"$tmp/there"
check "the dashboard asks for metrics" [ "$(wc -l <"$tmp/asked")" -gt 15 ]
check "all of them are there" [ -z "$(comm -23 "$tmp/asked" "$tmp/there")" ]
# So do the alert rules.
grep -o 'penstock_[a-z_]*' "$PST_TOP_SRCDIR/host-client/metrics/penstock-alerts.yml" |
	sed 's/_bucket$//' | sort -u >"$tmp/alerts"
check "alert rules ask for metrics" [ "$(wc -l <"$tmp/alerts")" -gt 6 ]
check "all of those are there too" [ -z "$(comm -23 "$tmp/alerts" "$tmp/there")" ]
finish
