"""What shows that an output is damaged: titles that stand twice, and where a text was cut.

XML has an end that is missed when it is cut; text has none, so what comes last has to say it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ....scenario.errors import ScenarioFileError
from .titles import REPEATED, SECTIONS

if TYPE_CHECKING:
    from .tree import Node

__all__ = ["End", "refuse_cut", "refuse_twice"]

#: Each GPU of a whole `-q` has one of these; `-q -d` leaves all of them out.
_WHOLE = frozenset(("product_name", "product_brand", "uuid", "minor_number", "vbios_version"))

#: The last that `-q` tells of each GPU, before what newer drivers add behind.
_LAST = "processes"


class End(NamedTuple):
    """The last line of the output: its number, and whether it has a value."""

    line: int
    whole: bool


def refuse_cut(root: Node, end: End, file: str) -> None:
    """Refuse a tree whose text ends too early.

    Raises:
        ScenarioFileError: naming the GPU and the element that were cut.
    """
    gpus = list(root.all("gpu"))
    problem = _cut(gpus, end) if gpus else ""
    if problem:
        where = gpus[-1].attributes["id"]
        raise ScenarioFileError(f"cut in GPU {where}: {problem}", file=file, line=end.line)
    attached = root.find("attached_gpus")
    if attached and attached.text != str(len(gpus)):
        raise ScenarioFileError(
            f"{attached.text[:20]!r} GPUs are attached, found {len(gpus)} in the output, which "
            f"ends on line {end.line}; if that is all (nvidia-smi -i), write {len(gpus)} here",
            file=file,
            line=attached.line,
        )


def refuse_twice(node: Node, file: str) -> None:
    """Refuse a section in which an element stands twice: the line between was lost.

    Of sections that are not known nobody can say what may repeat.

    Raises:
        ScenarioFileError: naming the element and both lines.
    """
    seen: dict[str, Node] = {}
    for child in node.children:
        if child.tag in seen and node.tag in SECTIONS and child.tag not in REPEATED:
            raise ScenarioFileError(
                f"{child.tag} stands a second time in {node.attributes.get('id') or node.tag}, "
                f"first on line {seen[child.tag].line}: what should be between them is missing",
                file=file,
                line=child.line,
            )
        seen[child.tag] = child
        refuse_twice(child, file)


def _cut(gpus: list[Node], end: End) -> str:
    """What is missing at the end of the last GPU; "" if nothing is."""
    sections = [section.tag for section in gpus[-1].children]
    if not sections:
        return "nothing is told of it"
    path = _end(gpus[-1])
    if not end.whole:
        return f"the output ends in {path}"
    if _WHOLE.intersection(sections) and _LAST not in sections:
        return f"the output ends after {path}, before {_LAST}"
    if any(_goes_on(gpu, sections[-1]) for gpu in gpus[:-1]):
        return f"the output ends after {path}, where other GPUs go on"
    return _unfinished(gpus[-1])


def _end(node: Node) -> str:
    """The path of the last element."""
    path = []
    while node.children:
        node = node.children[-1]
        path.append(node.tag)
    return "/".join(path)


def _goes_on(gpu: Node, section: str) -> bool:
    """Whether a GPU has more behind a section."""
    tags = [child.tag for child in gpu.children]
    return section in tags and tags[-1] != section


def _unfinished(gpu: Node) -> str:
    """What the last process lacks, if the output ends with it."""
    processes = gpu.children[-1]
    if processes.tag != _LAST or not processes.children:
        return ""
    lacking = {"pid", "used_memory"} - {child.tag for child in processes.children[-1].children}
    return f"the last process has no {' and no '.join(sorted(lacking))}" if lacking else ""
