"""A scenario's GPUs, expanded one by one into the tables that the machine is built from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..machine.drivers import branch
from . import loads
from .checks import bus_address
from .errors import ScenarioError, within
from .figures import SHORTCUTS, has_figure
from .identity import free_address, make_serial, make_uuid
from .instances import check_instances, mig_names
from .profiles import Placement, Profile, merge, profile
from .schema import Gpu, Scenario
from .tree import ABSENT
from .vgpus import check_vgpus, vgpu_names
from .wiring import join, wired

__all__ = ["devices"]

#: Where a baseboard's module is numbered, if not one after the other.
_MODULE = ("board", "module_id")


def devices(scenario: Scenario) -> list[dict[str, Any]]:
    """Return a table for each GPU, in order, with its identity filled in.

    Raises:
        ScenarioError: see ``resolve``; its key path begins with ``gpu[n]``.
    """
    expansion = _Expansion(scenario)
    for position, gpu in enumerate(scenario.gpus):
        with within("gpu", position):
            expansion.add(gpu)
    join(expansion.devices)
    return expansion.devices


class _Expansion:
    """The devices so far, and what of their identities is taken."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.devices: list[dict[str, Any]] = []
        self.last = (0, 0, -1)
        self.given = {bus_address(gpu.pci_bus_id) for gpu in scenario.gpus if gpu.pci_bus_id}
        self.uuids: set[str] = set()
        self.addresses: set[tuple[int, int, int]] = set()
        self.names: set[tuple[str, Any]] = set()

    def add(self, gpu: Gpu) -> None:
        product = _product(gpu, self.scenario.driver)
        figures = _figures(gpu, product, self.scenario)
        for _ in range(gpu.count):
            self._claim(figures)
            self.devices.append({**figures, **self._identity(gpu, product, figures)})

    def _identity(self, gpu: Gpu, product: Profile, figures: dict[str, Any]) -> dict[str, Any]:
        index = len(self.devices)
        origin = (self.scenario.name, product.name, index)
        domain, bus, device = address = self._address(gpu, product.placement)
        is_counted = product.placement.modules and not has_figure(gpu.figures, _MODULE)
        module_id = index + 1 if is_counted else figures["board"].get("module_id")
        board_id = domain << 16 | bus << 8 | device
        return {
            "profile": product.name,
            "index": index,
            "minor_number": index,
            "uuid": self._uuid(gpu, origin),
            "serial": _serial(gpu, product.placement, origin),
            "pci": {**figures["pci"], "domain": domain, "bus": bus, "device": device},
            "board": {**figures["board"], "id": board_id, "module_id": module_id},
            "nvlinks": wired(product.placement, address, figures.get("nvlinks")),
            "topology": _topology(gpu, product.placement, address, figures),
        }

    def _claim(self, figures: dict[str, Any]) -> None:
        """Refuse a second MIG device or vGPU of a name."""
        for kind, name, key in (*mig_names(figures), *vgpu_names(figures)):
            if (kind, name) in self.names:
                raise ScenarioError(f"expected one of its own, found {name!r} again", key=key)
            self.names.add((kind, name))

    def _uuid(self, gpu: Gpu, origin: tuple[object, ...]) -> str:
        uuid = gpu.uuid or make_uuid(*origin)
        if uuid in self.uuids:
            raise ScenarioError(f"expected a UUID of its own, found {uuid!r} again", key=("uuid",))
        self.uuids.add(uuid)
        return uuid

    def _address(self, gpu: Gpu, placement: Placement) -> tuple[int, int, int]:
        if gpu.pci_bus_id is None:
            address = free_address(placement, self.last, self.given | self.addresses)
        else:
            address = bus_address(gpu.pci_bus_id)
        if address in self.addresses:
            problem = f"expected a bus id of its own, found {gpu.pci_bus_id!r} again"
            raise ScenarioError(problem, key=("pci_bus_id",))
        self.addresses.add(address)
        self.last = address
        return address


def _product(gpu: Gpu, driver: str) -> Profile:
    try:
        product = profile(gpu.profile)
    except ScenarioError as error:
        raise error if error.file else error.within("profile") from None
    first = product.placement.first_driver
    if branch(driver) < first:
        problem = f"{gpu.profile!r} needs driver {first} or newer, found driver {driver!r}"
        raise ScenarioError(problem, key=("profile",))
    return product


def _figures(gpu: Gpu, product: Profile, scenario: Scenario) -> dict[str, Any]:
    driver = scenario.driver
    gsp = _gsp(product.placement, scenario.reported_driver)
    figures = merge(product.under(driver), {"gsp": gsp})
    given = _given(gpu)
    with within("figures"):
        figures = merge(figures, given)
    figures = merge(figures, loads.resolved(given))
    _check_memory(gpu, figures["memory"])
    check_instances(gpu.profile, figures.get("mig", {}))
    check_vgpus(gpu.profile, figures, driver)
    return figures


def _given(gpu: Gpu) -> dict[str, Any]:
    """The figures that the scenario gives, by their short names or among all of them."""
    figures = gpu.figures
    for field, (first, *rest) in SHORTCUTS.items():
        value = getattr(gpu, field)
        if value is not None:
            table = value if isinstance(value, Mapping) else {rest[0]: value} if rest else value
            figures = merge(figures, {first: table})
    return figures


def _check_memory(gpu: Gpu, memory: dict[str, Any]) -> None:
    total, reserved, used = memory["total"], memory["reserved"], memory["used"]
    if total <= reserved:
        problem = f"expected more than the {_size(reserved)} reserved, found {_size(total)}"
        raise ScenarioError(problem, key=_memory_key(gpu, "total"))
    if used > total - reserved:
        whole = f"{_size(total)} in all, {_size(reserved)} reserved"
        problem = (
            f"expected at most {_size(total - reserved)} in use ({whole}), found {_size(used)}"
        )
        raise ScenarioError(problem, key=_memory_key(gpu, "used"))


def _memory_key(gpu: Gpu, figure: str) -> tuple[str, ...]:
    """Return the key to blame: where the figure was written, or what it collides with."""
    written = [f"memory_{name}" for name in (figure, "used", "total")]
    fields = [name for name in written if getattr(gpu, name) is not None]
    return (fields[0],) if fields else ("figures", "memory")


def _size(amount: int) -> str:
    mebibytes, rest = divmod(amount, 1 << 20)
    return f"{amount} bytes" if rest else f"{mebibytes} MiB"


def _gsp(placement: Placement, driver: str) -> dict[str, Any]:
    """GSP firmware is part of the driver and bears its version."""
    first = placement.gsp_default_from
    runs = first is not None and branch(driver) >= first
    return {"version": driver if runs else None, "enabled": runs, "default": runs}


def _serial(gpu: Gpu, placement: Placement, origin: tuple[object, ...]) -> str | None:
    if gpu.serial is not None:
        return None if gpu.serial in ABSENT else gpu.serial
    prefix = placement.serial_prefix
    return None if prefix is None else make_serial(prefix, *origin)


def _topology(
    gpu: Gpu, placement: Placement, address: tuple[int, int, int], figures: dict[str, Any]
) -> dict[str, Any]:
    """The product's, what its servers have at this bus id in any domain, and what the user says."""
    whole = "{:08X}:{:02X}:{:02X}.0".format(*address)
    places = {bus_id[-7:]: place for bus_id, place in placement.topology.items()}
    at = placement.topology.get(whole) or places.get(whole[-7:], {})
    return merge(merge(figures.get("topology", {}), at), gpu.figures.get("topology", {}))
