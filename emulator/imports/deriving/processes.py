"""The processes of a GPU, and its sessions of the encoder and of captured displays."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from ...machine.words import WORDS
from ...nvml.processes import NO_INSTANCE, UNKNOWN_SIZE
from ..facts import Told
from .asked import Answers, AskedGpu, AskedMachine

__all__ = ["LISTS", "processes", "sessions"]

NAME = "nvmlSystemGetProcessName"

#: The functions that list processes of a kind, the newest first.
LISTS = {
    kind: [f"nvmlDeviceGet{kind}RunningProcesses{version}" for version in ("_v3", "_v2", "")]
    for kind in ("Compute", "Graphics", "MPSCompute")
}


def processes(machine: AskedMachine, gpu: AskedGpu) -> Iterator[Told]:
    """Those of the GPU, and of its MIG devices."""
    everything = [gpu, *gpu.mig_devices.values()]
    listed = {kind: [_listed(each, kind) for each in everything] for kind in LISTS}
    if all(found is None for found in listed["Compute"]):
        return
    rows: dict[tuple[int, int, int], dict[str, Any]] = {}
    for kind, lists in listed.items():
        for row in (row for found in lists for row in found or ()):
            key = row["pid"], row.get("gpuInstanceId", 0), row.get("computeInstanceId", 0)
            _add(rows.setdefault(key, _process(machine, row)), kind)
    yield Told(("processes",), list(rows.values()), where=LISTS["Compute"][0])


def _listed(asked: Answers, kind: str) -> list[dict[str, Any]] | None:
    found: list[dict[str, Any]] | None = asked.output("infos", *LISTS[kind])
    return found


def _process(machine: AskedMachine, row: dict[str, Any]) -> dict[str, Any]:
    name = machine.output("name", NAME, pid=row["pid"])
    used = row.get("usedGpuMemory")
    process = {
        "pid": row["pid"],
        "name": name or "",
        "type": "",
        "used_memory": None if used == UNKNOWN_SIZE else used,
    }
    ids = {"gpu_instance": "gpuInstanceId", "compute_instance": "computeInstanceId"}
    for figure, field in ids.items():
        number = row.get(field, NO_INSTANCE)
        if number != NO_INSTANCE:
            process[figure] = number
    protected = row.get("usedGpuCcProtectedMemory")
    return process | ({"protected_memory": protected} if protected else {})


#: The list that a process is in -> what its type becomes, by what it was.
_TYPES = {
    "Compute": {"": "C", "G": "C+G"},
    "Graphics": {"": "G", "C": "C+G"},
    "MPSCompute": {"": "M+C", "C": "M+C"},
}


def _add(process: dict[str, Any], kind: str) -> None:
    process["type"] = _TYPES[kind].get(process["type"], process["type"])


def sessions(_: AskedMachine, gpu: AskedGpu) -> Iterator[Told]:
    """Sessions of the encoder and of captured displays; of a mere number, the number."""
    for group, (lister, listed, told) in _SESSIONS.items():
        rows = gpu.output(listed, lister)
        if rows:
            yield Told((group, "rows"), list(map(told, rows)), where=lister)
            continue
        function, outputs = _STATISTICS[group]
        for figure, output in zip(_FIGURES, outputs, strict=True):
            value = gpu.output(output, function)
            if value is not None:
                yield Told((group, figure), value, where=function)


def _encoded(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "pid": row["pid"],
        "codec": WORDS["VideoCodec"][row["codecType"]],
        "width": row["hResolution"],
        "height": row["vResolution"],
        "average_fps": row["averageFps"],
        "average_latency": row["averageLatency"],
    }


def _captured(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "pid": row["pid"],
        "display": row["displayOrdinal"],
        "type": WORDS["CaptureType"][row["sessionType"]],
        "width": row["hResolution"],
        "height": row["vResolution"],
        "average_fps": row["averageFPS"],
        "average_latency": row["averageLatency"],
    }


#: Group of figures -> what lists its sessions, in which output, and what makes a row of one.
_SESSIONS: dict[str, tuple[str, str, Callable[[dict[str, Any]], dict[str, Any]]]] = {
    "encoder": ("nvmlDeviceGetEncoderSessions", "sessionInfos", _encoded),
    "capture": ("nvmlDeviceGetFBCSessions", "sessionInfo", _captured),
}

_FIGURES = ("sessions", "average_fps", "average_latency")

#: Group of figures -> what sums its sessions up, and the outputs with `_FIGURES`.
_STATISTICS = {
    "encoder": ("nvmlDeviceGetEncoderStats", ("sessionCount", "averageFps", "averageLatency")),
    "capture": (
        "nvmlDeviceGetFBCStats",
        ("fbcStats.sessionsCount", "fbcStats.averageFPS", "fbcStats.averageLatency"),
    ),
}
