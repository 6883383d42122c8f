"""Modes of a device that are switched and stay: MIG, accounting."""

from __future__ import annotations

from .figures import Figures

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["Accounting", "Instance", "Mig"]


class Instance(Figures):
    """One GPU instance. ``profile`` is its kind, such as "1g.10gb".

    ``compute_slices`` are the sizes of its compute instances: one that has all of them if not
    given. ``uuids`` are theirs, "MIG-" and a UUID each; they follow from the GPU's if not given.
    """

    __slots__ = ("compute_slices", "profile", "uuids")

    profile: str
    compute_slices: list[int] | None
    uuids: list[str] | None


class Mig(Figures):
    """Multi-Instance GPU mode. All None on a product without MIG.

    ``pending`` becomes ``current`` at the next reset; ``max_instances`` is 7 on A100 and H100.
    ``instances`` are the GPU instances while the mode is on; without any there is nothing for CUDA.
    """

    __slots__ = ("current", "instances", "max_instances", "pending")

    current: bool | None
    pending: bool | None
    max_instances: int | None
    instances: list[Instance]

    def __setattr__(self, name: str, value: Any) -> None:
        """Instances may be rows of a plan, also where a change sets them."""
        if name == "instances":
            value = [row if isinstance(row, Instance) else Instance(row) for row in value or ()]
        super().__setattr__(name, value)


class Accounting(Figures):
    """Per-process accounting. ``buffer_size`` counts the processes that are remembered."""

    __slots__ = ("buffer_size", "enabled")

    enabled: bool | None
    buffer_size: int | None
