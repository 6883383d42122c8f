"""From the bytes of an image to what a device makes of it."""

from __future__ import annotations

from ... import _status as status
from . import cubin, elf, fatbin, ptx
from .error import ImageError
from .fetch import UNKNOWN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .model import Image

__all__ = ["Target", "load", "load_part"]


class Target:
    """What an image is loaded for.

    Attributes:
        capability: the device's compute capability.
        cuda_version: the driver's, 12040 for 12.4.
        prefers_ptx: whether PTX is compiled though there is a cubin that fits
            (CUDA_FORCE_PTX_JIT, CU_PREFER_PTX).
        compiles: whether PTX may be compiled at all (CUDA_DISABLE_PTX_JIT).
        registers: the most that a thread of compiled PTX may take (CU_JIT_MAX_REGISTERS); 0 for no
            bound.
    """

    __slots__ = ("capability", "compiles", "cuda_version", "prefers_ptx", "registers")

    def __init__(
        self,
        capability: tuple[int, int],
        cuda_version: int,
        *,
        prefers_ptx: bool = False,
        compiles: bool = True,
        registers: int = 0,
    ) -> None:
        self.capability = capability
        self.cuda_version = cuda_version
        self.prefers_ptx = prefers_ptx
        self.compiles = compiles
        self.registers = registers


def load(data: bytes, target: Target) -> Image:
    """What an image holds for a target, complete.

    That PTX which calls what it does not have is answered NO_BINARY_FOR_GPU is a public report
    (rust-lang/rust, issue 38786).

    Raises:
        ImageError: NO_BINARY_FOR_GPU where nothing in it is for the device, INVALID_IMAGE where
            it is damaged or no image; of PTX see `ptx.read`.
    """
    image = load_part(data, target)
    if image.undefined:
        text = f"ptxas fatal   : Unresolved extern function '{image.undefined[0]}'"
        raise ImageError(status.NO_BINARY_FOR_GPU, text)
    return image


def load_part(data: bytes, target: Target) -> Image:
    """What an image holds for a target, be it complete or not: see `load`."""
    if data.startswith(fatbin.MAGIC):
        return _of_fatbin(data, target)
    if data.startswith(elf.MAGIC):
        return _of_cubin(data, target)
    if not ptx.is_text(data):
        raise ImageError(status.INVALID_IMAGE, UNKNOWN)
    return _of_ptx(data, target)


def _of_cubin(data: bytes, target: Target) -> Image:
    architecture = cubin.architecture(data)
    if not architecture.runs_binary(target.capability):
        raise _nothing(f"code for {architecture} does not run on this device")
    return cubin.read(data)


def _of_ptx(data: bytes, target: Target) -> Image:
    if not target.compiles:
        raise ImageError(status.JIT_COMPILATION_DISABLED, "error   : PTX JIT is disabled")
    return ptx.read(data, target.capability, target.cuda_version, target.registers)


def _of_fatbin(data: bytes, target: Target) -> Image:
    found = list(fatbin.entries(data))
    device = target.capability
    binaries = [e for e in found if e.kind == fatbin.CUBIN and e.architecture.runs_binary(device)]
    texts = [e for e in found if e.kind == fatbin.PTX and e.architecture.runs_ptx(device)]
    for entries in (binaries, texts):
        entries.sort(key=lambda entry: (entry.architecture.number, entry.architecture.kind))
    if binaries and not (texts and target.prefers_ptx):
        while binaries:
            unpacked = binaries.pop().unpacked()
            if cubin.architecture(unpacked).runs_binary(device):
                return _of_cubin(unpacked, target)
    if texts:
        return _of_ptx(texts[-1].unpacked().partition(b"\0")[0], target)
    raise _nothing("the fatbin has no code for this device")


def _nothing(text: str) -> ImageError:
    return ImageError(status.NO_BINARY_FOR_GPU, f"error   : {text}")
