"""The page of nvemu doctor: what it says without a script, and that nothing in it can break out."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import msgspec
import pytest

from emulator import Testbed
from emulator.doctor import Report, examine, judge, report
from emulator.doctor.page import LINES, page
from emulator.doctor.tree import tree
from emulator.testbed.program import Relay

#: Asks for both libraries, in two processes, and for a device that is not there.
PROGRAM = """
import ctypes, os, subprocess, sys
nvml = ctypes.CDLL("libnvidia-ml.so.1")
nvml.nvmlInit_v2()
nvml.nvmlDeviceGetHandleByIndex_v2(7, ctypes.byref(ctypes.c_void_p()))
nvml.nvmlDeviceGetCount_v2(ctypes.byref(ctypes.c_uint()))
if len(sys.argv) > 1:
    subprocess.run([sys.executable, "-c", sys.argv[1]])
"""

HOSTILE = [
    "</script><script>alert(1)</script>",
    "<!-- <script>",
    "]]>",
    "'\"><img src=x onerror=alert(1)>",
    "\u2028\u2029\u202e",
    "&lt;b&gt; &amp; ${data} $style",
    "\udcff\udc80",
    "\x00\x1b[31m",
]


def seen(*program: str, scenario: str = "default") -> Report:
    """What doctor reports of a program."""
    with (
        Relay() as relay,
        Testbed(scenario, trace=True, begun=True, watch=True) as testbed,
    ):
        evidence = examine(testbed, relay, program)
        return report(evidence, judge(evidence), scenario, testbed.scenario.driver)


@pytest.fixture(scope="module")
def two() -> Report:
    """A program of two processes."""
    return seen(sys.executable, "-c", PROGRAM, PROGRAM)


@pytest.fixture(scope="module")
def hostile() -> Report:
    """A program that was given what could break out of a page, as its arguments."""
    return seen(sys.executable, "-c", PROGRAM, *[text for text in HOSTILE[1:] if "\0" not in text])


class Parsed(HTMLParser):
    """A page's elements, and the text of each that holds no other."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, str] = {}
        self._inside = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))
        named = dict(attributes)
        self._inside = named.get("id") or named.get("type") or tag

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        self.texts[self._inside] = self.texts.get(self._inside, "") + data


def data_of(text: str) -> dict[str, Any]:
    """The report that a page holds."""
    data: dict[str, Any] = json.loads(Parsed(text).texts["report"])
    return data


def test_the_report_comes_back_out_of_the_page(two: Report) -> None:
    data = data_of(page(two))
    del data["depths"]
    back = msgspec.convert(data, Report)
    assert back.calls == two.calls
    assert any(call.bad for call in back.calls)
    assert back.timeline == [moment for moment in two.timeline if moment.kind != "call"]
    back.timeline = two.timeline
    assert back == two


def test_the_same_report_makes_the_same_page(two: Report) -> None:
    assert page(two) == page(msgspec.convert(msgspec.to_builtins(two), Report))


def test_what_a_program_was_given_stays_text(two: Report, hostile: Report) -> None:
    tags = [tag for tag, _ in Parsed(page(hostile)).tags]
    assert tags.count("script") == [tag for tag, _ in Parsed(page(two)).tags].count("script") == 2
    assert "img" not in tags
    assert data_of(page(hostile))["program"] == hostile.program


@pytest.mark.parametrize("text", HOSTILE)
def test_a_text_is_inert_wherever_it_stands(two: Report, text: str) -> None:
    plain = Parsed(page(two)).tags
    changed = _with(two, text)
    made = page(changed)
    made.encode("utf-8")
    assert [tag for tag, _ in Parsed(made).tags] == [tag for tag, _ in plain]
    data = data_of(made)
    del data["depths"]
    assert msgspec.convert(data, Report) == _with(changed, text, calls=False)


def _with(report_: Report, text: str, *, calls: bool = True) -> Report:
    """The report, of a program that says `text` wherever it can say anything."""
    data = msgspec.to_builtins(report_)
    for key in ("headline", "scenario", "driver", "stopped"):
        data[key] = text
    for key in ("why", "advice", "notes", "program", "limits"):
        data[key] = [text] * len(data[key])
    for each in data["processes"]:
        each["argv"] = [text]
        each["environment"] = {f"VARIABLE {text}": text}
    for each in [*data["timeline"], *data["libraries"]]:
        each["text"] = text
    for each in data["calls"]:
        each["text"] = each["function"] = each["status"] = each["fault"] = text
    if not calls:
        data["timeline"] = [each for each in data["timeline"] if each["kind"] != "call"]
    return msgspec.convert(data, Report)


