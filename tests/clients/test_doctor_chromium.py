"""The page of nvemu doctor in headless Chromium."""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import chromium
import msgspec
import pytest

from emulator import Testbed
from emulator.doctor import Report, examine, judge, report
from emulator.doctor.page import page
from emulator.testbed.program import Relay

pytestmark = pytest.mark.skipif(
    chromium.PROGRAM is None, reason="no Chromium here: install it, then `nox -s browser`"
)

#: A tree of processes that count, ask for a device too many in threads, and ask CUDA.
PROGRAM = """
import ctypes, subprocess, sys, threading
source, depth, children, loops = sys.argv[1], *map(int, sys.argv[2:])
nvml = ctypes.CDLL("libnvidia-ml.so.1")
nvml.nvmlInit_v2()
def work():
    device, number = ctypes.c_void_p(), ctypes.c_uint()
    nvml.nvmlDeviceGetCount_v2(ctypes.byref(number))
    for at in range(loops):
        nvml.nvmlDeviceGetHandleByIndex_v2(at % (number.value + 1), ctypes.byref(device))
        nvml.nvmlDeviceGetTemperature(device, 0, ctypes.byref(number := ctypes.c_uint(at)))
        nvml.nvmlDeviceGetPowerUsage(device, ctypes.byref(ctypes.c_uint()))
        number = ctypes.c_uint(1)
threads = [threading.Thread(target=work) for _ in range(3)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
ctypes.CDLL("libcuda.so.1").cuInit(0)
command = [sys.executable, "-c", source, source, str(depth - 1), str(children), str(loops)]
below = [subprocess.Popen(command) for _ in range(children if depth else 0)]
sys.exit(any([process.wait() for process in below]))
"""

LONG = "/" + "averylongfolder" * 40
HOSTILE = f"</script><img src=x onerror=alert(1)><script>alert(2)</script>\u202e{LONG}"

Open = Callable[..., chromium.Page]


def seen(*program: str, scenario: str = "default") -> Report:
    """What doctor reports of a program."""
    with Relay() as relay, Testbed(scenario, trace=True, begun=True, watch=True) as testbed:
        evidence = examine(testbed, relay, program)
        return report(evidence, judge(evidence), scenario, testbed.scenario.driver)


def counting(depth: int, children: int, loops: int) -> Report:
    """What doctor reports of `PROGRAM`."""
    numbers = map(str, (depth, children, loops))
    return seen(sys.executable, "-c", PROGRAM, PROGRAM, *numbers)


@pytest.fixture(scope="module")
def small() -> Report:
    """Four processes with four threads each."""
    return counting(1, 3, 5)


@pytest.fixture(scope="module")
def large() -> Report:
    """57 processes and more than 10,000 calls."""
    made = counting(2, 7, 20)
    assert len(made.processes) == 57
    assert len(made.calls) + made.left_out > 10_000
    return made


@pytest.fixture(scope="module")
def failed() -> Report:
    return seen(sys.executable, "-m", "emulator", "devices", scenario="driver-not-loaded")


@pytest.fixture(scope="module")
def hostile(small: Report) -> Report:
    """A report in which every text is one that could break out, or break the layout."""
    data = msgspec.to_builtins(small)
    data |= dict.fromkeys(("headline", "scenario", "driver"), HOSTILE)
    data |= {name: [HOSTILE] for name in ("why", "advice", "notes", "program", "limits")}
    for each in data["processes"]:
        each["argv"], each["environment"] = [HOSTILE, HOSTILE], {HOSTILE: HOSTILE}
    for each in [*data["timeline"], *data["libraries"], *data["calls"]]:
        each["text"] = HOSTILE
    return msgspec.convert(data, Report)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[chromium.Page]:
    with chromium.chromium(tmp_path_factory.mktemp("profile")) as under_way:
        yield under_way


@pytest.fixture
def shown(browser: chromium.Page, tmp_path: Path) -> Iterator[Open]:
    """`shown(report, width, dark=False)`: its page, in a window; no script of it may complain."""

    def show(of: Report, width: int = 1280, *, dark: bool = False) -> chromium.Page:
        file = tmp_path / "page.html"
        file.write_text(page(of), "utf-8")
        browser.requests.clear()
        browser.said.clear()
        browser.window(width, dark=dark)
        browser.open(file)
        return browser

    yield show
    assert browser.said == []
    assert {*browser.requests} == {(tmp_path / "page.html").as_uri()}


