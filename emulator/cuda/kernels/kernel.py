"""Libraries and their kernels: code that belongs to no context until it is used in one."""

from __future__ import annotations

from .. import _status as status
from ..error import CudaError
from .function import attribute
from .image import ImageError, load
from .module import Modules
from .residency import capability

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Optional

    from ...machine import Device
    from ..contexts.context import Context
    from ..library import Cuda
    from .function import Function
    from .image import Image
    from .image import Kernel as Description
    from .jit import Options
    from .module import Module

__all__ = ["CodeLibrary", "Kernel"]


class Kernel:
    """A kernel of a library, in whatever context.

    Attributes:
        settings: by device, the attributes that a program has set.
    """

    def __init__(self, library: CodeLibrary, name: str) -> None:
        self.library = library
        self.name = name
        self.settings: dict[Device, dict[int, int]] = {}
        self.text: Any = None

    def __str__(self) -> str:
        return f"kernel {self.name}"

    def description(self, device: Device) -> Description:
        """What the image for a device says of it.

        Raises:
            CudaError: NO_BINARY_FOR_GPU, NOT_FOUND: there is none for the device.
        """
        found = self.library.image(device).kernels.get(self.name)
        if found is None:
            raise CudaError(status.NOT_FOUND)
        return found

    def any_description(self) -> Description:
        """What one of the images says of it: of its parameters all say the same."""
        images = self.library.images
        return next(image.kernels[self.name] for image in images if self.name in image.kernels)

    def function(self, context: Context) -> Function:
        """Its function in a context, with what is set for the device."""
        function = context.part(Modules).of_library(self.library).function(self.name)
        function.settings = self.settings.setdefault(context.device, {})
        return function

    def attribute(self, device: Device, number: int) -> int:
        """A CUfunction_attribute on a device."""
        settings = self.settings.get(device, {})
        return attribute(self.description(device), device, settings, number)


class CodeLibrary:
    """An image that is loaded into contexts on demand.

    Attributes:
        kernels: those of all devices that it has code for, by name.
    """

    def __init__(self, cuda: Cuda, data: bytes, options: Options) -> None:
        """Read the image for each device that the process sees.

        Raises:
            ImageError: it is damaged, or has no code for any of them.
        """
        self._cuda = cuda
        self._images: dict[tuple[int, int], Optional[Image]] = {}
        refusal: Optional[ImageError] = None
        for device in cuda.devices:
            target = options.target(cuda, device)
            if target.capability not in self._images:
                try:
                    self._images[target.capability] = load(data, target)
                except ImageError as error:
                    refusal = error
                    self._images[target.capability] = None
        images = self.images
        if refusal is not None and (not images or refusal.code != status.NO_BINARY_FOR_GPU):
            raise refusal
        names = {name: None for image in images for name in image.kernels}
        self.kernels = {name: Kernel(self, name) for name in names}

    @property
    def images(self) -> list[Image]:
        """Those for the devices that it has code for."""
        return [image for image in self._images.values() if image is not None]

    def __str__(self) -> str:
        return f"library of {len(self.kernels)} kernels"

    def image(self, device: Device) -> Image:
        """The image for a device; NO_BINARY_FOR_GPU where there is none."""
        image = self._images.get(capability(device))
        if image is None:
            raise CudaError(status.NO_BINARY_FOR_GPU)
        return image

    def module(self, context: Context) -> Module:
        """Its module in a context."""
        return context.part(Modules).of_library(self)

    def unload(self) -> None:
        """Take it out of all contexts, and let its handles be stale."""
        for context in self._cuda.contexts.alive():
            if context.has(Modules):
                context.part(Modules).drop_library(self)
        for kernel in self.kernels.values():
            self._cuda.handles("CUkernel").drop(kernel)
        self._cuda.handles("CUlibrary").drop(self)
