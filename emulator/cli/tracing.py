"""Where `--trace` goes: a file of JSON lines, or readable lines on stderr; as the calls happen."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import click
import msgspec

from ..trace import line

__all__ = ["Follower", "target"]

PAUSE = 0.05  # seconds between two looks at the trace


class Follower:
    """While the program runs, follows its trace to `target`: a file's name, `-`, or None.

    Raises:
        click.BadParameter: on entering, the file cannot be written.
    """

    def __init__(self, source: Path, target: str | None) -> None:
        self.source = source
        self.target = target
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._first = 0

    def __enter__(self) -> None:
        if self.target is not None:
            self._output = _opened(self.target)
            self._thread.start()

    def __exit__(self, *_: object) -> None:
        if self.target is not None:
            self._ended.set()
            self._thread.join()

    def _follow(self) -> None:
        try:
            with self._output as output:
                for record in self._records():
                    output.write(self._readable(record) if self.target == "-" else record)
        except BrokenPipeError:
            pass  # nobody reads it any more
        except OSError as error:
            click.echo(f"nvemu: --trace {self.target}: {error.strerror}", err=True)

    def _records(self) -> Iterator[bytes]:
        """The trace's lines until the program has ended."""
        rest = b""
        with self.source.open("rb") as file:
            ended = False
            while not ended:
                ended = self._ended.wait(PAUSE)  # asked before reading: what is there then is all
                *lines, rest = (rest + file.read()).split(b"\n")
                yield from (record + b"\n" for record in lines)
        if rest:  # a process was killed while it wrote this
            yield rest + b"\n"

    def _readable(self, record: bytes) -> bytes:
        try:
            fields = msgspec.json.decode(record)
        except msgspec.DecodeError:
            return record
        self._first = self._first or fields["pid"]
        mark = "" if fields["pid"] == self._first else f"[pid {fields['pid']}] "
        return f"{mark}{line(fields)}\n".encode("utf-8", "backslashreplace")


def target(ctx: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """Check the value of `--trace`: what looks like an option is one that went astray."""
    if value is not None and value != "-" and (not value or value.startswith("-")):
        problem = f"expected a file or -, found {value!r}"
        raise click.BadParameter(problem, ctx, parameter)
    return value


def _opened(target: str) -> BinaryIO:
    """The trace's target, written to without a buffer, so that lines come in whole ones."""
    if target == "-":
        return os.fdopen(2, "wb", buffering=0, closefd=False)
    try:
        return Path(target).open("wb", buffering=0)
    except OSError as error:
        problem = f"{target}: {error.strerror}"
        raise click.BadParameter(problem, param_hint="'--trace'") from None
