"""What captures call the devices and their parts that DCGM's NVML injection knows by UUIDs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from ...scenario.checks import MOST_GPUS
from ..yaml.node import Node
from .values import code_of

__all__ = ["names", "order"]

Sections = Mapping[str, Node]
Note = Callable[[Node, str], None]

#: The keys of a MIG device that say which one it is.
_MIG_IDS = ("GpuInstanceId", "ComputeInstanceId")


def order(sections: Sections, note: Note) -> list[str]:
    """The UUIDs of the devices in NVML's order.

    Raises:
        ScenarioFileError: it is not told, or names a device that is not there.
    """
    node = sections["Global"].table().get("DeviceOrder")
    if node is None:
        raise sections["Global"].error("expected a key 'DeviceOrder', found none")
    uuids = [each.text() for each in node.list()]
    if len(uuids) > MOST_GPUS or len(set(uuids)) != len(uuids):
        raise node.error(f"expected up to {MOST_GPUS} devices, each once")
    devices = sections["Device"].table()
    for uuid in uuids:
        if uuid not in devices:
            raise node.error(f"expected a device {uuid!r} in the section 'Device', found none")
    for uuid, device in devices.items():
        if uuid not in uuids:
            note(device, "not in DeviceOrder: left out")
    return uuids


def names(sections: Sections, uuids: Sequence[str], note: Note) -> dict[str, str]:
    """UUID, or the recorder's name of a part -> "GPU-0", "GPU-0/2", "GPU-0/2/0"."""
    known = {uuid: f"GPU-{index}" for index, uuid in enumerate(uuids)}
    known.update(_mig_devices(sections, uuids, note))
    known.update(_parts(sections, uuids, "GpuInstance", note))
    known.update(_parts(sections, uuids, "ComputeInstance", note))
    return known


def _mig_devices(sections: Sections, uuids: Sequence[str], note: Note) -> Iterator[tuple[str, str]]:
    section = sections.get("MigDevice")
    known = {} if section is None else section.table()
    for index, uuid in enumerate(uuids):
        parts = sections["Device"].table()[uuid].table().get("MigDeviceUUID")
        for node in parts.list() if parts is not None else []:
            device = known.get(node.text())
            ids = [] if device is None else [_id(device, key) for key in _MIG_IDS]
            if ids and None not in ids:
                yield node.text(), f"GPU-{index}/{ids[0]}/{ids[1]}"
            else:
                note(node, "a MIG device whose ids are not told: left out")


def _id(device: Node, key: str) -> int | None:
    leaf = device.table().get(key)
    value = None if leaf is None or code_of(leaf) else leaf.table().get("ReturnValue")
    return None if value is None else value.integer(0, 255)


def _parts(
    sections: Sections, uuids: Sequence[str], kind: str, note: Note
) -> Iterator[tuple[str, str]]:
    """GPU instances and compute instances: the recorder writes the ids behind the UUID."""
    section = sections.get(kind)
    for name, node in section.table().items() if section is not None else ():
        uuid, *ids = name.split("_")
        whole = len(ids) == (1 if kind == "GpuInstance" else 2)
        if uuid in uuids and whole and all(part.isdecimal() for part in ids):
            yield name, "/".join((f"GPU-{list(uuids).index(uuid)}", *ids))
        else:
            note(node, f"{name!r} is no part of a device of this file: left out")
