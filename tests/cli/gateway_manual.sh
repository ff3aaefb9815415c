#!/bin/sh
# SPDX-License-Identifier: MIT
# The lines of penstock-gateway(8) about inference work as they stand there, but for
# the places of the socket and the tokens and the port.
. "$PST_TOP_SRCDIR/tests/cli/lib.sh"
page=$PST_TOP_SRCDIR/host-client/gateway/penstock-gateway.8.scd
gateway=$PST_TOP_BUILDDIR/host-client/gateway/penstock-gateway
[ -x "$gateway" ] || {
	echo "skipped: built without the gateway (libmicrohttpd)"
	exit 77
}
command -v curl >/dev/null || {
	echo "skipped: there is no curl"
	exit 77
}

start_agent "unix://$tmp/sock" --region memfd:32M --backend cpu
"$penstock" -e "$endpoint" model load digits \
	"$PST_TOP_SRCDIR/tests/data/digits.safetensors" >/dev/null || exit 1
echo 0123456789abcdef >"$tmp/tokens"
chmod 600 "$tmp/tokens"
port=
for try in 1 2 3 4 5; do
	port=$((20000 + ($$ * 7 + try * 1009) % 12000))
	"$gateway" --endpoint "titan=$endpoint" --socket "$tmp/gw.sock" \
		--listen "127.0.0.1:$port" --token-file "$tmp/tokens" \
		>"$tmp/gw.log" 2>&1 &
	pids="$pids $!"
	while kill -0 $! 2>/dev/null; do
		curl -sf --unix-socket "$tmp/gw.sock" -o "$tmp/ready" \
			http://localhost/v2/health/ready && break 2
		sleep 0.05
	done
done

# The fenced blocks of the chapter; scdoc doubles backslashes.
awk '/^# / { on = $0 == "# INFERENCE" }
	/^```/ { inside = !inside; next }
	inside && on { gsub(/\\\\/, "\\"); print }' "$page" |
	sed -e "s|/run/penstock-gateway/gateway.sock|$tmp/gw.sock|" \
		-e "s|/etc/penstock/gateway/tokens|$tmp/tokens|" \
		-e "s|127.0.0.1:9811|127.0.0.1:$port|" >"$tmp/lines"
check "there are requests in the chapter" \
	[ "$(grep -c '^gw \|| gw \|^curl ' "$tmp/lines")" -ge 8 ]
# shellcheck disable=SC2016 # for that shell
expect "they all succeed" 0 '"name":"penstock"' \
	sh -euc 'cd "$1" && . ./lines' sh "$tmp"

# has SENTENCE WORDS: in what they printed.
has() {
	check "$1" grep -qF -e "$2" "$tmp/stdout"
}
has "the server is ready" '"ready":true'
has "the index has both models" '"name":"digits"'
has "the network says what it takes" '"shape":[-1,64]'
has "the product is that of the transposed B" '"data":[17,23,39,53]'
has "its id came back" '"id":"1"'
check "the bytes are the product's" \
	grep -qE ' +4 +4 +4 +4$' "$tmp/stdout"
check "the token was taken" [ "$(grep -c '"ready":true' "$tmp/stdout")" -ge 3 ]
finish
