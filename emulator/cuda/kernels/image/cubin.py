"""Cubins: ELF files with code for one architecture, as ptxas and nvlink write them."""

from __future__ import annotations

from _bisect import bisect_right
from _struct import unpack_from

from . import info
from .architecture import Architecture
from .elf import Elf, Section, Symbol, malformed
from .model import LARGEST_ARGUMENTS, Image, Kernel, Parameter, Variable
from .provided import is_provided

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional

__all__ = ["architecture", "read"]

CUDA = 190  # EM_CUDA
OBJECT, FUNCTION, CUDA_OBJECT = 1, 2, 13  # types of symbols
GLOBAL, WEAK = 1, 2  # bindings
ENTRY, MANAGED = 0x10, 0x04  # in a symbol's `other`

#: The ABI from which on the architecture stands in another place of the header's flags (CUDA 13
#: writes it for all architectures, 12.9 for those from sm_100 on).
NEW_ABI = 0x41
OLD_SPECIFIC, NEW_SPECIFIC = 0x800, 0x8

#: What the driver keeps of each block's shared memory, in cubins for sm_90 and later that have a
#: section for it: sections of kernels count it in, the function's static size does not (`ptxas -v`
#: on the same kernels).
RESERVED_SECTION, RESERVED = ".nv.shared.reserved.0", 1024

#: Relocations: the type of their sections, bytes of one, and those that are 64-bit addresses
#: (R_CUDA_64, R_CUDA_G64).
RELA, RELOCATION, ADDRESSES = 4, 24, (2, 4)

GLOBAL_SECTIONS = (".nv.global", ".nv.global.init")
USER_CONSTANTS = ".nv.constant3"


def read(data: bytes) -> Image:
    """The kernels and variables of a cubin.

    Raises:
        ImageError: INVALID_IMAGE: it is damaged, or no cubin.
    """
    return _Reader(_elf(data)).image()


def architecture(data: bytes) -> Architecture:
    """The architecture of a cubin; raises as `read` does."""
    return _architecture(_elf(data))


def _elf(data: bytes) -> Elf:
    elf = Elf(data)
    if elf.machine != CUDA:
        raise malformed("an ELF file without device code")
    return elf


def _architecture(elf: Elf) -> Architecture:
    if elf.abi >= NEW_ABI:
        number, specific = elf.flags >> 8 & 0xFF, elf.flags & NEW_SPECIFIC
    else:
        number, specific = elf.flags & 0xFF, elf.flags & OLD_SPECIFIC
    if not number:
        raise malformed("a cubin without an architecture")
    return Architecture.of_number(number, "a" if specific else "")


