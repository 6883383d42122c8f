"""Whether init works in the two libraries, and what they then tell of themselves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..causes import causes, code_name
from ..machine.drivers import cuda_version
from ..testbed.asking import Answer
from . import kinds
from .facts import Facts
from .libraries import COUNTS, Library
from .result import Check

__all__ = ["checks"]

_INITS = {"nvml": ("nvmlInit_v2", "nvmlInit"), "cuda": ("cuInit",)}
_CUDA_VERSIONS = (
    "nvmlSystemGetCudaDriverVersion_v2",
    "nvmlSystemGetCudaDriverVersion",
    "cuDriverGetVersion",
)

_OF_A_STUB = "start programs with `nvemu run`, or use the folder that `nvemu stubs path` prints"


def checks(library: Library, facts: Facts, hidden: str) -> list[Check]:
    """The line about a library's init, if it was loaded; `hidden` says what hides all GPUs from
    CUDA, "" for nothing."""
    return [_init(library, facts, hidden)] if library.path else []


def _init(library: Library, facts: Facts, hidden: str) -> Check:
    names, answer = _INITS[library.name], library.answer
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
    parts += [f"CUDA {cuda_version(cuda)}"] if cuda else []
    return ", ".join(parts)


def _refusal(library: Library) -> str:
    """Why there is no count of GPUs."""
    function, *_ = names = COUNTS[library.name]
    result = library.answer.result(*names)
    if "code" not in result:
        return f"it has no {function}"
    code = int(result["code"])
    return f"{function} -> {code} ({code_name(library.name, code)})"
