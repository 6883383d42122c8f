"""The vGPU types of each product: NVIDIA's names, type ids and subsystem ids.

Sources: the names with their subsystem ids are those of NVIDIA's open kernel modules (535); type
ids those of the vgpuConfig.xml of driver 510.47.03 as published, and, for Ada and H200, of what
public programs and their tests list of `creatable_vgpu_types`.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["PRODUCTS"]

_24 = "1{0} 2{0} 3{0} 4{0} 6{0} 8{0} 12{0} 24{0}"
_48 = "1{0} 2{0} 3{0} 4{0} 6{0} 8{0} 12{0} 16{0} 24{0} 48{0}"
_V32 = "1{0} 2{0} 4{0} 8{0} 16{0} 32{0}"
_V16 = "1{0} 2{0} 4{0} 8{0} 16{0}"
_C24, _C48 = "4C 6C 8C 12C 24C", "4C 6C 8C 12C 16C 24C 48C"
_MIG_80 = "1-10C 1-20C 2-20C 3-40C 4-40C 7-80C"
_A80 = "1-10C 2-20C 3-40C 4-40C 7-80C"
_A40 = "1-5C 2-10C 3-20C 4-20C 7-40C"


def _in_order(
    subsystem: int, number: int | None, sizes: str, c_sizes: str, games: int
) -> list[tuple[int | None, int | None, str]]:
    """The order of Ada's lists, and of A6000's: B, Q, A, types for games (left out), C."""
    count = len(sizes.split())
    spans = ((0, "1B 2B"), (2, sizes.format("Q")), (2 + count, sizes.format("A")))
    runs = (*spans, (2 + 2 * count + games, c_sizes))
    return [(subsystem + at, None if number is None else number + at, types) for at, types in runs]


#: PCI device id, and the subsystem's where two products share one -> names before the "-", and runs
#: of types: first subsystem id, first type id, and the sizes, with which both count on. A type id
#: of None is unpublished: the subsystem id, unique too, stands for it, and the other way round.
PRODUCTS: dict[tuple[int, int], tuple[str, Sequence[tuple[int | None, int | None, str]]]] = {
    (0x1B38, 0): (
        "GRID P40",
        [
            (0x11E7, 62, "1B"),
            (0x11E8, 46, _24.format("Q")),
            (0x11F0, 54, _24.format("A")),
            (0x1287, 156, "2B"),
            (0x12EF, 215, "2B4"),
            (0x133A, 241, "1B4"),
            (0x137E, 287, "24C"),
            (0x1381, 283, "4C 6C 8C 12C"),
        ],
    ),
    (0x1BB3, 0): (
        "GRID P4",
        [
            (0x1203, 71, "1B"),
            (0x1204, 63, "1Q 2Q 4Q 8Q"),
            (0x1208, 67, "1A 2A 4A 8A"),
            (0x1288, 157, "2B"),
            (0x12F1, 214, "2B4"),
            (0x133C, 243, "1B4"),
            (0x1380, 289, "8C"),
            (0x1385, 288, "4C"),
        ],
    ),
    (0x15F8, 0): (
        "GRID P100",
        [
            (0x1221, 93, "1B"),
            (0x1222, 83, _V16.format("Q")),
            (0x1227, 88, _V16.format("A")),
            (0x128C, 160, "2B"),
            (0x12F2, 211, "2B4"),
            (0x133D, 244, "1B4"),
            (0x137C, 295, "16C"),
            (0x138A, 293, "4C 8C"),
        ],
    ),
    (0x15F9, 0): (
        "GRID P100X",
        [
            (0x122C, 104, "1B"),
            (0x122D, 94, _V16.format("Q")),
            (0x1232, 99, _V16.format("A")),
            (0x128B, 159, "2B"),
            (0x12F3, 213, "2B4"),
            (0x133E, 245, "1B4"),
            (0x137B, 298, "16C"),
            (0x1388, 296, "4C 8C"),
        ],
    ),
    (0x1DB1, 0): (
        "GRID V100X",
        [
            (0x1259, 126, "1B"),
            (0x125A, 116, _V16.format("Q")),
            (0x125F, 121, _V16.format("A")),
            (0x128E, 162, "2B"),
            (0x12F6, 221, "2B4"),
            (0x1341, 248, "1B4"),
            (0x1378, 304, "16C"),
            (0x138E, 302, "4C 8C"),
        ],
    ),
    (0x1DB4, 0): (
        "GRID V100",
        [
            (0x124E, 115, "1B"),
            (0x124F, 105, _V16.format("Q")),
            (0x1254, 110, _V16.format("A")),
            (0x128F, 163, "2B"),
            (0x12F5, 217, "2B4"),
            (0x1340, 247, "1B4"),
            (0x1379, 301, "16C"),
            (0x1393, 299, "4C 8C"),
        ],
    ),
    (0x1DB5, 0): (
        "GRID V100DX",
        [
            (0x12CB, 206, "1B 2B"),
            (0x12CD, 194, _V32.format("Q")),
            (0x12D3, 200, _V32.format("A")),
            (0x12F8, 219, "2B4"),
            (0x1343, 250, "1B4"),
            (0x1376, 318, "32C"),
            (0x1390, 315, "4C 8C 16C"),
        ],
    ),
    (0x1DB6, 0): (
        "GRID V100D",
        [
            (0x12BD, 192, "1B 2B"),
            (0x12BF, 180, _V32.format("Q")),
            (0x12C5, 186, _V32.format("A")),
            (0x12F7, 218, "2B4"),
            (0x1342, 249, "1B4"),
            (0x1377, 314, "32C"),
            (0x1395, 311, "4C 8C 16C"),
        ],
    ),
    (0x1DF6, 0): (
        "GRID V100S",
        [
            (0x13E1, 371, "1B"),
            (0x13E3, 373, "2B"),
            (0x13E5, 355, _V32.format("Q")),
            (0x13EB, 365, _V32.format("A")),
            (0x13F1, 361, "4C 8C 16C 32C"),
        ],
    ),
    (0x1E30, 0x12BA): (
        "GRID RTX6000",
        [
            (0x1325, 256, _24.format("Q")),
            (0x13BF, 343, _C24),
            (0x1437, 435, "1B 2B"),
            (0x1439, 437, _24.format("A")),
        ],
    ),
    (0x1E30, 0x129E): (
        "GRID RTX8000",
        [
            (0x132D, 264, _48.format("Q")),
            (0x13C4, 348, _C48),
            (0x1441, 445, "1B 2B"),
            (0x1443, 447, _48.format("A")),
        ],
    ),
    (0x1EB8, 0): (
        "GRID T4",
        [
            (0x1309, 222, "1B 2B 2B4"),
            (0x130C, 230, _V16.format("Q")),
            (0x1311, 225, _V16.format("A")),
            (0x1345, 252, "1B4"),
            (0x1375, 321, "16C"),
            (0x139A, 319, "4C 8C"),
        ],
    ),
    (0x20B0, 0): (
        "GRID A100X",
        [
            (0x146F, 463, _A40),
            (0x1474, 457, "4C 5C 8C 10C 20C 40C"),
            (0x160C, 704, "1-5CME"),
            (0x1840, None, "1-10C"),
        ],
    ),
    (0x20B2, 0): (
        "GRID A100DX",
        [
            (0x1523, 622, _A80),
            (0x1528, 615, "4C 8C 10C 16C 20C 40C 80C"),
            (0x160D, 705, "1-10CME"),
            (0x1841, None, "1-20C"),
        ],
    ),
    (0x20B5, 0): (
        "GRID A100D",
        [
            (0x1591, 699, _A80),
            (0x1596, 692, "4C 8C 10C 16C 20C 40C 80C"),
            (0x160F, 707, "1-10CME"),
            (0x183E, None, "1-20C"),
        ],
    ),
    (0x20B7, 0): (
        "NVIDIA A30",
        [
            (0x1589, 689, "1-6C 2-12C 4-24C"),
            (0x158C, 684, _C24),
            (0x1610, 708, "1-6CME"),
            (0x183C, None, "2-12CME"),
        ],
    ),
    (0x20F1, 0): (
        "GRID A100",
        [
            (0x1493, 474, _A40),
            (0x1498, 468, "4C 5C 8C 10C 20C 40C"),
            (0x160E, 706, "1-5CME"),
            (0x183D, None, "1-10C"),
        ],
    ),
    (0x2230, 0): ("NVIDIA RTXA6000", _in_order(0x14FA, 522, _48, _C48, 4)),
    (0x2231, 0): (
        "NVIDIA RTXA5000",
        [
            (0x1562, 657, "1B 2B"),
            (0x1564, 659, _24.format("Q")),
            (0x156C, 667, _24.format("A")),
            (0x1578, 675, _C24),
        ],
    ),
    (0x2235, 0): (
        "NVIDIA A40",
        [
            (0x14D5, 555, "1B 2B"),
            (0x14D7, 557, _48.format("Q")),
            (0x14E1, 567, _48.format("A")),
            (0x14F3, 581, _C48),
        ],
    ),
    (0x2236, 0): (
        "NVIDIA A10",
        [
            (0x14B6, 588, "1B 2B"),
            (0x14B8, 590, _24.format("Q")),
            (0x14C0, 598, _24.format("A")),
            (0x14D0, 610, _C24),
        ],
    ),
    (0x2321, 0): (
        "NVIDIA H100L",
        [
            (0x1853, None, "1-12CME 1-12C 1-24C 2-24C 3-47C 4-47C 7-94C"),
            (0x185A, None, "4C 6C 11C 15C 23C 47C 94C"),
        ],
    ),
    (0x2330, 0): (
        "NVIDIA H100XM",
        [
            (0x187A, None, "1-10CME " + _MIG_80),
            (0x1881, None, "4C 5C 8C 10C 16C 20C 40C 80C"),
        ],
    ),
    (0x2331, 0): (
        "NVIDIA H100",
        [
            (0x16D3, None, _A80),
            (0x16D8, None, "4C 8C 10C 16C 20C 40C 80C"),
            (0x1798, None, "5C"),
            (0x17F0, None, "1-10CME"),
            (0x1844, None, "1-20C"),
        ],
    ),
    (0x2335, 0): (
        "NVIDIA H200X",
        [
            (None, 1413, "1-18CME 1-18C 1-35C 2-35C 3-71C 4-71C 7-141C"),
            (None, 1420, "4C 7C 8C 14C 17C 28C 35C 70C 141C"),
        ],
    ),
    (0x25B6, 0x14A9): (
        "NVIDIA A16",
        [
            (0x159D, 709, "1B 2B 1Q"),
            (0x1600, 712, "2Q 4Q 8Q 16Q"),
            (0x1604, 716, _V16.format("A")),
            (0x1609, 721, "4C 8C 16C"),
        ],
    ),
    (0x25B6, 0x157E): (
        "NVIDIA A2",
        [
            (0x1646, 742, "1B 2B"),
            (0x1648, 744, _V16.format("Q")),
            (0x164D, 749, _V16.format("A")),
            (0x1655, 754, "4C 8C 16C"),
        ],
    ),
    (0x26B1, 0): ("NVIDIA RTX6000-Ada", _in_order(0x1708, 939, _48, _C48, 10)),
    (0x26B5, 0): ("NVIDIA L40", _in_order(0x176D, 869, _48, _C48, 10)),
    (0x26B9, 0): ("NVIDIA L40S", _in_order(0x1889, 1145, _48, _C48, 12)),
    (0x27B8, 0): ("NVIDIA L4", _in_order(0x172F, None, _24, _C24, 8)),
}
