"""Text as people paste it: the lines of one `nvidia-smi -q` in it, without what got around them.

That is a quote's "> ", a code block's indentation, the time that a log puts before each line,
colours, tabs, line ends of any system; and the shell's prompt, or a report's text, before it.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from ....scenario.errors import ScenarioFileError

__all__ = ["SEPARATOR", "Line", "has_value", "is_gpu", "output_lines"]

#: What stands between a title and its value.
SEPARATOR = re.compile(r":(?:\s|$)")

_BANNER = "=NVSMI LOG="
_PCI = r"[0-9A-Fa-f]{4,8}:[0-9A-Fa-f]{2}:[0-9A-Fa-f]{2}\.[0-9A-Fa-f]"

#: The line that begins a GPU: with its bus id, or where a Jetson has none, whatever was in memory.
_GPU = re.compile(rf"GPU(?: (?:{_PCI}|N/A|[^ -~].*))?")

#: The first lines that an output can have, behind whatever stands before each line.
_HEAD = re.compile(
    r"(?P<before>.*?)(?:(?P<log>(?:Timestamp|Driver Version|CUDA Version|Attached GPUs)\s+:\s)|"
    rf"GPU {_PCI}\s*$)"
)

#: Terminals' commands: colours and cursors (ECMA-48), titles, links.
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\^_])")

#: Spaces of other kinds, which browsers and word processors make, and marks without width.
_BLANKS = {0xA0: " ", 0x2007: " ", 0x202F: " ", 0x200B: None, 0x2060: None, 0xFEFF: None}

#: The head's lines are no longer than that, with what stands before them.
_LONGEST = 200


class Line(NamedTuple):
    """A line of the output: its number in the file, how far it is indented, and what it says."""

    number: int
    indent: int
    text: str


def is_gpu(line: Line) -> bool:
    """Say whether a line begins a GPU: "GPU 00000000:07:00.0", not "GPU UUID : ..."."""
    return line.indent == 0 and bool(_GPU.fullmatch(line.text))


def has_value(line: Line) -> bool:
    """Say whether a line is "title : value": a bus id's colons have no space behind them."""
    return bool(SEPARATOR.search(line.text))


def output_lines(text: str, file: str) -> list[Line]:
    """Return the lines of the output in a text, less the blank ones; empty if there is none.

    Raises:
        ScenarioFileError: there is more than one, or the beginning is missing.
    """
    clean = _ESCAPES.sub("", text).translate(_BLANKS)
    numbered = list(enumerate(re.split(r"\r\n|\n|\r", clean), 1))
    found = [lines for block in _blocks(numbered) if (lines := _stripped(block, file))]
    if len(found) > 1:
        raise ScenarioFileError(
            f"a second output of nvidia-smi begins here, the first on line {found[0][0].number}; "
            "keep one of them",
            file=file,
            line=found[1][0].number,
        )
    return found[0] if found else []


def _blocks(lines: list[tuple[int, str]]) -> list[list[tuple[int, str]]]:
    """The lines before the first banner, and from each to the next."""
    starts = [index for index, (_, text) in enumerate(lines) if _BANNER in text]
    return [lines[start:end] for start, end in zip([0, *starts], [*starts, None], strict=True)]


def _stripped(block: list[tuple[int, str]], file: str) -> list[Line]:
    """The lines from the head on, each less what stands before all of them.

    Empty without GPUs and their number: `nvidia-smi -q -u` has the same banner.
    """
    for start, (_, text) in enumerate(block):
        head = _HEAD.match(text[:_LONGEST])
        if head:
            before = _before(head["before"])
            if not head["log"]:
                _refuse_headless([_line(*each, before) for each in block[:start]], file)
            lines = [line for each in block[start:] if (line := _line(*each, before)).text]
            told = any(is_gpu(line) or line.text.startswith("Attached GPUs") for line in lines)
            return lines if told else []
    return []


def _refuse_headless(lines: list[Line], file: str) -> None:
    """Refuse an output that begins inside a GPU, by the lines before its first whole one."""
    told = [line for line in lines if line.text]
    if told and told[-1].indent and has_value(told[-1]):
        raise ScenarioFileError(
            "the beginning is missing: this stands in a GPU whose line 'GPU 00000000:07:00.0' "
            "is not there",
            file=file,
            line=told[-1].number,
        )


def _before(text: str) -> re.Pattern[str]:
    """A pattern of what stands before the lines: digits change, as in a log's times."""
    return re.compile("".join(r"\d" if c.isdigit() else re.escape(c) for c in text))


def _line(number: int, text: str, before: re.Pattern[str]) -> Line:
    """One line; one that lacks what the others begin with is not indented."""
    found = before.match(text)
    if found:
        text = text[found.end() :].expandtabs(8).rstrip()
        return Line(number, len(text) - len(text.lstrip()), text.lstrip())
    bare = text.strip()
    return Line(number, 0, "" if before.fullmatch(f"{bare} ") else bare)
