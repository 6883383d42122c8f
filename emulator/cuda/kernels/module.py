"""Modules: an image's kernels and variables in a context."""

from __future__ import annotations

import ctypes

from .. import _status as status
from ..arrays.texref import SurfaceReference, TextureReference
from ..error import CudaError
from ..memory.heap import Heap
from .function import Function

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional

    from ..contexts.context import Context
    from ..memory.space import Block
    from .image import Image, Variable
    from .kernel import CodeLibrary

__all__ = ["Module", "Modules"]

#: Contexts of the API before CUDA 3.2 have device pointers of 32 bits.
LAST_OF_32_BITS = 3010


class Module:
    """An image loaded into a context.

    Attributes:
        functions: by name, in the order of the image.
        textures, surfaces: its references, by name.
        blocks: the memory of its variables, by name.
        library: whose module it is in this context; None for one that cuModuleLoad made.

    Raises:
        CudaError: OUT_OF_MEMORY: the variables do not fit.
    """

    def __init__(
        self, context: Context, image: Image, library: Optional[CodeLibrary] = None
    ) -> None:
        self.context = context
        self.image = image
        self.library = library
        self.functions = {name: Function(self, kernel) for name, kernel in image.kernels.items()}
        self.textures = {name: TextureReference() for name in image.textures}
        self.surfaces = {name: SurfaceReference() for name in image.surfaces}
        self.blocks: dict[str, Block] = {}
        try:
            for variable in image.variables.values():
                if variable.size:
                    self.blocks[variable.name] = self._place(variable)
            for variable in image.variables.values():
                self._point(variable)
        except CudaError:
            self._free()
            raise

    def __str__(self) -> str:
        return f"module of GPU-{self.context.device.index}"

    def _place(self, variable: Variable) -> Block:
        heap = self.context.part(Heap)
        low = self.context.api_version <= LAST_OF_32_BITS
        kind = "managed" if variable.managed else "module"
        block = heap.allocate(variable.size, kind, low)
        ctypes.memset(block.address, 0, block.size)
        ctypes.memmove(block.address, variable.data, len(variable.data))
        return block

    def _point(self, variable: Variable) -> None:
        """Write the addresses of other variables into one; those of functions stay null."""
        for offset, name, addend in variable.addresses:
            if name in self.blocks and offset + 8 <= variable.size:
                place = self.blocks[variable.name].address + offset
                ctypes.c_uint64.from_address(place).value = self.blocks[name].address + addend

    def _free(self) -> None:
        for block in self.blocks.values():
            block.owner.free(block)
        self.blocks = {}

    def function(self, name: str) -> Function:
        """The function of a name, loaded; NOT_FOUND where there is none."""
        function = self.functions.get(name)
        if function is None:
            raise CudaError(status.NOT_FOUND)
        function.is_loaded = True
        return function

    def variable(self, name: str) -> tuple[int, int]:
        """Address and size of a variable; NOT_FOUND where there is none."""
        block = self.blocks.get(name)
        if block is None:
            raise CudaError(status.NOT_FOUND)
        return block.address, self.image.variables[name].size

    def unload(self) -> None:
        """Free its memory, and let its handles be stale."""
        self._free()
        self.forget()

    def forget(self) -> None:
        """Let its handles be stale: its context ends, and with it its memory."""
        cuda = self.context.cuda
        for function in self.functions.values():
            cuda.handles("CUfunction").drop(function)
        for texture in self.textures.values():
            cuda.handles("CUtexref").drop(texture)
        for surface in self.surfaces.values():
            cuda.handles("CUsurfref").drop(surface)
        cuda.handles("CUmodule").drop(self)


class Modules:
    """The modules of a context."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._loaded: dict[Module, None] = {}
        self._of_libraries: dict[CodeLibrary, Module] = {}

    def load(self, image: Image) -> Module:
        """Load an image."""
        module = Module(self._context, image)
        self._loaded[module] = None
        return module

    def unload(self, module: Module) -> None:
        """Unload a module; it is not asked whose it is."""
        if self._loaded.pop(module, 0) is None:
            module.unload()

    def of_library(self, library: CodeLibrary) -> Module:
        """The module of a library in this context, loaded on first use.

        Raises:
            CudaError: NO_BINARY_FOR_GPU: the library has no code for the device; OUT_OF_MEMORY.
        """
        with self._context.cuda.lock:
            module = self._of_libraries.get(library)
            if module is None:
                image = library.image(self._context.device)
                module = Module(self._context, image, library)
                self._of_libraries[library] = module
            return module

    def drop_library(self, library: CodeLibrary) -> None:
        """Unload the module of a library, if there is one."""
        module = self._of_libraries.pop(library, None)
        if module is not None:
            module.unload()

    def end(self) -> None:
        """The context ends."""
        for module in (*self._loaded, *self._of_libraries.values()):
            module.forget()
