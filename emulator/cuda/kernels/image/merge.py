"""Several images made one, as a device linker does it."""

from __future__ import annotations

from ... import _status as status
from . import fatbin, objects
from .error import ImageError
from .load import load_part
from .model import Image

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .load import Target

__all__ = ["merged", "parts"]


def parts(data: bytes, target: Target) -> Iterator[Image]:
    """Yield the images of one input for a target: of an archive and of an object file each one
    that they have for it, of all else the one that it is.

    Raises:
        ImageError: see `load`.
    """
    if data.startswith(objects.ARCHIVE):
        for member in objects.members(data):
            yield from _of_object(member, target)
    elif objects.is_object(data):
        yield from _of_object(data, target)
    else:
        yield load_part(data, target)


def _of_object(data: bytes, target: Target) -> Iterator[Image]:
    for found in objects.fatbins(data):
        if any(entry.kind in (fatbin.CUBIN, fatbin.PTX) for entry in fatbin.entries(found)):
            yield load_part(found, target)


def merged(inputs: Sequence[tuple[str, Image]]) -> Image:
    """One image of several, each with the name that messages call it by.

    Raises:
        ImageError: INVALID_IMAGE: two have the same, or one needs what none has.
    """
    whole = Image()
    has: dict[str, str] = {}
    for name, image in inputs:
        for defined in (*image.kernels, *image.variables, *image.functions):
            if defined in image.private:
                continue
            if defined in has and defined not in image.weak:
                text = f"error   : Multiple definition of '{defined}' in '{name}'"
                raise ImageError(status.INVALID_IMAGE, f"{text}, first defined in '{has[defined]}'")
            has.setdefault(defined, name)
        whole.kernels.update(image.kernels)
        for variable in image.variables.values():
            whole.variables.setdefault(variable.name, variable)
        whole.functions += image.functions
    for name, image in inputs:
        for needed in image.undefined:
            if needed not in has:
                text = f"error   : Undefined reference to '{needed}' in '{name}'"
                raise ImageError(status.INVALID_IMAGE, text)
    return whole
