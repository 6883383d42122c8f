"""This installation of nvemu: its stubs, and what it uses of the machine."""

from __future__ import annotations

import os
import shlex
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from .. import stubfiles
from ..machine import DRIVERS
from ..testbed.devices import obstacle
from ..testbed.libpython import find_libpython
from ..testbed.loading import LoadingError, ask
from .result import INSTALLATION, Check
from .search import look

__all__ = ["checks"]

#: Before it, LD_AUDIT tells less: dlopen's searches in namespaces, la_symbind.
_AUDIT_GLIBC = (2, 35)
_REINSTALL = "install nvemu again on this machine: `pip install --force-reinstall nvemu`"


def checks(environment: Mapping[str, str]) -> list[Check]:
    """The lines about this installation."""
    return [
        _stubs(environment),
        _audit_module(),
        _libpython(),
        _temporary(),
        _glibc(),
        _namespaces(),
        _strace(environment),
        _compiler(environment),
    ]


def _check(name: str, state: str, text: str, details: tuple[str, ...], advice: str = "") -> Check:
    return Check(name, state, text, details, advice, INSTALLATION)


def _stubs(environment: Mapping[str, str]) -> Check:
    """Whether the stubs are there for every driver, for this machine, and can be loaded."""
    files = [
        stubfiles.FOLDER / driver / soname
        for driver in DRIVERS
        for soname in stubfiles.SONAMES.values()
    ]
    wrong = [(file, *look(str(file))) for file in files]
    faults = tuple(
        f"{file}: {reason or verdict}" for file, verdict, reason in wrong if verdict != "taken"
    )
    if not faults:
        faults = _unloadable(files, environment.get("LD_LIBRARY_PATH", ""))
    if faults:
        text = f"{len(faults)} of {len(files)} cannot be used: {faults[0]}"
        return _check("stubs", "failed", text, faults, _REINSTALL)
    text = f"{len(files)} in {stubfiles.FOLDER}, all can be loaded"
    return _check("stubs", "ok", text, tuple(f"driver {driver}" for driver in DRIVERS))


def _unloadable(files: list[Path], path: str) -> tuple[str, ...]:
    try:
        return tuple(text for kind, text in ask([*map(str, files)], path) if kind == "error")
    except LoadingError as error:
        return (str(error),)


def _audit_module() -> Check:
    """Whether the module is there that has the loader say what it does."""
    name, file = "audit module", stubfiles.FOLDER / "audit.so"
    verdict, reason = look(str(file))
    if verdict != "taken":
        text = f"{file}: {reason or verdict}; the loader's searches leave no evidence"
        return _check(name, "failed", text, (), _REINSTALL)
    return _check(name, "ok", str(file), ())


def _libpython() -> Check:
    found = find_libpython()
    if found is None:
        text = "none: programs without a Python of their own cannot be served"
        advice = "install a shared one, such as the package libpython3.11 or python3-libs"
        return _check("libpython", "warning", text, (), advice)
    return _check("libpython", "ok", str(found.path), (f"standard library below {found.home}",))


def _temporary() -> Check:
    """Whether libraries can be loaded from the folder that testbeds are made in."""
    name, advice = "temporary folder", "set TMPDIR to a folder that programs may be run from"
    folder = os.environ.get("TMPDIR", "/tmp")
    try:
        folder = tempfile.gettempdir()
        flags = os.statvfs(folder).f_flag
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        text = f"{folder} cannot be written to: {str(error.strerror).lower()}"
        return _check(name, "failed", text, (), advice)
    if flags & os.ST_NOEXEC:
        text = f"{folder} is mounted noexec: no library can be loaded from it"
        return _check(name, "failed", text, (), advice)
    return _check(name, "ok", folder, ())


def _glibc() -> Check:
    try:
        found = os.confstr("CS_GNU_LIBC_VERSION") or ""
    except (OSError, ValueError):
        found = ""
    if not found.startswith("glibc "):
        text = "not glibc (musl?): evidence of the loader's searches cannot be had"
        return _check("C library", "warning", text, (), "use an image with glibc")
    version = tuple(int(part) for part in found.split()[1].split(".")[:2])
    if version < _AUDIT_GLIBC:
        text = f"{found}: before 2.35, LD_AUDIT does not tell everything"
        return _check("C library", "warning", text, (), "evidence may have gaps")
    return _check("C library", "ok", found, ())


def _namespaces() -> Check:
    """Whether `--devices` can be had."""
    found = obstacle()
    if found is None:
        return _check("namespaces", "ok", "can be made, as --devices needs them", ())
    problem, advice = found
    return _check("namespaces", "warning", f"--devices does not work: {problem}", (), advice)


def _strace(environment: Mapping[str, str]) -> Check:
    found = shutil.which("strace", path=environment.get("PATH", ""))
    text = found or "not installed: static programs and raw system calls leave no evidence"
    return _check("strace", "ok", text, ())


def _compiler(environment: Mapping[str, str]) -> Check:
    command = shlex.split(environment.get("CC", "cc")) or ["cc"]
    found = shutil.which(command[0], path=environment.get("PATH", ""))
    if found is None:
        text = f"none ({command[0]}); needed to install nvemu only"
        return _check("C compiler", "warning", text, (), "nothing, unless you build from source")
    return _check("C compiler", "ok", f"{found}; needed to install nvemu only", ())
