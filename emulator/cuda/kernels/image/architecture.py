"""Which code runs on which device, by compute capability.

NVIDIA's CUDA C++ programming guide, "Binary Compatibility" and "PTX Compatibility": a cubin runs on
devices of the same major version and the same minor one or a later, PTX on its own version and all
later ones. Architecture-specific code (sm_90a) runs on just that version, family-specific code
(sm_100f) on those of the same major version from its own on.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional

__all__ = ["Architecture", "newest_ptx"]

# PTX ISA version -> the CUDA version that came with it (PTX ISA manual, "PTX Release History").
# Of versions between two the earlier CUDA counts.
PTX_RELEASES = {
    **{(1, 0): 1000, (1, 1): 1010, (1, 2): 2000, (1, 3): 2010, (1, 4): 2020, (1, 5): 2020},
    **{(2, 0): 3000, (2, 1): 3010, (2, 2): 3020, (2, 3): 4000, (3, 0): 4010, (3, 1): 5000},
    **{(3, 2): 5050, (4, 0): 6000, (4, 1): 6050, (4, 2): 7000, (4, 3): 7050, (5, 0): 8000},
    **{(6, 0): 9000, (6, 1): 9010, (6, 2): 9020, (6, 3): 10000, (6, 4): 10010, (6, 5): 10020},
    **{(7, 0): 11000, (7, 1): 11010, (7, 2): 11020, (7, 3): 11030, (7, 4): 11040, (7, 5): 11050},
    **{(7, 6): 11060, (7, 7): 11070, (7, 8): 11080, (8, 0): 12000, (8, 1): 12010, (8, 2): 12020},
    **{(8, 3): 12030, (8, 4): 12040, (8, 5): 12050, (8, 6): 12070, (8, 7): 12080, (8, 8): 12090},
    **{(9, 0): 13000, (9, 1): 13010, (9, 2): 13020, (9, 3): 13030, (9, 4): 13040},
}


class Architecture:
    """An architecture as sm_90a names it: a compute capability, and whom its code is only for.

    `kind` is "" for all, "a" for just that version, "f" for its family.
    """

    __slots__ = ("capability", "kind")

    def __init__(self, capability: tuple[int, int], kind: str = "") -> None:
        self.capability = capability
        self.kind = kind

    def __str__(self) -> str:
        return f"sm_{self.number}{self.kind}"

    @property
    def number(self) -> int:
        """10 x major + minor."""
        return self.capability[0] * 10 + self.capability[1]

    @classmethod
    def of_number(cls, number: int, kind: str = "") -> Architecture:
        """That of 90, or of 103."""
        return cls((number // 10, number % 10), kind)

    @classmethod
    def parse(cls, text: str) -> Optional[Architecture]:
        """That of "sm_90a"; None when it is no such name."""
        digits = text[len("sm_") :]
        kind = digits[-1:] if digits[-1:] in ("a", "f") else ""
        digits = digits[: len(digits) - len(kind)]
        if not text.startswith("sm_") or not digits.isdecimal() or not 2 <= len(digits) <= 3:
            return None
        return cls.of_number(int(digits), kind)

    def runs_binary(self, device: tuple[int, int]) -> bool:
        """Whether machine code for it runs on a device of this compute capability."""
        if self.kind == "a":
            return device == self.capability
        return device[0] == self.capability[0] and device[1] >= self.capability[1]

    def runs_ptx(self, device: tuple[int, int]) -> bool:
        """Whether PTX for it can be compiled for a device of this compute capability."""
        return self.runs_binary(device) if self.kind else device >= self.capability


def newest_ptx(cuda_version: int) -> tuple[int, int]:
    """The newest PTX ISA that a driver of this CUDA version (12040 for 12.4) compiles."""
    return max(ptx for ptx, cuda in PTX_RELEASES.items() if cuda <= cuda_version)
