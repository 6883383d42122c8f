"""One function of an API as its header declares it.

The generated tables hold a function as one line, read when the function is first bound:

    nvmlReturn_t(device: nvmlDevice_t, out name: char[length], length: unsigned int)

A versioned struct may be one of several: `inout info: nvmlNvLinkInfo_v1_t|nvmlNvLinkInfo_v2_t`.
`root` before the return type says that only a privileged user may call the function.
A parameter is `name: type` when it is passed by value, and `in`, `out` or `inout` before it when
it is a pointer to what it names. A length in brackets is another parameter's name, `*count` when
that parameter is itself a pointer, a number, or `nul` for a terminated string.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional

__all__ = ["Function", "Parameter", "snake_case"]


# Parameters that Python has other uses for the names of.
KEYWORDS = {"from": "from_"}


def snake_case(name: str) -> str:
    """`pciBusId` -> `pci_bus_id`: how handlers spell a C parameter's name."""
    letters = []
    for index, letter in enumerate(name):
        starts_word = letter.isupper() and index and not name[index - 1].isupper()
        letters.append("_" + letter.lower() if starts_word else letter.lower())
    return "".join(letters)


class Parameter:
    """A parameter: its name, `direction` (value, in, out, inout), element type and length.

    `versions` are the structs that the tag in the client's memory chooses from; `type` the first.
    """

    __slots__ = ("direction", "key", "length", "name", "type", "versions")

    def __init__(self, text: str) -> None:
        head, _, spelling = text.partition(": ")
        direction, _, name = head.rpartition(" ")
        self.name = name
        self.key = KEYWORDS.get(name) or snake_case(name)
        self.direction = direction or "value"
        spelling, bracket, length = spelling.partition("[")
        self.versions = spelling.split("|")
        self.type = self.versions[0]
        self.length: Optional[str] = length[:-1] if bracket else None

    @property
    def counts(self) -> str:
        """The parameter that points to how many elements there are; empty when none does."""
        return self.length[1:] if self.length and self.length[0] == "*" else ""

    @property
    def is_pointer(self) -> bool:
        """Whether the C argument is an address."""
        return self.direction != "value"

    @property
    def is_input(self) -> bool:
        """Whether the client puts something in."""
        return self.direction != "out"

    @property
    def is_output(self) -> bool:
        """Whether the library puts something out."""
        return self.direction in ("out", "inout")


class Function:
    """A function: its name, slot number, return type and parameters.

    `parameters` is None for an exported function that no header declares: it is forwarded as
    twelve machine words. `privileged` functions are for root: others are refused.
    """

    __slots__ = ("name", "parameters", "privileged", "returns", "slot")

    def __init__(self, name: str, slot: int, row: str) -> None:
        self.name = name
        self.slot = slot
        head, _, inside = row.partition("(")
        self.privileged = head.startswith("root ")
        self.returns = head[5:] if self.privileged else head
        inside = inside[:-1]
        self.parameters: Optional[tuple[Parameter, ...]] = None
        if inside != "...":
            self.parameters = tuple(Parameter(part) for part in inside.split(", ") if part)

    def parameter(self, name: str) -> Parameter:
        """The parameter of this C name; KeyError when there is none."""
        for parameter in self.parameters or ():
            if parameter.name == name:
                return parameter
        raise KeyError(name)
