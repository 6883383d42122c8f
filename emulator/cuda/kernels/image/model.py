"""What an image holds, whatever it was written as."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Optional

__all__ = ["LARGEST_ARGUMENTS", "Image", "Kernel", "Parameter", "Variable"]

#: Bytes of arguments that a kernel can take (from CUDA 12.1 on).
LARGEST_ARGUMENTS = 32764


class Parameter:
    """A kernel's parameter: where in its argument buffer it lies, and its bytes."""

    __slots__ = ("offset", "size")

    def __init__(self, offset: int, size: int) -> None:
        self.offset = offset
        self.size = size


class Kernel:
    """A kernel as its image describes it.

    Attributes:
        name: as the image has it, mangled.
        parameters: in the order of their declaration.
        registers: of 32 bits, that each thread takes.
        shared: bytes of static shared memory of a block.
        local: bytes of local memory of a thread.
        constant: bytes of constant memory that the user declared.
        max_threads: the most threads of a block that it was compiled for; 0 for no bound.
        block: the only block shape that it may be launched with (.reqntid); None for any.
        cluster: the cluster shape that it was compiled for; None for none.
        max_cluster: the most blocks of a cluster that it was compiled for; 0 for no bound.
        binary_version, ptx_version: 10 x major + minor of the architectures.
    """

    __slots__ = (
        *("binary_version", "block", "cluster", "constant", "local", "max_cluster", "max_threads"),
        *("name", "parameters", "ptx_version", "registers", "shared"),
    )

    def __init__(self, name: str, binary_version: int, ptx_version: int) -> None:
        self.name = name
        self.binary_version = binary_version
        self.ptx_version = ptx_version
        self.parameters: Sequence[Parameter] = ()
        self.registers = 0
        self.shared = 0
        self.local = 0
        self.constant = 0
        self.max_threads = 0
        self.block: Optional[tuple[int, int, int]] = None
        self.cluster: Optional[tuple[int, int, int]] = None
        self.max_cluster = 0

    @property
    def argument_size(self) -> int:
        """Bytes of the buffer that holds all arguments."""
        return max((each.offset + each.size for each in self.parameters), default=0)


class Variable:
    """A variable of a module in device memory.

    Attributes:
        size: bytes.
        align: the bytes that its address is a multiple of.
        data: its first bytes at the start; the rest is zero.
        constant: whether it is in constant memory.
        managed: whether hosts may reach it by its address.
        addresses: where in it the address of a variable stands, whose, and what is added to it.
    """

    __slots__ = ("addresses", "align", "constant", "data", "managed", "name", "size")

    def __init__(
        self,
        name: str,
        size: int,
        data: bytes = b"",
        *,
        align: int = 16,
        constant: bool = False,
        managed: bool = False,
    ) -> None:
        self.name = name
        self.size = size
        self.data = data
        self.align = align
        self.constant = constant
        self.managed = managed
        self.addresses: list[tuple[int, str, int]] = []


class Image:
    """The kernels and variables of an image, by name, and the names of its texture references.

    Attributes:
        undefined: functions that it calls and does not have, in order.
        functions: those that it has.
        private: names of functions and variables that are not for others.
        weak: those of which several images may have one.
    """

    __slots__ = (
        *("functions", "kernels", "private", "surfaces", "textures", "undefined", "variables"),
        "weak",
    )

    def __init__(self) -> None:
        self.kernels: dict[str, Kernel] = {}
        self.variables: dict[str, Variable] = {}
        self.textures: list[str] = []
        self.surfaces: list[str] = []
        self.undefined: list[str] = []
        self.functions: list[str] = []
        self.private: set[str] = set()
        self.weak: set[str] = set()
