"""Recording a machine to two files: its scenario and its capture."""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from ..imports.captures.format import SUFFIX, Call, Capture, dumps
from ..imports.captures.playing import scenario_of_capture
from ..imports.redaction import redact as redacted
from ..scenario import ScenarioError, toml
from ..testbed import Testbed
from ..testbed.capturing import header_of
from ..testbed.replacing import write
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
        ScenarioError: it is no name of a scenario's file.
    """
    path = Path(name)
    if path.suffix != ".toml" or not path.stem:
        raise ScenarioError(f"expected the name of a file that ends in .toml, found {name!r}")
    return path, path.with_suffix(SUFFIX)


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
    if redact:
        made = redacted(made)
    imported = scenario_of_capture(made, capture.name, scenario.stem)
    text = toml.dumps(imported.scenario)
    write(capture, dumps(made))
    write(scenario, text)
    return Saved(
        capture=capture,
        driver=made.header.driver,
        gpus=sum(gpu.count for gpu in imported.scenario.gpus),
        calls=len(made.calls),
        remarks=(
            *(real.remark for real in testbed.real or () if real.remark),
            *(f"{each}: it is left out" for each in recording.fatal),
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
