"""A capture of all that a scenario's machine can be asked, made in this process."""

from __future__ import annotations

from contextlib import suppress

from emulator import Scenario
from emulator.emulation import Emulation
from emulator.imports.captures.format import Call, Capture, Header
from emulator.recording.calls import questions
from emulator.recording.client import Client

__all__ = ["capture_of"]


def capture_of(scenario: Scenario) -> Capture:
    """What the scenario's machine answers to every safe question."""
    played = Emulation(scenario, record=True, capture=True)
    with played:
        client = Client()
        asked = list(questions(client))
        played.calls.clear()
        for question in asked:
            with suppress(LookupError):  # a device that is lost has no handle
                client.call(question.library, question.function, question.inputs)
    records = (record for record in played.calls if "in" in record)
    calls = [
        Call(each["library"], each["function"], each["in"], each["code"], each.get("out"))
        for each in records
    ]
    return Capture(Header(driver=scenario.driver), tuple(calls))
