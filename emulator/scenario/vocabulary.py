"""The names that faults may use, as the two APIs know them.

Scenarios know neither NVML nor CUDA; whoever resolves one hands their names in.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from msgspec import Struct

__all__ = ["Vocabulary"]


class Vocabulary(Struct, frozen=True):
    """Functions and codes by library ("nvml", "cuda").

    Attributes:
        functions: library -> names of the functions that the library exports.
        codes: library -> code name as the header has it ("NVML_ERROR_GPU_IS_LOST") -> number.
    """

    functions: Mapping[str, Collection[str]]
    codes: Mapping[str, Mapping[str, int]]
