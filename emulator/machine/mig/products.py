"""Into what each product can be divided: the tables of MIG profiles.

Sources: `nvidia-smi mig -lgip` and `-lgipp` as published for each product (ids, memory,
multiprocessors, engines, placements); NVIDIA's MIG user guide (names, and since which driver);
nvml.h (numbers).
"""

from __future__ import annotations

from .profiles import Profile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["PRODUCTS"]

#: Where profiles may start, of seven compute and eight memory slices.
ONE, WIDE, TWO, FOUR, ALL = range(7), (0, 2, 4, 6), (0, 2, 4), (0, 4), (0,)

#: Of products with eight memory slices: name without the memory, which of the four memory sizes it
#: has, and number, id, size, starts and first driver.
EIGHTHS = (
    ("1g.{}gb", 0, (0, 19, 1, ONE, 450)),
    ("1g.{}gb+me", 0, (7, 20, 1, ONE, 470)),
    ("1g.{}gb", 1, (9, 15, 2, WIDE, 525)),
    ("2g.{}gb", 1, (1, 14, 2, TWO, 450)),
    ("3g.{}gb", 2, (2, 9, 4, FOUR, 450)),
    ("4g.{}gb", 2, (3, 5, 4, ALL, 450)),
    ("7g.{}gb", 3, (4, 0, 8, ALL, 450)),
)

#: Engines, in the rows' order: copies, decoders, encoders, jpegs, ofas.
AMPERE = (
    *((1, 0, 0, 0, 0), (1, 1, 0, 1, 1), (1, 1, 0, 0, 0), (2, 1, 0, 0, 0)),
    *((3, 2, 0, 0, 0), (4, 2, 0, 0, 0), (7, 5, 0, 1, 1)),
)
HOPPER = (
    *((1, 1, 0, 1, 0), (1, 1, 0, 1, 1), (1, 1, 0, 1, 0), (2, 2, 0, 2, 0)),
    *((3, 3, 0, 3, 0), (4, 4, 0, 4, 0), (8, 7, 0, 7, 1)),
)
BLACKWELL = (
    *((2, 1, 0, 1, 0), (2, 1, 0, 1, 1), (2, 1, 0, 1, 0), (4, 2, 0, 2, 0)),
    *((6, 3, 0, 3, 0), (8, 4, 0, 4, 0), (16, 7, 0, 7, 1)),
)


def eighths(
    gigabytes: Sequence[int],
    mebibytes: Sequence[int],
    multiprocessors: Sequence[int],
    engines: Sequence[Sequence[int]],
) -> tuple[Profile, ...]:
    """The profiles of a product with eight memory slices.

    `gigabytes` (in names) and `mebibytes` are those of one, two, four and all slices;
    `multiprocessors` and `engines` have an entry for each row.
    """
    return tuple(
        Profile(
            name.format(gigabytes[memory]),
            shape,
            mebibytes[memory],
            multiprocessors[row],
            engines[row],
        )
        for row, (name, memory, shape) in enumerate(EIGHTHS)
    )


#: Where profiles may start, of four slices.
Q_ONE, Q_TWO = range(4), (0, 2)

#: Of products with four slices, without the memory in the middle of the name: number, id, size,
#: starts, first driver.
QUARTERS: dict[str, tuple[int, int, int, Sequence[int], int]] = {
    "1g": (0, 14, 1, Q_ONE, 450),
    "1g+me": (7, 21, 1, Q_ONE, 470),
    "1g+gfx": (10, 47, 1, Q_ONE, 570),
    "1g+me.all": (15, 65, 1, Q_ONE, 575),
    "1g-me": (13, 67, 1, Q_ONE, 575),
    "2g": (1, 5, 2, Q_TWO, 450),
    "2g+me": (8, 6, 2, Q_TWO, 525),
    "2g+gfx": (11, 35, 2, Q_TWO, 570),
    "2g+me.all": (16, 64, 2, Q_TWO, 575),
    "2g-me": (14, 66, 2, Q_TWO, 575),
    "4g": (3, 0, 4, ALL, 450),
    "4g+gfx": (12, 32, 4, ALL, 570),
}


def quarter(name: str, mebibytes: int, multiprocessors: int, *engines: int) -> Profile:
    """A profile of a product with four slices."""
    slices, _, rest = name.partition(".")
    shape = QUARTERS[slices + rest.lstrip("0123456789")[len("gb") :]]
    return Profile(name, shape, mebibytes, multiprocessors, engines)


H100_MEMORY = (9984, 20096, 40448, 81152)

