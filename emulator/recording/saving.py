"""Recording a machine to two files: its scenario and its capture."""

from __future__ import annotations

import os
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from ..imports.captures.format import Call, Capture, dumps
from ..imports.captures.naming import SUFFIX
from ..imports.captures.playing import scenario_of_capture
from ..imports.redaction import Redaction
from ..scenario import ScenarioError, toml
from ..testbed import Testbed
from ..testbed.capturing import header_of
from ..testbed.replacing import write_all
from .recorder import Recording, record

__all__ = ["Saved", "captured", "files_of", "save"]

#: Functions whose text tells the driver's version, and what separates it from what stands before.
VERSIONS = {"nvmlSystemGetDriverVersion": "", "nvmlSystemGetNVMLVersion": "."}


class Saved(Struct, frozen=True):
    """What was written.

    Attributes:
        capture: the capture's file.
        driver: the driver's version; empty if it is not known.
        gpus: how many.
        calls: how many.
        remarks: what a user must know of it, as sentences.
    """

    capture: Path
    driver: str
    gpus: int
    calls: int
    remarks: tuple[str, ...]


def files_of(name: str) -> tuple[Path, Path]:
    """The files of the scenario and of the capture that a name stands for.

    Raises:
        ScenarioError: it is no name of a scenario's file, or they cannot be written there.
    """
    path = Path(name)
    if path.suffix != ".toml" or not path.stem:
        raise ScenarioError(f"expected the name of a file that ends in .toml, found {name!r}")
    if not path.parent.is_dir() or not os.access(path.parent, os.W_OK | os.X_OK):
        raise ScenarioError(f"expected a folder that can be written to, found {str(path.parent)!r}")
    files = path, path.with_suffix(SUFFIX)
    for file in files:
        if file.is_dir():
            raise ScenarioError(f"expected a file or nothing at {str(file)!r}, found a folder")
    return files


def captured(testbed: Testbed, recording: Recording) -> Capture:
    """The capture of what a testbed's libraries answered."""
    header = header_of(testbed, made="record")
    if not header.driver:
        header = replace(header, driver=_version(recording.calls))
    return Capture(header, recording.calls)


def save(testbed: Testbed, scenario: Path, capture: Path, redact: bool) -> Saved:
    """Record what answers in a testbed; both files are written in the end, or neither.

    Raises:
        CallerError: no call could be made.
        ScenarioError: no scenario can be made of it.
        OSError: a file cannot be written.
    """
    recording = record(testbed)
    made = captured(testbed, recording)
    redaction = Redaction() if redact else None
    made = redaction.capture(made) if redaction else made
    fatal = [f"left out: {each}" for each in recording.fatal]
    imported = scenario_of_capture(made, capture.name, scenario.stem)
    text = toml.dumps(imported.scenario)
    write_all({capture: dumps(made), scenario: text})
    return Saved(
        capture=capture,
        driver=made.header.driver,
        gpus=sum(gpu.count for gpu in imported.scenario.gpus),
        calls=len(made.calls),
        remarks=(
            *(real.remark for real in testbed.real or () if real.remark),
            *(map(redaction.text, fatal) if redaction else fatal),
            *map(str, imported.notes),
        ),
    )


def _version(calls: tuple[Call, ...]) -> str:
    """What the driver says of itself; NVML's own version ends in it ("12.550.163.01")."""
    for function, separator in VERSIONS.items():
        for call in calls:
            if call.function == function and call.outputs:
                version = str(call.outputs.get("version", ""))
                return version.partition(separator)[2] if separator else version
    return ""
