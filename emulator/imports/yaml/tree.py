"""YAML read into a tree that knows its lines, without ever running or multiplying anything.

It is composed from the parser's events, one by one: no nesting is deep enough to end the process,
and what an alias stands for is shared, not copied. Text stays as it is written until somebody asks
for a number or a truth value, since the readers of these formats (Go's, yaml-cpp) disagree with
Python's on what a plain word is.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from ...scenario import ScenarioError, ScenarioFileError
from .node import Key, Node

__all__ = ["parse", "read"]

#: Of a recording of eight GPUs by DCGM's own recorder there are some two megabytes.
LARGEST = 64 << 20

DEEPEST = 100

#: libyaml where PyYAML has it: the parser is ten times as fast.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read(path: str) -> Node:
    """Read a YAML file.

    Raises:
        ScenarioFileError: there is no such file, it cannot be read, is not text, or not YAML.
    """
    try:
        with Path(path).open("rb") as file:
            content = file.read(LARGEST + 1)
    except OSError as error:
        raise ScenarioFileError(f"cannot read it: {error.strerror}", file=path) from None
    if len(content) > LARGEST:
        raise ScenarioFileError(f"expected at most {LARGEST >> 20} MiB of YAML", file=path)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        problem = "expected text in UTF-8, found bytes that are none"
        raise ScenarioFileError(problem, file=path, line=line) from None
    return parse(text, path)


def parse(text: str, file: str = "") -> Node:
    """Parse one YAML document, a table.

    Raises:
        ScenarioFileError: it is not YAML, or no table.
    """
    composer = _Composer(file)
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            composer.take(event)
    except yaml.MarkedYAMLError as error:
        raise _syntax_error(error, file) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, int(error.position)) + 1
        problem = f"not YAML: the character {error.character!r} is not allowed in it"
        raise ScenarioFileError(problem, file=file, line=line) from None
    if composer.root is None or composer.root.is_null:
        raise ScenarioFileError("expected a table, found nothing", file=file, line=1)
    composer.root.table()
    return composer.root


def _syntax_error(error: yaml.MarkedYAMLError, file: str) -> ScenarioError:
    mark = error.problem_mark or error.context_mark
    parts = [part for part in (error.context, error.problem) if part]
    line = mark.line + 1 if mark is not None else None
    return ScenarioFileError(f"not YAML: {', '.join(parts)}", file=file, line=line)


class _Composer:
    """Makes the tree of events.

    Of each open node there are the key that waits for its value, and the anchor that it gets when
    it is whole: an alias inside of what it stands for finds none.
    """

    def __init__(self, file: str) -> None:
        self.file = file
        self.root: Node | None = None
        self.open: list[Node] = []
        self.keys: list[Node | None] = []
        self.names: list[str | None] = []
        self.anchors: dict[str, Node] = {}
        self.documents = 0

    def take(self, event: Any) -> None:
        """Go on with the next event."""
        line = event.start_mark.line + 1
        if isinstance(event, yaml.DocumentStartEvent):
            self.documents += 1
            if self.documents > 1:
                raise ScenarioFileError("expected one document", file=self.file, line=line)
        elif isinstance(event, yaml.ScalarEvent):
            self._put(self._scalar(event, line), event.anchor)
        elif isinstance(event, (yaml.MappingStartEvent, yaml.SequenceStartEvent)):
            kind = "table" if isinstance(event, yaml.MappingStartEvent) else "list"
            self._begin(Node(kind, self.file, line, self._key()), event.anchor)
        elif isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent)):
            self._end()
        elif isinstance(event, yaml.AliasEvent):
            self._put(self._aliased(event.anchor, line), None)

    def _key(self) -> Key:
        """The path of what comes next."""
        if not self.open:
            return ()
        parent, key = self.open[-1], self.keys[-1]
        if parent.kind == "list":
            return (*parent.key, len(parent.value))
        return parent.key if key is None else (*parent.key, key.value)

    def _scalar(self, event: Any, line: int) -> Node:
        node = Node("text", self.file, line, self._key())
        node.plain = not event.style and event.tag is None
        node.value = event.value
        if event.tag == "tag:yaml.org,2002:binary":
            node.value = _decoded(node)
        return node

    def _begin(self, node: Node, anchor: str | None) -> None:
        if len(self.open) >= DEEPEST:
            raise node.error(f"expected at most {DEEPEST} levels, found more")
        if self._waits_for_key():
            raise node.error(f"expected a name for a key, found a {node.kind}")
        self.open.append(node)
        self.keys.append(None)
        self.names.append(anchor)
        if anchor is not None:
            self.anchors.pop(anchor, None)

    def _end(self) -> None:
        node = self.open.pop()
        self.keys.pop()
        if node.kind == "table" and "<<" in node.value:
            _take_over(node, node.value.pop("<<"))
        self._put(node, self.names.pop())

    def _aliased(self, anchor: str | None, line: int) -> Node:
        if anchor is None or anchor not in self.anchors:
            problem = f"expected an alias of something before it, found {f'*{anchor}'!r}"
            raise ScenarioFileError(problem, file=self.file, line=line)
        return self.anchors[anchor]

    def _waits_for_key(self) -> bool:
        return bool(self.open) and self.open[-1].kind == "table" and self.keys[-1] is None

    def _put(self, node: Node, anchor: str | None) -> None:
        """Give a whole node its place."""
        if anchor is not None:
            self.anchors[anchor] = node
        if not self.open:
            self.root = node
        elif self.open[-1].kind == "list":
            self.open[-1].value.append(node)
        elif self._waits_for_key():
            self.keys[-1] = self._checked_key(node)
        else:
            key = self.keys[-1]
            self.keys[-1] = None
            self.open[-1].value[key.value] = node  # type: ignore[union-attr]

    def _checked_key(self, node: Node) -> Node:
        name = node.text()
        first = self.open[-1].value.get(name)
        if first is not None:
            before = f"expected each key once, found {name!r} again, as in line {first.line}"
            raise node.error(before)
        return node


def _decoded(node: Node) -> str:
    """What a recorder has written of bytes."""
    try:
        return base64.b64decode(node.value, validate=False).rstrip(b"\0").decode("latin-1")
    except binascii.Error:
        raise node.error("expected bytes in base64") from None


def _take_over(node: Node, source: Node) -> None:
    """Merge what "<<" names into a table: what the table has itself stays."""
    for table in _merged(source):
        for name, value in table.table().items():
            node.value.setdefault(name, value)


def _merged(source: Node) -> Iterator[Node]:
    yield from source.list() if source.kind == "list" else (source,)