class _Reader:
    """What is needed while one cubin is read."""

    def __init__(self, elf: Elf) -> None:
        self.sections = elf.sections
        self.by_name = {section.name: section for section in elf.sections}
        self.symbols = elf.symbols()
        self.binary_version = _architecture(elf).number
        virtual = 0 if elf.abi >= NEW_ABI else elf.flags >> 16 & 0xFF
        self.ptx_version = virtual or self.binary_version
        self.registers = self._per_symbol(info.REGISTERS)
        self.frames = self._per_symbol(info.FRAME_SIZE)

    def image(self) -> Image:
        image = Image()
        for index, symbol in enumerate(self.symbols):
            section = self._section(symbol)
            if symbol.type == FUNCTION and section is not None and symbol.other & ENTRY:
                image.kernels[symbol.name] = self._kernel(symbol.name, index, section)
            elif symbol.type == FUNCTION and section is not None and symbol.binding:
                image.functions.append(symbol.name)
                self._note_linkage(image, symbol)
            elif symbol.type in (OBJECT, CUDA_OBJECT) and section is not None:
                variable = _variable(symbol, section)
                if variable is not None:
                    image.variables[symbol.name] = variable
                    self._note_linkage(image, symbol)
            elif symbol.type == FUNCTION and not symbol.section and symbol.binding != WEAK:
                image.undefined.append(symbol.name)
        self._take_addresses(image)
        image.undefined = [name for name in image.undefined if not is_provided(name)]
        return image

    def _take_addresses(self, image: Image) -> None:
        """Have variables tell where in them the addresses of others stand."""
        for table in self.sections:
            if table.type != RELA or not 0 < table.info < len(self.sections):
                continue
            inside = sorted(
                (symbol.value, symbol.size, symbol.name)
                for symbol in self.symbols
                if symbol.section == table.info and symbol.name in image.variables
            )
            for place in range(0, len(table.data) - RELOCATION + 1, RELOCATION):
                offset, kind, number, addend = unpack_from("<QIIq", table.data, place)
                if kind not in ADDRESSES or number >= len(self.symbols):
                    continue
                nearest = bisect_right(inside, (offset, 1 << 64)) - 1
                if nearest < 0:
                    continue
                start, size, name = inside[nearest]
                if offset - start <= size - 8:
                    row = offset - start, self.symbols[number].name, addend
                    image.variables[name].addresses.append(row)

    @staticmethod
    def _note_linkage(image: Image, symbol: Symbol) -> None:
        if symbol.binding == WEAK:
            image.weak.add(symbol.name)
        elif symbol.binding != GLOBAL:
            image.private.add(symbol.name)

    def _section(self, symbol: Symbol) -> Optional[Section]:
        inside = 0 < symbol.section < len(self.sections)
        return self.sections[symbol.section] if inside else None

    def _per_symbol(self, what: int) -> dict[int, int]:
        """An attribute of .nv.info: symbol's index -> value."""
        section = self.by_name.get(".nv.info")
        rows = info.attributes(section.data) if section else ()
        return dict(unpack_from("<II", value) for kind, value in rows if kind == what and value[7:])

    def _kernel(self, name: str, index: int, text: Section) -> Kernel:
        kernel = Kernel(name, self.binary_version, self.ptx_version)
        kernel.registers = self.registers.get(index, text.info >> 24)
        kernel.local = self.frames.get(index, 0)
        kernel.shared = self._size(".nv.shared." + name)
        if RESERVED_SECTION in self.by_name and kernel.shared >= RESERVED:
            kernel.shared -= RESERVED
        kernel.constant = self._size(USER_CONSTANTS) + self._size(".nv.constant2." + name)
        described = self.by_name.get(".nv.info." + name)
        if described is not None:
            _describe(kernel, described.data)
        return kernel

    def _size(self, name: str) -> int:
        section = self.by_name.get(name)
        return section.size if section else 0


def _variable(symbol: Symbol, section: Section) -> Optional[Variable]:
    is_constant = section.name == USER_CONSTANTS
    if not is_constant and section.name not in GLOBAL_SECTIONS:
        return None
    if not symbol.size or symbol.name[:1] in ("", "."):
        return None
    data = section.data[symbol.value : symbol.value + symbol.size]
    if symbol.value + symbol.size > section.size:
        raise malformed(f"{symbol.name} is outside its section")
    managed = bool(symbol.other & MANAGED) and not is_constant
    return Variable(symbol.name, symbol.size, data, constant=is_constant, managed=managed)


def _describe(kernel: Kernel, data: bytes) -> None:
    """Take what the kernel's own .nv.info section says."""
    parameters: dict[int, Parameter] = {}
    for what, value in info.attributes(data):
        if what in (info.PARAMETER, info.PARAMETER_V2) and len(value) >= 12:
            number, offset, last = unpack_from("<HHI", value, 4)
            width = last >> 18 if what == info.PARAMETER else last
            parameters[number] = Parameter(offset, width)
        elif what == info.MAX_THREADS and len(value) >= 12:
            x, y, z = unpack_from("<III", value)
            kernel.max_threads = x * y * z
        elif what == info.REQUIRED_THREADS and len(value) >= 12:
            kernel.block = x, y, z = unpack_from("<III", value)
            kernel.max_threads = x * y * z
        elif what == info.CLUSTER and len(value) >= 12:
            kernel.cluster = unpack_from("<III", value)
        elif what == info.MAX_CLUSTER_RANK and len(value) >= 4:
            (kernel.max_cluster,) = unpack_from("<I", value)
    if sorted(parameters) != list(range(len(parameters))):
        raise malformed(f"{kernel.name}: parameters are missing")
    kernel.parameters = [parameters[number] for number in sorted(parameters)]
    if kernel.argument_size > LARGEST_ARGUMENTS:
        raise malformed(f"{kernel.name}: parameters are too large")
