"""The catalogue of GPU products: reading the profiles in ``gpus/``.

A profile is a table of the machine's figures (see ``tree``), with three entries of its own:
``description``, ``inherits`` (the architecture's file, whose figures it starts from) and
``placement`` (how GPUs of this product are identified and placed, see ``Placement``). A table
``driver.470`` holds what one driver branch reports differently.
"""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct, field
from msgspec.structs import replace

from ..machine import DRIVERS
from ..machine.changes import elements
from ..machine.drivers import branch
from ..machine.links.topology import Topology
from .checks import bus_id
from .errors import ScenarioError, ScenarioFileError, UnknownNameError, nearest, within
from .tree import check

__all__ = ["Links", "Placement", "Profile", "merge", "profile", "profiles", "written_figures"]

_FOLDER = Path(__file__).with_name("gpus")


class Links(Struct, frozen=True, forbid_unknown_fields=True):
    """NVLinks of the product: ``speed`` is MB/s in one direction.

    ``switches`` are the bus ids of the NVSwitches that an HGX board connects them to, in turn, or
    "SWITCH" for those that the host does not see.
    ``mesh`` says which GPUs they connect directly: for each place of ``Placement.bus_ids``, the
    place that each link leads to, -1 for none. Without either the links are down, as on a board
    without its bridge.
    """

    count: int
    version: int
    speed: int
    switches: tuple[str, ...] = ()
    mesh: tuple[tuple[int, ...], ...] = ()


class Placement(Struct, frozen=True, forbid_unknown_fields=True):
    """How the launcher tells GPUs of this product apart.

    Attributes:
        first_driver: the release branch that first supports the product.
        bus_ids: where servers with this product have it, in NVML's order.
        topology: what is at some of these bus ids, as figures of ``topology``.
        serial_prefix: how serial numbers begin; None for products that report none.
        modules: whether the GPUs are numbered modules of one baseboard.
        gsp_default_from: the release branch from which the product runs GSP firmware by default.
        links: its NVLinks, if it has any.
    """

    first_driver: int
    bus_ids: tuple[str, ...]
    serial_prefix: str | None = None
    modules: bool = False
    gsp_default_from: int | None = None
    links: Links | None = None
    topology: dict[str, dict[str, Any]] = field(default_factory=dict)


class Profile(Struct, frozen=True):
    """A product of the catalogue; ``figures`` under a driver come from ``under``."""

    name: str
    description: str
    placement: Placement
    figures: dict[str, Any]
    deltas: dict[int, dict[str, Any]] = field(default_factory=dict)

    def under(self, driver: str) -> dict[str, Any]:
        """Return the figures that a driver version reports."""
        delta = self.deltas.get(branch(driver))
        return self.figures if delta is None else merge(self.figures, delta)


def profiles() -> dict[str, str]:
    """Return the names of the products, in order, each with its description in one line."""
    return {name: profile(name).description for name in _names()}


@cache
def profile(name: str) -> Profile:
    """Return a product of the catalogue.

    Raises:
        UnknownNameError: no such product.
        ScenarioError: the profile's file is wrong.
    """
    if name not in _names():
        hint = nearest(name, _names())
        raise UnknownNameError(f"expected a GPU profile, found {name!r}{hint}")
    table = _read(_FOLDER / f"{name}.toml")
    try:
        return _profile(name, table)
    except ScenarioError as error:
        error.file = f"{name}.toml"
        raise


def written_figures(name: str) -> dict[str, Any]:
    """Return a product's figures as its file and its architecture's write them, with units."""
    table = _read(_FOLDER / f"{name}.toml")
    for entry in ("description", "placement"):
        table.pop(entry)
    figures = merge(_architecture(table.pop("inherits")), table)
    figures.pop("driver", None)
    return figures


def merge(base: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    """Return a table with the entries of another put over it, table by table.

    Of a list, a table changes the rows that it names by their places. Neither argument is changed;
    what is not touched is shared.

    Raises:
        UnknownNameError: a list has no row at such a place.
    """
    merged = dict(base)
    for name, value in change.items():
        old = merged.get(name)
        if isinstance(value, dict) and isinstance(old, dict):
            merged[name] = merge(old, value)
        elif isinstance(value, dict) and isinstance(old, list):
            with within(name):
                merged[name] = _changed_rows(old, value)
        else:
            merged[name] = value
    return merged


def _changed_rows(rows: list[dict[str, Any]], changes: dict[str, Any]) -> list[dict[str, Any]]:
    changed = [dict(row) for row in rows]
    for place, change in changes.items():
        chosen = elements(changed, place)
        if not chosen:
            problem = f"expected one of the {len(rows)} that it has, found {place!r}"
            raise UnknownNameError(problem, key=(place,))
        for row in chosen:
            row.update(change)
    return changed


@cache
def _names() -> tuple[str, ...]:
    return tuple(sorted(path.stem for path in _FOLDER.glob("*.toml")))


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise ScenarioFileError(str(error), file=path.name) from None


def _profile(name: str, table: dict[str, Any]) -> Profile:
    description = table.pop("description")
    placement = _placement(table.pop("placement"))
    figures = merge(_architecture(table.pop("inherits")), table)
    deltas = figures.pop("driver", {})
    return Profile(
        name=name,
        description=description,
        placement=placement,
        figures=check(figures),
        deltas={_branch(key): check(delta) for key, delta in deltas.items()},
    )


def _placement(table: dict[str, Any]) -> Placement:
    """Return how GPUs of a product are placed; what is at a bus id goes by its whole text."""
    placement: Placement = msgspec.convert(table, Placement)
    at = {bus_id(text): check(row, Topology) for text, row in placement.topology.items()}
    return replace(placement, topology=at)


@cache
def _architecture(name: str) -> dict[str, Any]:
    table = _read(_FOLDER / "architectures" / f"{name}.toml")
    base = table.pop("inherits", None)
    return table if base is None else merge(_architecture(base), table)


def _branch(key: str) -> int:
    known = {str(branch(driver)) for driver in DRIVERS}
    if key not in known:
        raise UnknownNameError(f"no driver branch {key!r}{nearest(key, known)}", key=("driver",))
    return int(key)
