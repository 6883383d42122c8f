"""The two libraries: which file dlopen finds and why, and whose it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..stubfiles import SONAMES
from ..testbed.asking import Answer, ask
from . import kinds
from .facts import Facts
from .kinds import Kind, kind
from .result import Check
from .search import Candidate, candidates

__all__ = ["COUNTS", "Library", "check", "examine"]

#: The functions that count GPUs.
COUNTS = {
    "nvml": ("nvmlDeviceGetCount_v2", "nvmlDeviceGetCount"),
    "cuda": ("cuDeviceGetCount",),
}
#: The verdicts on the file that ends the search.
_DECISIVE = ("taken", "stops the search")

#: Kind of library -> its state, and what to do where it is not the driver's.
_KINDS = {
    kinds.REAL: ("ok", ""),
    kinds.STUB: ("ok", ""),
    kinds.TOOLKIT: (
        "failed",
        "take its folder off LD_LIBRARY_PATH, so that the driver's own library is found",
    ),
    kinds.FOREIGN: (
        "warning",
        "programs call functions that it may lack: `nvemu symbols diff` lists them; remove it if "
        "NVIDIA's is meant",
    ),
    kinds.UNKNOWN: ("warning", "make the file readable for this user"),
}


@dataclass(frozen=True)
class Library:
    """What was found of `nvml` or `cuda`: the search, the child's answer, and whose library it is
    (None where none was loaded)."""

    name: str
    candidates: tuple[Candidate, ...]
    answer: Answer
    kind: Kind | None

    @property
    def soname(self) -> str:
        """The name that programs ask for."""
        return SONAMES[self.name]

    @property
    def path(self) -> str | None:
        """The file that the loader took."""
        path = self.answer.result("dlopen").get("path")
        return str(path) if path else None

    @property
    def count(self) -> int | None:
        """How many GPUs it counts; None where it did not get that far."""
        return self.answer.result(*COUNTS[self.name]).get("value")

    @property
    def reaches_gpus(self) -> bool:
        """Whether it is NVIDIA's and counts a GPU: then the driver below it works."""
        return bool(self.driver and self.count)

    @property
    def driver(self) -> str | None:
        """The driver version of a library of NVIDIA's."""
        return self.kind.driver if self.kind and self.kind.name == kinds.REAL else None


def examine(name: str, environment: Mapping[str, str], root: Path, limit: float) -> Library:
    """Look for a library as programs do, load and initialise it, in a child."""
    soname = SONAMES[name]
    answer = ask([name, soname], environment, limit)
    path = answer.result("dlopen").get("path")
    found = kind(name, Path(path)) if path else None
    return Library(name, tuple(candidates(soname, environment, root)), answer, found)


def check(library: Library, facts: Facts) -> Check:
    """The line about which library is loaded."""
    loaded = library.answer.result("dlopen")
    details = tuple(map(str, library.candidates))
    if "error" in loaded:
        return _refused(library, str(loaded["error"]), details, facts)
    if not library.path:
        text = f"loading it {library.answer.ending or 'told nothing'}"
        return Check(library.soname, "failed", text, details, "remove or reinstall this library")
    return _found(library, details, facts)


def _refused(library: Library, error: str, details: tuple[str, ...], facts: Facts) -> Check:
    """What the loader said, and which file is behind it."""
    name = library.soname
    blamed = _first(library, _DECISIVE) or _first(library, ("passed over",))
    if blamed and blamed.verdict == "taken":
        advice = f"install what it needs: `ldd {blamed.path}` lists it"
        return Check(name, "failed", f"{blamed.path} cannot be loaded: {error}", details, advice)
    if blamed:
        verb = "is passed over" if blamed.verdict == "passed over" else blamed.verdict
        text = f"{blamed.path} {verb}, {blamed.reason}: {error}"
        return Check(name, "failed", text, details, f"remove or reinstall {blamed.path}")
    if not facts.wants_driver:
        text = "not found, as is to be expected without NVIDIA hardware"
        return Check(name, "warning", text, details, "`nvemu run -- PROGRAM` brings its own")
    return Check(name, "failed", f"not found: {error}", details, _install(library.name, facts))


def _first(library: Library, verdicts: tuple[str, ...]) -> Candidate | None:
    return next((each for each in library.candidates if each.verdict in verdicts), None)


def _install(name: str, facts: Facts) -> str:
    capability = {"nvml": "utility", "cuda": "compute"}[name]
    if facts.container:
        return (
            "start the container with the GPUs (`--gpus all`) and with "
            f"{capability} in NVIDIA_DRIVER_CAPABILITIES"
        )
    return "install NVIDIA's driver, then `sudo ldconfig`; or put its folder on LD_LIBRARY_PATH"


def _found(library: Library, details: tuple[str, ...], facts: Facts) -> Check:
    found = library.kind or Kind(kinds.UNKNOWN, "")
    state, advice = _KINDS[found.name]
    how, note = _why(library)
    if found.name == kinds.STUB and facts.has_hardware:
        state, advice = "warning", "programs started from here do not see this machine's own GPUs"
    text = f"{library.path} ({how}): {found.text}"
    return Check(library.soname, state, text, (*details, *note), advice)


def _why(library: Library) -> tuple[str, tuple[str, ...]]:
    """What had the loader find a library; and a line where that is not what its rules say."""
    path = str(library.path)
    first = _first(library, _DECISIVE)
    same = [c for c in library.candidates if _same(c.path, path)]
    if first is not None and first in same:
        return first.how, ()
    expected = first.path if first else "nothing"
    note = f"by the search path {expected} would be found; the loader took {path}, and it decides"
    how = same[0].how if same else "by LD_PRELOAD, LD_AUDIT, a RUNPATH or glibc-hwcaps"
    return how, (note,)


def _same(one: str, other: str) -> bool:
    try:
        return Path(one).samefile(other)
    except OSError:
        return False
