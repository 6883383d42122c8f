"""What needs a chip of some architecture, or of a later one."""

from __future__ import annotations

from ..machine.words import WORDS
from . import _status as status
from .library import NvmlError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..machine import Device

__all__ = ["is_since", "need"]

ORDER = WORDS["Architecture"]  # oldest first


def is_since(device: Device, architecture: str) -> bool:
    """Whether a device is of an architecture or a later one."""
    return ORDER.index(device.architecture) >= ORDER.index(architecture)


def need(device: Device, architecture: str) -> None:
    """Refuse a device that is older than an architecture.

    Raises:
        NvmlError: NOT_SUPPORTED.
    """
    if not is_since(device, architecture):
        raise NvmlError(status.NOT_SUPPORTED)
