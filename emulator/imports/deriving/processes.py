"""The processes of a GPU, and its sessions of the encoder and of captured displays."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ...machine.words import WORDS
from ...nvml.processes import NO_INSTANCE, UNKNOWN_SIZE
from ..facts import Told
from .asked import Answers, AskedGpu, AskedMachine

__all__ = ["processes", "sessions"]

NAME = "nvmlSystemGetProcessName"

_LISTS = {
    kind: [f"nvmlDeviceGet{kind}RunningProcesses{version}" for version in ("_v3", "_v2", "")]
    for kind in ("Compute", "Graphics", "MPSCompute")
}


def processes(machine: AskedMachine, gpu: AskedGpu) -> Iterator[Told]:
    """Those of the GPU, and of its MIG devices."""
    everything = [gpu, *gpu.mig_devices.values()]
    listed = {kind: [_listed(each, kind) for each in everything] for kind in _LISTS}
    if all(found is None for found in listed["Compute"]):
        return
    rows: dict[tuple[int, int, int], dict[str, Any]] = {}
    for kind, lists in listed.items():
        for row in (row for found in lists for row in found or ()):
            key = row["pid"], row.get("gpuInstanceId", 0), row.get("computeInstanceId", 0)
            _add(rows.setdefault(key, _process(machine, row)), kind)
    yield Told(("processes",), list(rows.values()), where=_LISTS["Compute"][0])


def _listed(asked: Answers, kind: str) -> list[dict[str, Any]] | None:
    found: list[dict[str, Any]] | None = asked.output("infos", *_LISTS[kind])
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
    get = "nvmlDeviceGet"
    rows = gpu.output("sessionInfos", f"{get}EncoderSessions")
    if rows:
        yield Told(("encoder", "rows"), list(map(_encoded, rows)), where=f"{get}EncoderSessions")
    for figure, name in (
        ("sessions", "sessionCount"),
        ("average_fps", "averageFps"),
        ("average_latency", "averageLatency"),
    ):
        value = gpu.output(name, f"{get}EncoderStats")
        if value is not None and not rows:
            yield Told(("encoder", figure), value, where=f"{get}EncoderStats")
    rows = gpu.output("sessionInfo", f"{get}FBCSessions")
    if rows:
        yield Told(("capture", "rows"), list(map(_captured, rows)), where=f"{get}FBCSessions")
    for figure, name in (
        ("sessions", "sessionsCount"),
        ("average_fps", "averageFPS"),
        ("average_latency", "averageLatency"),
    ):
        value = gpu.output(f"fbcStats.{name}", f"{get}FBCStats")
        if value is not None and not rows:
            yield Told(("capture", figure), value, where=f"{get}FBCStats")


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
