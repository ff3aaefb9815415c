#!/bin/sh
# SPDX-License-Identifier: MIT
# penstock bench: every benchmark for a second, its forms, its refusals.
. "$PST_TOP_SRCDIR/tests/cli/lib.sh"

e='spawn:?threads=1&size=64M'
# Under a name that nobody else has.
ln -s "$agent" "$tmp/penstock-agent"
export PENSTOCK_AGENT="$tmp/penstock-agent"
python=${PST_PYTHON:-python3}

refuse "bench wants to be told what" 2 "needs latency" "$penstock" bench -e "$e"
refuse "an unknown benchmark is named" 2 "'nonesuch'" \
	"$penstock" bench nonesuch -e "$e"
refuse "one benchmark at a time" 2 "'gemm'" "$penstock" bench latency gemm -e "$e"
refuse "0 seconds are refused" 2 "'0'" \
	"$penstock" bench latency --seconds 0 -e "$e"
refuse "seconds must be a number" 2 "'1s'" \
	"$penstock" bench latency --seconds 1s -e "$e"
refuse "bench without an endpoint names the variable" 2 PENSTOCK_ENDPOINT \
	"$penstock" bench latency
refuse "bench exits 4 when there is no socket" 4 "$tmp/none" \
	"$penstock" bench latency -e "unix://$tmp/none"
refuse "a result that cannot be written is refused at once" 1 "--output" \
	"$penstock" bench all -e "$e" -o "$tmp/none/result.json"
expect "a table is CSV or JSON" 2 "exclude" \
	"$penstock" bench latency -e "$e" --csv --json
refuse "plots need a folder" 1 "--plot" \
	"$penstock" bench all -e "$e" --plot "$tmp/none"
: >"$tmp/file"
refuse "a file is no folder for plots" 1 "--plot" \
	"$penstock" bench all -e "$e" --plot "$tmp/file"

# valid FILE BENCH...: what every result of these benchmarks must have.
# shellcheck disable=SC2317 # check calls it
valid() {
	"$python" - "$@" <<'END'
import json, sys
d = json.load(open(sys.argv[1]))
assert d["schema"] == 1, d["schema"]
for key in ("date", "endpoint", "revision", "emulated", "seconds", "machine",
            "agent", "agent_cpu", "blas"):
    assert key in d, key
for key in ("cpu", "kernel", "cpus_online", "numa_nodes", "page_size",
            "client_cpu", "hugepages", "load", "distance"):
    assert key in d["machine"], key
if d["machine"]["cpus_allowed"] > 1:
    assert d["machine"]["distance"]["two_lines_us"] > 0, d["machine"]
for key in ("library", "version", "backend", "provider", "caching",
            "page_size"):
    assert key in d["agent"], key
assert d["revision"], "no revision"
rows = d["results"]
assert {r["bench"] for r in rows} == set(sys.argv[2:]), sys.argv
measured = [r for r in rows if r["count"]]
for r in rows:
    if not r["count"]:
        assert r["not_measured"] and "p50" not in r, r
for r in measured:
    assert r["repeats"] >= 5 and r["count"] >= r["repeats"], r
    assert 0 < r["noise"]["min"] <= r["noise"]["max"], r
    order = [r[p] for p in ("p50", "p90", "p99", "p99.9", "worst")]
    if r["unit"] == "GB/s":
        order.reverse()
    assert order == sorted(order) and min(order) >= 0, r
    if r["bench"] == "latency":
        assert sum(n for _, n in r["histogram_ns"]) == r["count"], r
names = {(r["bench"], r["name"]) for r in measured}
kinds = {r["kind"] for r in measured}
if "latency" in sys.argv:
    for name in ("NOP, spinning", "product of nothing, spinning",
                 "NOP, client sleeping", "futex",
                 "Unix socket", "PING over the control socket"):
        assert ("latency", name) in names, name
if "bandwidth" in sys.argv:
    assert "copy" in kinds
    for name in ("host write, memcpy", "host read, memcpy",
                 "agent read (CHECKSUM)", "agent write (FILL)"):
        assert ("bandwidth", name) in names, name
if "gemm" in sys.argv:
    assert ("gemm", "call") in names and ("gemm", "overhead") in names
if "infer" in sys.argv:
    for n in (1, 8, 64):
        assert ("infer", "batch of %d" % n) in names, n
if "run" in sys.argv and all(r["count"] for r in rows):
    assert ("run", "call") in names and ("run", "in process") in names
END
}

mkdir "$tmp/empty"
for name in latency bandwidth gemm infer run; do
	expect "$name runs" 0 "$name" env TMPDIR="$tmp/empty" "$penstock" \
		bench "$name" -e "$e" --seconds 1 -o "$tmp/$name.json"
	check "$name prints no progress outside a terminal" \
		[ ! -s "$tmp/stderr" ]
	check "$name prints the machine and its noise" \
		grep -q medians "$tmp/stdout"
	check "$name writes valid JSON" valid "$tmp/$name.json" "$name"
done

expect "--json prints what -o writes" 0 '{"schema":1,' \
	"$penstock" bench latency -e "$e" --seconds 1 --json
check "and nothing else" [ "$(wc -l <"$tmp/stdout")" -eq 1 ]
check "it is valid" valid "$tmp/stdout" latency
check "they leave no temporary file" [ -z "$(ls -A "$tmp/empty")" ]

mkdir "$tmp/plots"
expect "all runs, with CSV and plots" 0 "bench,name" \
	"$penstock" bench all -e "$e" --seconds 1 --csv \
	-o "$tmp/all.json" --plot "$tmp/plots"
