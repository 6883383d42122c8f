"""Which profile of the catalogue a GPU is, and which of the known drivers is nearest to its own."""

from __future__ import annotations

import re
from collections.abc import Callable
from difflib import SequenceMatcher
from functools import cache
from math import log2
from typing import Any, NamedTuple

from ..machine import DRIVERS, NEWEST
from ..machine.drivers import branch
from ..machine.words import WORDS
from ..scenario import ScenarioError, checks
from ..scenario.profiles import Profile, profile, profiles
from .facts import GpuFacts, Note

__all__ = ["Choice", "choose_driver", "choose_profile"]

#: What stands in names beside the product; "NVIDIA" before each since 470.
_MAKER = re.compile(r"\b(nvidia|geforce|tesla)\b|[^a-z0-9]")

#: Words of names: of what shares its memory with a CPU, and of what a laptop has.
_TEGRA = re.compile(r"\b(nvgpu|orin|thor|xavier|tegra)\b", re.IGNORECASE)
_LAPTOP = re.compile(r"\blaptop\b|\bmax-q\b|\bmx\d|\d{3}m\b", re.IGNORECASE)


class _Gpu(NamedTuple):
    """What the nearest product is known by, as far as it is told."""

    name: str | None
    device_id: int | None
    architecture: str | None
    capability: tuple[int, ...] | None
    brand: str | None
    memory: int | None
    power: int | None


#: Where facts have that.
_PATHS = (
    ("name",),
    ("pci", "device_id"),
    ("architecture",),
    ("compute_capability",),
    ("brand",),
    ("memory", "total"),
    ("power", "default_limit"),
)

Choice = tuple[str, tuple[Note, ...]]


def choose_profile(facts: GpuFacts) -> Choice:
    """The name of the profile to begin with, and a note where it is of another product.

    A GPU is known by its name or its PCI device id. A product that the catalogue lacks begins with
    the profile that comes nearest: by its chip, then by its brand, memory and power.

    Raises:
        ScenarioError: nothing that is told says what product it is.
    """
    gpu = _Gpu(*(_hashable(facts.value(*path)) for path in _PATHS))
    if gpu.name is None and gpu.device_id is None:
        raise ScenarioError("expected a GPU's product name or its PCI device id, found neither")
    chosen, is_known = _chosen(gpu)
    if is_known:
        return chosen, ()
    where = getattr(facts.find("name") or facts.find("pci", "device_id"), "where", "")
    told = repr(gpu.name) if gpu.name else f"the device id 0x{gpu.device_id:08X}"
    text = f"the catalogue has no {told}: what is not told is as with {chosen!r}"
    return chosen, (Note(where, text),)


def _hashable(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


@cache  # GPUs of one product are looked at one by one, and more than once
def _chosen(gpu: _Gpu) -> tuple[str, bool]:
    """The nearest profile, and whether it is of the very product."""
    known = [profile(name) for name in profiles()]
    plain = _plain(gpu.name or "")
    named = [each for each in known if plain and _plain(each.figures["name"]) == plain]
    alike = [each for each in known if gpu.device_id and _device_id(each) == gpu.device_id]
    nearest = max(named or alike or known, key=_nearness(gpu, known))
    return nearest.name, bool(named or alike)


def choose_driver(version: str, needed: int) -> Choice:
    """The known driver that is nearest to a version, and a note where it is of another branch.

    Args:
        version: as a driver says it; empty if it is not told.
        needed: the oldest branch that supports the machine's products, as far as is known.

    Raises:
        ScenarioError: it is no version of a driver.
    """
    if not version:
        note = Note("", f"no driver version is told: it is {NEWEST}")
        return (NEWEST, (note,))
    version = checks.version(version)
    able = [driver for driver in DRIVERS if branch(driver) >= needed]
    chosen = min(able, key=lambda driver: _distance(driver, version))
    if branch(chosen) == branch(version):
        return chosen, ()
    why = "" if branch(version) >= needed else f", the first with these products is {needed}"
    return chosen, (Note("", f"driver {version} is not known{why}: the nearest is {chosen}"),)


def _distance(driver: str, version: str) -> tuple[int, ...]:
    """By branch first, a newer one counting a little less: it can do what the older one can."""
    here, there = (tuple(map(int, each.split("."))) for each in (driver, version))
    steps = [abs(a - b) for a, b in zip(here, there, strict=False)]
    return (steps[0], int(here[0] < there[0]), *steps[1:])


def _nearness(gpu: _Gpu, known: list[Profile]) -> Callable[[Profile], tuple[float, ...]]:
    """How near a profile comes to what is told of a GPU: the greater, the nearer."""
    name, device_id = gpu.name or "", gpu.device_id or 0
    architecture, capability = gpu.architecture, gpu.capability
    if device_id and not capability:
        capability, architecture = _chip(known, device_id, architecture)

    def nearness(each: Profile) -> tuple[float, ...]:
        figures = each.figures
        likeness = SequenceMatcher(None, _plain(name), _plain(figures["name"])).ratio()
        return (
            bool(_TEGRA.search(name)) == bool(_TEGRA.search(figures["name"])),
            -_generations(architecture, figures["architecture"]),
            0.0 if architecture or capability else likeness,
            capability == tuple(figures["compute_capability"]),
            gpu.brand == figures["brand"],
            bool(_LAPTOP.search(name)) == bool(_LAPTOP.search(figures["name"])),
            -_apart(gpu.memory, figures["memory"]["total"])
            - _apart(gpu.power, figures["power"].get("default_limit")),
            likeness,
            -abs(_device_id(each) - device_id),
        )

    return nearness


def _device_id(each: Profile) -> int:
    found: int = each.figures["pci"]["device_id"]
    return found


def _chip(
    known: list[Profile], device_id: int, architecture: str | None
) -> tuple[tuple[int, ...] | None, str]:
    """Compute capability and architecture of the profile whose device id is the nearest: chips of
    one kind have theirs in a row. Those that are older than all profiles have another."""
    same = [each for each in known if each.figures["architecture"] == architecture]
    nearest = min(same or known, key=lambda each: abs(_device_id(each) - device_id))
    own = nearest.figures
    is_older = device_id < min(filter(None, map(_device_id, known)))
    capability = None if is_older else tuple(own["compute_capability"])
    return capability, architecture or own["architecture"]


def _generations(told: str | None, known: str) -> float:
    """How many generations of chips two architectures are apart."""
    order = WORDS["Architecture"]
    return 0.0 if told not in order else float(abs(order.index(told) - order.index(known)))


def _apart(told: int | None, known: int | None) -> float:
    """How far two sizes are apart, in eighths of a doubling."""
    if not told or not known or told < 0:
        return 0.0
    return float(round(abs(log2(told / known)) * 8))


def _plain(name: str) -> str:
    """A product's name without maker, series and punctuation."""
    return _MAKER.sub("", name.lower())
