"""Two outputs of nvidia-smi, field by field: what differs, and why if that is known."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator

from msgspec import Struct

from ..facts import Note
from .answers import SILENT, plain
from .tables.rest import MOVING, why_not_kept
from .trees.tree import Node

__all__ = ["Difference", "differences"]

#: What stands where a field is not in an output.
ABSENT = "(absent)"

#: What nvidia-smi prints where the library does not have a function that it asks for.
LACKING = "Function Not Found"

_NUMBER = re.compile(r"\[\d+\]")


class Difference(Struct, frozen=True):
    """A field that two outputs have otherwise.

    Attributes:
        path: of the field: "gpu[0]/power_readings/power_limit".
        told: what the imported output has.
        ours: what nvidia-smi prints under the scenario.
        reason: why, empty if that is not known.
    """

    path: str
    told: str
    ours: str
    reason: str


def differences(told: Node, ours: Node, notes: Iterable[Note]) -> list[Difference]:
    """Return the fields that differ, in the order of the first output.

    Args:
        told: what was imported.
        ours: what nvidia-smi prints under the imported scenario.
        notes: those of the import, whose fields' differences they explain.
    """
    explained = {note.where.partition(",")[0]: note.text for note in reversed(list(notes))}
    first, second = _fields(told), _fields(ours)
    same_version = set(map(_field, first)) == set(map(_field, second))
    found = []
    for path in [*first, *(path for path in second if path not in first)]:
        texts = [plain(each[path].text) if path in each else ABSENT for each in (first, second)]
        if texts[0] != texts[1]:
            note = explained.get(f"line {first[path].line}") if path in first else None
            reason = note or _reason(_field(path), texts, same_version=same_version)
            found.append(Difference(path, texts[0], texts[1], reason))
    return found


def _fields(tree: Node) -> dict[str, Node]:
    """The leaves by their paths, those of lists by their numbers."""
    return dict(_walk(tree, ""))


def _walk(node: Node, prefix: str) -> Iterator[tuple[str, Node]]:
    all_, before = Counter(child.tag for child in node.children), Counter[str]()
    for child in node.children:
        several = child.tag == "gpu" or all_[child.tag] > 1
        path = f"{prefix}{child.tag}" + (f"[{before[child.tag]}]" if several else "")
        before[child.tag] += 1
        if child.children:
            yield from _walk(child, f"{path}/")
        else:
            yield path, child


def _field(path: str) -> str:
    """A path as the tables have it: below the GPU, without the numbers of lists."""
    plain_path = _NUMBER.sub("", path)
    return plain_path.removeprefix("gpu/")


def _reason(field: str, texts: list[str], *, same_version: bool) -> str:
    """Why a field may differ, "" if nothing says so."""
    if field in MOVING:
        return f"moves on its own: {MOVING[field]}"
    if why := why_not_kept(field):
        return f"not kept: {why}"
    return _reason_of_versions(field, texts, same_version=same_version)


def _reason_of_versions(field: str, texts: list[str], *, same_version: bool) -> str:
    """Why two versions of nvidia-smi may print a field otherwise, "" if nothing says so."""
    if not SILENT.isdisjoint(texts):
        return "newer drivers do not tell it"
    if texts[1] == LACKING:
        return "the scenario's driver is older than this nvidia-smi and has no such function"
    if field.startswith("fb_memory_usage/") and _are_next(texts):
        return "nvidia-smi rounds sizes down before 550, up from then on"
    if field == "gpu_part_number" and not same_version:
        return "before 525 it is the board's part number"
    if ABSENT in texts and not same_version:
        return "the two nvidia-smi are of drivers that print other fields"
    return ""


def _are_next(texts: list[str]) -> bool:
    """Whether two sizes are one MiB apart."""
    sizes = [text.removesuffix(" MiB") for text in texts]
    return all(size.isdecimal() for size in sizes) and abs(int(sizes[0]) - int(sizes[1])) == 1
