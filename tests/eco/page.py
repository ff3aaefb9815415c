# SPDX-License-Identifier: MIT
"""The status page in Chromium, over its DevTools pipe: what it shows of an agent
that computes, one that is paused and one that is not there, at three widths.
Usage: page.py URL TOKEN PROFILE PID-OF-THE-AGENT-TO-PAUSE"""
import base64
import json
import os
import signal
import subprocess
import sys
import time

LIMIT_S = 60


class Page:
    def __init__(self, profile):
        to_read, self.to = os.pipe()
        self.source, from_write = os.pipe()

        def pipes():
            # Both may be 3 or 4 themselves.
            a, b = os.dup(to_read), os.dup(from_write)
            os.dup2(a, 3)
            os.dup2(b, 4)
            for fd in (3, 4):
                os.set_inheritable(fd, True)

        self.proc = subprocess.Popen(
            ["chromium", "--headless=new", "--no-sandbox", "--disable-gpu",
             "--remote-debugging-pipe", "--user-data-dir=" + profile,
             "about:blank"], preexec_fn=pipes, close_fds=False,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(to_read)
        os.close(from_write)
        self.left, self.n, self.session = b"", 0, None
        self.problems = []
        target = self.call("Target.createTarget", url="about:blank")
        self.session = self.call("Target.attachToTarget", flatten=True,
                                 targetId=target["targetId"])["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(domain + ".enable")

    def message(self):
        while b"\0" not in self.left:
            data = os.read(self.source, 65536)
            if not data:
                raise RuntimeError("Chromium ended")
            self.left += data
        one, self.left = self.left.split(b"\0", 1)
        m = json.loads(one)
        if m.get("method") == "Runtime.exceptionThrown":
            self.problems.append(json.dumps(m["params"])[:300])
        elif m.get("method") == "Log.entryAdded":
            self.problems.append(m["params"]["entry"]["text"])
        elif m.get("method") == "Network.requestWillBeSent":
            self.asked.add(m["params"]["request"]["url"])
        return m

    asked = set()

    def call(self, method, **params):
        self.n += 1
        m = {"id": self.n, "method": method, "params": params}
        if self.session:
            m["sessionId"] = self.session
        os.write(self.to, json.dumps(m).encode() + b"\0")
        while True:
            m = self.message()
            if m.get("id") == self.n:
                if "error" in m:
                    raise RuntimeError(f"{method}: {m['error']}")
                return m["result"]

    def js(self, text):
        r = self.call("Runtime.evaluate", expression=text, returnByValue=True)
        if "exceptionDetails" in r:
            raise RuntimeError(str(r["exceptionDetails"])[:300])
        return r["result"].get("value")

    def until(self, text):
        end = time.monotonic() + LIMIT_S
        while not self.js(text):
            if time.monotonic() > end:
                return False
            time.sleep(0.1)
        return True


failed = 0


def check(name, ok, *why):
    global failed
    print(("ok - " if ok else "not ok - ") + name)
    if not ok:
        failed = 1
        print("  ", *why)


CARD = "document.querySelector('[data-agent=%s]')"
PILL = CARD + ".querySelector('.pill').textContent"


def landmarks(p):
    """What a screen reader finds, by the browser's own tree."""
    found = [(n.get("role", {}).get("value"), n.get("name", {}).get("value"))
             for n in p.call("Accessibility.getFullAXTree")["nodes"]
             if not n.get("ignored")]
    for role, name in (("main", "Agents"), ("heading", "Penstock"),
                       ("region", "titan"), ("region", "spare"),
                       ("region", "off"), ("region", "Operations of titan"),
                       ("link", "To the agents"), ("link", "/health"),
                       ("heading", "Throughput"), ("columnheader", "Failed")):
        check(f"a screen reader finds: {role}, {name}", (role, name) in found,
              [f for f in found if f[0] == role])
    for role in ("banner", "contentinfo", "status"):
        check(f"there is one {role}", [f[0] for f in found].count(role) == 1)
    check("each region has a name of its own", len(
        {f for f in found if f[0] == "region"}) ==
        len([f for f in found if f[0] == "region"]))


def press(p, name, code):
    for kind in ("rawKeyDown", "keyUp"):
        p.call("Input.dispatchKeyEvent", type=kind, key=name, code=name,
               windowsVirtualKeyCode=code)
    if name == "Enter":
        p.call("Input.dispatchKeyEvent", type="char", text="\r")


def keyboard(p):
    """Tab from the start, as one without a mouse does."""
    focus = """(() => { const e = document.activeElement;
        const r = e.getBoundingClientRect();
        return [e.id || e.getAttribute('href') || e.getAttribute('aria-label') || '',
            getComputedStyle(e).outlineStyle !== 'none' && r.width > 0 &&
            r.left >= 0 && r.right <= innerWidth]; })()"""
    p.js("document.activeElement.blur()")
    way = []
    for _ in range(40):
        press(p, "Tab", 9)
        name, seen = p.js(focus)
        if name in ("", "agents") or name in way:
            break
        way.append(name)
        check(f"the focus is seen on {name}", seen)
    check("the first press leads to the agents", way[:1] == ["#agents"], way)
    for name in ("Operations of titan", "/health", "/metrics"):
        check(f"keys reach {name}", name in way, way)
    p.js("document.querySelector('.skip').focus()")
    press(p, "Enter", 13)
    check("and Enter goes there",
          p.until("document.activeElement.id === 'agents'"))
    press(p, "Tab", 9)
    check("where the next press finds a table", p.js(
        "document.activeElement.closest('#agents .scroll') !== null"),
        p.js(focus))


def main(url, token, profile, pid):
    p = Page(profile)
    try:
        auth = base64.b64encode(b":" + token.encode()).decode()
        p.call("Network.setExtraHTTPHeaders",
               headers={"Authorization": "Basic " + auth})
        p.call("Page.navigate", url=url + "/")
        check("the page shows an agent that is well",
              p.until("document.body && document.body.dataset.asked > 0 && "
                      + PILL % "titan" + " === 'well'"))
        check("and its throughput", p.until(
            "/^[0-9]/.test(%s.querySelector('.big').textContent)"
            % (CARD % "titan")))
        words = p.js("document.body.innerText")
        for word in ("Throughput", "Queue", "Memory", "Card", "Sessions",
                     "Models: 1,", "digits", "GEMM", "NOP", "the CPU computes"):
            check("it has: " + word, word in words, words)
        check("an agent that is not there says so, and the remedy",
              p.until(PILL % "off" + " === 'no answer'") and
              "penstock vm status" in p.js((CARD % "off") + ".innerText"))
        os.kill(pid, signal.SIGSTOP)
        check("a paused agent is shown as such, with the age of its values",
              p.until(PILL % "spare" + " === 'no answer' && "
                      + (CARD % "spare") + ".innerText.includes('values from')"))
        check("the change is said to screen readers", p.until(
            "document.querySelector('[role=status]').textContent"
            ".includes('spare no answer')"))
        for scheme in ("light", "dark"):
            p.call("Emulation.setEmulatedMedia", features=[
                {"name": "prefers-color-scheme", "value": scheme}])
            grounds = p.js("getComputedStyle(document.body).backgroundColor")
            numbers = [int(x) for x in grounds[4:-1].split(",")]
            check(f"the ground is {scheme}",
                  (sum(numbers) > 600) == (scheme == "light"), grounds)
            for width in (360, 768, 1280):
                p.call("Emulation.setDeviceMetricsOverride", width=width,
                       height=900, deviceScaleFactor=1, mobile=False)
                over = p.js("""(() => {
                    const e = document.documentElement;
                    const out = [...document.querySelectorAll('section *')]
                        .filter((x) => !x.closest('.scroll') && x.getClientRects().length &&
                            x.getBoundingClientRect().right > e.clientWidth + 1)
                        .map((x) => x.tagName + ' ' + x.textContent.slice(0, 30));
                    return e.scrollWidth <= e.clientWidth ? out : ['page', ...out];
                })()""")
                check(f"nothing overflows at {width}, {scheme}", over == [],
                      over)
        landmarks(p)
        keyboard(p)
        others = [u for u in p.asked if not u.startswith(url)
                  and not u.startswith(("data:", "about:"))]
        check("nothing comes from elsewhere", others == [], others)
        check("the browser complains of nothing", p.problems == [],
              p.problems)
    finally:
        p.proc.terminate()
        p.proc.wait()
    return failed


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:4], int(sys.argv[4])))
