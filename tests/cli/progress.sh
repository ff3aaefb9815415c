#!/bin/sh
# SPDX-License-Identifier: MIT
# What takes over two seconds says so, on a terminal only.
. "$PST_TOP_SRCDIR/tests/cli/lib.sh"

# An agent that needs four seconds to start, and one that needs none.
cat >"$tmp/slow" <<END
#!/bin/sh
sleep 4
exec $agent "\$@"
END
chmod +x "$tmp/slow"

# on_terminal COMMAND...: runs it with a terminal as stderr, whose text comes
# out; its stdout goes to $tmp/result.
cat >"$tmp/terminal.py" <<'END'
import os, pty, subprocess, sys
ours, theirs = pty.openpty()
with open(sys.argv[1], "wb") as out:
    child = subprocess.Popen(sys.argv[2:], stdout=out, stderr=theirs,
                             stdin=subprocess.DEVNULL)
os.close(theirs)
text = b""
while True:
    try:
        piece = os.read(ours, 4096)
    except OSError:  # EIO: nobody holds the other end any more
        break
    if not piece:
        break
    text += piece
sys.stdout.write(text.decode().replace("\r", "<CR>").replace("\033", "<ESC>"))
sys.exit(child.wait())
END
on_terminal() {
	"${PST_PYTHON:-python3}" "$tmp/terminal.py" "$tmp/result" "$@"
}

quick='spawn:?size=8M'
slow="spawn:?size=8M&agent=$tmp/slow"
expect "on a terminal the wait is shown, with its seconds" 0 \
	"penstock ping: connecting, 2 s" on_terminal "$penstock" -e "$slow" ping
check "and taken away at the end" [ "$(sed 's/.*<CR>//' "$tmp/stdout")" = \
	"<ESC>[K" ]
check "the result is as ever" grep -q '^ring' "$tmp/result"
check "what is quick shows nothing" [ -z "$(on_terminal "$penstock" \
	-e "$quick" ping)" ]
expect "nor does anything that is not on a terminal" 0 "ring (NOP)" \
	"$penstock" -e "$slow" ping
check "not a word" [ ! -s "$tmp/stderr" ]
cat >"$tmp/ends" <<'END'
#!/bin/sh
sleep 3
exit 1
END
chmod +x "$tmp/ends"
expect "a failure is a line of its own" 4 "<CR><ESC>[Kpenstock ping: " \
	on_terminal "$penstock" -e "spawn:?agent=$tmp/ends" ping
expect "a demo says what it does" 0 "penstock demo: starting the agent, 2 s" \
	on_terminal env PENSTOCK_AGENT="$tmp/slow" "$penstock" demo --no-vm \
	--n 64
finish
