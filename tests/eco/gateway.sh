#!/bin/sh
# SPDX-License-Identifier: MIT
# Other programs at penstock-gateway: promtool, a Prometheus that scrapes it and
# answers each panel of the dashboard, and Chromium with the status page.
. "$PST_TOP_SRCDIR/tests/cli/lib.sh"
gateway=$PST_TOP_BUILDDIR/host-client/gateway/penstock-gateway
for program in promtool prometheus chromium curl python3; do
	command -v $program >/dev/null || {
		echo "SKIP: there is no $program here"
		exit 77
	}
done
[ -x "$gateway" ] || {
	echo "SKIP: the gateway was not built (libmicrohttpd)"
	exit 77
}

# Alert rules, with series made up for each.
mkdir "$tmp/rules"
cp "$PST_TOP_SRCDIR/host-client/metrics/penstock-alerts.yml" \
	"$PST_TOP_SRCDIR/tests/eco/penstock-alerts-test.yml" "$tmp/rules"
check "each alert says what it should" promtool test rules \
	"$tmp/rules/penstock-alerts-test.yml"
sed -n 's/.*- alert: //p' "$tmp/rules/penstock-alerts.yml" >"$tmp/alerts"
check "there are alerts" [ "$(wc -l <"$tmp/alerts")" -gt 5 ]
while read -r alert; do
	check "$alert is tested" grep -q "alertname: $alert\$" \
		"$tmp/rules/penstock-alerts-test.yml"
done <"$tmp/alerts"

# Two agents: one computes, one will be paused; a third name leads nowhere.
start_agent "unix://$tmp/sock" --region memfd:16M --backend cpu
busy=$endpoint
"$agent" --config /dev/null --listen "unix:$tmp/sock2" --region memfd:16M \
	--backend cpu >"$tmp/agent2.log" 2>&1 &
paused=$!
pids="$pids $paused"
token=0123456789-abcdef
echo $token >"$tmp/token"
chmod 600 "$tmp/token"
python3 -c 'import socket
a, b = socket.socket(), socket.socket()
a.bind(("127.0.0.1", 0)); b.bind(("127.0.0.1", 0))
print(a.getsockname()[1], b.getsockname()[1])' >"$tmp/ports"
read -r port prom <"$tmp/ports"
"$gateway" --endpoint "titan=$busy" --endpoint "spare=unix://$tmp/sock2" \
	--endpoint "off=unix://$tmp/none" --listen "127.0.0.1:$port" \
	--token-file "$tmp/token" >"$tmp/gateway.log" 2>&1 &
pids="$pids $!"
url=http://127.0.0.1:$port
get() {
	curl -sS -m 10 --retry 50 --retry-connrefused --retry-delay 0 \
		--retry-max-time 10 -u ":$token" "$url$1"
}

cat >"$tmp/prometheus.yml" <<END
global: {scrape_interval: 1s, scrape_timeout: 1s}
rule_files: [$tmp/rules/penstock-alerts.yml]
scrape_configs:
  - job_name: penstock
    authorization: {credentials_file: $tmp/token}
    static_configs: [{targets: ['127.0.0.1:$port']}]
END
prometheus --config.file="$tmp/prometheus.yml" --storage.tsdb.path="$tmp/tsdb" \
	--web.listen-address="127.0.0.1:$prom" >"$tmp/prometheus.log" 2>&1 &
pids="$pids $!"
check "the gateway answers" get /health/live

check "a model is loaded" sh -c "'$penstock' -e '$busy' model load digits \
	'$PST_TOP_SRCDIR/tests/data/digits.safetensors' >/dev/null"
# The agent computes meanwhile.
work() {
	while :; do
		"$penstock" -e "$busy" ping -c 2000 >/dev/null 2>&1
		"$penstock" -e "$busy" gemm "$tmp/a.npy" "$tmp/a.npy" -o "$tmp/c.npy" \
			>/dev/null 2>&1 || exit
	done
}
npy "$tmp/a.npy" "'<f4'" False '(256, 256)' 262144
work &
pids="$pids $!"

# ask QUERY: what Prometheus answers, a line for each series.
ask() {
	promtool query instant "http://127.0.0.1:$prom" "$1" 2>&1
}
tries=0
until ask 'rate(penstock_operations_total{op="GEMM"}[10s]) > 0' | grep -q GEMM ||
	[ $tries -ge 60 ]; do
	tries=$((tries + 1))
	sleep 0.5
done
get /metrics >"$tmp/metrics"
check "promtool has nothing against the names" \
	sh -c "promtool check metrics <'$tmp/metrics'"
# shellcheck disable=SC2016 # as they stand in the dashboard
"$penstock" metrics --dashboard | sed -n 's/^ *"expr": "\(.*\)",*$/\1/p' |
	sed -e 's/\\"/"/g' -e 's/\$agent/.*/' -e 's/\$__rate_interval/10s/' \
		>"$tmp/queries"
check "there are queries" [ "$(wc -l <"$tmp/queries")" -gt 15 ]
while read -r query; do
	answer=$(ask "$query")
	case $query in
	*gpu*) check "without a card, $query is valid" [ -z "$answer" ] ;;
	*) check "Prometheus has data for $query" \
		[ "${answer#*titan}" != "$answer" ] ;;
	esac
done <"$tmp/queries"

python3 "$PST_TOP_SRCDIR/tests/eco/page.py" "$url" "$token" "$tmp/p" "$paused" ||
	failed=1

# The agent is stopped by now: a scrape has its last values, and does not wait.
get /metrics >"$tmp/metrics"
check "a paused agent is not up" grep -q '^penstock_up{agent="spare"} 0$' \
	"$tmp/metrics"
check "its last values are there" grep -q '^penstock_sessions{agent="spare"} ' \
	"$tmp/metrics"
check "their age is" grep -q '^penstock_answer_age_seconds{agent="spare"} [1-9]' \
	"$tmp/metrics"
kill -CONT "$paused"
finish
