"""GPU Operational Events and their contexts, which only the newest driver has."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from emulator import Gpu, Scenario, Testbed

CLIENT = Path(__file__).with_name("operational_client.py")
DRIVER = "615.71"

XID, DOUBLE = 8, 2
INVALID_ARGUMENT, NOT_SUPPORTED, NOT_FOUND = 2, 3, 6
INSUFFICIENT_SIZE, TIMEOUT = 7, 10
RECOVERABLE = 30
NONE = 0xFFFFFFFF

#: What is there of an event by its bit.
BARE = {
    **dict.fromkeys(("groupCursor", "instanceId", "traceId", "severity", "categoryId"), 0),
    **dict.fromkeys(("moduleEventCode", "scope", "originator", "moduleInstance"), 0),
    **dict.fromkeys(("chipletId", "logLevel", "attributes", "groupCperSize"), 0),
    **dict.fromkeys(("groupAttributes", "groupSize", "groupIndex", "dataType"), 0),
    **{"timeoutMs": 300, "sourceModule": "", "gpuInstanceId": NONE, "computeInstanceId": NONE},
}


def run(before: tuple[str, ...], xids: tuple[int, ...], *after: str, **scenario: Any) -> list[Any]:
    """What a client's steps gave, between which the Xids were said."""
    made = Scenario(**{"driver": DRIVER, "gpus": [Gpu("h100-sxm5-80gb")], **scenario})
    with Testbed(made) as testbed:
        program = subprocess.Popen(
            [sys.executable, str(CLIENT), *before, "line", *after],
            env=testbed.environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert program.stdout is not None
        assert program.stdout.readline() == "ready\n"
        for number in xids:
            testbed.control.xid(0, number)
        output, _ = program.communicate("go\n", timeout=60)
        found: list[Any] = json.loads(output)
    return found[: len(before)] + found[len(before) + 1 :]


def test_events_by_their_bits() -> None:
    code, *events = run((f"register:{XID | DOUBLE}",), (48,), "wait", "wait", "wait")
    assert code == 0
    assert events == [
        {**BARE, "eventType": DOUBLE, "eventData": 0},
        {**BARE, "eventType": XID, "eventData": 48},
        TIMEOUT,
    ]


def test_structured_events() -> None:
    _, event, contexts, info, xid, data = run(
        ("subscribe:0:0",), (94,), "wait", "contexts", "info:0", "xid:0", "data:0:4"
    )
    assert (event["dataType"], event["eventType"], event["eventData"]) == (1, 0, 0)
    assert (event["severity"], event["logLevel"]) == (RECOVERABLE, 50)
    assert (event["sourceModule"], event["moduleEventCode"]) == ("NVRM", 94)
    assert (event["groupSize"], event["groupIndex"]) == (1, 0)
    assert contexts == [0, 1]
    assert info == [0, 1, 4, 1]
    assert xid == [0, 94]
    assert data == [0, 4, "5e000000"]


def test_one_incident_in_both_formats() -> None:
    *_, first, second, third = run(
        (f"register:{XID}", "subscribe:0:0"), (79,), "wait", "wait", "wait"
    )
    assert sorted((first["dataType"], second["dataType"])) == [0, 1]
    assert third == TIMEOUT


def test_the_same_subscription_again_is_one() -> None:
    *codes, first, second = run(("subscribe:0:0", "subscribe:0:0"), (79,), "wait", "wait")
    assert codes == [0, 0]
    assert first["moduleEventCode"] == 79
    assert second == TIMEOUT


@pytest.mark.parametrize(
    ("least", "expected"),
    [("0:0", [63, 31, 79]), ("0:30", [31, 79]), ("0:40", [79]), ("50:0", [31, 79]), ("51:0", [])],
)
def test_what_a_subscription_lets_through(least: str, expected: list[int]) -> None:
    _, *events = run((f"subscribe:{least}",), (63, 31, 79), *["wait"] * 4)
    found = [event["moduleEventCode"] for event in events if event != TIMEOUT]
    assert found == expected


def test_sizes_of_a_context_s_data() -> None:
    _, _, *sizes, nowhere = run(
        ("subscribe:0:0",), (79,), "wait", "data:0:0", "data:0:3", "data:1:4", "nowhere"
    )
    assert [size[:2] for size in sizes[:2]] == [[INSUFFICIENT_SIZE, 4]] * 2
    assert (sizes[2][0], nowhere) == (INVALID_ARGUMENT, INVALID_ARGUMENT)


def test_contexts_of_nothing_and_of_a_bit() -> None:
    _, *found = run(
        (f"register:{XID}",), (79,), "contexts", "info:0", "xid:0", "wait", "contexts", "xid:0"
    )
    assert [each[0] for each in found[:3]] == [NOT_FOUND] * 3
    assert found[4] == [0, 0]
    assert found[5][0] == INVALID_ARGUMENT


def test_products_before_turing_have_none() -> None:
    assert run(("subscribe:0:0",), (), gpus=[Gpu("v100-sxm2-16gb")]) == [NOT_SUPPORTED]
