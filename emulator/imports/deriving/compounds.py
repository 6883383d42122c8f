"""Figures that several answers tell together: memory, fans, clocks, links."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

from ...nvml.links.fabric import HEALTH
from ...nvml.links.links import ERRORS
from ...scenario.profiles import profile
from ..facts import Told
from .asked import AskedGpu, AskedMachine, output_of
from .mig import mig_instances
from .processes import processes, sessions
from .topology import place
from .values import uuid_of
from .words import WORDS_OF

__all__ = ["BY_PRODUCT", "COMPOUNDS", "Compound"]

#: The machine, one of its GPUs -> what is told of the GPU.
Compound = Callable[[AskedMachine, AskedGpu], Iterator[Told]]

#: The first branch whose nvmlMemory_t counts what the driver reserves as used.
RESERVING = 510


def compute_capability(_: AskedMachine, gpu: AskedGpu) -> Iterator[Told]:
    """Two outputs that are one figure."""
    for function in ("nvmlDeviceGetCudaComputeCapability", "cuDeviceComputeCapability"):
        for call in gpu.of(function):
            pair = [(call.outputs or {}).get(name) for name in ("major", "minor")]
            yield Told(("compute_capability",), pair, where=function)


def used_memory(machine: AskedMachine, gpu: AskedGpu) -> Iterator[Told]:
    """Where nvmlMemory_t alone was asked for: it has no field for what is reserved, and counts
    that as used from driver 510 on."""
    version = machine.output("version", "nvmlSystemGetDriverVersion") or ""
    branch = version.partition(".")[0]
    if branch.isdigit() and int(branch) < RESERVING:
        used = gpu.output("memory.used", "nvmlDeviceGetMemoryInfo")
        if used is not None:
            yield Told(("memory", "used"), used, where="nvmlDeviceGetMemoryInfo")


def slot_generation(_: AskedMachine, gpu: AskedGpu) -> Iterator[Told]:
    """What the slot reaches is told where that is less than what the GPU does."""
    function = "nvmlDeviceGetMaxPcieLinkGeneration"
    both = gpu.output("maxLinkGen", function)
    own = gpu.output("maxLinkGenDevice", "nvmlDeviceGetGpuMaxPcieLinkGeneration")
    if both is not None and own is not None and both < own:
        yield Told(("pci", "host_max_generation"), both, where=function)


def cores(_: AskedMachine, gpu: AskedGpu) -> Iterator[Told]:
    """Of cores and multiprocessors: how many a multiprocessor has, or how many of these there
    are."""
    function = "nvmlDeviceGetNumGpuCores"
    found = gpu.output("numCores", function)
    whole = gpu.output("pi", "cuDeviceGetAttribute", attrib=MULTIPROCESSOR_COUNT)
    if found and whole and found % whole == 0:
        yield Told(("processor", "cores_per_multiprocessor"), found // whole, where=function)


MULTIPROCESSOR_COUNT = 16  # CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT


def firmware_limit(_: AskedMachine, gpu: AskedGpu) -> Iterator[Told]:
    """The limit in force where none can be set: a laptop's."""
    function = "nvmlDeviceGetEnforcedPowerLimit"
    limit = gpu.output("limit", function)
    if limit is not None and gpu.is_refused("nvmlDeviceGetPowerManagementLimit"):
        yield Told(("power", "firmware_limit"), limit, where=function)


def power_source(_: AskedMachine, gpu: AskedGpu) -> Iterator[Told]:
    """The mains is also what a GPU without a battery has."""
    function = "nvmlDeviceGetPowerSource"
    source = gpu.output("powerSource", function)
    if source:
        yield Told(("power", "source"), WORDS_OF["power.source"].get(source), where=function)


def bridges(_: AskedMachine, gpu: AskedGpu) -> Iterator[Told]:
    """The firmware of the switches between the GPUs of one board."""
    function = "nvmlDeviceGetBridgeChipInfo"
    for call in gpu.of(function):
        found = (call.outputs or {}).get("bridgeHierarchy", {})
        chips = found.get("bridgeChipInfo", [])[: found.get("bridgeCount", 0)]
        yield Told(("board", "bridges"), [chip["fwVersion"] for chip in chips], where=function)


def platform(_: AskedMachine, gpu: AskedGpu) -> Iterator[Told]:
    """Where in a rack it is; versions of the struct call the same things by other names."""
    function = "nvmlDeviceGetPlatformInfo"
    for call in gpu.of(function):
        info = output_of(call, "platformInfo") or {}
        told = {
            "peer_type": WORDS_OF["platform.peer_type"].get(info.get("peerType", -1)),
            "ib_guid": _held(info, "ibGuid").hex(),
            "chassis_serial_number": _printed(_held(info, "chassisSerialNumber", "rackGuid")),
            "slot_number": info.get("slotNumber", info.get("chassisPhysicalSlotNumber")),
            "tray_index": info.get("trayIndex", info.get("computeSlotIndex")),
            "host_id": info.get("hostId", info.get("nodeIndex")),
        }
        for figure, value in told.items():
            if value not in (None, ""):
                yield Told(("platform", figure), value, where=function)
        return


def _held(info: dict[str, Any], *names: str) -> bytes:
    """Bytes of a field, without the NULs behind."""
    found: list[int] = next((info[name] for name in names if name in info), [])
    return bytes(found).rstrip(b"\0")


def _printed(held: bytes) -> str:
    text = held.decode("ascii", "replace")
    return text if text.isascii() and text.isprintable() else ""


# ---- clocks and fans


