"""Confidential computing, and the encryption of a device's memory."""

from __future__ import annotations

from .figures import Bytes, Figures

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .words import (
        AttackerAdvantage,
        ConfidentialEnvironment,
        ConfidentialGpus,
        CpuConfidentiality,
        MultiGpuProtection,
        TdispState,
    )

__all__ = ["Confidential", "DramEncryption"]


class Confidential(Figures):
    """Confidential computing as the driver of the machine tells it, the same on all its GPUs.

    ``enabled`` is the feature itself, ``cpu`` what the host's processor does for it, ``accepting``
    the ready state: whether GPUs take work. ``unprotected_memory`` is what of the frame buffer is
    left out of the protection, ``attacker_advantage`` the key rotation's threshold, as a power of
    two. A figure that is None is as on a machine without it.
    """

    __slots__ = (
        "accepting",
        "attacker_advantage",
        "cpu",
        "devtools",
        "enabled",
        "environment",
        "gpus",
        "multi_gpu",
        "tdisp",
        "unprotected_memory",
    )

    enabled: bool | None
    cpu: CpuConfidentiality | None
    gpus: ConfidentialGpus | None
    environment: ConfidentialEnvironment | None
    devtools: bool | None
    multi_gpu: MultiGpuProtection | None
    tdisp: TdispState | None
    accepting: bool | None
    attacker_advantage: AttackerAdvantage | None
    unprotected_memory: Bytes | None


class DramEncryption(Figures):
    """Encryption of the frame buffer. ``current`` is None on a product without it.

    ``pending`` becomes ``current`` at the next reset.
    """

    __slots__ = ("current", "pending")

    current: bool | None
    pending: bool | None
