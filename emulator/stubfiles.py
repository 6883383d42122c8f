"""Where the package's own stubs lie."""

from __future__ import annotations

from pathlib import Path

__all__ = ["SONAMES", "StubsMissingError", "stub"]

FOLDER = Path(__file__).resolve().parent / "_stubs"
SONAMES = {"nvml": "libnvidia-ml.so.1", "cuda": "libcuda.so.1"}


class StubsMissingError(RuntimeError):
    """This installation has no compiled stubs."""


def stub(library: str, driver: str) -> Path:
    """The stub of `nvml` or `cuda` at a driver version.

    Raises:
        StubsMissingError: the package was not built, as in a source tree without an install.
    """
    path = FOLDER / driver / SONAMES[library]
    if not path.is_file():
        raise StubsMissingError(
            f"{path} is missing: install nvemu (`pip install .`), which compiles its stubs"
        )
    return path
