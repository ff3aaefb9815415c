# SPDX-License-Identifier: MIT
"""Somebody's voice, heard by a model in the guest: penstock demo --vad.

PENSTOCK_ORT names ONNX Runtime's library, PST_NPM a folder with the npm package
@ricky0123/vad-web 0.0.31."""
import glob
import os
import subprocess
import sys

import vmlib
from vmlib import last_json, penstock

RUNNER = os.path.join(vmlib.BUILD, "guest-agent/penstock-runner-ort")
LIBRARY = os.environ.get("PENSTOCK_ORT", "")


def models():
    return [x for root in os.environ.get("PST_NPM", "").split(":") if root
            for x in glob.glob(os.path.join(
                root, "@ricky0123/vad-web/**/silero_vad_v5.onnx"),
                recursive=True)]


def needed():
    """The runner, the library, and what both are linked with."""
    files = {"bin/penstock-runner-ort": RUNNER,
             "lib/libonnxruntime.so.1": LIBRARY}
    for program in (RUNNER, LIBRARY):
        out = subprocess.run(["ldd", program], stdout=subprocess.PIPE,
                             text=True, check=True).stdout
        for line in out.splitlines():
            word = line.split()
            if len(word) > 2 and word[1] == "=>" and word[2][0] == "/":
                files["lib/" + word[0]] = word[2]
    return files


def case_a_voice_is_heard_through_a_guest():
    """a model in the guest hears a voice from 1.0 s to 2.5 s"""
    guest = vmlib.Guest()
    out = penstock("demo", "--vad", models()[0], "--json", "-e",
                   guest.endpoint.uri)
    assert out.returncode == 0, out.stderr + guest.serial()
    got = last_json(out.stdout)
    (begin, end), = got["speech"]
    assert 0.5 < begin < 1.5 and 2 < end < 3, got
    out = penstock("demo", "--vad", models()[0], "-e", guest.endpoint.uri)
    assert "somebody speaks from" in out.stdout, out
    guest.stop()


def main():
    vmlib.need_guest()
    if not os.path.isfile(LIBRARY) or not os.path.exists(RUNNER):
        vmlib.skip("PENSTOCK_ORT names no library, or there is no runner")
    if not models():
        vmlib.skip("npm's @ricky0123/vad-web is not here (PST_NPM)")
    vmlib.add_to_image(needed())
    tap = vmlib.Tap()
    tap.run(case_a_voice_is_heard_through_a_guest)
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
