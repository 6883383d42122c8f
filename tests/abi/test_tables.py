"""Each stub exports exactly what the real library of its driver version exports."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from emulator.machine import DRIVERS
from emulator.stubfiles import stub
from emulator.symbols import difference, read_library, recorded_tables
from stubs.build import SONAMES, build


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path | None:
    """Where the stubs to check are: the installed ones, or cross-compiled (NVEMU_CROSS_CC)."""
    compiler = os.environ.get("NVEMU_CROSS_CC")
    if compiler is None:
        return None
    target = tmp_path_factory.mktemp("cross")
    build(target, compiler)
    return target


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("library", SONAMES)
def test_exported_table_is_exact(library: str, driver: str, folder: Path | None) -> None:
    path = folder / driver / SONAMES[library] if folder else stub(library, driver)
    built, recorded = read_library(path), recorded_tables(library)[driver]
    assert built.soname == SONAMES[library]
    assert not difference(recorded, built), str(difference(recorded, built))
    assert len(built.symbols) == len(recorded.symbols) > 250
