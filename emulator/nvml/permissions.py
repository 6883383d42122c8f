"""What is for root, and what an ordinary user may be let do."""

from __future__ import annotations

from . import _status as status
from .library import Nvml, NvmlError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..machine import Device

__all__ = ["check_application_clocks", "check_root"]


def check_root(nvml: Nvml) -> None:
    """What is for root alone, where not the whole function is (its declaration says that).

    Raises:
        NvmlError: NO_PERMISSION.
    """
    if not nvml.machine.privileged:
        raise NvmlError(status.NO_PERMISSION)


def check_application_clocks(nvml: Nvml, device: Device) -> None:
    """Root may set application clocks, others once nvmlDeviceSetAPIRestriction has said so.

    Raises:
        NvmlError: NO_PERMISSION.
    """
    if device.application_clocks_restricted:
        check_root(nvml)
