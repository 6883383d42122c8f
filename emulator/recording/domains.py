"""What the arguments of calls are chosen from: one table, by a parameter's name and type.

An entry is looked up by `function.parameter`, then by the parameter's name, then by its type; of an
enum without an entry, all members are asked for. A value that is one too many (the index behind the
last device) is asked for on purpose: what a driver answers to that is of interest, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ..api import Api, Function
from ..nvml import _constants as constants
from ..vocabulary import apis
from .found import FoundMachine

__all__ = ["SECOND", "Domain", "domain", "members"]

#: What a machine has -> the values to ask with, given what was chosen for the parameters before.
Domain = Callable[[FoundMachine, Mapping[str, Any]], Iterable[Any]]

#: Members of enums that stand for no value but for how many there are.
COUNTS = ("_COUNT", "CU_DEVICE_ATTRIBUTE_MAX", "CU_EXEC_AFFINITY_TYPE_MAX")

#: The parameters with the second one of two devices.
SECOND = ("device2", "peerDev", "dstDevice")

#: Whose power is meant: the GPU's, its module's, its memory's.
POWER_SCOPES = range(constants.POWER_SCOPE_COUNT)


def these(*values: Any) -> Domain:
    """Always the same values."""
    return lambda found, chosen: values


def counted(function: str, output: str) -> Domain:
    """As many as a device says that it has, and one too many."""
    return lambda found, chosen: range(found.number(function, output, device=chosen["device"]) + 1)


def listed(function: str, output: str) -> Domain:
    """What a device lists."""
    return lambda found, chosen: found.listed(function, output, chosen["device"])


def over_devices(function: str, output: str) -> Domain:
    """What any device lists."""
    return lambda found, chosen: found.over_devices(function, output)


def texts(function: str, output: str) -> Domain:
    """What each device says of itself."""
    return lambda found, chosen: found.texts(function, output)


def links(found: FoundMachine, chosen: Mapping[str, Any]) -> Iterable[int]:
    """The links of a device, and one too many."""
    return range(min(found.links(chosen["device"]) + 1, constants.NVLINK_MAX_LINKS))


def others(library: str, first: str) -> Domain:
    """Devices other than the one that was chosen."""
    return lambda found, chosen: [name for name in found.devices(library) if name != chosen[first]]


def uuids(found: FoundMachine, chosen: Mapping[str, Any]) -> Iterable[Any]:
    """The devices' UUIDs as a struct has them, in ASCII."""
    known = found.texts("nvmlDeviceGetUUID", "uuid")
    return [{"type": 1, "value": {"str": uuid}} for uuid in known]


def all_operations(found: FoundMachine, chosen: Mapping[str, Any]) -> Iterable[Any]:
    """All atomic operations in one question, as the function takes a list."""
    return [members(apis()["cuda"], "CUatomicOperation")]


def field_values(found: FoundMachine, chosen: Mapping[str, Any]) -> Iterable[Any]:
    """Each field by itself, as a client may ask for any; those of links for all links at once."""
    scopes = found.links(chosen["device"])
    for number in range(1, constants.FI_MAX):
        yield [field(number, 0)]
        if number in POWER_FIELDS:
            yield from ([field(number, scope)] for scope in POWER_SCOPES if scope)
        if number in LINK_FIELDS and scopes > 1:
            yield [field(number, link) for link in range(scopes)]


def field(number: int, scope: int) -> dict[str, int]:
    """One question of nvmlDeviceGetFieldValues."""
    return {"fieldId": number, "scopeId": scope}


def numbers(*prefixes: str) -> frozenset[int]:
    """The numbers of fields whose names begin so."""
    begin = tuple(f"FI_DEV_{prefix}" for prefix in prefixes)
    return frozenset(value for name, value in vars(constants).items() if name.startswith(begin))


#: Fields whose scope says which power is meant (nvml.h, NVML_POWER_SCOPE_*).
POWER_FIELDS = numbers("POWER_")

#: Fields whose scope is a link's number: those that nvml.h has from NVLINK_THROUGHPUT_* on; the
#: earlier ones name the link themselves.
LINK_FIELDS = frozenset(
    n for n in numbers("NVLINK_") if n >= constants.FI_DEV_NVLINK_THROUGHPUT_DATA_TX
)

