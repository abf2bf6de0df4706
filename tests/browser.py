"""A headless Chromium on two pipes (the DevTools protocol, NUL-ended JSON): no port, no driver, no package."""
import base64
import json
import os
import select
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

PROGRAM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
needs_browser = pytest.mark.skipif(PROGRAM is None or os.name == "nt", reason="no Chromium in PATH, or no POSIX pipes")
FLAGS = ("--headless --remote-debugging-pipe --no-sandbox --no-startup-window --no-first-run --hide-scrollbars "
         "--disable-gpu --disable-background-networking --disable-component-update --disable-extensions "
         "--disable-dev-shm-usage --font-render-hinting=none --force-color-profile=srgb "
         "--host-resolver-rules=MAP_*_~NOTFOUND")
KEYS = {"Tab": 9, "Enter": 13, "Escape": 27, " ": 32, "PageUp": 33, "PageDown": 34, "End": 35, "Home": 36,
        "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40}
TWO_FRAMES = "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done())))"


class BrowserError(RuntimeError):
    """The browser is missing, silent or gone, or the page threw."""


class Browser:
    """One page in a browser of its own.

    `requests` holds the URLs that pages asked for besides their own, `errors` what they threw or logged.
    """

    def __init__(self, width=1440, height=900, timeout=60.0):
        self.timeout, self.requests, self.errors, self._seen, self._rest, self._last = timeout, [], [], [], b"", 0
        self.folder, self.url, self.session = tempfile.mkdtemp(prefix="browser-"), None, None
        flags = [flag.replace("_", " ") for flag in FLAGS.split()] + [f"--user-data-dir={self.folder}/profile"]
        # As root, Chromium raises its own priority. sh moves the pipes to 3 and 4, where Chromium expects them.
        modest = ["setpriv", "--bounding-set", "-sys_nice"] if os.getuid() == 0 and shutil.which("setpriv") else []
        with open(f"{self.folder}/log", "wb") as log:
            self.process = subprocess.Popen(
                [*modest, "sh", "-c", 'exec "$@" 3<&0 4>&1 </dev/null >/dev/null', "sh", PROGRAM, *flags], bufsize=0,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, start_new_session=True)
        try:
            target = self.call("Target.createTarget", url="about:blank")["targetId"]
            self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
            for domain in ("Page", "Runtime", "Network", "Log", "Inspector"):
                self.call(f"{domain}.enable")
            self.viewport(width, height)
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()

    def close(self):
        """Ask the browser to end; if it does not, end its own process group; remove its profile."""
        self.session = None
        try:
            self.call("Browser.close", within=5)
            self.process.wait(5)
        except (BrowserError, OSError, subprocess.TimeoutExpired):
            if self.process.poll() is None:
                os.killpg(self.process.pid, signal.SIGKILL)                   # a group that __init__ made
            self.process.wait(5)
        self.process.stdin.close()
        self.process.stdout.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def call(self, method, within=None, **params):
        """Send one command and return its result; note the events that come meanwhile."""
        self._last, end = self._last + 1, time.monotonic() + (within or self.timeout)
        message = {"id": self._last, "method": method, "params": params}
        self.process.stdin.write(json.dumps(message | ({"sessionId": self.session} if self.session else {})).encode()
                                 + b"\0")
        while (reply := self._receive(end, method)).get("id") != self._last:
            pass
        if "error" in reply:
            raise BrowserError(f"{method}: {reply['error']}")
        return reply["result"]

    def _receive(self, end, what):
        while b"\0" not in self._rest:
            if not select.select([self.process.stdout], [], [], max(0.0, end - time.monotonic()))[0]:
                raise BrowserError(f"no answer to {what} in time")
            if not (more := os.read(self.process.stdout.fileno(), 1 << 20)):
                log = Path(self.folder, "log").read_text(encoding="utf-8")
                raise BrowserError(f"the browser ended in {what}: {log[-500:]}")
            self._rest += more
        raw, self._rest = self._rest.split(b"\0", 1)
        message = json.loads(raw)
        self._note(message.get("method"), message.get("params", {}), what)
        return message

    def _note(self, name, told, what):
        self._seen.append(name)
        if name == "Network.requestWillBeSent" and told["request"]["url"].split("#")[0] != self.url:
            self.requests.append(told["request"]["url"])
        elif name == "Runtime.exceptionThrown":
            self.errors.append(told["exceptionDetails"].get("exception", {}).get("description", "thrown"))
        elif name == "Runtime.consoleAPICalled" and told["type"] in ("error", "warning", "assert"):
            self.errors.append(" ".join(str(value.get("value", value.get("description"))) for value in told["args"]))
        elif name == "Log.entryAdded" and told["entry"]["level"] == "error":
            self.errors.append(told["entry"]["text"])
        elif name == "Inspector.targetCrashed":
            raise BrowserError(f"the page crashed in {what}")

    def open(self, path, fragment=""):
        """Load a file anew with this fragment, and wait until it is drawn."""
        self._load("about:blank", "")                            # another fragment of the same file would load nothing
        self._load(Path(path).resolve().as_uri(), fragment)
        self.evaluate(TWO_FRAMES)

    def _load(self, url, fragment):
        self.url, self._seen, end = url, [], time.monotonic() + self.timeout
        reply = self.call("Page.navigate", url=url + fragment)
        if "errorText" in reply:
            raise BrowserError(f"{url}: {reply['errorText']}")
        while "Page.loadEventFired" not in self._seen:
            self._receive(end, "Page.navigate")

    def evaluate(self, expression):
        """Return the value of an expression, or of its promise."""
        reply = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in reply:
            raise BrowserError(str(reply["result"].get("description", expression)))
        return reply["result"].get("value")

    def viewport(self, width, height=900):
        """Change the size of the window, in CSS pixels."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def media(self, **features):
        """Emulate media features, such as prefers_color_scheme="dark"."""
        self.call("Emulation.setEmulatedMedia",
                  features=[{"name": name.replace("_", "-"), "value": value} for name, value in features.items()])

    def drag(self, points):
        """Press the mouse at the first point, move it to the others, release it at the last."""
        for i, (x, y) in enumerate([*points, points[-1]]):
            kind = "mousePressed" if i == 0 else "mouseMoved" if i < len(points) else "mouseReleased"
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", buttons=int(i < len(points)),
                      clickCount=1)
        self.evaluate(TWO_FRAMES)

    def key(self, key, times=1):
        """Press a named key, or type one character."""
        told = {"key": key, "code": key.replace(" ", "Space"), "windowsVirtualKeyCode": KEYS.get(key, 0)}
        for _ in range(times):
            self.call("Input.dispatchKeyEvent", type="keyDown", text="\r" if key == "Enter" else key * (len(key) == 1),
                      **told)
            self.call("Input.dispatchKeyEvent", type="keyUp", **told)
        self.evaluate(TWO_FRAMES)

    def tree(self):
        """Return [(role, name)] of the accessibility tree."""
        return [(node["role"]["value"], node.get("name", {}).get("value", ""))
                for node in self.call("Accessibility.getFullAXTree")["nodes"] if not node["ignored"]]

    def screenshot(self, path, full=True):
        """Write a PNG of the whole page, or of the window."""
        clip = {"clip": {**self.call("Page.getLayoutMetrics")["cssContentSize"], "scale": 1},
                "captureBeyondViewport": True} if full else {}
        Path(path).write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png", **clip)["data"]))
