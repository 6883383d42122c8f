"""What an ordinary user may be let do: NVML's restrictions of single APIs."""

from __future__ import annotations

from . import _status as status
from .library import Nvml, NvmlError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..machine import Device

__all__ = ["check_application_clocks"]


def check_application_clocks(nvml: Nvml, device: Device) -> None:
    """Root may set application clocks, others once nvmlDeviceSetAPIRestriction has said so.

    Raises:
        NvmlError: NO_PERMISSION.
    """
    if device.application_clocks_restricted and not nvml.machine.privileged:
        raise NvmlError(status.NO_PERMISSION)