VGPU_TYPES = over_devices("nvmlDeviceGetSupportedVgpus", "vgpuTypeIds")

DOMAINS: Mapping[str, Domain] = {
    # handles and what they are found by
    "nvmlDevice_t": lambda found, chosen: found.devices("nvml"),
    "CUdevice": lambda found, chosen: found.devices("cuda"),
    "device2": others("nvml", "device1"),
    "peerDev": others("cuda", "dev"),
    "dstDevice": others("cuda", "srcDevice"),
    "nvmlDeviceGetDeviceHandleFromMigDeviceHandle.migDevice": lambda found, _: found.mig_devices,
    "index": lambda found, chosen: range(len(found.devices("nvml")) + 1),
    "ordinal": lambda found, chosen: range(found.ordinals + 1),
    "nvmlDeviceGetMigDeviceHandleByIndex.index": counted("nvmlDeviceGetMaxMigDeviceCount", "count"),
    "nvmlUnitGetHandleByIndex.index": these(0),
    "nvmlGetBlacklistDeviceInfoByIndex.index": these(0),
    "nvmlGetExcludedDeviceInfoByIndex.index": these(0),
    "pciBusId": lambda found, chosen: found.bus_ids(),
    "serial": texts("nvmlDeviceGetSerial", "serial"),
    "uuid": texts("nvmlDeviceGetUUID", "uuid"),
    "nvmlDeviceGetHandleByUUIDV.uuid": uuids,
    # what a device says that it has
    "fan": counted("nvmlDeviceGetNumFans", "numFans"),
    "nvmlCoolerInfo_t.index": counted("nvmlDeviceGetNumFans", "numFans"),
    "link": links,
    "memoryClockMHz": listed("nvmlDeviceGetSupportedMemoryClocks", "clocksMHz"),
    "profile": lambda found, chosen: range(constants.GPU_INSTANCE_PROFILE_COUNT),
    "profileId": lambda found, chosen: found.instance_profiles(chosen["device"]),
    "vgpuTypeId": VGPU_TYPES,
    "nvmlVgpuInstance_t": over_devices("nvmlDeviceGetActiveVgpus", "vgpuInstances"),
    "pid": listed("nvmlDeviceGetAccountingPids", "pids"),
    "nvmlSystemGetProcessName.pid": lambda found, chosen: found.over_processes(),
    "nvmlVgpuInstanceGetAccountingStats.pid": these(),
    # plain numbers
    "Flags": these(0),
    "flags": these(0),
    "counter": these(0, 1),  # of NVLink; nvmlNvLinkErrorCounter_t and such have a type of their own
    "cpuNumber": these(0),
    "displayIndex": these(0),
    "engineId": these(1),  # nvml.h: graphics is the only one
    "lastSeenTimeStamp": these(0),
    "numChannels": these(1, 2, 4),
    "cuDeviceGetHostAtomicCapabilities.operations": all_operations,
    "cuDeviceGetP2PAtomicCapabilities.operations": all_operations,
    "cuDeviceGetTexture1DLinearMaxWidth.format": these(1, 2, 3, 8, 9, 10, 16, 32),  # not packed
    "scope": these(0, 1),  # nvml.h: node, socket
    "sensorIndex": these(0, 15),  # the first, all
    "nvmlDeviceGetFieldValues.values": field_values,
}


def domain(api: Api, function: Function, owner: str, name: str, kind: str) -> Domain | None:
    """What to ask with in a parameter, or in a struct's field; None where that is not known.

    Args:
        api: the function's.
        function: what is called.
        owner: the function's name, or the struct's.
        name: of the parameter, or of the field.
        kind: its type.
    """
    if api.types.is_enum(kind):
        values = members(api, kind)
        return DOMAINS.get(f"{owner}.{name}") or these(*values)
    keys = (f"{owner}.{name}", name, kind)
    return next((DOMAINS[key] for key in keys if key in DOMAINS), None)


def members(api: Api, enum: str) -> list[int]:
    """The values of an enum, each once; not the one that says how many there are."""
    named = api.types.members(enum)
    last = max(named.values())
    counts = {last for name, value in named.items() if value == last and name.endswith(COUNTS)}
    return sorted(set(named.values()) - counts)
