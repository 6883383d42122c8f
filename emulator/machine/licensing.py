"""Licences of NVIDIA's vGPU software, which a guest's driver tells."""

from __future__ import annotations

from .figures import Figures

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .words import LicensedFeature, Moment

__all__ = ["License", "Licensing"]


class License(Figures):
    """A feature that needs a licence; ``licensed`` once it has one, ``enabled`` if it is in use.

    ``expires`` is the end of the licence, in seconds since the epoch; None: it does not end.
    """

    __slots__ = ("enabled", "expires", "feature", "licensed", "product")

    feature: LicensedFeature
    product: str
    enabled: bool
    licensed: bool
    expires: Moment | None


class Licensing(Figures):
    """What needs a licence on this device: nothing without vGPU software."""

    __slots__ = ("licenses",)

    licenses: list[License]

    def __setattr__(self, name: str, value: Any) -> None:
        """Licences may be rows of a plan, also where a change sets them."""
        rows = [row if isinstance(row, License) else License(row) for row in value or ()]
        super().__setattr__(name, rows)
