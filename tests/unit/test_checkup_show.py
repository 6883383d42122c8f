"""What a checkup looks like, for people and for programs."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from checkup_machines import lay_out_machine
from rich.console import Console

from emulator.checkup import INSTALLATION, Check, as_data, check, failed
from emulator.cli.checkup_show import show

LINES = [
    Check("kernel module", "ok", "nvidia 550.163.01", ("a detail of what is fine",)),
    Check("libcuda.so.1", "warning", "not NVIDIA's", ("/a/libcuda.so.1: taken",), "remove it"),
    Check("cuInit", "failed", "answers 999 (UNKNOWN)", ("usually: " + "something " * 12,), "wait"),
    Check("stubs", "ok", "12", area=INSTALLATION),
]


def shown(lines: list[Check], width: int = 200, terminal: bool = True, **options: bool) -> str:
    out = io.StringIO()
    system = "truecolor" if options.pop("color", False) else None
    console = Console(
        file=out, width=width, force_terminal=terminal, color_system=system, highlight=False
    )
    show(lines, console=console, **options)
    return out.getvalue()


def test_each_line_has_its_state_in_words() -> None:
    text = shown(LINES).splitlines()
    assert "ok       kernel module: nvidia 550.163.01" in text
    assert "warning  libcuda.so.1: not NVIDIA's" in text
    assert "FAILED   cuInit: answers 999 (UNKNOWN)" in text
    assert text[0] == "This machine"
    assert text[text.index("ok       stubs: 12") - 1] == "This installation of nvemu"
    assert text[-1] == "2 ok, 1 warning, 1 failed"


def test_reason_and_advice_stand_below_what_is_not_ok() -> None:
    text = shown(LINES).splitlines()
    place = text.index("warning  libcuda.so.1: not NVIDIA's")
    assert text[place + 1] == "         /a/libcuda.so.1: taken"
    assert text[place + 2] == "         -> remove it"
    assert "a detail of what is fine" not in "\n".join(text)


def test_details_of_what_is_fine_are_there_on_request() -> None:
    assert "         a detail of what is fine" in shown(LINES, verbose=True).splitlines()


@pytest.mark.parametrize("width", [40, 57, 80])
def test_narrow_terminal_breaks_lines_and_indents_them(width: int) -> None:
    text = shown(LINES, width).splitlines()
    assert max(map(len, text)) <= width
    broken = " ".join(line.strip() for line in text)
    assert "usually: " + " ".join(["something"] * 12) in broken
    assert [line for line in text if line.startswith("           something")]


def test_long_path_is_broken_too_and_loses_nothing() -> None:
    path = "/" + "/".join(["folder"] * 30)
    text = shown([Check("libcuda.so.1", "failed", path, (), "x")], width=60)
    assert max(map(len, text.splitlines())) <= 60
    assert path in "".join(line.strip() for line in text.splitlines())


def test_nothing_is_broken_in_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    text = shown(LINES, width=40, terminal=False).splitlines()
    assert any(len(line) > 100 for line in text)


def test_colour_is_in_addition() -> None:
    plain, coloured = shown(LINES), shown(LINES, color=True)
    assert "\x1b[" not in plain.replace("\x1b[1m", "").replace("\x1b[0m", "")
    assert "\x1b[1;31mFAILED" in coloured


def test_markup_in_a_path_is_text() -> None:
    line = Check("libcuda.so.1", "ok", "/opt/[red]/libcuda.so.1 :smile:")
    assert "/opt/[red]/libcuda.so.1 :smile:" in shown([line])


def test_data_has_all_lines_and_the_worst_state(tmp_path: Path) -> None:
    lines = check(lay_out_machine(tmp_path), {}, limit=20)
    data = json.loads(json.dumps(as_data(lines)))
    assert data["state"] == "warning"
    assert [row["name"] for row in data["checks"]] == [line.name for line in lines]
    assert set(data["checks"][0]) == {"area", "name", "state", "text", "details", "next"}
    assert as_data([])["state"] == "ok"


def test_a_failure_anywhere_is_one_of_the_whole() -> None:
    assert failed(LINES)
    assert not failed(LINES[:2])


def test_a_state_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="is none of"):
        Check("stubs", "fine", "")


def test_every_line_that_is_not_ok_says_what_to_do(tmp_path: Path) -> None:
    root = lay_out_machine(tmp_path, {"0000:01:00.0": None}, nodes=["nvidiactl"])
    for line in check(root, {"CUDA_VISIBLE_DEVICES": "-1"}, limit=20):
        assert line.state == "ok" or line.next, line
        assert "\n" not in line.text + line.next
