"""Modes of a device that are switched and stay: MIG, accounting."""

from __future__ import annotations

from .figures import Figures

__all__ = ["Accounting", "Mig"]


class Mig(Figures):
    """Multi-Instance GPU mode. All None on a product without MIG.

    ``pending`` becomes ``current`` at the next reset; ``max_instances`` is 7 on A100 and H100.
    """

    __slots__ = ("current", "max_instances", "pending")

    current: bool | None
    pending: bool | None
    max_instances: int | None


class Accounting(Figures):
    """Per-process accounting. ``buffer_size`` counts the processes that are remembered."""

    __slots__ = ("buffer_size", "enabled")

    enabled: bool | None
    buffer_size: int | None
