"""`nvidia-smi -q` without -x: its text as the tree that the XML of the same driver has.

Indentation is all the structure that the text has. What is on a line, "title : value" or a title
alone, becomes an element; `titles.py` says which. Where the text is flatter than the XML, or
deeper, the elements are put as the XML has them.

What the text does not print is not in the tree: supported clocks and target temperatures,
addresses of retired pages, accounted processes, the performance state that XML repeats with power.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ....scenario.errors import ScenarioFileError
from .damage import End, refuse_cut, refuse_twice
from .pasted import SEPARATOR, Line, has_value, is_gpu, output_lines
from .titles import PREFIXED, RECORDS, tag_of
from .tree import Node

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["text_tree"]

_ROOT = "nvidia_smi_log"

#: nvidia-smi goes six deep.
_DEEPEST = 12


@dataclass(slots=True)
class _Entry:
    """A line with those that are indented below it; no value: a title alone."""

    title: str
    value: str | None
    line: Line
    inner: list[_Entry] = field(default_factory=list)


def text_tree(text: str, file: str) -> Node | None:
    """Return the tree of the one `nvidia-smi -q` in a text; None if there is none in it.

    Raises:
        ScenarioFileError: it is cut, there are two, or it is not laid out as nvidia-smi does.
    """
    lines = output_lines(text, file)
    if not lines:
        return None
    root = Node(_ROOT, line=lines[0].number)
    entries = _entries(lines, file)
    for entry in entries:
        if is_gpu(entry.line):
            identity = entry.title.removeprefix("GPU").strip()
            root.children.append(_filled(Node("gpu", "", entry.line.number), entry.inner))
            root.children[-1].attributes["id"] = identity
        else:
            root.children += _nodes(_ROOT, entry)
    refuse_twice(root, file)
    refuse_cut(root, End(lines[-1].number, whole=bool(_last(entries).value)), file)
    return root


def _entries(lines: list[Line], file: str) -> list[_Entry]:
    """The outermost entries, up to where the output ends and other text begins."""
    outermost: list[_Entry] = []
    open_: list[_Entry] = []
    for index, line in enumerate(lines):
        while open_ and open_[-1].line.indent >= line.indent:
            open_.pop()
        if not open_ and _is_foreign(line, outermost):
            _refuse_more(lines[index:], file)
            break
        entry = _entry(line)
        (open_[-1].inner if open_ else outermost).append(entry)
        open_.append(entry)
        if len(open_) > _DEEPEST:
            raise ScenarioFileError("indented too deep", file=file, line=line.number)
    return outermost


def _entry(line: Line) -> _Entry:
    """A line's title and value."""
    found = SEPARATOR.search(line.text)
    if found is None:
        return _Entry(line.text, None, line)
    return _Entry(line.text[: found.start()].rstrip(), line.text[found.end() :].strip(), line)


def _last(entries: list[_Entry]) -> _Entry:
    """The last entry, at whatever depth."""
    while entries[-1].inner:
        entries = entries[-1].inner
    return entries[-1]


def _is_foreign(line: Line, before: list[_Entry]) -> bool:
    """Whether a line that is in nothing can be none of the output's: GPUs come last in it."""
    return not is_gpu(line) and any(is_gpu(entry.line) for entry in before)


def _refuse_more(rest: list[Line], file: str) -> None:
    """Refuse an output that goes on behind a line which is none of it."""
    inside = [line for line in rest[1:2] if line.indent and has_value(line)]
    for line in inside or filter(is_gpu, rest):
        raise ScenarioFileError(
            f"not a line of nvidia-smi's output, which goes on on line {line.number}: "
            "was a long line wrapped, or indentation lost?",
            file=file,
            line=rest[0].number,
        )


def _filled(node: Node, entries: Iterable[_Entry]) -> Node:
    """A node with what is in its section, as the XML arranges it."""
    if node.tag in RECORDS:
        node.children = _records(RECORDS[node.tag], entries)
    else:
        node.children = _gathered([each for entry in entries for each in _nodes(node.tag, entry)])
    return node


def _gathered(nodes: list[Node]) -> list[Node]:
    """The nodes with all MIG devices in one element."""
    devices = [node for node in nodes if node.tag == "mig_device"]
    if devices:
        nodes.insert(nodes.index(devices[0]), Node("mig_devices", "", devices[0].line))
    found = [node for node in nodes if node.tag != "mig_device"]
    for node in found:
        if node.tag == "mig_devices":
            node.children = devices
    return found


def _nodes(section: str, entry: _Entry) -> list[Node]:
    """What a line and those below it are in the XML's section.

    What is below a line with a value belongs beside it: HW Thermal Slowdown, which the text puts
    below HW Slowdown.
    """
    node = Node(tag_of(section, entry.title), entry.value or "", entry.line.number)
    if entry.value is None:
        return [_filled(node, entry.inner)]
    inner = [each for below in entry.inner for each in _nodes(section, below)]
    value = _VALUES.get(node.tag)
    if value is None:
        return [_written(node), *inner]
    node.children, node.text = [Node(value, node.text, node.line), *inner], ""
    return [node]


#: Elements of which the text has one value -> the element in them that has it in the XML.
_VALUES = {
    "double_bit_retirement": "retired_count",
    "multiple_single_bit_retirement": "retired_count",
    "supported_mem_clock": "value",
}


def _written(node: Node) -> Node:
    """A leaf with its text as the XML writes it."""
    if node.tag in PREFIXED:
        node.text = node.text.removeprefix("0x")
    if node.tag in RECORDS and node.text == "None":
        node.text = ""
    return node


def _records(tag: str, entries: Iterable[_Entry]) -> list[Node]:
    """Elements of a list: each begins where a title comes again."""
    found: list[Node] = []
    for entry in entries:
        for node in _nodes(tag, entry):
            if not found or found[-1].find(node.tag):
                found.append(Node(tag, "", node.line))
            found[-1].children.append(node)
    return found
