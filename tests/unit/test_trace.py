"""A trace's records as lines for people."""

from __future__ import annotations

from typing import Any

import pytest

from emulator.trace import line


def record(**fields: Any) -> dict[str, Any]:
    call = {"function": "nvmlF", "arguments": {}, "code": 0, "status": "SUCCESS", "us": 12}
    return call | fields


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        ({}, ""),
        ({"index": 0, "device": "GPU-0"}, "index=0, device=GPU-0"),
        ({"device": None}, "device=NULL"),
        ({"infos": [1, 2]}, "infos=[1, 2]"),
        ({"pci": {"bus": 27, "busId": "0000:1B"}}, "pci={bus=27, busId=0000:1B}"),
        ({"list": [{"pid": 1}, None]}, "list=[{pid=1}, NULL]"),
        ({"flag": False, "limit": 312.5}, "flag=False, limit=312.5"),
    ],
)
def test_arguments_are_named(arguments: dict[str, Any], shown: str) -> None:
    assert line(record(arguments=arguments)) == f"nvmlF({shown}) = SUCCESS <12 us>"


@pytest.mark.parametrize(
    ("count", "shown"),
    [
        (0, "0 B"),
        (1, "1 B"),
        (1023, "1023 B"),
        (1024, "1 KiB"),
        (1536, "1536 B"),
        (80 << 30, "80 GiB"),
        (81559 << 20, "81559 MiB"),
        (1 << 60, "1048576 TiB"),
    ],
)
def test_sizes_have_the_largest_unit_that_keeps_them_exact(count: int, shown: str) -> None:
    shown_line = line(record(arguments={"memory": {"total": count}}))
    assert shown_line == f"nvmlF(memory={{total={shown}}}) = SUCCESS <12 us>"


def test_only_fields_that_hold_sizes_are_shown_as_sizes() -> None:
    shown = line(record(arguments={"total": 2048, "utilization": {"gpu": 2048}}))
    assert shown.startswith("nvmlF(total=2048, utilization={gpu=2048})")


@pytest.mark.parametrize(
    ("fields", "ending"),
    [
        ({"code": 15, "status": "GPU_IS_LOST", "fault": True}, "= GPU_IS_LOST <12 us> [fault]"),
        (
            {"code": 3, "status": "NOT_SUPPORTED", "handler": False},
            "= NOT_SUPPORTED <12 us> [no handler]",
        ),
        (
            {"code": 999, "status": "UNKNOWN", "error": "Traceback ...\n  in f\nKeyError: 'x'\n"},
            "= UNKNOWN <12 us> [internal error: KeyError: 'x']",
        ),
    ],
)
def test_what_is_unusual_is_marked(fields: dict[str, Any], ending: str) -> None:
    assert line(record(**fields)).endswith(ending)


def test_functions_without_a_status_show_what_they_return() -> None:
    without = record(function="nvmlErrorString", code=140234)
    del without["status"]
    assert line(without) == "nvmlErrorString() = 140234 <12 us>"


@pytest.mark.parametrize(
    ("text", "shown"),
    [("Tesla T4", "Tesla T4"), ("two\nlines", r"two\nlines"), ("\x1b[2J", r"\x1b[2J"), ("é", "é")],
)
def test_text_cannot_command_the_terminal(text: str, shown: str) -> None:
    assert line(record(arguments={"name": text})).startswith(f"nvmlF(name={shown})")