#: Words of a catalogue's name ("a100-sxm4-80gb") -> the product's profiles. Of several entries
#: whose words are all there the longest holds.
PRODUCTS: dict[str, tuple[Profile, ...]] = {
    "a30": (
        quarter("1g.6gb", 5952, 14, 1, 1, 0, 0, 0),
        quarter("1g.6gb+me", 5952, 14, 1, 1, 0, 1, 1),
        quarter("2g.12gb", 11968, 28, 2, 2, 0, 0, 0),
        quarter("2g.12gb+me", 11968, 28, 2, 2, 0, 1, 1),
        quarter("4g.24gb", 24000, 56, 4, 4, 0, 1, 1),
    ),
    "a100 40gb": eighths(
        (5, 10, 20, 40), (4864, 9856, 19968, 40192), (14, 14, 14, 28, 42, 56, 98), AMPERE
    ),
    "a100 80gb": eighths(
        (10, 20, 40, 80), (9728, 19968, 40192, 80896), (14, 14, 14, 28, 42, 56, 98), AMPERE
    ),
    "h100 80gb": eighths((10, 20, 40, 80), H100_MEMORY, (16, 16, 26, 32, 60, 64, 132), HOPPER),
    "h100 pcie 80gb": eighths((10, 20, 40, 80), H100_MEMORY, (14, 14, 14, 30, 46, 62, 114), HOPPER),
    "h100 94gb": eighths(
        (12, 24, 47, 94), (11008, 22144, 47488, 95360), (16, 16, 26, 32, 60, 64, 132), HOPPER
    ),
    "gh200 96gb": eighths(
        (12, 24, 48, 96), (11264, 23552, 47616, 95232), (16, 16, 26, 32, 60, 64, 132), HOPPER
    ),
    # Of the H20 only the names are published; memory as the GH200's of the same size, and
    # multiprocessors in proportion.
    "h20 96gb": eighths(
        (12, 24, 48, 96), (11264, 23552, 47616, 95232), (10, 10, 10, 22, 32, 44, 78), HOPPER
    ),
    "h200 141gb": eighths(
        (18, 35, 71, 141), (16384, 33024, 71168, 143360), (16, 16, 26, 32, 60, 64, 132), HOPPER
    ),
    "b200": eighths(
        (23, 45, 90, 180), (20992, 45312, 91136, 182784), (18, 18, 30, 36, 70, 72, 148), BLACKWELL
    ),
    # Of these three the names are published (the gpu-operator's configuration for MIG), and of the
    # GB200 what has one and two slices; other memory is in the ratio of the products' memories, the
    # rest as the B200's.
    "b300": eighths(
        (34, 67, 135, 269), (31488, 67968, 136704, 274048), (18, 18, 30, 36, 70, 72, 148), BLACKWELL
    ),
    "gb200": eighths(
        (23, 47, 93, 186), (22528, 46592, 94208, 188672), (18, 18, 32, 38, 70, 72, 152), BLACKWELL
    ),
    "gb300": eighths(
        (35, 70, 139, 278), (32576, 70208, 141248, 283200), (18, 18, 30, 36, 70, 72, 152), BLACKWELL
    ),
    "rtx pro 6000": (
        quarter("1g.24gb", 24192, 46, 1, 1, 1, 1, 0),
        quarter("1g.24gb+me", 24192, 46, 1, 1, 1, 1, 1),
        quarter("1g.24gb+gfx", 24192, 46, 1, 1, 1, 1, 0),
        quarter("1g.24gb+me.all", 24192, 46, 1, 4, 4, 4, 1),
        quarter("1g.24gb-me", 24192, 46, 1, 0, 0, 0, 0),
        quarter("2g.48gb", 48512, 94, 2, 2, 2, 2, 0),
        quarter("2g.48gb+gfx", 48512, 94, 2, 2, 2, 2, 0),
        quarter("2g.48gb+me.all", 48512, 94, 2, 4, 4, 4, 1),
        quarter("2g.48gb-me", 48512, 94, 2, 0, 0, 0, 0),
        quarter("4g.96gb", 97280, 188, 4, 4, 4, 4, 1),
        quarter("4g.96gb+gfx", 97280, 188, 4, 4, 4, 4, 1),
    ),
}

PRODUCTS["gh200 480gb"] = PRODUCTS["gh200 96gb"]  # NVIDIA's name counts Grace's memory
PRODUCTS["h100 nvl"] = PRODUCTS["h100 94gb"]
PRODUCTS["h200"] = PRODUCTS["h200 141gb"]
