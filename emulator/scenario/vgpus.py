"""vGPUs of a scenario's GPU: whether it can host them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from ..machine import Device
from ..machine.drivers import branch
from ..machine.vgpu.places import arrange, mixes
from ..machine.vgpu.rows import VgpuInstance
from ..machine.vgpu.running import Running
from ..machine.vgpu.types import types_of
from .errors import ScenarioError, UnknownNameError

__all__ = ["Name", "check_types", "check_vgpus", "vgpu_names"]

#: What only one thing of a scenario may be called: of which kind, what, and where it is written.
Name = tuple[str, Any, tuple[Any, ...]]

_UUID = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_TYPE = re.compile(r".+-\d+[ABCQ]\w*")
_NUMBERS = range(1, 1 << 32)

KEY = ("figures", "vgpu")


def check_vgpus(product: str, figures: Mapping[str, Any], driver: str) -> None:
    """Refuse vGPUs that a GPU of these figures could not host.

    Raises:
        UnknownNameError: a type that the GPU does not have; the message has those that it has.
        ScenarioError: vGPUs where there is no host, more than fit, or two that share an identity.
    """
    given = figures.get("vgpu", {})
    _check_rows_of_types(given.get("types") or ())
    rows = given.get("instances") or ()
    if not rows and not given.get("heterogeneous"):
        return
    if figures.get("virtualization_mode") != "HOST_VGPU":
        problem = "expected no vGPUs, as the GPU hosts none: set virtualization_mode = 'HOST_VGPU'"
        raise ScenarioError(problem, key=(*KEY, "instances"))
    table = {**figures, "profile": product, "uuid": "", "index": 0}
    device = Device(table)
    _check_mode(device, driver)
    check_types(table, rows, (*KEY, "instances"))
    _check_identities(rows)
    _check_fit(device, rows)


def _check_rows_of_types(rows: Sequence[Mapping[str, Any]]) -> None:
    ids = [row["id"] for row in rows]
    for position, row in enumerate(rows):
        key = (*KEY, "types", position)
        if not _TYPE.fullmatch(row["name"]):
            problem = "expected a name that ends in a size in GiB and a series, as 'NVIDIA A40-8Q'"
            raise ScenarioError(f"{problem}; found {row['name']!r}", key=(*key, "name"))
        if row["id"] not in _NUMBERS or ids.count(row["id"]) > 1:
            problem = "expected a number of 32 bits above 0, and of its own"
            raise ScenarioError(f"{problem}; found {row['id']}", key=(*key, "id"))


def _check_mode(device: Device, driver: str) -> None:
    if device.vgpu.heterogeneous and not (mixes(device) and branch(driver) >= 550):
        problem = "expected false: sizes are mixed from Turing and driver 550 on"
        raise ScenarioError(problem, key=(*KEY, "heterogeneous"))


def _check_identities(rows: Sequence[Mapping[str, Any]]) -> None:
    for name, value, key in _names(rows):
        if name != "id" and not _UUID.fullmatch(value):
            raise ScenarioError(f"expected a UUID, found {value!r}", key=key)
        if name == "id" and value not in _NUMBERS:
            problem = f"expected a number of 32 bits above 0, found {value!r}"
            raise ScenarioError(problem, key=key)


def vgpu_names(figures: Mapping[str, Any]) -> list[Name]:
    """What the vGPUs of a GPU are known by, where it is given: kind, name and key of each."""
    return _names(figures.get("vgpu", {}).get("instances") or ())


def _names(rows: Sequence[Mapping[str, Any]]) -> list[Name]:
    return [
        (name, row[name], (*KEY, "instances", position, name))
        for position, row in enumerate(rows)
        for name in ("uuid", "mdev_uuid", "id")
        if row.get(name) is not None
    ]


def check_types(
    figures: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], key: tuple[str, ...]
) -> None:
    """Refuse vGPUs, written at `key`, of a type that a GPU of these figures does not have.

    Raises:
        UnknownNameError: such a type; the message has those that there are.
    """
    device = Device(figures)
    kinds = [kind.name for kind in types_of(device)]
    for position, row in enumerate(rows):
        if row["type"] not in kinds:
            has = ", ".join(kinds) or "no vGPU types"
            problem = f"no vGPU type {row['type']!r}: {device.profile} has {has}"
            raise UnknownNameError(problem, key=(*key, position, "type"))


def _check_fit(device: Device, rows: Sequence[Mapping[str, Any]]) -> None:
    kinds = {kind.name: kind for kind in types_of(device)}
    running = []
    for position, row in enumerate(rows):
        kind, used = kinds[row["type"]], row.get("used_memory") or 0
        if used > (kind.framebuffer or 0):
            problem = f"expected at most {kind.gigabytes} GiB in use, found {used} bytes"
            raise ScenarioError(problem, key=(*KEY, "instances", position, "used_memory"))
        running.append(Running(device, position, VgpuInstance(row), kind))
    problem = arrange(device, running) or ""
    if problem:
        raise ScenarioError(problem, key=(*KEY, "instances"))
