"""What NVIDIA's data sheets and white papers say of each product of the catalogue.

They are told apart from the profiles on purpose: a profile rests on what drivers report, and the
two must agree. A board power is what the default limit is to be; None: it is the system's maker
who chooses.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["DATASHEETS", "Datasheet"]


class Datasheet(NamedTuple):
    """CUDA cores, memory in GiB or GB, memory interface in bits, board power in watts."""

    cores: int
    memory: float
    bus_width: int
    power: float | None
    capability: tuple[int, int]


PASCAL_60, PASCAL_61, VOLTA, TURING = (6, 0), (6, 1), (7, 0), (7, 5)
AMPERE_80, AMPERE_86, AMPERE_87, ADA = (8, 0), (8, 6), (8, 7), (8, 9)
HOPPER, BLACKWELL_100, BLACKWELL_103, BLACKWELL_120 = (9, 0), (10, 0), (10, 3), (12, 0)

DATASHEETS = {
    # data centre
    "p100-pcie-16gb": Datasheet(3584, 16, 4096, 250, PASCAL_60),
    "p4": Datasheet(2560, 8, 256, 75, PASCAL_61),
    "p40": Datasheet(3840, 24, 384, 250, PASCAL_61),
    "v100-pcie-32gb": Datasheet(5120, 32, 4096, 250, VOLTA),
    "v100-sxm2-16gb": Datasheet(5120, 16, 4096, 300, VOLTA),
    "v100-sxm2-32gb": Datasheet(5120, 32, 4096, 300, VOLTA),
    "t4": Datasheet(2560, 16, 256, 70, TURING),
    "a2": Datasheet(1280, 16, 128, 60, AMPERE_86),
    "a10": Datasheet(9216, 24, 384, 150, AMPERE_86),
    "a10g": Datasheet(10240, 24, 384, 300, AMPERE_86),
    "a16": Datasheet(1280, 16, 128, 62.5, AMPERE_86),  # one GPU of four, a quarter of 250 W
    "a30": Datasheet(3584, 24, 3072, 165, AMPERE_80),
    "a40": Datasheet(10752, 48, 384, 300, AMPERE_86),
    "a100-pcie-40gb": Datasheet(6912, 40, 5120, 250, AMPERE_80),
    "a100-pcie-80gb": Datasheet(6912, 80, 5120, 300, AMPERE_80),
    "a100-sxm4-40gb": Datasheet(6912, 40, 5120, 400, AMPERE_80),
    "a100-sxm4-80gb": Datasheet(6912, 80, 5120, 400, AMPERE_80),
    "l4": Datasheet(7424, 24, 192, 72, ADA),
    "l40": Datasheet(18176, 48, 384, 300, ADA),
    "l40s": Datasheet(18176, 48, 384, 350, ADA),
    "h100-nvl-94gb": Datasheet(16896, 94, 6016, None, HOPPER),  # 350 to 400 W, configurable
    "h100-pcie-80gb": Datasheet(14592, 80, 5120, 350, HOPPER),
    "h100-sxm5-80gb": Datasheet(16896, 80, 5120, 700, HOPPER),
    "h20-96gb": Datasheet(9984, 96, 6144, 500, HOPPER),
    "h200-nvl-141gb": Datasheet(16896, 141, 6144, 600, HOPPER),
    "h200-sxm-141gb": Datasheet(16896, 141, 6144, 700, HOPPER),
    "gh200-96gb": Datasheet(16896, 96, 6144, None, HOPPER),  # 450 to 1000 W for the module
    "b200-180gb": Datasheet(18944, 180, 7680, 1000, BLACKWELL_100),
    "b300-270gb": Datasheet(18944, 270, 7680, 1100, BLACKWELL_103),
    "gb200-186gb": Datasheet(19456, 186, 7936, 1200, BLACKWELL_100),
    "gb300-278gb": Datasheet(19456, 278, 7936, 1400, BLACKWELL_103),
    # workstations
    "quadro-p2000": Datasheet(1024, 5, 160, 75, PASCAL_61),
    "quadro-rtx-5000": Datasheet(3072, 16, 256, 230, TURING),
    "quadro-rtx-6000": Datasheet(4608, 24, 384, 260, TURING),
    "rtx-a2000": Datasheet(3328, 6, 192, 70, AMPERE_86),
    "rtx-a4000": Datasheet(6144, 16, 256, 140, AMPERE_86),
    "rtx-a5000": Datasheet(8192, 24, 384, 230, AMPERE_86),
    "rtx-a6000": Datasheet(10752, 48, 384, 300, AMPERE_86),
    "rtx-6000-ada": Datasheet(18176, 48, 384, 300, ADA),
    "rtx-pro-6000-blackwell": Datasheet(24064, 96, 512, 600, BLACKWELL_120),
    "titan-xp": Datasheet(3840, 12, 384, 250, PASCAL_61),
    "titan-v": Datasheet(5120, 12, 3072, 250, VOLTA),
    "titan-rtx": Datasheet(4608, 24, 384, 280, TURING),
    # GeForce
    "gtx-1050-ti": Datasheet(768, 4, 128, 75, PASCAL_61),
    "gtx-1070": Datasheet(1920, 8, 256, 150, PASCAL_61),
    "gtx-1080-ti": Datasheet(3584, 11, 352, 250, PASCAL_61),
    "gtx-1650": Datasheet(896, 4, 128, 75, TURING),
    "gtx-1660-ti": Datasheet(1536, 6, 192, 120, TURING),
    "rtx-2060": Datasheet(1920, 6, 192, 160, TURING),
    "rtx-2080-ti": Datasheet(4352, 11, 352, 250, TURING),
    "rtx-3050": Datasheet(2560, 8, 128, 130, AMPERE_86),
    "rtx-3060": Datasheet(3584, 12, 192, 170, AMPERE_86),
    "rtx-3070": Datasheet(5888, 8, 256, 220, AMPERE_86),
    "rtx-3080": Datasheet(8704, 10, 320, 320, AMPERE_86),
    "rtx-3090": Datasheet(10496, 24, 384, 350, AMPERE_86),
    "rtx-4060": Datasheet(3072, 8, 128, 115, ADA),
    "rtx-4070-super": Datasheet(7168, 12, 192, 220, ADA),
    "rtx-4080": Datasheet(9728, 16, 256, 320, ADA),
    "rtx-4090": Datasheet(16384, 24, 384, 450, ADA),
    "rtx-5070": Datasheet(6144, 12, 192, 250, BLACKWELL_120),
    "rtx-5080": Datasheet(10752, 16, 256, 360, BLACKWELL_120),
    "rtx-5090": Datasheet(21760, 32, 512, 575, BLACKWELL_120),
    # laptops, and a module
    "mx450": Datasheet(896, 2, 64, None, TURING),
    "rtx-3060-laptop": Datasheet(3840, 6, 192, None, AMPERE_86),
    "rtx-4070-laptop": Datasheet(4608, 8, 128, None, ADA),
    "rtx-4090-laptop": Datasheet(9728, 16, 256, None, ADA),
    "jetson-agx-orin": Datasheet(2048, 64, 256, None, AMPERE_87),
}
