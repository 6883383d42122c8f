"""What a program finds through one of the libraries: versions, GPUs, and what went wrong."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = [
    "Failure",
    "Finding",
    "Pair",
    "RefusedError",
    "SeenGpu",
    "collect",
    "load",
    "opened",
    "pairs",
]


@dataclass(frozen=True)
class Failure:
    """A call that failed: the function, the code's number and name, the library's text for it.

    The code is None where no call was made: the library or the function was not found.
    """

    function: str
    name: str
    text: str = ""
    code: int | None = None

    def __str__(self) -> str:
        code = "" if self.code is None else f" ({self.code})"
        text = f": {self.text}" if self.text else ""
        return f"{self.function} -> {self.name}{code}{text}"


class RefusedError(Exception):
    """Raised for a call that failed."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(str(failure))
        self.failure = failure


@dataclass(frozen=True)
class SeenGpu:
    """A GPU as one library shows it. Memory is in bytes; what the library did not tell is None."""

    index: int
    name: str | None = None
    uuid: str | None = None
    bus_id: str | None = None
    memory_total: int | None = None
    memory_used: int | None = None
    compute_capability: str | None = None
    failures: Mapping[str, Failure] = field(default_factory=dict)


@dataclass(frozen=True)
class Finding:
    """What one library showed; `failure` is what kept it from showing anything."""

    library: str
    path: str | None = None
    driver: str | None = None
    cuda: str | None = None
    gpus: tuple[SeenGpu, ...] = ()
    failure: Failure | None = None


@dataclass(frozen=True)
class Pair:
    """One GPU as the two libraries show it; None where one of them does not."""

    nvml: SeenGpu | None
    cuda: SeenGpu | None

    def contradicts(self, name: str) -> bool:
        """Whether both tell this of the GPU, and not the same."""
        values = {normal(getattr(gpu, name)) for gpu in (self.nvml, self.cuda) if gpu}
        return len(values - {None}) > 1


def normal(value: Any) -> Any:
    """A value as both libraries would write it: their bus ids have domains of 8 and 4 digits."""
    parts = value.lower().split(":") if isinstance(value, str) else ()
    return (int(parts[0], 16), *parts[1:]) if len(parts) == 3 and parts[0].isalnum() else value


def pairs(nvml: Sequence[SeenGpu], cuda: Sequence[SeenGpu]) -> list[Pair]:
    """The GPUs of both libraries, matched by bus id, else by UUID.

    Not by index: CUDA orders and hides devices as CUDA_DEVICE_ORDER and CUDA_VISIBLE_DEVICES say.
    """
    left = list(cuda)
    found = []
    for gpu in nvml:
        twin = next((other for other in left if same(gpu, other)), None)
        if twin is not None:
            left.remove(twin)
        found.append(Pair(gpu, twin))
    return found + [Pair(None, gpu) for gpu in left]


def same(one: SeenGpu, other: SeenGpu) -> bool:
    """Whether two libraries show the same GPU."""
    for name in ("bus_id", "uuid"):
        values = [normal(getattr(gpu, name)) for gpu in (one, other)]
        if None not in values:
            return bool(values[0] == values[1])
    return False


def collect(questions: Mapping[str, Callable[[], Any]]) -> dict[str, Any]:
    """The answers by name, and under `failures` what stands in place of those that failed."""
    answers: dict[str, Any] = {}
    failures: dict[str, Failure] = {}
    for name, ask in questions.items():
        try:
            answers[name] = ask()
        except RefusedError as refusal:
            failures[name] = refusal.failure
    return answers | {"failures": failures}


def load(soname: str) -> ctypes.CDLL:
    """Load a library by its SONAME, as programs do; RefusedError says why it is not found."""
    try:
        return ctypes.CDLL(soname)
    except OSError as error:
        absent = str(error).startswith(f"{soname}: cannot open shared object file: No such file")
        name = "library not found" if absent else "library cannot be loaded"
        raise RefusedError(Failure("dlopen", name, str(error))) from None


def opened(soname: str) -> str | None:
    """The file that this process has loaded as `soname`."""
    base = soname.partition(".so")[0] + ".so"
    lines = Path("/proc/self/maps").read_text(encoding="utf-8", errors="replace").splitlines()
    paths = [line.split(maxsplit=5)[5] for line in lines if line.count("/")]
    return next((path for path in paths if Path(path).name.startswith(base)), None)
