"""The report as one page: nothing in it needs a network, and all that the program said is data.

The verdict is HTML and needs no script; the time line and the table are made by the scripts of
`web/`, out of the report as JSON. A content security policy names the hashes of the page's own
style and script, so that nothing else runs even where a text got past the escaping.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shlex
import signal
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from string import Template

import msgspec

from ..version import __version__
from .report import ProcessSeen, Report
from .tree import tree

__all__ = ["page"]

_WEB = Path(__file__).with_name("web")
#: They make one module, in this order.
SCRIPTS = ("rows.js", "axis.js", "timeline.js", "table.js", "page.js")

#: State -> its word and its sign, for those who do not see the colour.
STATES = {
    "good": ("No problem found", "✓"),
    "bad": ("Problem found", "✕"),
    "unsure": ("Not clear", "?"),
}
_STATE_OF = {"fine": "good", "unseen": "unsure"}

#: So many lines of evidence are shown; the rest is folded.
LINES = 12

#: So many processes are named where the same happened to several.
NAMED = 6

#: In JSON inside HTML these could end the element that holds it, or begin a comment in it.
_INERT = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"})


def page(report: Report) -> str:
    """The page as HTML, to be written as UTF-8; the same for the same report."""
    style = (_WEB / "page.css").read_text("utf-8")
    script = "\n".join((_WEB / name).read_text("utf-8") for name in SCRIPTS)
    state = _STATE_OF.get(report.verdict, "bad")
    word, sign = STATES[state]
    return Template((_WEB / "page.html").read_text("utf-8")).substitute(
        policy=f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}; "
        "base-uri 'none'; form-action 'none'",
        style=style,
        script=script,
        data=_data(report),
        title=_text(report.headline),
        state=state,
        sign=sign,
        word=word,
        command=_text(shlex.join(report.program)),
        facts="\n".join(_facts(report)),
        findings="\n".join(_findings(report)),
        libraries=_libraries(report),
        processes="\n".join(_processes(report)),
        process_count=len(report.processes),
        limits=_list(report.limits),
        version=__version__,
    )


# ---- the data


def _data(report: Report) -> str:
    """The report as JSON that is ASCII, and inert in HTML.

    The time line is without its calls, which are among `calls`; `depths` has a pair for each
    process, in the order of the tree: its id and its depth.
    """
    events = [moment for moment in report.timeline if moment.kind != "call"]
    data = msgspec.to_builtins(msgspec.structs.replace(report, timeline=events))
    data["depths"] = [(process.pid, depth) for process, depth in tree(report.processes)]
    return json.dumps(data, separators=(",", ":")).translate(_INERT)


def _hash(source: str) -> str:
    """A content security policy's name for an element's content."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()}'"


# ---- the verdict


def _text(text: object) -> str:
    """A text as HTML; what is no Unicode (bytes of an argument, say) as an escape sequence."""
    return escape(str(text).encode("utf-8", "backslashreplace").decode())


def _list(texts: Iterable[str]) -> str:
    items = "\n".join(f"<li>{_marked(text)}</li>" for text in texts)
    return f"<ul>\n{items}\n</ul>"