def rows(on: chromium.Page) -> list[list[str]]:
    """The cells of the rows that are in the document."""
    cells = "[...row.cells].map(cell => cell.textContent)"
    found: list[list[str]] = on.run(
        f"[...document.querySelectorAll('#rows tr')].map(row => {cells})"
    )
    return found


def count(on: chromium.Page) -> int:
    """How many rows the table says it has."""
    text: str = on.run("document.getElementById('count').textContent")
    return int(text.partition(" of ")[0].replace(",", ""))


def choose(on: chromium.Page, name: str, value: object) -> None:
    """Set a filter, as a user does."""
    kind = "checked" if isinstance(value, bool) else "value"
    on.run(
        f"{{ const field = document.getElementById('{name}'); field.{kind} = {json.dumps(value)};"
        " field.dispatchEvent(new Event('input', {bubbles: true})) }"
    )
    on.settle()


def focus(on: chromium.Page, name: str) -> None:
    on.run(f"document.getElementById('{name}').focus()")


def box(on: chromium.Page, selector: str) -> dict[str, float]:
    """Where an element is in the window."""
    text: str = on.run(
        f"JSON.stringify(document.querySelector({selector!r}).getBoundingClientRect())"
    )
    found: dict[str, float] = json.loads(text)
    return found


def tip(on: chromium.Page) -> str:
    """What is said of the mark that is pointed at."""
    text: str = on.run("document.querySelector('#tip:not([hidden])')?.textContent ?? ''")
    return text


def drawn(on: chromium.Page) -> str:
    """The time line's picture."""
    on.settle()
    text: str = on.run("document.getElementById('tracks').toDataURL()")
    return text


class TestTable:
    def test_has_every_event_and_every_call_in_the_order_of_time(
        self, shown: Open, small: Report
    ) -> None:
        on = shown(small)
        assert count(on) == len(small.timeline)
        assert on.run("document.querySelector('#table table').ariaRowCount") == str(
            len(small.timeline) + 1
        )
        first = rows(on)
        times = [f"{moment.t / 1e6:.3f}" for moment in small.timeline[: len(first)]]
        assert [row[0] for row in first] == times

    def test_finds_what_is_searched(self, shown: Open, small: Report) -> None:
        on = shown(small)
        on.key("/")
        on.type("getPOWER success")
        wanted = [call for call in small.calls if call.function == "nvmlDeviceGetPowerUsage"]
        assert count(on) == sum(call.status == "SUCCESS" for call in wanted) > 0
        assert {row[4] for row in rows(on)} == {"nvmlDeviceGetPowerUsage"}
        on.run("document.getElementById('reset').click()")
        on.run("new Promise(done => setTimeout(done))")
        assert count(on) == len(small.timeline)

    def test_says_so_when_nothing_matches(self, shown: Open, small: Report) -> None:
        on = shown(small)
        choose(on, "search", "no such thing")
        assert count(on) == 0
        assert box(on, "#none")["height"] > 0

    @pytest.mark.parametrize(
        ("name", "key"),
        [
            ("by-process", lambda moment: str(moment.pid)),
            ("by-kind", lambda moment: moment.kind),
            ("only-bad", lambda moment: moment.bad),
        ],
    )
    def test_shows_what_a_filter_lets_through(
        self, shown: Open, small: Report, name: str, key: Callable[[Any], Any]
    ) -> None:
        on = shown(small)
        counts = Counter(map(key, small.timeline))
        assert len(counts) > 1
        for value, number in counts.items():
            if value is not False:
                choose(on, name, value)
                assert count(on) == number

    @pytest.mark.parametrize("library", ["nvml", "cuda"])
    def test_shows_one_library(self, shown: Open, small: Report, library: str) -> None:
        on = shown(small)
        choose(on, "by-library", library)
        assert count(on) == sum(call.library == library for call in small.calls) > 0
        assert {row[3] for row in rows(on)} == {library.upper()}

    def test_is_sorted_by_what_is_clicked(self, shown: Open, small: Report) -> None:
        on = shown(small)
        took = "[...document.querySelectorAll('#columns button')].at(-1)"
        on.run(f"{took}.click()")
        numbers = [int(row[6].replace(",", "")) for row in rows(on)]
        assert numbers[0] == max(call.us for call in small.calls)
        assert all(one >= other for one, other in pairwise(numbers))
        assert on.run(f"{took}.parentElement.ariaSort") == "descending"
        on.run(f"{took}.click()")
        assert on.run(f"{took}.parentElement.ariaSort") == "ascending"

    def test_is_walked_with_keys(self, shown: Open, small: Report) -> None:
        on = shown(small)
        focus(on, "table")
        on.key("End")
        row = box(on, "#rows tr:focus")
        around = box(on, "#table")
        assert around["top"] < row["top"]
        assert row["bottom"] <= around["bottom"]
        last = f"{small.timeline[-1].t / 1e6:.3f}"
        assert on.run("document.activeElement.cells[0].textContent") == last
        assert last in on.run("document.getElementById('detail').textContent")
        on.key("ArrowUp")
        before = f"{small.timeline[-2].t / 1e6:.3f}"
        assert on.run("document.activeElement.cells[0].textContent") == before

    def test_keeps_few_rows_of_many_in_the_document(self, shown: Open, large: Report) -> None:
        on = shown(large)
        assert count(on) == len(large.timeline)
        assert len(rows(on)) < 100
        on.run("document.getElementById('table').scrollTop = 1e9")
        on.settle()
        on.settle()
        assert rows(on)[-1][0] == f"{large.timeline[-1].t / 1e6:.3f}"
        assert len(rows(on)) < 100


