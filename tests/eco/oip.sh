#!/bin/sh
# SPDX-License-Identifier: MIT
# Clients of other people at penstock-gateway's Open Inference Protocol: Triton's
# and the protocol's own for Python, and what HTTP libraries of other languages
# send. A client that is not here is named, and the others are run.
. "$PST_TOP_SRCDIR/tests/cli/lib.sh"
here=$PST_TOP_SRCDIR/tests/eco
gateway=$PST_TOP_BUILDDIR/host-client/gateway/penstock-gateway
for program in curl python3; do
	command -v $program >/dev/null || {
		echo "SKIP: there is no $program here"
		exit 77
	}
done
[ -x "$gateway" ] || {
	echo "SKIP: the gateway was not built (libmicrohttpd)"
	exit 77
}

start_agent "unix://$tmp/sock" --region memfd:32M --backend cpu
"$penstock" -e "$endpoint" model load digits \
	"$PST_TOP_SRCDIR/tests/data/digits.safetensors" >/dev/null || exit 1
token=0123456789-abcdef
echo $token >"$tmp/token"
chmod 600 "$tmp/token"
port=$(python3 -c 'import socket
s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
"$gateway" --endpoint "titan=$endpoint" --listen "127.0.0.1:$port" \
	--socket "$tmp/gw.sock" --token-file "$tmp/token" >"$tmp/gw.log" 2>&1 &
pids="$pids $!"
url=http://127.0.0.1:$port
check "the gateway is ready" curl -sSf -m 10 --retry 100 --retry-all-errors \
	--retry-delay 0 --retry-max-time 20 -H "Authorization: Bearer $token" \
	"$url/v2/health/ready" -o /dev/null

# without NAME WHY: says that a client is not here.
without() {
	echo "# not run: $1 ($2)"
}

# curl: what people type.
cat >"$tmp/request" <<'END'
{"inputs": [
 {"name": "A", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]},
 {"name": "B", "datatype": "FP32", "shape": [2, 1], "data": [3, 4]}]}
END
infer=v2/models/gemm/infer
# product WORDS CURL-ARGUMENT...: one by curl.
product() {
	check "curl $1" sh -c '"$@" | grep -q "\"data\": *\[ *11 *\]"' sh \
		curl -sS -m 20 --json "@$tmp/request" "$@"
}
product --unix-socket "$tmp/gw.sock" "http://localhost/$infer"
product -H "Authorization: Bearer $token" "$url/$infer"
for way in -u -0u --compressed\ -u -HExpect:100-continue\ -u; do
	# shellcheck disable=SC2086 # words
	product $way ":$token" "$url/$infer"
done
# A body of several MiB, for which curl waits for leave.
python3 - >"$tmp/large" <<'END'
import json, sys
n = 600
t = {"datatype": "FP32", "shape": [n, n], "parameters":
     {"binary_data_size": 4 * n * n}}
head = json.dumps({"inputs": [{"name": x, **t} for x in "AB"],
                   "parameters": {"binary_data_output": True}}).encode()
sys.stdout.buffer.write(head + b"\0\0\x80\x3f" * (2 * n * n))
END
length=$(python3 -c 'import sys
print(open(sys.argv[1], "rb").read().index(b"\0"))' "$tmp/large")
check "curl sends megabytes" curl -sSf -m 60 -u ":$token" -H \
	"Inference-Header-Content-Length: $length" -H \
	"Content-Type: application/octet-stream" --data-binary "@$tmp/large" \
	"$url/$infer" -o "$tmp/answer"
check "and gets as many" [ "$(tail -c 1440000 "$tmp/answer" |
	od -An -v -tf4 -w4 | sort -u | tr -d ' ')" = 600 ]

for client in triton triton_aio openapi; do
	python3 "$here/oip_clients.py" $client "$port" "$token" >"$tmp/out" 2>&1
	case $? in
	0) ok "$(cat "$tmp/out")" ;;
	77) without $client "$(cat "$tmp/out")" ;;
	*) not_ok "$client" "$(cat "$tmp/out")" ;;
	esac
done

if command -v node >/dev/null && node -e 'fetch' 2>/dev/null; then
	check "fetch of Node" node "$here/oip_client.mjs" "$url" $token
else
	without node "Node 18 or newer"
fi
if command -v javac >/dev/null; then
	check "HttpClient of Java" java "$here/OipClient.java" "$url" $token
else
	without java "default-jdk-headless"
fi
if command -v go >/dev/null; then
	check "net/http of Go" env HOME="$tmp" GOFLAGS=-mod=mod GO111MODULE=off \
		go run "$here/oip_client.go" "$url" $token
else
	without go "golang-go"
fi
finish
