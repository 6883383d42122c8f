"""MIG devices: from the sizes that nvidia-smi prints to GPU instances and compute instances.

nvidia-smi prints no profile's name, but what a MIG device has: memory, multiprocessors, engines.
With the ids of the instances that says which of the product's profiles it is, and where it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any, NamedTuple

from ...machine.mig.places import number
from ...machine.mig.profiles import Profile, compute_profiles, profiles
from ...scenario import ScenarioError
from ..choosing import choose_profile
from ..facts import GpuFacts
from .answers import NOTHING, error_code, plain
from .tellings import Telling
from .trees.tree import Node
from .units import count, mebibytes

__all__ = ["mig_devices"]

_MIB = 1 << 20

#: Parts of <device_attributes>, and the figure of a profile that each is.
_ENGINES = {
    "copy_engine_count": "copies",
    "decoder_count": "decoders",
    "encoder_count": "encoders",
    "jpg_count": "jpegs",
    "ofa_count": "ofas",
}


class _Device(NamedTuple):
    """One <mig_device>; None is what is not told."""

    node: Node
    instance: int
    compute: int
    memory: int | None
    multiprocessors: int
    engines: dict[str, int | None]


def mig_devices(telling: Telling, node: Node) -> None:
    """Tell the instances that a GPU is divided into.

    GPU instances without a compute instance are not printed, so that they are not known.
    """
    rows = [_device(telling, row) for row in node.all("mig_device")]
    devices = sorted((row for row in rows if row), key=lambda each: (each.instance, each.compute))
    if not devices:
        return
    known = _profiles(telling, node)
    found = []
    for instance, group in groupby(devices, key=lambda each: each.instance):
        row = _instance(known, instance, list(group))
        if row is None:
            first = next(each.node for each in devices if each.instance == instance)
            telling.note("no MIG profile of the product is like this: it is left out", "", first)
        else:
            found.append(row)
    telling.tell("mig.instances", found, node.tag, node)


def _device(telling: Telling, node: Node) -> _Device | None:
    attributes = "device_attributes/shared/"
    values = {
        path: _number(telling, node, path)
        for path in (
            *("gpu_instance_id", "compute_instance_id"),
            *(f"{attributes}{tag}" for tag in ("multiprocessor_count", *_ENGINES)),
        )
    }
    instance, compute = values["gpu_instance_id"], values["compute_instance_id"]
    if instance is None or compute is None:
        telling.note("a MIG device without ids is left out", node.tag, node)
        return None
    return _Device(
        node,
        instance,
        compute,
        _number(telling, node, "fb_memory_usage/total", mebibytes),
        values[f"{attributes}multiprocessor_count"] or 0,
        {figure: values[f"{attributes}{tag}"] for tag, figure in _ENGINES.items()},
    )


def _number(telling: Telling, node: Node, path: str, reader: Any = count) -> int | None:
    leaf = node.find(path)
    text = plain(leaf.text) if leaf else ""
    if leaf is None or text in NOTHING or error_code(text):
        return None
    value: int = telling.read(reader, text, leaf)[0]
    return value


def _profiles(telling: Telling, node: Node) -> dict[str, Profile]:
    try:
        product, _ = choose_profile(GpuFacts(tuple(telling.told)))
    except ScenarioError as error:
        telling.refuse(error.problem, node)
    return profiles(product)


def _instance(
    known: dict[str, Profile], identity: int, devices: Sequence[_Device]
) -> dict[str, Any] | None:
    """The row of a GPU instance; None if no profile of the product comes near it."""
    kinds = [each for each in known.values() if _holds(known, each, devices)]
    if not kinds:
        return None
    kind = min(kinds, key=lambda each: _distance(known, each, identity, devices))
    starts = [start for start in kind.starts if number(known, kind, start) == identity]
    row = {"profile": kind.name, "id": identity, "compute": _computes(known, kind, devices)}
    return row | ({"start": starts[0]} if starts else {})


def _holds(known: dict[str, Profile], kind: Profile, devices: Sequence[_Device]) -> bool:
    """Whether the compute instances can be in a GPU instance of a profile together."""
    computes = _computes(known, kind, devices)
    return sum(each["slices"] for each in computes) <= kind.slices


def _computes(
    known: dict[str, Profile], kind: Profile, devices: Sequence[_Device]
) -> list[dict[str, int]]:
    """The compute instances, each of the slices that come nearest to its multiprocessors."""
    sizes = compute_profiles(known, kind)
    found, start = [], 0
    for each in devices:
        size = min(sizes, key=lambda size: abs(size.multiprocessors - each.multiprocessors))
        found.append({"slices": size.slices, "start": start, "id": each.compute})
        start += size.slices
    return found


def _distance(
    known: dict[str, Profile], kind: Profile, identity: int, devices: Sequence[_Device]
) -> tuple[int, ...]:
    """How much a profile is unlike what is told: where it is, its memory, engines, processors."""
    first = devices[0]
    placed = any(number(known, kind, start) == identity for start in kind.starts)
    engines = sum(
        abs(getattr(kind, name) - told) for name, told in first.engines.items() if told is not None
    )
    multiprocessors = sum(each.multiprocessors for each in devices)
    memory = 0 if first.memory is None else abs(kind.memory - first.memory) // _MIB
    apart = abs(kind.multiprocessors - multiprocessors)
    return (not placed, memory, engines, apart)
