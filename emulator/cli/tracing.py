"""Where a trace goes while the program runs: to a file, or to stderr; as the calls happen."""

from __future__ import annotations

import select
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

import click

from ..trace import Format, Record, Splitter

__all__ = ["STDERR", "Follower", "Output", "target", "target_file"]

PAUSE = 0.05  # seconds between two looks at the trace
CHUNK = 1 << 20  # bytes that are read at a time

STDERR = "-"  # as a target's name


@dataclass(frozen=True)
class Output:
    """What becomes of a trace.

    Attributes:
        target: a file's name, or `STDERR`.
        make: makes its format, given the trace's file.
        option: the option that named the target, for what is said of it.
    """

    target: str
    make: Callable[[Path], Format]
    option: str

    def open(self) -> FileIO:
        """The target, written to without a buffer, so that lines come in whole ones.

        A pipe waits for its reader here.

        Raises:
            click.BadParameter: it cannot be written.
        """
        if self.target == STDERR:
            return FileIO(2, "wb", closefd=False)
        try:
            return FileIO(self.target, "wb")
        except OSError as error:
            problem = f"{self.target}: {error.strerror}"
            raise click.BadParameter(problem, param_hint=f"'{self.option}'") from None


class Follower:
    """Writes a program's trace while it runs.

    Raises:
        click.BadParameter: the target cannot be written.
    """

    def __init__(self, output: Output) -> None:
        self.output = output
        self._file = output.open()

    @contextmanager
    def following(self, source: Path) -> Iterator[None]:
        """Within the `with` block, follow the trace's file `source`."""
        ended = threading.Event()
        thread = threading.Thread(target=self._follow, args=(source, ended), daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def _follow(self, source: Path, ended: threading.Event) -> None:
        try:
            with self._file as file:
                made = self.output.make(source)
                _write(file, made.begin())
                for records in _batches(source, ended):
                    _write(file, b"".join(map(made.take, records)))
                _write(file, made.end())
        except BrokenPipeError:
            pass  # nobody reads it any more
        except OSError as error:
            what = f"{self.output.option} {self.output.target}"
            click.echo(f"nvemu: {what}: {error.strerror}", err=True)


def _batches(source: Path, ended: threading.Event) -> Iterator[Iterator[Record]]:
    """A trace's records until the program has ended, as they come."""
    splitter = Splitter()
    with source.open("rb") as file:
        is_last = False
        while not is_last:
            is_last = ended.wait(PAUSE)  # asked before reading: what is there then is all
            while data := file.read(CHUNK):
                yield splitter.feed(data)
    yield splitter.end()


def target(ctx: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """Check the name of a file to write to: what looks like an option is one that went astray."""
    if value is not None and value != STDERR and (not value or value.startswith("-")):
        problem = f"expected a file or -, found {value!r}"
        raise click.BadParameter(problem, ctx, parameter)
    return value


def target_file(ctx: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """Check the name of a file to write to, which stderr cannot stand for."""
    if value == STDERR:
        raise click.BadParameter(f"expected a file, found {value!r}", ctx, parameter)
    return target(ctx, parameter, value)


def _write(file: FileIO, data: bytes) -> None:
    """Write all of `data`, also to what somebody else has made non-blocking."""
    rest = memoryview(data)
    while rest:
        written = file.write(rest)
        if written is None:
            select.select([], [file], [])
        else:
            rest = rest[written:]
