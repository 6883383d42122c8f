"""What a capture of a testbed's programs says of the machine: driver and libraries."""

from __future__ import annotations

from fnmatch import filter as matching
from typing import Any

from ..imports.captures.format import Header, Table
from ..scenario import Scenario
from ..scenario.loader import PRESENT, Loader
from ..stubfiles import SONAMES
from ..symbols import exported
from .testbed import Testbed

__all__ = ["header_of"]


def header_of(testbed: Testbed, made: str = "trace") -> Header:
    """The header of a capture of what answers in a testbed: a scenario or a real driver.

    Args:
        testbed: the testbed.
        made: how the capture comes about.
    """
    if testbed.real is None:
        scenario = testbed.scenario
        driver, libraries = scenario.reported_driver, _of_scenario(scenario)
    else:
        driver = next((real.version for real in testbed.real if real.version), "")
        libraries = {
            real.library: Table(real.driver, tuple(sorted(real.lacking)), real.hidden)
            for real in testbed.real
        }
    return Header(driver=driver, libraries=libraries, made=made)


def _of_scenario(scenario: Scenario) -> dict[str, Table]:
    """The libraries that programs can load; where there are several copies, the last."""
    found = {}
    for library in SONAMES:
        copies: Any = scenario.loader.get(library, (PRESENT,))  # as checked
        table = _table(library, scenario.driver, copies[-1])
        if table is not None:
            found[library] = table
    return found


def _table(library: str, driver: str, copy: Loader) -> Table | None:
    known = exported(library, driver)
    if copy.state == "present":
        return Table(driver)
    if copy.state == "older-table":
        return Table(str(copy.driver))
    if copy.state == "missing-symbols":
        lacking = {name for pattern in copy.symbols for name in matching(known, pattern)}
        return Table(driver, tuple(sorted(lacking)))
    return None