check "all is valid JSON" valid "$tmp/all.json" latency bandwidth gemm infer run
# shellcheck disable=SC2317 # check calls it
same_rows() {
	"$python" - "$tmp/all.json" "$tmp/stdout" <<'END'
import csv, json, sys
rows = json.load(open(sys.argv[1]))["results"]
lines = list(csv.DictReader(open(sys.argv[2])))
assert len(rows) == len(lines)
for r, l in zip(rows, lines):
    assert (r["bench"], r["name"], str(r["count"])) == \
        (l["bench"], l["name"], l["count"]), (r, l)
    if r["count"]:
        assert abs(float(l["p50"]) - r["p50"]) <= 1e-4 * r["p50"]
END
}
check "CSV and JSON have the same rows" same_rows
for name in latency bandwidth gemm; do
	check "there is a script for $name" [ -s "$tmp/plots/$name.gp" ]
	if command -v gnuplot >/dev/null; then
		check "there is a plot of $name" \
			grep -q '</svg>' "$tmp/plots/$name.svg"
	fi
done
command -v gnuplot >/dev/null || echo "# no gnuplot: no SVG was made"

# An agent that says which CPUs it may use.
cat >"$tmp/says-cpus" <<END
#!/bin/sh
grep Cpus_allowed_list /proc/self/status >>"$tmp/cpus"
exec "$agent" "\$@"
END
chmod +x "$tmp/says-cpus"
expect "a small agent is measured" 0 "2048x2048x16  " \
	"$penstock" bench gemm -e 'spawn:?size=8M' --seconds 1 \
	--plot "$tmp/plots"
check "another benchmark's script stays" [ -s "$tmp/plots/latency.gp" ]
check "each shape that the arena has no room for is named" \
	[ "$(grep -c 'the arena is too small' "$tmp/stdout")" = 7 ]
expect "an agent with several threads is measured" 0 NOP \
	env PENSTOCK_AGENT="$tmp/says-cpus" "$penstock" bench latency \
	-e 'spawn:?threads=2&size=8M' --seconds 1
check "all agents with several threads may use all CPUs" \
	[ "$(sort -u "$tmp/cpus")" = \
	"$(grep Cpus_allowed_list /proc/self/status)" ]

mkdir "$tmp/bin" "$tmp/scripts"
refuse "a network that cannot be written is no matter of the agent" 1 \
	"$tmp/none" env TMPDIR="$tmp/none" "$penstock" bench infer -e "$e" \
	--seconds 1
expect "without gnuplot the scripts are written, and it says so" 0 \
	"no gnuplot" env PATH="$tmp/bin" "$penstock" bench latency -e "$e" \
	--seconds 1 --plot "$tmp/scripts"
check "the script is there" [ -s "$tmp/scripts/latency.gp" ]

"$penstock" bench latency -e "$e" --seconds 1 >/dev/full 2>/dev/null
check "a table that cannot be written is a failure" [ $? -eq 1 ]

start_agent "unix://$tmp/sock" --region memfd:64M --backend cpu
timeout -k 10 -s INT 1 "$penstock" bench infer \
	-e "unix://$tmp/sock" --seconds 60 >"$tmp/stdout" 2>&1
check "infer ends on Ctrl-C" [ $? -eq 124 ]
expect "and leaves no model to the agent" 0 "NAME" \
	"$penstock" model list -e "unix://$tmp/sock"
check "there is no model" [ "$(wc -l <"$tmp/stdout")" -eq 1 ]
kill "$agent_pid"
wait "$agent_pid"
rm -f "$tmp/sock"

# dies NAME ENDPOINT: the agent dies while NAME is measured.
dies() {
	"$penstock" bench "$1" -e "$2" --seconds 60 >"$tmp/stdout" 2>&1 &
	pids="$pids $!"
	sleep 0.5
	kill -KILL "$agent_pid"
	wait $!
}
for name in latency bandwidth; do
	start_agent "unix://$tmp/sock" --region memfd:64M --backend cpu
	dies "$name" "unix://$tmp/sock"
	check "$name exits 4 when the agent dies" [ $? -eq 4 ]
	rm -f "$tmp/sock"
done

refuse "a peer has three tests" 2 "'foo'" \
	"$PST_TOP_SRCDIR/bench/peers/run" unix foo 64 0 1
refuse "a peer's size is a number" 2 "'0'" \
	"$PST_TOP_SRCDIR/bench/peers/run" unix latency 0 0 1

peers=$(cd / && env -u PENSTOCK_PEERS "$PST_TOP_BUILDDIR/bench/gate" --list |
	sed -n 's/^peers by //p')
check "the gate finds the script of the peers from any folder" [ -x "$peers" ]

# What the gate leaves when it is ended while its agent runs.
if [ "$(nproc)" -gt 1 ]; then
	"$PST_TOP_BUILDDIR/bench/gate" gemm64 >/dev/null &
	gate=$!
	pids="$pids $gate"
	dir=
	tries=0
	while [ -z "$dir" ] && [ $tries -lt 100 ]; do
		sleep 0.1
		tries=$((tries + 1))
		dir=$(ps -o args= --ppid "$gate" |
			sed -n 's,.* unix:\(/tmp/penstock-bench[^/]*\)/.*,\1,p')
	done
	check "the gate's agent has a folder" [ -d "$dir" ]
	kill "$gate"
	wait "$gate"
	check "the gate that is ended leaves no folder" [ ! -e "$dir" ]
else
	echo "# one CPU: the gate does not run"
fi

ps -e -o args= >"$tmp/processes"
check "no agent is left running" \
	[ "$(grep -cF "$tmp/penstock-agent --serve" "$tmp/processes")" = 0 ]
finish
