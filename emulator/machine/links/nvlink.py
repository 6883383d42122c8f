"""What is set for all NVLinks of a device at once, and its link to the CPU (C2C)."""

from __future__ import annotations

from ..figures import Figures, Rows

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..words import BandwidthMode, HexBytes, LinkUcode, ThresholdUnit

__all__ = ["C2c", "LinkFirmware", "LinkSettings", "PortRegister"]


class LinkFirmware(Figures):
    """The version of one firmware of the links."""

    __slots__ = ("major", "minor", "sub_minor", "ucode")

    ucode: LinkUcode
    major: int
    minor: int
    sub_minor: int


class PortRegister(Figures):
    """A register of the links' ports ("PRM"): its number and its bytes."""

    __slots__ = ("data", "number")

    number: int
    data: HexBytes


class LinkSettings(Rows):
    """What holds for all NVLinks of a device. None: the product has it not.

    ``low_power_threshold`` is how long a link idles before it sleeps, in units of
    ``low_power_threshold_unit`` (Hopper and newer). ``bandwidth_mode`` is the whole machine's
    (Hopper and newer); ``reduced_bandwidth_mode`` is the device's, one of the
    ``reduced_bandwidth_modes``, of which the first is the best (Blackwell and newer).
    ``encryption`` of links is set up when ``encryption_ready``; ``encryption_info`` is the opaque
    text for it. ``fabric_address`` (ALID) and ``remap_table`` (pairs of fabric and physical
    address) are for the fabric's manager. ``registers`` are those of the links' ports.
    """

    __slots__ = (
        "bandwidth_mode",
        "encryption",
        "encryption_info",
        "encryption_ready",
        "fabric_address",
        "firmware",
        "low_power_threshold",
        "low_power_threshold_default",
        "low_power_threshold_max",
        "low_power_threshold_min",
        "low_power_threshold_unit",
        "reduced_bandwidth_mode",
        "reduced_bandwidth_modes",
        "registers",
        "remap_lock_disabled",
        "remap_locked",
        "remap_table",
    )
    kinds = (("firmware", LinkFirmware), ("registers", PortRegister))

    low_power_threshold: int | None
    low_power_threshold_default: int | None
    low_power_threshold_min: int | None
    low_power_threshold_max: int | None
    low_power_threshold_unit: ThresholdUnit | None
    bandwidth_mode: BandwidthMode | None
    reduced_bandwidth_modes: list[int] | None
    reduced_bandwidth_mode: int | None
    encryption: bool | None
    encryption_ready: bool | None
    encryption_info: HexBytes | None
    firmware: list[LinkFirmware] | None
    fabric_address: int | None
    remap_table: list[tuple[int, int]] | None
    remap_locked: bool | None
    remap_lock_disabled: bool | None
    registers: list[PortRegister] | None


class C2c(Figures):
    """The link to the CPU of a Grace module. All None on a device behind PCI Express.

    ``links`` is how many there are, ``speed`` each one's MB/s.
    """

    __slots__ = ("active", "links", "speed")

    active: bool | None
    links: int | None
    speed: int | None
