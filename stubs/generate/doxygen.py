"""Reading what NVIDIA's header comments say about a function's parameters and return codes.

The texts are material for inference only; none of them goes into an API description.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

__all__ = ["Comment", "comment_above", "read_comment", "trailing_comment"]

_COMMAND = re.compile(r"[\\@](param|returns?|retval|sa|see|note|notefnerr|deprecated|brief)\b")
_GROUP_END = re.compile(r"^\s*/\*\*? *@\} *\*/")
# NVIDIA forgot the @ in places.
_BARE_RETURN = re.compile(r"^ *return *$", re.M)
_PARAMETER = re.compile(r"\s*(?P<tag>\[[^\]]*\])?\s*(?P<name>\w+)[ \t]*[-:]?(?P<text>.*)", re.S)
_CODE = re.compile(r"\b(?:NVML|CUDA)_(?:SUCCESS|ERROR_\w+)\b")


@dataclass(frozen=True)
class Comment:
    """One function's documentation: the prose, a text for each parameter, the codes it returns."""

    prose: str = ""
    parameters: dict[str, str] = field(default_factory=dict)
    codes: tuple[str, ...] = ()


def comment_above(path: Path, line: int) -> str:
    """The comment block that ends right above the declaration on `line` (1-based), or ''."""
    lines = _lines(path)
    end = line - 2
    # A declaration may start some lines before the name that the parser places it at, and blank
    # lines and the ends of doxygen groups may stand between it and its comment.
    while end >= 0 and (_GROUP_END.search(lines[end]) or not lines[end].rstrip().endswith("*/")):
        if not _GROUP_END.search(lines[end]) and re.search(r"[;{}]|^\s*#", lines[end]):
            return ""
        end -= 1
    start = end
    while start >= 0 and "/*" not in lines[start]:
        start -= 1
    return "\n".join(lines[start : end + 1])


def trailing_comment(path: Path, line: int) -> str:
    """The comment behind a struct field on `line` (1-based) and on the comment lines after it."""
    lines = _lines(path)
    _, _, text = lines[line - 1].partition(";")
    for follower in lines[line:]:
        if not follower.strip().startswith(("//!", "* ", "//")):
            break
        text += " " + follower.strip()
    return re.sub(r"[/*!<]+", " ", text).strip()


def read_comment(block: str) -> Comment:
    """Take a doxygen block apart."""
    text = re.sub(r"^\s*/?\*+[/!<]?[ \t]?", "", block, flags=re.M).replace("*/", "")
    text = _BARE_RETURN.sub("@return", text)
    starts = list(_COMMAND.finditer(text))
    prose = text[: starts[0].start()] if starts else text
    parameters: dict[str, str] = {}
    codes: list[str] = []
    for command, body in _sections(text, starts):
        if command == "param" and (match := _PARAMETER.match(body)):
            said = f"{match['tag'] or ''} {match['text'].split(chr(10) * 2)[0]}"
            parameters.setdefault(match["name"], " ".join(said.split()))
        elif command in {"return", "returns", "retval"}:
            codes += _CODE.findall(body)
        elif command in {"brief", "note", "deprecated"}:
            prose += " " + body
    return Comment(" ".join(prose.split()), parameters, tuple(dict.fromkeys(codes)))


def _sections(text: str, starts: Sequence[re.Match[str]]) -> list[tuple[str, str]]:
    ends = [*(match.start() for match in starts), len(text)][1:]
    return [(match[1], text[match.end() : end]) for match, end in zip(starts, ends, strict=True)]


@lru_cache(maxsize=8)
def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8", errors="replace").splitlines()
