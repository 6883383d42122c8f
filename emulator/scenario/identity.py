"""What tells one GPU from another: UUIDs, serial numbers, bus ids. Made up, and always the same.

They follow from the scenario's name, the GPU's profile and its index only, so that adding a fault
or changing a figure does not change them.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b
from itertools import pairwise

from .checks import bus_address
from .errors import ScenarioError
from .profiles import Placement

__all__ = ["free_address", "make_serial", "make_uuid"]

Address = tuple[int, int, int]

#: A bus id has eight hexadecimal digits for the domain.
_DOMAINS = 1 << 32

#: Digits of a serial number on NVIDIA's data-centre boards, as nvidia-smi shows it.
_SERIAL_DIGITS = 13


def make_uuid(*origin: object) -> str:
    """Return a UUID as NVIDIA's GPUs have them: all bits free, no version field."""
    text = _digest(*origin).hex()[:32]
    return "GPU-" + "-".join(text[a:b] for a, b in pairwise((0, 8, 12, 16, 20, 32)))


def make_serial(prefix: str, *origin: object) -> str:
    """Return a serial number that begins with the product's prefix."""
    digits = _SERIAL_DIGITS - len(prefix)
    return prefix + str(int.from_bytes(_digest("serial", *origin)) % 10**digits).zfill(digits)


def free_address(placement: Placement, last: Address, taken: set[Address]) -> Address:
    """Return the next bus address for a product: behind the last one, and not taken.

    NVML numbers GPUs by bus address, so a scenario's GPUs get rising ones.

    Raises:
        ScenarioError: the last one is the last there is.
    """
    for address in _addresses(placement, last[0]):
        if address > last and address not in taken:
            return address
    problem = "expected a bus id: none is left behind the one of the GPU before"
    raise ScenarioError(problem, key=("pci_bus_id",))


def _addresses(placement: Placement, first: int) -> Iterator[Address]:
    """Yield the product's places, then those as many domains further: multi-host boards number
    them so."""
    places = sorted(bus_address(bus_id) for bus_id in placement.bus_ids)
    domains = places[-1][0] + 1
    for start in range(first - first % domains, _DOMAINS - domains + 1, domains):
        for domain, bus, device in places:
            yield start + domain, bus, device


def _digest(*origin: object) -> bytes:
    return blake2b("\0".join(map(str, origin)).encode(), digest_size=16).digest()
