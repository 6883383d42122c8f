"""What a testbed's folder is furnished with: libraries, the boot file, a plan."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ..scenario.hooks import portable
from . import libraries
from .libpython import find_libpython
from .real import RealLibrary, lay_out_real
from .replacing import write

__all__ = ["PACKAGE", "TestbedError", "boot_of", "check_name", "furnish", "write_plan"]

#: This package's folder, which lies in the `root` that a boot file names.
PACKAGE = Path(__file__).resolve().parent.parent


class TestbedError(RuntimeError):
    """No testbed can be made in the folder that is to hold it."""

    __test__ = False


def furnish(
    folder: Path,
    driver: str,
    states: libraries.States = MappingProxyType({}),
    root: Path = PACKAGE.parent,
    real: Sequence[RealLibrary] | None = None,
    version: str = "",
) -> None:
    """Put the libraries of a driver and the boot file into a testbed's folder.

    What is there already is replaced piece by piece, each in one step: programs may be using it,
    and another process may be doing the same.

    Args:
        folder: the testbed's, which exists.
        driver: whose libraries they are.
        states: a scenario's loader states, checked.
        root: the folder that programs load the package `emulator` from.
        real: the libraries to stand in front of, in place of the driver's.
        version: what the driver says its version is, if not that.

    Raises:
        TestbedError: programs could not load libraries from this folder.
    """
    _check(folder)
    write(folder / "boot", _boot(driver, root))  # first: by it a folder is known as nvemu's
    if real is not None:
        lay_out_real(folder, real)
    else:
        libraries.lay_out(folder, driver, states, version)


def write_plan(path: Path, plan: dict[str, Any], paths: Mapping[str, Path | None]) -> None:
    """Write a plan, and the files that its processes write to, in one step."""
    document = plan | {k: v and str(v) for k, v in paths.items()} | {"gpus": _brief(plan["gpus"])}
    write(path, json.dumps(document, default=portable))


def _brief(gpus: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The GPUs with those tables left out that the first of the same product has, too.

    Reading a plan is a good part of a cold start, and most machines have GPUs of one kind.
    """
    first: dict[str, int] = {}
    brief = []
    for index, gpu in enumerate(gpus):
        model = gpus[first.setdefault(gpu["profile"], index)]
        if model is gpu or model.keys() - gpu.keys():
            brief.append(gpu)
            continue
        own = {k: v for k, v in gpu.items() if not isinstance(v, dict) or v != model.get(k)}
        brief.append({"like": model["index"], **own})
    return brief


def check_name(folder: Path) -> None:
    """Refuse a folder, there or not, whose libraries could not be found by their path.

    Raises:
        TestbedError: its name cannot be on a path, or in the boot file.
    """
    if {":", ";", "\n"} & set(str(folder)):
        problem = "its name has a ':', a ';' or a line break"
        raise TestbedError(f"{str(folder)!r} cannot go on LD_LIBRARY_PATH: {problem}")
    if any("\ud800" <= letter <= "\udfff" for letter in str(folder)):
        raise TestbedError(f"{str(folder)!r} cannot be written down: its name is not UTF-8")


def _check(folder: Path) -> None:
    check_name(folder)
    if os.statvfs(folder).f_flag & os.ST_NOEXEC:
        raise TestbedError(
            f"no library can be loaded from {folder}, which is mounted noexec: "
            "set TMPDIR (for `nvemu stubs path`: XDG_CACHE_HOME; for `nvemu install`: --prefix) to "
            "another folder"
        )


def _boot(driver: str, root: Path) -> str:
    found = find_libpython()
    lines = {"root": root, "python": sys.executable, "driver": driver}
    if found is not None:
        lines |= {"libpython": found.path, "home": found.home}
    return "".join(f"{key}={value}\n" for key, value in lines.items())


def boot_of(folder: Path) -> dict[str, str]:
    """What a testbed's boot file says; nothing where there is none."""
    try:
        lines = (folder / "boot").read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return {}
    return dict(line.partition("=")[::2] for line in lines)
