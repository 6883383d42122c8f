"""The options that programs give with an image: where logs go, what PTX is compiled for."""

from __future__ import annotations

import ctypes
from time import perf_counter

from .. import _constants as constants
from .. import _status as status
from ..devices.visible import environment
from ..error import CudaError
from .image import ImageError, Target
from .residency import capability

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Optional

    from ...machine import Device
    from ..library import Cuda

__all__ = ["Options", "architecture_of"]

LOGS = {
    constants.JIT_INFO_LOG_BUFFER: constants.JIT_INFO_LOG_BUFFER_SIZE_BYTES,
    constants.JIT_ERROR_LOG_BUFFER: constants.JIT_ERROR_LOG_BUFFER_SIZE_BYTES,
}

#: In a CUjit_target: the bits of architecture-specific and of family-specific ones.
SPECIFIC, FAMILY = 1 << 16, 1 << 17


class Options:
    """JIT options in a client's memory: numbers of options, and a word for each.

    Raises:
        CudaError: INVALID_VALUE: one that no header has, or a buffer without a size.
    """

    def __init__(self, numbers: Optional[Sequence[int]], address: int) -> None:
        self._began = perf_counter()
        self._places = {}  # option -> the address of its word
        for index, number in enumerate(numbers or ()):
            if not 0 <= number < constants.JIT_NUM_OPTIONS or address < 4096:
                raise CudaError(status.INVALID_VALUE)
            self._places[number] = address + 8 * index
        self._rooms = {size: self.number(size) for size in LOGS.values()}  # which are written over
        for buffer, size in LOGS.items():
            if self.word(buffer) and size not in self._places:
                raise CudaError(status.INVALID_VALUE)

    def word(self, option: int) -> int:
        """An option's value; 0 for one that is not given."""
        place = self._places.get(option)
        return ctypes.c_size_t.from_address(place).value if place else 0

    def number(self, option: int) -> int:
        """An option's value, an unsigned int."""
        return self.word(option) & 0xFFFFFFFF

    def has(self, option: int) -> bool:
        """Whether an option is given."""
        return option in self._places

    @property
    def is_verbose(self) -> bool:
        """Whether logs are to say more than what is wrong."""
        return bool(self.number(constants.JIT_LOG_VERBOSE))

    def finish(self, info: str = "", error: str = "") -> None:
        """Write the logs, how long they are, and how long it all took."""
        for buffer, text in zip(LOGS, (info, error)):
            self._log(buffer, LOGS[buffer], text.encode())
        place = self._places.get(constants.JIT_WALL_TIME)
        if place:
            ctypes.c_float.from_address(place).value = (perf_counter() - self._began) * 1000

    def _log(self, buffer: int, size: int, text: bytes) -> None:
        room = self._rooms[size]
        address = self.word(buffer)
        written = text[: room - 1] if address and room else b""  # of what is not written nothing
        if address and room:
            ctypes.memmove(address, written + b"\0", len(written) + 1)
        if self.has(size):
            ctypes.c_size_t.from_address(self._places[size]).value = len(written)

    def target(self, cuda: Cuda, device: Device) -> Target:
        """What images are loaded for on a device."""
        prefers_ptx = environment("CUDA_FORCE_PTX_JIT") == "1" or (
            self.has(constants.JIT_FALLBACK_STRATEGY)
            and self.number(constants.JIT_FALLBACK_STRATEGY) == constants.PREFER_PTX
        )
        return Target(
            capability(device),
            cuda.machine.cuda_version,
            prefers_ptx=prefers_ptx,
            compiles=environment("CUDA_DISABLE_PTX_JIT") != "1",
            registers=self.number(constants.JIT_MAX_REGISTERS),
        )

    def refused(self, cuda: Cuda, error: ImageError) -> CudaError:
        """Tell the client's log what is wrong with an image; the error that its call answers."""
        if error.lacking:
            cuda.say_once(error.lacking)
        self.finish(error=error.text)
        return CudaError(error.code)


def architecture_of(target: int) -> tuple[int, str]:
    """The number and kind of a CUjit_target: (90, "a")."""
    kind = "a" if target & SPECIFIC else "f" if target & FAMILY else ""
    return target & 0xFFFF, kind
