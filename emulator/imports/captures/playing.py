"""From a capture to the scenario that replays it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from ...scenario import Scenario
from ...scenario.loader import Loader
from ...symbols import exported, recorded_tables
from ..making import Imported, scenario_of
from .answers import answers
from .format import Capture, Header, read

__all__ = ["answers_of", "loader_of", "scenario_of_capture", "scenario_of_file"]


def scenario_of_file(path: str) -> Scenario:
    """The scenario of a capture's file.

    Raises:
        ScenarioError: it cannot be read, is damaged, or tells of no machine that nvemu has.
    """
    return scenario_of_capture(read(path), os.path.abspath(path), Path(path).stem).scenario


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


def answers_of(scenario: Scenario) -> Mapping[str, Any]:
    """The part of a plan that replays a scenario's capture; nothing where it has none.

    Raises:
        ScenarioError: the capture cannot be read, or is damaged.
    """
    if scenario.capture is None:
        return {}
    source = scenario.__dict__.get("source")
    folder = os.path.dirname(source.file) if source else ""
    path = os.path.abspath(os.path.join(folder, scenario.capture))
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        read(path)  # which says what is wrong
        raise
    return {"answers": _answers(path, status.st_mtime_ns, status.st_size)}


@lru_cache(maxsize=8)  # tests play a scenario again and again
def _answers(path: str, changed: int, size: int) -> Any:
    return answers(read(path))
