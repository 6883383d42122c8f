"""Where `--trace` goes: a file of JSON lines, or readable lines on stderr as the calls happen."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path
from types import TracebackType

import click
import msgspec

from ..trace import line

__all__ = ["Follower"]

PAUSE = 0.05  # seconds between two looks at the trace


class Follower:
    """While the program runs, follows its trace to `target`: a file's name, `-`, or None."""

    def __init__(self, source: Path, target: str | None) -> None:
        self.source = source
        self.target = target
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)

    def __enter__(self) -> None:
        if self.target == "-":
            self._thread.start()
        elif self.target is not None:
            _writable(self.target)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._ended.set()
        if self.target == "-":
            self._thread.join()
        elif self.target is not None:
            shutil.copyfile(self.source, self.target)

    def _follow(self) -> None:
        with self.source.open("rb") as file:
            while True:
                ended = self._ended.wait(PAUSE)
                for record in file.readlines():
                    click.echo(line(msgspec.json.decode(record)), err=True)
                if ended:
                    return


def _writable(name: str) -> None:
    try:
        Path(name).open("ab").close()
    except OSError as error:
        raise click.BadParameter(f"{name}: {error.strerror}", param_hint="--trace") from None
