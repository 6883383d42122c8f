"""Headless Chromium under test: the DevTools protocol over two pipes, so that no port is opened."""

from __future__ import annotations

import base64
import fcntl
import itertools
import json
import os
import select
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path
from typing import Any

#: What Debian, Ubuntu, Fedora and Google call it.
PROGRAM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)

#: Above the numbers that Chromium reads and writes at: 3 and 4.
_FREE = 10

TIMEOUT = 60  # seconds without a word after which it hangs

_OPTIONS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
    *("--no-first-run", "--disable-background-networking", "--disable-extensions"),
    *("--remote-debugging-pipe", "--hide-scrollbars", "--force-color-profile=srgb"),
)


class PageError(Exception):
    """A script in the page raised, or Chromium refused a command."""


class Page:
    """A page in Chromium.

    Attributes:
        said: what came to the console and what no handler caught, a line each.
        requests: the addresses that were asked for.
    """

    def __init__(self, input_: FileIO, output: FileIO) -> None:
        self.said: list[str] = []
        self.requests: list[str] = []
        self._input = input_
        self._output = output
        self._rest = b""
        self._numbers = itertools.count(1)
        self._session: str | None = None
        target = self.do("Target.createTarget", url="about:blank")["targetId"]
        attached = self.do("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.do(f"{domain}.enable")

    # ---- the protocol

    def do(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command and wait for its answer."""
        number = next(self._numbers)
        command = {"id": number, "method": method, "params": parameters}
        if self._session is not None:
            command["sessionId"] = self._session
        self._output.write(json.dumps(command).encode() + b"\0")
        while True:
            message = self._receive()
            if message.get("id") != number:
                self._note(message)
            elif "error" in message:
                raise PageError(f"{method}: {message['error']['message']}")
            else:
                answer: dict[str, Any] = message["result"]
                return answer

    def _receive(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._input], [], [], TIMEOUT)
            more = self._input.read(1 << 16) if ready else b""
            if not ready:
                raise PageError("what is awaited does not come")
            if not more:
                raise PageError("Chromium ended")
            self._rest += more
        message, self._rest = self._rest.split(b"\0", 1)
        decoded: dict[str, Any] = json.loads(message)
        return decoded

    def _note(self, message: dict[str, Any]) -> None:
        about = message.get("params", {})
        match message.get("method"):
            case "Runtime.consoleAPICalled":
                self.said.append(f"{about['type']}: {about['args']}")
            case "Runtime.exceptionThrown":
                details = about["exceptionDetails"]
                self.said.append(details.get("exception", {}).get("description", details["text"]))
            case "Log.entryAdded":
                self.said.append(f"{about['entry']['level']}: {about['entry']['text']}")
            case "Network.requestWillBeSent":
                self.requests.append(about["request"]["url"])
            case "Page.javascriptDialogOpening":
                self.said.append(f"dialog: {about['message']}")

    # ---- what a user does

    def open(self, file: Path) -> None:
        """Show a file, and wait until it is loaded."""
        self.do("Page.navigate", url=file.resolve().as_uri())
        self.run(
            "new Promise(done => document.readyState === 'complete' ? done() : "
            "addEventListener('load', done))"
        )
        self.settle()

    def run(self, script: str) -> Any:
        """An expression's value in the page; a promise is waited for."""
        answer = self.do(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        if "exceptionDetails" in answer:
            raise PageError(answer["exceptionDetails"]["exception"]["description"])
        return answer["result"].get("value")

    def settle(self) -> None:
        """Wait until what was asked for is drawn."""
        self.run("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def key(self, key: str) -> None:
        """Press a key; a character is typed."""
        text = {"text": key} if len(key) == 1 else {}
        codes = {"Enter": 13, "Tab": 9, "ArrowDown": 40, "ArrowUp": 38, "End": 35, "Home": 36}
        code = {"windowsVirtualKeyCode": codes[key]} if key in codes else {}
        self.do("Input.dispatchKeyEvent", type="keyDown", key=key, **text, **code)
        self.do("Input.dispatchKeyEvent", type="keyUp", key=key, **code)
        self.settle()

    def type(self, text: str) -> None:
        """Type into what has the focus."""
        self.do("Input.insertText", text=text)
        self.settle()

    def click(self, x: float, y: float) -> None:
        """Click at a place of the window."""
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            button = {} if kind == "mouseMoved" else {"button": "left", "clickCount": 1}
            self.do("Input.dispatchMouseEvent", type=kind, x=x, y=y, **button)
        self.settle()

    def wheel(self, x: float, y: float, by: int, *, control: bool = False) -> None:
        """Turn the wheel at a place of the window."""
        self.do(
            "Input.dispatchMouseEvent",
            **{"type": "mouseWheel", "x": x, "y": y, "deltaX": 0, "deltaY": by},
            modifiers=2 if control else 0,
        )
        self.settle()

    # ---- how it is looked at

    def window(self, width: int, height: int = 800, *, dark: bool = False) -> None:
        """Look at it in a window of this size, in the light or in the dark."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.do("Emulation.setDeviceMetricsOverride", **size)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.do("Emulation.setEmulatedMedia", features=[scheme])
        self.settle()

    def picture(self, *, whole: bool = False) -> bytes:
        """What is seen, as PNG."""
        shot = self.do("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        return base64.b64decode(shot["data"])


@contextmanager
def chromium(profile: Path) -> Iterator[Page]:
    """Chromium under way, with an empty profile in a folder that there is."""
    assert PROGRAM is not None
    (its_input, ours), (theirs, its_output) = _pipe(), _pipe()
    null = os.open(os.devnull, os.O_RDWR)
    actions = [(os.POSIX_SPAWN_DUP2, null, number) for number in (0, 1, 2)]
    actions += [(os.POSIX_SPAWN_DUP2, its_input, 3), (os.POSIX_SPAWN_DUP2, its_output, 4)]
    command = [PROGRAM, *_OPTIONS, f"--user-data-dir={profile}", "about:blank"]
    environment = os.environ | {"HOME": str(profile), "XDG_CONFIG_HOME": str(profile)}
    pid = os.posix_spawn(PROGRAM, command, environment, file_actions=actions, setsid=True)
    for number in (its_input, its_output, null):
        os.close(number)
    try:
        with open(theirs, "rb", buffering=0) as input_, open(ours, "wb", buffering=0) as output:
            yield Page(input_, output)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _pipe() -> tuple[int, int]:
    """A pipe's two ends, at numbers that are not the child's."""
    ends = os.pipe()
    moved = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, _FREE) for end in ends]
    for end in ends:
        os.close(end)
    return moved[0], moved[1]
