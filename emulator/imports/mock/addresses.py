"""PCI bus ids in the NVML mock's configuration, which has them in several spellings."""

from __future__ import annotations

from ...scenario.checks import BUS_ID, bus_id

__all__ = ["is_address", "plain"]


def plain(address: str) -> str:
    """A bus id in one spelling; as it is where it is none."""
    address = address.strip()
    return bus_id(address) if is_address(address) else address.lower()


def is_address(text: str) -> bool:
    """Whether it is the bus id of a GPU or a switch."""
    match = BUS_ID.fullmatch(text)
    return match is not None and int(match[3], 16) < 32
