"""Which profile of the catalogue a GPU is, and which of the known drivers is nearest to its own."""

from __future__ import annotations

import re
from collections.abc import Callable
from difflib import SequenceMatcher
from math import log2
from typing import Any

from ..machine import DRIVERS, NEWEST
from ..machine.drivers import branch
from ..scenario import ScenarioError
from ..scenario.profiles import Profile, profile, profiles
from .facts import GpuFacts, Note

__all__ = ["Choice", "choose_driver", "choose_profile"]

#: What stands in names beside the product; "NVIDIA" before each since 470.
_MAKER = re.compile(r"\b(nvidia|geforce|tesla)\b|[^a-z0-9]")

Choice = tuple[str, tuple[Note, ...]]


def choose_profile(facts: GpuFacts) -> Choice:
    """The name of the profile to begin with, and a note where it is of another product.

    A GPU is known by its PCI device id or its name. A product that the catalogue lacks begins with
    the profile that comes nearest: by its architecture, then by the size of its memory.

    Raises:
        ScenarioError: nothing that is told says what product it is.
    """
    known = [profile(name) for name in profiles()]
    name, device_id = facts.value("name"), facts.value("pci", "device_id")
    if name is None and device_id is None:
        raise ScenarioError("expected a GPU's product name or its PCI device id, found neither")
    alike = [each for each in known if _is(each, name, device_id)]
    chosen = max(alike or known, key=_nearness(facts))
    if alike:
        return chosen.name, ()
    where = getattr(facts.find("name") or facts.find("pci", "device_id"), "where", "")
    told = repr(name) if name else f"the device id {device_id:#010X}"
    text = f"the catalogue has no {told}: what is not told is as with {chosen.name!r}"
    return chosen.name, (Note(where, text),)


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
    if not re.fullmatch(r"\d{3}(\.\d{1,4}){1,3}", version):
        raise ScenarioError(f"expected a driver version such as '550.54.15', found {version!r}")
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


def _is(each: Profile, name: str | None, device_id: int | None) -> bool:
    if name is not None and _plain(each.figures["name"]) == _plain(name):
        return True
    return bool(device_id) and each.figures["pci"]["device_id"] == device_id


def _nearness(facts: GpuFacts) -> Callable[[Profile], tuple[float, ...]]:
    told = facts.value

    def nearness(each: Profile) -> tuple[float, ...]:
        figures = each.figures
        return (
            _same(told("name"), figures["name"]),
            _same(told("pci", "device_id"), figures["pci"]["device_id"]),
            _same(told("architecture"), figures["architecture"]),
            _same(told("brand"), figures["brand"]),
            _same(_pair(told("compute_capability")), _pair(figures["compute_capability"])),
            -_apart(told("memory", "total"), figures["memory"]["total"]),
            _likeness(told("name"), figures["name"]),
        )

    return nearness


def _pair(value: Any) -> tuple[int, ...] | None:
    return None if value is None else tuple(value)


def _same(told: Any, known: Any) -> float:
    return float(told is not None and told == known)


def _apart(told: int | None, known: int) -> float:
    """How far two sizes of memory are apart, in eighths of a doubling."""
    return 0.0 if not told else round(abs(log2(told / known)) * 8)


def _likeness(told: str | None, known: str) -> float:
    return 0.0 if told is None else SequenceMatcher(None, _plain(told), _plain(known)).ratio()


def _plain(name: str) -> str:
    """A product's name without maker, series and punctuation."""
    return _MAKER.sub("", name.lower())