class TestTimeLine:
    def test_has_a_lane_for_each_process_and_thread(self, shown: Open, small: Report) -> None:
        on = shown(small)
        threads = {(moment.pid, moment.tid) for moment in small.timeline}
        assert on.run("document.querySelectorAll('.lane').length") == len(threads)
        assert on.run("document.querySelectorAll('button.lane').length") == len(small.processes)
        choose_threads = "document.getElementById('threads').click()"
        on.run(choose_threads)
        assert on.run("document.querySelectorAll('.lane').length") == len(small.processes)

    def test_leaves_out_threads_of_very_many(self, shown: Open, large: Report) -> None:
        on = shown(large)
        assert on.run("document.querySelectorAll('.lane').length") == len(large.processes)

    def test_is_walked_with_keys_and_shows_the_row(self, shown: Open, small: Report) -> None:
        on = shown(small)
        choose(on, "only-bad", True)
        focus(on, "timeline")
        on.key("ArrowRight")
        first = next(moment for moment in small.timeline if moment.bad)
        assert f"{first.t / 1e6:.3f} ms" in tip(on)
        assert "nvmlDeviceGetHandleByIndex_v2" in tip(on)
        on.key("Enter")
        assert on.run("document.activeElement.cells[0].textContent") == f"{first.t / 1e6:.3f}"

    def test_what_is_clicked_is_the_row(self, shown: Open, small: Report) -> None:
        on = shown(small)
        on.run("document.getElementById('timeline').scrollIntoView()")
        on.settle()
        lane = box(on, ".lane.sub")
        middle = (lane["top"] + lane["bottom"]) / 2
        for x in range(int(lane["right"]), 1270, 2):
            on.do("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=middle)
            on.settle()
            if "✕" in (said := tip(on)):
                break
        assert "INVALID_ARGUMENT" in said
        on.click(x, middle)
        time = on.run("document.activeElement.cells[0].textContent")
        assert said.startswith(f"{time} ms")
        assert on.run("document.activeElement.className").startswith("failed")

    def test_zooms_with_wheel_and_keys(self, shown: Open, small: Report) -> None:
        on = shown(small)
        on.run("document.getElementById('timeline').scrollIntoView()")
        all_of_it = drawn(on)
        place = box(on, "#tracks")
        on.wheel(place["left"] + 500, place["top"] + 20, -120, control=True)
        near = drawn(on)
        focus(on, "timeline")
        on.key("+")
        nearer = drawn(on)
        assert len({all_of_it, near, nearer}) == 3
        on.key("0")
        assert drawn(on) == all_of_it

    def test_a_lane_s_label_chooses_its_process(self, shown: Open, small: Report) -> None:
        on = shown(small)
        on.run("document.querySelectorAll('button.lane')[1].click()")
        pid = int(on.run("document.getElementById('by-process').value"))
        assert count(on) == sum(moment.pid == pid for moment in small.timeline)

    def test_pauses_are_shortened_unless_told_otherwise(self, shown: Open, small: Report) -> None:
        on = shown(small)
        shortened = drawn(on)
        on.run("document.getElementById('shorten').click()")
        assert drawn(on) != shortened


class TestLooks:
    @pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
    @pytest.mark.parametrize("width", [320, 390, 768, 1280, 1920])
    @pytest.mark.parametrize("name", ["small", "large", "failed", "hostile"])
    def test_never_wider_than_the_window(
        self, shown: Open, request: pytest.FixtureRequest, name: str, width: int, dark: bool
    ) -> None:
        on = shown(request.getfixturevalue(name), width, dark=dark)
        on.run("document.querySelectorAll('details').forEach(each => { each.open = true })")
        focus(on, "table")
        on.key("ArrowDown")
        assert on.run("innerWidth") == width
        assert on.run("document.scrollingElement.scrollWidth") <= width
        assert box(on, "#tracks")["height"] > 20

    @pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
    @pytest.mark.parametrize("name", ["small", "failed"])
    def test_every_text_stands_out(
        self, shown: Open, request: pytest.FixtureRequest, name: str, dark: bool
    ) -> None:
        on = shown(request.getfixturevalue(name), dark=dark)
        on.run("document.querySelectorAll('details').forEach(each => { each.open = true })")
        focus(on, "table")
        on.key("ArrowDown")
        contrasts = on.run(CONTRASTS)
        assert len(contrasts) > 50
        assert min(contrasts, key=lambda each: float(each["ratio"]))["ratio"] >= 4.5

    def test_the_dark_is_dark(self, shown: Open, small: Report) -> None:
        ground = "getComputedStyle(document.body).backgroundColor"
        light, dark = (
            sum(map(int, re.findall(r"\d+", shown(small, dark=dark).run(ground))))
            for dark in (False, True)
        )
        assert light > 3 * 200
        assert dark < 3 * 50

    def test_paper_has_a_page_of_the_time_line_and_some_rows(
        self, shown: Open, large: Report
    ) -> None:
        on = shown(large, dark=True)
        before = drawn(on)
        printed = on.do("Page.printToPDF")["data"]
        assert len(printed) > 10_000
        assert len(rows(on)) < 100
        assert drawn(on) == before

    def test_the_verdict_is_there_without_scripts(self, shown: Open, failed: Report) -> None:
        on = shown(failed)
        try:
            on.do("Emulation.setScriptExecutionDisabled", value=True)
            on.do("Page.reload")
            while on.run("document.querySelector('footer') === null || !interactive.hidden"):
                pass
            headline = on.run("document.querySelector('h1').innerText")
            assert headline.lower() == failed.headline.lower()
            assert "JavaScript" in on.run("document.querySelector('main').innerText")
        finally:
            on.do("Emulation.setScriptExecutionDisabled", value=False)


class TestHostile:
    def test_texts_are_texts(self, shown: Open, hostile: Report) -> None:
        on = shown(hostile)
        focus(on, "table")
        on.key("ArrowDown")
        focus(on, "timeline")
        on.key("ArrowRight")
        assert on.run("document.querySelector('h1').textContent") == HOSTILE
        assert HOSTILE in on.run("document.getElementById('detail').textContent")
        assert HOSTILE in tip(on)
        assert on.run("document.querySelectorAll('img').length") == 0

    def test_the_policy_stops_what_would_run(self, shown: Open, small: Report) -> None:
        on = shown(small)
        on.run(
            "{ const script = document.createElement('script');"
            " script.textContent = 'window.broken = true'; document.body.append(script) }"
        )
        assert on.run("window.broken") is None
        assert any("Content Security Policy" in line for line in on.said)
        on.said.clear()


#: The contrast of each text that is seen with what is behind it, as WCAG 2 computes it.
CONTRASTS = """(() => {
  const channels = colour => colour.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map(value => value / 255)
    .map(value => value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4)
    .reduce((sum, value, at) => sum + value * [0.2126, 0.7152, 0.0722][at], 0);
  const behind = element => {
    for (; element; element = element.parentElement) {
      const colour = channels(getComputedStyle(element).backgroundColor);
      if (colour[3] !== 0) return colour;
    }
    return [255, 255, 255];
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const found = [];
  while (walker.nextNode()) {
    const { data: text, parentElement: element } = walker.currentNode;
    if (!text.trim() || !element.checkVisibility() || element.closest('option')) continue;
    const [one, other] = [channels(getComputedStyle(element).color), behind(element)].map(light);
    const ratio = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
    found.push({ text, ratio });
  }
  return found;
})()"""
