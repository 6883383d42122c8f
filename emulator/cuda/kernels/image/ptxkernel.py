"""PTX: what stands between a kernel's name and its body."""

from __future__ import annotations

from .model import Parameter
from .ptxdata import Declaration, number
from .ptxtext import syntax_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .model import Kernel

__all__ = ["direct", "parameters"]


def parameters(words: list[str]) -> list[Parameter]:
    """The parameters between the parentheses of a kernel, laid out as their types want."""
    made: list[Parameter] = []
    place, start = 0, 0
    for end in [n for n, word in enumerate(words) if word == ","] + [len(words)]:
        if not words:
            break
        parameter = Declaration(words[start:end])
        place = -(-place // parameter.align) * parameter.align
        made.append(Parameter(place, parameter.size))
        place += parameter.size
        start = end + 1
    return made


def direct(kernel: Kernel, words: list[str]) -> None:
    """Take the directives behind a kernel's parameters."""
    for place, word in enumerate(words):
        if word in (".maxntid", ".reqntid", ".reqnctapercluster"):
            shape = _shape(words[place + 1 :])
            if word == ".reqnctapercluster":
                kernel.cluster = shape
            elif word == ".reqntid":
                kernel.block = shape
                kernel.max_threads = shape[0] * shape[1] * shape[2]
            else:
                kernel.max_threads = shape[0] * shape[1] * shape[2]
        elif word == ".maxclusterrank":
            kernel.max_cluster = number(words[place + 1]) if words[place + 1 :] else 0


def _shape(words: list[str]) -> tuple[int, int, int]:
    """One to three numbers with commas between them."""
    sizes: list[int] = []
    for word in words[:5:2]:
        sizes.append(number(word))
        if words[len(sizes) * 2 - 1 : len(sizes) * 2] != [","]:
            break
    if not sizes or min(sizes) < 1:
        raise syntax_error(words[0] if words else ".maxntid")
    x, y, z = [*sizes, 1, 1][:3]
    return x, y, z
