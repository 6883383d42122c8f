"""A file that somebody saved nvidia-smi's output in, as text: of any encoding that shells write,
and packed as nvidia-bug-report.log.gz is."""

from __future__ import annotations

import codecs
import gzip
import zlib
from io import BytesIO
from pathlib import Path

from ....scenario.errors import ScenarioFileError

__all__ = ["LARGEST", "text_of"]

#: Bytes; sixteen GPUs with all their clocks are 3 MB, NVIDIA's bug report around it tens of MB.
LARGEST = 64 << 20

#: How a gzip file begins (RFC 1952).
_GZIP = b"\x1f\x8b"

#: Marks at the beginning of a file. PowerShell's > writes UTF-16.
_MARKS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}


def text_of(path: Path) -> str:
    """Return a file's text; what is none in its encoding becomes U+FFFD.

    A Jetson's nvidia-smi prints bytes that nobody wrote, where the bus id would be.

    Raises:
        ScenarioFileError: it cannot be read, is empty, too large, or no text.
    """
    file = str(path)
    data = _content(path, file)
    mark = next((mark for mark in _MARKS if data.startswith(mark)), b"")
    text = data[len(mark) :].decode(_MARKS.get(mark) or _unmarked(data), "replace")
    nul = text.find("\0")
    if nul >= 0:
        line = text.count("\n", 0, nul) + 1
        raise ScenarioFileError("expected text, found a NUL byte", file=file, line=line)
    if not text.strip():
        raise ScenarioFileError("expected nvidia-smi's output, found an empty file", file=file)
    return text


def _content(path: Path, file: str) -> bytes:
    try:
        with path.open("rb") as stream:
            data = stream.read(LARGEST + 1)
        if data.startswith(_GZIP):
            with gzip.open(BytesIO(data)) as unpacked:
                data = unpacked.read(LARGEST + 1)
    except (EOFError, gzip.BadGzipFile, zlib.error):
        raise ScenarioFileError("cannot be unpacked: the gzip file is damaged", file=file) from None
    except OSError as error:
        raise ScenarioFileError(f"cannot be read: {error.strerror}", file=file) from None
    except ValueError:  # with a NUL in it
        raise ScenarioFileError(f"expected a path, found {file!r}") from None
    if len(data) > LARGEST:
        problem = f"expected nvidia-smi's output, found more than {LARGEST >> 20} MiB"
        raise ScenarioFileError(problem, file=file)
    return data


def _unmarked(data: bytes) -> str:
    """The encoding of a file without a mark: in UTF-16, each second byte of such text is 0."""
    head = data[:256]
    for encoding, zeros, letters in (("utf-16-le", 1, 0), ("utf-16-be", 0, 1)):
        if len(head) > 2 and not any(head[zeros::2]) and all(head[letters::2]):
            return encoding
    return "utf-8"