def test_nothing_is_asked_of_a_network(two: Report) -> None:
    parsed = Parsed(page(two))
    for tag, attributes in parsed.tags:
        assert tag not in {"link", "img", "iframe", "object", "embed", "base"}
        assert not attributes.get("src")
        assert attributes.get("href", "#") == "#what-happened" or tag != "a"
        assert not [name for name in attributes if name.startswith("on") or name == "style"]
    style = parsed.texts["style"]
    assert "url(" not in style
    assert "@import" not in style
    assert not re.search(r"https?:|fetch\(|XMLHttp|WebSocket|innerHTML|eval\(", page(two))


def test_the_policy_allows_the_page_s_own_style_and_script_only(two: Report) -> None:
    parsed = Parsed(page(two))
    policy = next(
        attributes["content"]
        for tag, attributes in parsed.tags
        if attributes.get("http-equiv") == "Content-Security-Policy"
    )
    hashes = [
        base64.b64encode(hashlib.sha256(parsed.texts[name].encode()).digest()).decode()
        for name in ("style", "module")
    ]
    assert policy == (
        f"default-src 'none'; style-src 'sha256-{hashes[0]}'; script-src 'sha256-{hashes[1]}'; "
        "base-uri 'none'; form-action 'none'"
    )


def test_the_verdict_needs_no_script() -> None:
    made = seen(sys.executable, "-m", "emulator", "devices", scenario="driver-not-loaded")
    text = page(made)
    before = text[: text.index('<div id="interactive"')]
    parsed = Parsed(before)
    assert parsed.texts["h1"].strip() == made.headline
    assert "Problem found" in before
    assert "DRIVER_NOT_LOADED" in before
    assert f"exit status {made.program_status}" in before
    assert all(name in before for name in ("driver-not-loaded", made.driver))


@pytest.mark.parametrize(
    ("verdict", "word"),
    [("fine", "No problem found"), ("not-found", "Problem found"), ("unseen", "Not clear")],
)
def test_a_verdict_has_a_word(two: Report, verdict: str, word: str) -> None:
    assert f"</span> {word} <span" in page(msgspec.structs.replace(two, verdict=verdict))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"program_status": 3}, "exit status 3"),
        ({"program_status": -11}, "ended by SIGSEGV"),
        ({"program_status": -9, "stopped": "timeout"}, "ended by doctor (timeout)"),
        ({"scenario": None}, "this machine as it is"),
        ({"began": 1_700_000_000 * 10**9}, "2023-11-14 22:13:20 UTC"),
        ({"why": ["a line"] * (LINES + 3)}, "<summary>3 more</summary>"),
        ({"advice": ["see `lspci -d 10de:`"]}, "see <code>lspci -d 10de:</code>"),
        ({"libraries": []}, "No process asked for NVML or CUDA."),
    ],
)
def test_a_run_s_facts_are_said(two: Report, changes: dict[str, Any], said: str) -> None:
    assert said in page(msgspec.structs.replace(two, **changes))


def test_processes_stand_below_their_parents(two: Report) -> None:
    (first, top), (second, below) = tree(reversed(two.processes))
    assert second.parent == first.pid
    assert (top, below) == (0, 1)
    assert data_of(page(two))["depths"] == [[first.pid, 0], [second.pid, 1]]


def test_a_circle_of_parents_loses_no_process(two: Report) -> None:
    first, second = two.processes
    circle = [
        msgspec.structs.replace(first, parent=second.pid),
        msgspec.structs.replace(second, parent=first.pid),
    ]
    assert {process.pid for process, _ in tree(circle)} == {first.pid, second.pid}


def test_a_report_of_nothing_has_a_page(two: Report) -> None:
    nothing: dict[str, Any] = {name: [] for name in ("libraries", "processes", "timeline", "calls")}
    assert "<dd>0</dd>" in page(msgspec.structs.replace(two, **nothing, began=0, left_out=0))


def test_the_command_writes_it(nvemu: Callable[..., Any], tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    done = nvemu("doctor", "--html", file, "--", sys.executable, "-c", PROGRAM)
    assert done.returncode == 0
    assert data_of(file.read_text("utf-8"))["verdict"] == "fine"


@pytest.mark.parametrize("name", ["", "missing/page.html"])
def test_a_file_that_cannot_be_written_is_refused_before_anything_runs(
    nvemu: Callable[..., Any], tmp_path: Path, name: str
) -> None:
    ran = tmp_path / "ran"
    done = nvemu("doctor", "--html", tmp_path / name, "--", "touch", ran)
    assert done.returncode == 2
    assert done.stderr.startswith("nvemu: ")
    assert "--html" in done.stderr
    assert not ran.exists()
