"""Where the package's own stubs lie, and how one is told from other libraries."""

from __future__ import annotations

from pathlib import Path
from typing import Any

__all__ = ["SONAMES", "StubsMissingError", "audit_module", "stub", "stub_driver"]

FOLDER = Path(__file__).resolve().parent / "_stubs"
SONAMES = {"nvml": "libnvidia-ml.so.1", "cuda": "libcuda.so.1"}


class StubsMissingError(RuntimeError):
    """This installation has no compiled stubs."""


def stub(library: str, driver: str) -> Path:
    """The stub of `nvml` or `cuda` at a driver version.

    Raises:
        StubsMissingError: the package was not built, as in a source tree without an install.
    """
    return _compiled(FOLDER / driver / SONAMES[library])


def audit_module() -> Path:
    """What the dynamic loader takes in LD_AUDIT, to say what it does.

    Raises:
        StubsMissingError: the package was not built.
    """
    return _compiled(FOLDER / "audit.so")


def _compiled(path: Path) -> Path:
    if not path.is_file():
        raise StubsMissingError(
            f"{path} is missing: install nvemu (`pip install .`), which compiles its stubs"
        )
    return path


def stub_driver(path: Path) -> str | None:
    """The driver version that a library stands in for if it is a stub of nvemu; None if it is not.

    A stub says so in an ELF note, which stays with every copy, whatever its name is.

    Raises:
        OSError: the file cannot be read.
    """
    from elftools.elf.elffile import ELFFile  # noqa: PLC0415  (takes longer than all the rest)

    with path.open("rb") as file:
        try:
            segments: list[Any] = list(ELFFile(file).iter_segments("PT_NOTE"))
            notes = [note for segment in segments for note in segment.iter_notes()]
            own = next((note for note in notes if note["n_name"] == "nvemu"), None)
        except Exception:  # whatever a parser stumbles over in a file that is not what it says
            return None
    return own["n_descdata"].rstrip(b"\0").decode("ascii", "replace") if own else None
