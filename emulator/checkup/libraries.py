"""The two libraries: which file dlopen finds and why, whose it is, and whether init works."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..causes import causes, code_name
from ..stubfiles import SONAMES
from . import kinds
from .asking import Answer, ask
from .facts import Facts
from .kinds import Kind, kind
from .result import Check
from .search import Candidate, candidates

__all__ = ["LABELS", "Library", "checks", "examine"]

LABELS = {"nvml": "NVML", "cuda": "CUDA"}
INITS = {"nvml": ("nvmlInit_v2", "nvmlInit"), "cuda": ("cuInit",)}
_COUNTS = {
    "nvml": ("nvmlDeviceGetCount_v2", "nvmlDeviceGetCount"),
    "cuda": ("cuDeviceGetCount",),
}
_CUDA_VERSIONS = (
    "nvmlSystemGetCudaDriverVersion_v2",
    "nvmlSystemGetCudaDriverVersion",
    "cuDriverGetVersion",
)

_OF_A_STUB = "start programs with `nvemu run`, or use the folder that `nvemu stubs path` prints"

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
        return self.answer.result(*_COUNTS[self.name]).get("value")

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


def checks(library: Library, facts: Facts, hidden: str) -> list[Check]:
    """The lines about a library; `hidden` says what hides all GPUs from CUDA, "" for nothing."""
    loaded = library.answer.result("dlopen")
    details = tuple(map(str, library.candidates))
    if "error" in loaded:
        return [_refused(library, str(loaded["error"]), details, facts)]
    if not library.path:
        text = f"loading it {library.answer.ending or 'told nothing'}"
        return [Check(library.soname, "failed", text, details, "remove or reinstall this library")]
    return [_found(library, details, facts), _init(library, facts, hidden)]


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


def _init(library: Library, facts: Facts, hidden: str) -> Check:
    """Whether init works, and what it then tells."""
    names, answer = INITS[library.name], library.answer
    name, result = names[0], answer.result(*names)
    said = tuple(answer.said.splitlines())
    if answer.stuck:
        text = f"{answer.stuck} {answer.ending}"
        return Check(name, "failed", text, said, _after_ending(answer))
    if "code" not in result:
        missing = f"{library.path} has no {name}"
        return Check(name, "failed", missing, said, "this is no library that programs can use")
    if result["code"]:
        return _failed(library, result, said, facts, hidden)
    return _counted(library, name, said, facts, hidden)


def _after_ending(answer: Answer) -> str:
    if "did not come back" not in answer.ending:
        return "reinstall the driver's libraries; `dmesg | tail` and a debugger say where it ended"
    return (
        "the driver or the GPU hangs, or wakes slowly: `dmesg | grep -E 'NVRM|Xid'`; "
        "`nvidia-smi -pm 1` keeps it awake"
    )


def _failed(
    library: Library, result: Mapping[str, Any], said: tuple[str, ...], facts: Facts, hidden: str
) -> Check:
    """A code of init with what is behind it here, where that is known, else what usually is."""
    code, name = int(result["code"]), str(result["step"])
    usual = causes(library.name, code)
    wording = f": {result['text']}" if result.get("text") else ""
    text = f"answers {code} ({usual.name}){wording}"
    if library.name == "cuda" and code in (100, 101) and hidden:
        return Check(name, "failed", f"{text}; {hidden}", said, "unset CUDA_VISIBLE_DEVICES")
    own = next((line for line in said if line.startswith("nvemu: ")), None)
    if own and library.kind and library.kind.name == kinds.STUB:
        return Check(name, "failed", f"{text}; the stub says: {own}", said, _OF_A_STUB)
    here = _behind(library, code, facts)
    details = (*said, *((f"usually: {usual.text}",) if usual.text and not here else ()))
    text += f"; {here}" if here else ""
    return Check(name, "failed", text, details, usual.next or "see `dmesg | grep NVRM`")


def _behind(library: Library, code: int, facts: Facts) -> str:
    """What of this machine is behind a code of init; "" where nothing of it is known to be."""
    nobody = not facts.kernel_line and not facts.platform
    if nobody and (library.name, code) in (("nvml", 9), ("cuda", 100)):
        return "the kernel module is not loaded"
    apart = facts.kernel and library.driver and facts.kernel != library.driver
    if apart and (library.name, code) in (("nvml", 18), ("cuda", 803)):
        return f"the library is of driver {library.driver}, the kernel module of {facts.kernel}"
    return ""


def _counted(
    library: Library, name: str, said: tuple[str, ...], facts: Facts, hidden: str
) -> Check:
    told = _told(library)
    count = library.count
    if count is None:
        failure = _refusal(library)
        return Check(name, "failed", f"{told}, but {failure}", said, "see `dmesg | grep NVRM`")
    text = f"{told}, {count} device{'' if count == 1 else 's'}"
    if count:
        return Check(name, "ok", text, said)
    if hidden and library.name == "cuda":
        return Check(name, "failed", f"{text}; {hidden}", said, "unset CUDA_VISIBLE_DEVICES")
    state = "failed" if facts.has_hardware else "warning"
    advice = "no GPU started: `dmesg | grep -E 'NVRM|RmInitAdapter'` says why"
    return Check(name, state, text, said, advice)


def _told(library: Library) -> str:
    """What a library that was initialised said of itself."""
    driver = library.answer.result("nvmlSystemGetDriverVersion").get("value")
    cuda = library.answer.result(*_CUDA_VERSIONS).get("value")
    parts = ["works"]
    parts += [f"driver {driver}"] if driver else []
    parts += [f"CUDA {cuda // 1000}.{cuda % 1000 // 10}"] if cuda else []
    return ", ".join(parts)


def _refusal(library: Library) -> str:
    """Why there is no count of GPUs."""
    function, *_ = names = _COUNTS[library.name]
    result = library.answer.result(*names)
    if "code" not in result:
        return f"it has no {function}"
    code = int(result["code"])
    return f"{function} -> {code} ({code_name(library.name, code)})"
