"""Captures: the ordered record of the calls that were made of a real driver, or of a scenario.

A text file of JSON lines, in UTF-8. The first says what was recorded:

    {"nvemu":"capture","format":1,"driver":"550.163.01","libraries":{"nvml":{"stub":"550.163.01",
     "lacking":[],"hidden":[]}},"redacted":false,"made":"trace","origin":""}

Each other one is a call, in the order of their ends:

    {"library":"nvml","function":"nvmlDeviceGetTemperature","in":{"device":"GPU-0","sensorType":0},
     "code":0,"out":{"temp":41}}

What `in` and `out` hold is said in ``emulator.runtime.exact``, which writes them.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct, field

from ...scenario.errors import ScenarioFileError, nearest
from ...symbols import recorded_tables
from ...vocabulary import apis
from ..facts import Note
from .shapes import check_call

__all__ = [
    "FORMAT",
    "Call",
    "Capture",
    "Header",
    "Table",
    "call_line",
    "dumps",
    "header_line",
    "loads",
    "read",
]

FORMAT = 1
KIND = "capture"  # what the header's key "nvemu" says

#: How a capture came about.
WAYS = ("record", "trace", "import")


class Table(Struct, frozen=True, forbid_unknown_fields=True):
    """Which functions a recorded library had, as a difference.

    Attributes:
        stub: the recorded driver whose symbol table is nearest.
        lacking: the symbols of that table which the library did not have.
        hidden: its functions beyond that table.
    """

    stub: str
    lacking: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()


class Header(Struct, frozen=True, forbid_unknown_fields=True):
    """What was recorded.

    Attributes:
        driver: version of the driver; empty if it is not known.
        libraries: "nvml", "cuda" -> its functions; one that was absent is absent.
        redacted: whether identities and names were replaced.
        made: one of `WAYS`.
        origin: an address of where it was published, if it was.
    """

    driver: str = ""
    libraries: dict[str, Table] = {}
    redacted: bool = False
    made: str = "record"
    origin: str = ""


class Call(Struct, frozen=True):
    """One call.

    Attributes:
        library: "nvml" or "cuda".
        function: its C name.
        inputs: C parameter -> what the client put in.
        code: the status, or what a function without one returned.
        outputs: C parameter -> what was put out; None where the call failed.
    """

    library: str
    function: str
    inputs: dict[str, Any] = field(name="in")
    code: int
    outputs: dict[str, Any] | None = field(name="out", default=None)


class Capture(Struct, frozen=True):
    """A capture as a whole; `notes` say what of its file was passed over."""

    header: Header
    calls: tuple[Call, ...] = ()
    notes: tuple[Note, ...] = ()

    def of(self, function: str) -> Iterator[Call]:
        """The calls of one function, in their order."""
        return (call for call in self.calls if call.function == function)


class _Head(Struct, frozen=True):
    """As much of a header as says whether the rest can be read."""

    nvemu: str
    format: int


# ---- writing


def header_line(header: Header) -> bytes:
    """The first line of a capture's file, with its end."""
    first = {"nvemu": KIND, "format": FORMAT}
    return msgspec.json.encode(first | msgspec.to_builtins(header)) + b"\n"


def call_line(call: Call) -> bytes:
    """A call's line, with its end."""
    fields = msgspec.to_builtins(call)
    if call.outputs is None:
        del fields["out"]
    return msgspec.json.encode(fields) + b"\n"


def dumps(capture: Capture) -> bytes:
    """The file of a capture, which `loads` reads back as an equal one."""
    return b"".join((header_line(capture.header), *map(call_line, capture.calls)))


# ---- reading


def read(path: str | os.PathLike[str]) -> Capture:
    """Read a capture's file.

    Raises:
        ScenarioFileError: it cannot be read, or is damaged; with the line.
    """
    file = os.fspath(path)
    try:
        data = Path(file).read_bytes()
    except OSError as error:
        raise ScenarioFileError(f"cannot be read: {error.strerror}", file=file) from None
    except ValueError:  # with a NUL in it
        raise ScenarioFileError(f"expected a path, found {file!r}") from None
    return loads(data, file)


def loads(data: bytes, file: str = "box.capture") -> Capture:
    """Make a capture of its file's content.

    Functions that this nvemu does not know are left out, with a note.

    Args:
        data: the content.
        file: what messages call it.

    Raises:
        ScenarioFileError: it is none, or damaged; with the line.
    """
    lines = data.split(b"\n")
    if lines[-1]:
        problem = "expected a whole line, found the beginning of one: the file was cut off"
        raise ScenarioFileError(problem, file=file, line=len(lines))
    number = 0
    try:
        header = _header(lines[0])
        calls: list[Call] = []
        unknown: dict[str, int] = {}
        for number, line in enumerate(lines[1:-1], 1):
            call = _call(line)
            if call.function in apis()[call.library].names:
                check_call(call.library, call.function, call.inputs, call.outputs)
                calls.append(call)
            else:
                unknown.setdefault(call.function, number + 1)
    except ScenarioFileError as error:
        error.file, error.line = file, number + 1
        raise
    return Capture(header, tuple(calls), tuple(_notes(unknown.items())))


def _notes(unknown: Iterable[tuple[str, int]]) -> Iterator[Note]:
    for function, line in unknown:
        yield Note(f"line {line}", f"{function} is not known to this nvemu: its calls are left out")


def _header(line: bytes) -> Header:
    try:
        head = msgspec.json.decode(line, type=_Head)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        head = None
    if head is None or head.nvemu != KIND:
        problem = 'expected a capture, which begins with {"nvemu":"capture","format":1,...}'
        raise ScenarioFileError(f"{problem}; found {_begin(line)}")
    if head.format != FORMAT:
        problem = f"expected a capture of format {FORMAT}, found format {head.format}"
        raise ScenarioFileError(f"{problem}, of another version of nvemu")
    fields = _decoded(line, dict[str, Any], "the header of a capture")
    for key in _Head.__struct_fields__:
        del fields[key]
    try:
        header = msgspec.convert(fields, Header)
    except msgspec.ValidationError as error:
        raise ScenarioFileError(f"expected the header of a capture, but: {error}") from None
    _check_header(header)
    return header


def _check_header(header: Header) -> None:
    if header.made not in WAYS:
        problem = f"expected made to be one of {', '.join(WAYS)}"
        raise ScenarioFileError(f"{problem}; found {header.made!r}")
    for library, table in header.libraries.items():
        _check_library(library)
        known = recorded_tables(library)
        if table.stub not in known:
            problem = f"expected libraries.{library}.stub to be a recorded driver"
            raise ScenarioFileError(f"{problem}, found {table.stub!r}{nearest(table.stub, known)}")


def _check_library(name: str) -> None:
    if name not in apis():
        problem = f"expected the library {' or '.join(map(repr, apis()))}, found {name!r}"
        raise ScenarioFileError(problem)


def _call(line: bytes) -> Call:
    call: Call = _decoded(line, Call, "a call of a capture")
    _check_library(call.library)
    return call


def _decoded(line: bytes, kind: Any, expected: str) -> Any:
    try:
        return msgspec.json.decode(line, type=kind)
    except RecursionError:
        raise ScenarioFileError(f"expected {expected}, found tables nested too deeply") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        problem = f"expected {expected}, but: {error}"
        raise ScenarioFileError(f"{problem}; found {_begin(line)}") from None


def _begin(line: bytes) -> str:
    """The beginning of what was found, to be shown."""
    text = line[:40].decode("utf-8", "replace")
    return repr(text + "..." if len(line) > len(text.encode()) else text)
