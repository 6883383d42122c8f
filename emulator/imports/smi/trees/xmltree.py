"""The tree of `nvidia-smi -q -x`: its XML with the line of each element.

Nothing outside the file is read for it: the DTD that it names is not fetched, and entities of its
own are refused.
"""

from __future__ import annotations

import html
import re
from xml.parsers import expat

from ....scenario import ScenarioFileError
from .damage import refuse_twice
from .tree import Node

__all__ = ["ROOT", "xml_tree"]

#: The element that holds all of it.
ROOT = "nvidia_smi_log"

#: No generation of the XML has elements in one another as deep as this.
_DEEPEST = 32

#: What stands before the root is not read: a quote's ">" between the lines is no XML.
_BEGIN = re.compile(rf"<{ROOT}\b")
_END = re.compile(rf"</{ROOT}\s*>")

#: No XML may have these. A Jetson has them where its bus id would be.
_ILLEGAL = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")


def xml_tree(text: str, file: str) -> Node:
    """Return nvidia-smi's one XML document in a text, which may have other text around it.

    Raises:
        ScenarioFileError: it is cut off, no well-formed XML, or there are two; with the line.
    """
    if f"<{ROOT}" not in text and f"&lt;{ROOT}" in text:
        text = html.unescape(text)  # copied out of a browser that showed its source
    begin = _BEGIN.search(text)
    if begin is None:
        line = text.count("\n", 0, max(text.find(ROOT), 0)) + 1
        raise ScenarioFileError(f"expected an element <{ROOT}>, found none", file=file, line=line)
    end = _END.search(text, begin.start())
    before = text.count("\n", 0, begin.start())
    _refuse_more(text, begin, end, file)
    root = _Reader(file, before).read(text[begin.start() : end.end() if end else None])
    refuse_twice(root, file)
    return root


def _refuse_more(text: str, begin: re.Match[str], end: re.Match[str] | None, file: str) -> None:
    more = _BEGIN.search(text, end.end()) if end else None
    if more:
        first, second = (text.count("\n", 0, each.start()) + 1 for each in (begin, more))
        raise ScenarioFileError(
            f"a second output of nvidia-smi begins here, the first on line {first}; keep one of "
            "them",
            file=file,
            line=second,
        )


class _Reader:
    """Builds nodes as expat comes by them."""

    def __init__(self, file: str, before: int) -> None:
        self.file = file
        self.before = before
        self.open: list[Node] = []
        self.text: list[str] = []
        self.root: Node | None = None
        # expat is given text: what encoding it declares is that of the file that it was.
        self.parser = expat.ParserCreate("utf-8")
        self.parser.buffer_text = True
        self.parser.StartElementHandler = self.start
        self.parser.EndElementHandler = self.end
        self.parser.CharacterDataHandler = self.characters
        self.parser.EntityDeclHandler = self.entity

    @property
    def line(self) -> int:
        return self.before + self.parser.CurrentLineNumber

    def read(self, text: str) -> Node:
        data = _ILLEGAL.sub("\ufffd", text).encode("utf-8", "replace")
        try:
            self.parser.Parse(data, False)
            if not self.open:
                self.parser.Parse(b"", True)
        except expat.ExpatError as error:
            line = self.before + error.lineno
            why = expat.ErrorString(error.code)
            problem = f"expected XML, but: {why}{self.within()}"
            raise ScenarioFileError(problem, file=self.file, line=line) from None
        if self.open:
            problem = f"expected </{ROOT}>, but the file ends{self.within()}: it was cut off"
            last = self.before + text.count("\n") + 1
            raise ScenarioFileError(problem, file=self.file, line=last)
        if self.root is None or self.root.tag != ROOT:
            problem = f"expected an element <{ROOT}>, found none"
            raise ScenarioFileError(problem, file=self.file, line=self.before + 1)
        return self.root

    def within(self) -> str:
        """Where the reader is, for a message."""
        if not self.open:
            return ""
        parts = [f"{node.tag} {node.attributes.get('id', '')}".strip() for node in self.open[1:]]
        return f" within {'/'.join(parts) or ROOT}"

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        node = Node(tag, line=self.line, attributes=dict(attributes))
        if len(self.open) == _DEEPEST:
            problem = f"expected nvidia-smi's XML, found elements too deep in one another: <{tag}>"
            raise ScenarioFileError(problem, file=self.file, line=self.line)
        self.text.clear()  # an element with others in it has no text of its own
        if self.open:
            self.open[-1].children.append(node)
        else:
            self.root = node
        self.open.append(node)

    def end(self, tag: str) -> None:
        node = self.open.pop()
        if not node.children:
            node.text = "".join(self.text).strip()
        self.text.clear()

    def characters(self, text: str) -> None:
        self.text.append(text)

    def entity(self, name: str, *rest: object) -> None:
        problem = f"expected nvidia-smi's XML, found a declaration of an entity: {name[:40]!r}"
        raise ScenarioFileError(problem, file=self.file, line=self.line)
