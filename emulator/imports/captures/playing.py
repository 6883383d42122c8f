"""From a capture to the scenario that replays it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from ...scenario import Scenario, ScenarioError
from ...scenario.loader import Loader
from ...symbols import exported, recorded_tables
from ..deriving.asked import gpus_in
from ..making import Imported, scenario_of
from .answers import answers
from .format import Capture, Header, read

__all__ = ["answers_of", "capture_of", "loader_of", "scenario_of_capture", "scenario_of_file"]


def scenario_of_file(path: str) -> Imported:
    """The scenario of a capture's file.

    Raises:
        ScenarioError: it cannot be read, is damaged, or tells of no machine that nvemu has.
    """
    return scenario_of_capture(_capture(path), os.path.abspath(path), Path(path).stem)


def scenario_of_capture(capture: Capture, path: str, name: str = "") -> Imported:
    """The scenario that replays a capture.

    Args:
        capture: the capture.
        path: its file's, as the scenario is to have it.
        name: the scenario's.

    Raises:
        ScenarioError: it tells of no machine that nvemu has.
    """
    from ..deriving.reading import facts_of  # noqa: PLC0415  (its tables are large)

    made = scenario_of(facts_of(capture), name, capture=path)
    loader = loader_of(capture.header, made.scenario.driver)
    return Imported(made.scenario.but(loader=loader), made.notes, made.told, made.differences)


def loader_of(header: Header, driver: str) -> dict[str, str | Loader]:
    """The loader states by which a driver's libraries export what the recorded ones did, as far as
    they have it; none where the header does not say which libraries there were."""
    if not header.libraries:
        return {}
    states: dict[str, str | Loader] = {}
    for library in ("nvml", "cuda"):
        table = header.libraries.get(library)
        if table is None:
            states[library] = "absent"
            continue
        had = recorded_tables(library)[table.stub].symbols.keys() - set(table.lacking)
        missing = sorted(set(exported(library, driver)) - had - set(table.hidden))
        if missing:
            states[library] = Loader("missing-symbols", symbols=missing)
    return states


def capture_of(scenario: Scenario) -> str:
    """The file of a scenario's capture, wherever the scenario is written to."""
    source = scenario.__dict__.get("source")
    folder = os.path.dirname(source.file) if source else ""
    return os.path.abspath(os.path.join(folder, str(scenario.capture)))


def answers_of(scenario: Scenario) -> Mapping[str, Any]:
    """The part of a plan that replays a scenario's capture; nothing where it has none.

    Raises:
        ScenarioError: the capture cannot be read, is damaged, or is of more GPUs than the scenario.
    """
    if scenario.capture is None:
        return {}
    path = capture_of(scenario)
    found, wanted = _answers(path, *_stamp(path))
    count = sum(gpu.count for gpu in scenario.gpus)
    if count < wanted:
        problem = f"expected a GPU for each that it has calls of, {wanted} or more; found {count}"
        hint = f"`nvemu scenarios show {path}` prints them"
        raise scenario.locate(ScenarioError(f"{problem}; {hint}", key=("capture",)))
    return {"answers": found}


@lru_cache(maxsize=8)  # tests play a scenario again and again
def _answers(path: str, changed: int, size: int) -> tuple[Any, int]:
    """What a capture answers, and how many GPUs it takes to be asked all of it."""
    found = answers(_capture(path))
    rows = (row for functions in found.values() for rows in functions.values() for row in rows)
    gpus = set().union(*(gpus_in(inputs.values()) for inputs, *_ in rows))
    return found, max(gpus, default=-1) + 1


def _capture(path: str) -> Capture:
    """What is in a file, which is asked for its machine first and then for its answers."""
    key = os.path.abspath(path), *_stamp(path)
    known = _last.get(key)
    if known is None:
        known = read(path)
        _last.clear()
        _last[key] = known
    return known


#: The capture that was read last.
_last: dict[tuple[str, int, int], Capture] = {}


def _stamp(path: str) -> tuple[int, int]:
    """When a file was changed, and its size."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        read(path)  # which says what is wrong
        raise
    return status.st_mtime_ns, status.st_size
