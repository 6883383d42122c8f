"""The cuLink functions: one cubin out of several images.

The cubin that comes out has all that was put in but machine code, which nothing here would run: its
kernels, their parameters and what they take, its variables with their values. It is for the device
that was linked for, and loads as any other.
"""

from __future__ import annotations

import ctypes
from ctypes import string_at

from .. import _constants as constants
from .. import _status as status
from ..library import Cuda, CudaError, implements
from .image import ImageError, Target, merged, parts, write
from .image.architecture import Architecture
from .jit import Options, architecture_of
from .modules import read_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Optional

    from .image import Image

__all__: list[str] = []

#: What each kind of input begins with (CUjitInputType).
BEGINNINGS = {
    constants.JIT_INPUT_CUBIN: (b"\x7fELF",),
    constants.JIT_INPUT_PTX: (),
    constants.JIT_INPUT_FATBINARY: (b"\x50\xed\x55\xba",),
    constants.JIT_INPUT_OBJECT: (b"\x7fELF",),
    constants.JIT_INPUT_LIBRARY: (b"!<arch>\n", b"\x7fELF"),
}


class LinkState:
    """A link under way.

    Attributes:
        options: those of its begin, whose logs all its steps write to.
        target: what is linked for.
        inputs: what was added, with its names.
        output: the cubin, once it is complete.
    """

    def __init__(self, options: Options, target: Target, architecture: Architecture) -> None:
        self.options = options
        self.target = target
        self.architecture = architecture
        self.inputs: list[tuple[str, Image]] = []
        self.output: Any = None
        self._errors: list[str] = []

    def __str__(self) -> str:
        return f"link for {self.architecture}"

    def log(self, error: str = "") -> None:
        """Write the logs so far."""
        if error:
            self._errors.append(error)
        info = ""
        if self.options.is_verbose:
            lines = [
                f"info    : Function properties for '{kernel.name}':\ninfo    : used "
                f"{kernel.registers} registers, {kernel.shared} bytes smem"
                for _, image in self.inputs
                for kernel in image.kernels.values()
            ]
            info = "\n".join(lines)
        self.options.finish(info, "\n".join(self._errors))

    def add(self, data: bytes, kind: int, name: str) -> None:
        """Add an input; ImageError where it is none, CudaError where it is of another kind."""
        expected = BEGINNINGS.get(kind)
        if expected is None:  # NVVM, which drivers before CUDA 12 took
            raise CudaError(status.INVALID_VALUE)
        if expected and not data.startswith(expected):
            raise ImageError(status.INVALID_IMAGE, f"error   : '{name}' is not of its input type")
        if kind == constants.JIT_INPUT_PTX:
            data = data.rstrip(b"\0")
        found = [(name, image) for image in parts(data, self.target)]
        self.inputs += found

    def complete(self) -> bytes:
        """The cubin of all inputs; ImageError where they do not make one."""
        return write(merged(self.inputs), self.architecture)


@implements("cuLinkCreate_v2", "cuLinkCreate", nullable=("options",), raw=("optionValues",))
def create(cuda: Cuda, options: Any, option_values: int) -> LinkState:
    device = cuda.contexts.current().device
    chosen = Options(options, option_values)
    target = chosen.target(cuda, device)
    architecture = Architecture(target.capability)
    if chosen.has(constants.JIT_TARGET):
        number, kind = architecture_of(chosen.number(constants.JIT_TARGET))
        architecture = Architecture.of_number(number, kind)
        target.capability = architecture.capability
    state = LinkState(chosen, target, architecture)
    state.log()
    return state


def _add(cuda: Cuda, state: LinkState, data: bytes, kind: int, name: str) -> None:
    if state.output is not None:
        raise CudaError(status.INVALID_VALUE)
    try:
        state.add(data, kind, name)
    except ImageError as error:
        raise _refused(cuda, state, error) from None
    state.log()


def _refused(cuda: Cuda, state: LinkState, error: ImageError) -> CudaError:
    if error.lacking:
        cuda.say_once(error.lacking)
    state.log(error.text)
    return CudaError(error.code)


# The options of a single input hold no logs; those that are known are taken and change nothing.
@implements(
    "cuLinkAddData_v2", "cuLinkAddData", nullable=("name", "options"), raw=("optionValues",)
)
def add_data(  # noqa: PLR0917  (the C function's own)
    cuda: Cuda,
    state: LinkState,
    type: int,  # noqa: A002  (the C name)
    data: int,
    size: int,
    name: Optional[str],
    options: Any,
    option_values: int,
) -> None:
    Options(options, option_values)
    if data < 4096 or not size:
        raise CudaError(status.INVALID_VALUE)
    _add(cuda, state, string_at(data, size), type, name or "<input>")


@implements("cuLinkAddFile_v2", "cuLinkAddFile", nullable=("options",), raw=("optionValues",))
def add_file(
    cuda: Cuda,
    state: LinkState,
    type: int,  # noqa: A002  (the C name)
    path: str,
    options: Any,
    option_values: int,
) -> None:
    Options(options, option_values)
    _add(cuda, state, read_file(path), type, path)


@implements("cuLinkComplete", nullable=("sizeOut",))
def complete(cuda: Cuda, state: LinkState) -> tuple[int, int]:
    if state.output is None:
        try:
            made = state.complete()
        except ImageError as error:
            raise _refused(cuda, state, error) from None
        state.output = ctypes.create_string_buffer(made, len(made))
        state.log()
    return ctypes.addressof(state.output), len(state.output)


@implements("cuLinkDestroy")
def destroy(cuda: Cuda, state: LinkState) -> None:
    cuda.handles("CUlinkState").drop(state)
