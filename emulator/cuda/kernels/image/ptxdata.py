"""Declarations of PTX: how large what they declare is, and what it begins as."""

from __future__ import annotations

from _struct import pack

from .ptxtext import syntax_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Declaration", "addresses", "initial", "number"]

#: Fundamental types -> bytes (PTX ISA manual, "Fundamental Types").
SIZES = {
    **dict.fromkeys((".b8", ".u8", ".s8", ".e4m3", ".e5m2"), 1),
    **dict.fromkeys((".b16", ".u16", ".s16", ".f16", ".bf16"), 2),
    **dict.fromkeys((".b32", ".u32", ".s32", ".f32", ".f16x2", ".bf16x2", ".tf32"), 4),
    **dict.fromkeys((".b64", ".u64", ".s64", ".f64", ".f32x2"), 8),
    ".b128": 16,
    ".pred": 0,
}
#: Opaque types, passed and kept as 64-bit handles.
OPAQUE = {".texref": 8, ".samplerref": 8, ".surfref": 8}
VECTORS = {".v2": 2, ".v4": 4, ".v8": 8}

POINTER = 8  # bytes

#: A declaration of more is no real one.
LARGEST = 1 << 40


class Declaration:
    """What the words of a declaration say: `.align 8 .b8 name[16]`.

    Attributes:
        name: what is declared.
        kind: the type's name.
        unit: bytes of the type.
        size: bytes of it all; 0 for an array of open length.
        align: bytes that its address is a multiple of.
        count: how many of a numbered set of registers (`%r<7>`); 1 else.
    """

    __slots__ = ("align", "count", "kind", "name", "open", "size", "unit")

    def __init__(self, words: Sequence[str]) -> None:
        self.kind = next((word for word in words if word in SIZES or word in OPAQUE), "")
        if not self.kind:
            raise syntax_error(words[-1] if words else ")")
        self.unit = SIZES.get(self.kind, 0) or OPAQUE.get(self.kind, 0)
        vector = next((VECTORS[word] for word in words if word in VECTORS), 1)
        self.align = self._align(words) or self.unit * vector or 1
        names = [word for word in words if word[0] not in ".()[]<>,0123456789"]
        if not names:
            raise syntax_error(self.kind)
        self.name = names[0]
        behind = list(words[words.index(self.name) + 1 :])
        self.open = behind[:2] == ["[", "]"]
        self.count = number(behind[1]) if behind[:1] == ["<"] else 1
        self.size = self.unit * vector
        for place, word in enumerate(behind[:-1]):
            if word == "[":
                self.size *= 0 if behind[place + 1] == "]" else number(behind[place + 1])
        if self.size > LARGEST:
            raise syntax_error(self.name)

    @staticmethod
    def _align(words: Sequence[str]) -> int:
        """Its own alignment; one behind `.ptr` is that of what it points to."""
        own = words[: words.index(".ptr")] if ".ptr" in words else words
        if ".align" not in own[:-1]:
            return 0
        align = number(own[own.index(".align") + 1])
        if not 0 < align <= 1 << 20 or align & (align - 1):
            raise syntax_error(".align")
        return align


def number(word: str) -> int:
    """An integer literal, or INVALID_PTX."""
    text = word.rstrip("Uu")
    try:
        if text[:1] == "0" and text.isdecimal():
            return int(text, 8)
        return int(text, 0)
    except ValueError:
        raise syntax_error(word[:40]) from None


def initial(text: str, declaration: Declaration) -> bytes:
    """The bytes of an initialiser; what is no plain number (an address) is zero."""
    words = text.replace("{", " ").replace("}", " ").split(",")
    if declaration.kind in (".b8", ".u8"):
        try:
            return bytes(map(int, words))  # as nearly all large tables are
        except ValueError:
            pass
    return b"".join(_element(word.strip(), declaration) for word in words)


def addresses(text: str, declaration: Declaration) -> list[tuple[int, str, int]]:
    """The addresses in an initialiser, `generic(name)+4`: see `Variable`. Parts of one, behind
    masks, are left out."""
    if declaration.unit != POINTER:
        return []
    found = []
    for index, word in enumerate(text.replace("{", " ").replace("}", " ").split(",")):
        name, _, offset = "".join(word.split()).partition("+")
        if name.startswith("generic(") and name.endswith(")"):
            name = name[len("generic(") : -1]
        if name[:1].isalpha() or name[:1] in ("_", "$", "%"):
            found.append((index * POINTER, name, int(offset) if offset.isdecimal() else 0))
    return found


def _element(word: str, declaration: Declaration) -> bytes:
    unit = declaration.unit
    if "(" in word:  # an address, or part of one behind a mask: 0xFF00(generic(x))
        return bytes(unit)
    if declaration.kind in (".f32", ".f64") or word[:2].lower() in ("0f", "0d"):
        return _real(word, unit)
    sign = -1 if word[:1] == "-" else 1
    digits = word.lstrip("+-").strip()
    if not digits[:1].isdecimal():
        return bytes(unit)
    value = sign * number(digits)
    return (value & ((1 << 8 * unit) - 1)).to_bytes(unit, "little")


def _real(word: str, unit: int) -> bytes:
    """A float: the bits themselves behind 0f and 0d, else decimal."""
    form = "<f" if unit == 4 else "<d"
    try:
        if word[:2].lower() in ("0f", "0d"):
            return int(word[2:], 16).to_bytes(len(word[2:]) // 2, "little")
        return pack(form, float(word))
    except (ValueError, OverflowError):
        return bytes(unit)