def _marked(text: str) -> str:
    """A text as HTML, what it has in backticks as code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", _text(text))


def _findings(report: Report) -> Iterator[str]:
    for title, name, texts in (
        ("Why", "why", report.why),
        ("What to do next", "next", report.advice),
        ("Also", "also", report.notes),
    ):
        if texts:
            yield f'<section class="{name}"><h2>{title}</h2>{_list(texts[:LINES])}{_rest(texts)}'
            yield "</section>"


def _rest(texts: list[str]) -> str:
    rest = texts[LINES:]
    return f"<details><summary>{len(rest)} more</summary>{_list(rest)}</details>" if rest else ""


def _facts(report: Report) -> Iterator[str]:
    facts = {
        "Program": _ended(report),
        "Scenario": report.scenario or "this machine as it is",
        "Driver": report.driver,
        "Began": _moment(report.began),
        "Took": _duration(_took(report)),
        "Calls": _calls(report),
        "Doctor's exit status": str(report.status),
    }
    for name, value in facts.items():
        if value:
            yield f"<div><dt>{name}</dt><dd>{_text(value)}</dd></div>"


def _ended(report: Report) -> str:
    if report.stopped:
        return f"ended by doctor ({report.stopped})"
    if report.program_status >= 0:
        return f"exit status {report.program_status}"
    number = -report.program_status
    known = {each.value: each.name for each in signal.Signals}
    return f"ended by {known.get(number, f'signal {number}')}"


def _calls(report: Report) -> str:
    count = len(report.calls) + report.left_out
    failed = sum(call.bad for call in report.calls)
    return f"{count:,}" + (f", {failed:,} failed" if failed else "")


def _moment(nanoseconds: int) -> str:
    """A time of the wall clock; nothing for 0, which a report without any event has."""
    if not nanoseconds:
        return ""
    return f"{datetime.fromtimestamp(nanoseconds // 10**9, UTC):%Y-%m-%d %H:%M:%S} UTC"


def _took(report: Report) -> int:
    """Nanoseconds from the first that was seen to the last."""
    return max(
        (
            *(call.t + call.us * 1000 for call in report.calls),
            *(moment.t for moment in report.timeline),
            *(process.ended or 0 for process in report.processes),
        ),
        default=0,
    )


def _duration(nanoseconds: int) -> str:
    seconds = nanoseconds / 1e9
    return f"{seconds:,.2f} s" if seconds >= 1 else f"{seconds * 1000:.1f} ms"


# ---- the libraries and the processes


def _libraries(report: Report) -> str:
    """The rows of a table: what became of a library, and in which processes."""
    processes: dict[tuple[str, str, str], list[int]] = {}
    for each in report.libraries:
        key = (each.library.upper(), each.stage.replace("_", " "), each.text)
        processes.setdefault(key, []).append(each.pid)
    names = {process.pid: _name(process) for process in report.processes}
    rows = (
        "<tr>"
        + "".join(f"<td>{_text(cell)}</td>" for cell in (*key, _named(pids, names)))
        + "</tr>"
        for key, pids in processes.items()
    )
    nothing = '<tr><td colspan="4">No process asked for NVML or CUDA.</td></tr>'
    return "\n".join(rows) or nothing


def _named(pids: list[int], names: dict[int, str]) -> str:
    """Process ids after the program's name."""
    of: dict[str, list[int]] = {}
    for pid in pids[:NAMED]:
        of.setdefault(names.get(pid, ""), []).append(pid)
    texts = [f"{name} {', '.join(map(str, those))}".strip() for name, those in of.items()]
    more = len(pids) - NAMED
    return "; ".join(texts) + (f" and {more} more" if more > 0 else "")


def _processes(report: Report) -> Iterator[str]:
    """The tree as lists in lists."""
    depth = -1
    for process, deep in tree(report.processes):
        if deep > depth:
            yield "<ul>" * (deep - depth)
        else:
            yield "</li>" + "</ul></li>" * (depth - deep)
        depth = deep
        yield f"<li>{_process(process)}"
    yield "</li></ul>" * (depth + 1)


def _process(process: ProcessSeen) -> str:
    variables = "\n".join(
        f"<dt>{_text(name)}</dt><dd>{_text(value)}</dd>"
        for name, value in sorted(process.environment.items())
    )
    environment = (
        f"<details><summary>{_counted(len(process.environment), 'variable')}</summary>"
        f'<dl class="variables">{variables}</dl></details>'
    )
    return (
        f'<p><span class="pid">{process.pid}</span> <code>{_text(_line_of(process))}</code></p>'
        f'<p class="quiet">{_text(", ".join(_said_of(process)))}</p>'
        f"{environment if variables else ''}"
    )


def _line_of(process: ProcessSeen) -> str:
    return shlex.join(process.argv) or "a program whose command line was not seen"


def _name(process: ProcessSeen) -> str:
    return Path(process.argv[0]).name if process.argv else ""


def _said_of(process: ProcessSeen) -> Iterator[str]:
    yield f"began at {_duration(process.began)}"
    if process.ended is None:
        yield "did not end of its own accord"
    else:
        yield f"ended at {_duration(process.ended)}"
    yield _counted(process.calls, "call")
    if not process.linked:
        yield "not started by the dynamic loader: only its calls are seen"


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
