"""Licences of NVIDIA's vGPU software, which a guest's driver tells."""

from __future__ import annotations

from .figures import Figures, Rows

TYPE_CHECKING = False
if TYPE_CHECKING:
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


class Licensing(Rows):
    """What needs a licence on this device: nothing without vGPU software."""

    __slots__ = ("licenses",)
    kinds = (("licenses", License),)
    empty = (("licenses", ()),)

    licenses: list[License]