def steps(_: AskedMachine, gpu: AskedGpu) -> Iterator[Told]:
    """The pairs of clocks that can be chosen: a row for each memory clock, if all were asked."""
    function = "nvmlDeviceGetSupportedMemoryClocks"
    if gpu.is_refused(function):
        yield Told(("clocks", "steps"), None, where=function)
    memory = gpu.output("clocksMHz", function) or ()
    pairs = "nvmlDeviceGetSupportedGraphicsClocks"
    rows = [
        [clock, *_row(gpu.output("clocksMHz", pairs, memoryClockMHz=clock) or ())]
        for clock in memory
    ]
    if rows and all(len(row) > 1 for row in rows):
        yield Told(("clocks", "steps"), rows, where=pairs)


def _row(clocks: Any) -> list[float]:
    """Highest, lowest and step of clocks that are told in whole megahertz of what may be halves."""
    if len(clocks) < 2:
        return [clocks[0], clocks[0], 0] if clocks else []
    gaps = {first - second for first, second in pairwise(clocks)}
    highest, lowest = clocks[0], clocks[-1]
    if len(gaps) == 1:
        return [highest, lowest, gaps.pop()]
    for high in (highest, highest + 0.5):
        for low in (lowest, lowest + 0.5):
            step = (high - low) / (len(clocks) - 1)
            if [int(high - n * step) for n in range(len(clocks))] == list(clocks):
                return [high, low, step]
    return []


def fans(gpu: AskedGpu, product: str) -> Iterator[Told]:
    """What is told of each fan; all of them as rows where the product has another number."""
    function = "nvmlDeviceGetNumFans"
    count = gpu.output("numFans", function)
    rows = [_fan(gpu, number) for number in range(count or 0)]
    if count == len(profile(product).figures.get("fans", ())):
        for number, row in enumerate(rows):
            for name, value in row.items():
                yield Told(("fans", str(number), name), value, where=function)
    elif count is not None and all("speed" in row for row in rows):
        yield Told(("fans",), rows, where=function)


def _fan(gpu: AskedGpu, number: int) -> dict[str, Any]:
    get = "nvmlDeviceGet"
    speed = gpu.output("speed", f"{get}FanSpeed_v2", fan=number)
    if speed is None and not number:
        speed = gpu.output("speed", f"{get}FanSpeed")
    policy = gpu.output("policy", f"{get}FanControlPolicy_v2", fan=number)
    row = {
        "speed": speed,
        "target": gpu.output("targetSpeed", f"{get}TargetFanSpeed", fan=number),
        "min_speed": gpu.output("minSpeed", f"{get}MinMaxFanSpeed"),
        "max_speed": gpu.output("maxSpeed", f"{get}MinMaxFanSpeed"),
        "manual": None if policy is None else bool(policy),
        "rpm": gpu.output("fanSpeed.speed", f"{get}FanSpeedRPM", fanSpeed={"fan": number}),
    }
    return {name: value for name, value in row.items() if value is not None}


# ---- links


def links(gpu: AskedGpu, product: str) -> Iterator[Told]:
    """What is out of the ordinary: links that are down though they lead to switches, errors that
    were counted. Others are up as far as there is a GPU at their end."""
    known = profile(product).placement.links
    for call in gpu.of("nvmlDeviceGetNvLinkState"):
        if known is not None and known.switches and output_of(call, "isActive") == 0:
            yield Told(("nvlinks", str(call.inputs["link"]), "active"), False, where=call.function)
    for call in gpu.of("nvmlDeviceGetNvLinkErrorCounter"):
        count, kind = output_of(call, "counterValue"), call.inputs["counter"]
        if count and kind < len(ERRORS):
            path = ("nvlinks", str(call.inputs["link"]), ERRORS[kind])
            yield Told(path, count, where=call.function)


def fabric(_: AskedMachine, gpu: AskedGpu) -> Iterator[Told]:
    """The place in a fabric; a device outside of one answers too, that it is there."""
    names = [f"nvmlDeviceGetGpuFabricInfo{version}" for version in ("V", "")]
    for call in gpu.of(*names):
        info = (call.outputs or {}).get("gpuFabricInfo", {})
        if info.get("state"):
            yield from _joined(info, call.function)
            return


def _joined(info: dict[str, Any], where: str) -> Iterator[Told]:
    def told(figure: str, value: Any) -> Told:
        return Told(("fabric", figure), value, where=where)

    yield told("state", WORDS_OF["fabric.state"].get(info["state"]))
    yield told("status", WORDS_OF["fabric.status"].get(info.get("status", 0)))
    yield told("clique_id", info.get("cliqueId"))
    cluster = uuid_of(info.get("clusterUuid"))
    if cluster:
        yield told("cluster_uuid", cluster)
    mask = info.get("healthMask")
    if mask is not None:
        for name, place in HEALTH.items():
            bits = mask >> place & 3
            yield told(name, {1: True, 2: False}.get(bits))
    summary = info.get("healthSummary")
    if summary:
        yield told("health_summary", WORDS_OF["fabric.health_summary"].get(summary))


#: What is told by more than one output; each is asked of every GPU.
COMPOUNDS: tuple[Compound, ...] = (
    *(compute_capability, used_memory, slot_generation, cores, firmware_limit, power_source),
    *(bridges, platform, place, steps, fabric, processes, sessions),
)

#: The same, of a GPU whose profile in the catalogue is known.
BY_PRODUCT: tuple[Callable[[AskedGpu, str], Iterator[Told]], ...] = (fans, links, mig_instances)
