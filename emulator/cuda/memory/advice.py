"""What a program has said of managed memory: advice, and where it has prefetched it to."""

from __future__ import annotations

from .. import _constants as constants
from .. import _status as status
from ..error import CudaError
from .marks import Marks
from .space import Space

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..library import Cuda
    from .space import Block

__all__ = ["CPU", "NOWHERE", "UNSAID", "Advice", "find_advice"]

CPU, NOWHERE = -1, -2  # CU_DEVICE_CPU, CU_DEVICE_INVALID

#: A place: CUmemLocationType and number. INVALID is where nothing was said.
UNSAID = (constants.MEM_LOCATION_TYPE_INVALID, NOWHERE)


class Advice:
    """What a program has said of a managed block, by address."""

    __slots__ = ("accessed_by", "preferred", "prefetched", "read_mostly")

    def __init__(self, block: Block) -> None:
        def marks(value: Any) -> Marks:
            return Marks(block.address, block.end, value)

        self.read_mostly = marks(False)
        self.preferred = marks(UNSAID)
        self.prefetched = marks(UNSAID)
        self.accessed_by = marks(())


def find_advice(cuda: Cuda, start: int, size: int) -> Advice:
    """What was said of the managed block that a range lies in; INVALID_VALUE: it lies in none."""
    if not size:
        raise CudaError(status.INVALID_VALUE)
    block = cuda.part(Space).range(start, size)
    if not block.managed:
        raise CudaError(status.INVALID_VALUE)
    if block.advice is None:
        block.advice = Advice(block)
    advice: Advice = block.advice
    return advice
