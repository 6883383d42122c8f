"""What comes with nvemu: built-in scenarios, whole systems, and the catalogue of GPU profiles.

Built-in scenarios are of two kinds: the gallery has failures that people reported, the systems are
machines as they come. Both go by name wherever a scenario is asked for.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

from msgspec import Struct

from .errors import ScenarioError, ScenarioFileError, UnknownNameError, nearest
from .profiles import profile, profiles
from .schema import Gpu, Scenario
from .script import run_script
from .toml import loads

__all__ = ["Names", "load", "names", "parse_gpus", "written_scenario"]

_SUFFIXES = (".toml", ".py")
_FOLDERS = ("gallery", "systems")


class Names(Struct, frozen=True):
    """Names that scenarios and command lines may use, each with a description in one line.

    Attributes:
        scenarios: of the gallery.
        systems: whole machines, which are scenarios as well.
        profiles: of GPUs.
    """

    scenarios: dict[str, str]
    systems: dict[str, str]
    profiles: dict[str, str]


def names() -> Names:
    """Return the built-in scenarios, by kind, and the GPU profiles of the catalogue."""
    gallery, systems = (
        {name: load(name).description for name in sorted(_folder(folder))} for folder in _FOLDERS
    )
    return Names(scenarios=gallery, systems=systems, profiles=profiles())


def written_scenario(name: str) -> str:
    """Return the TOML of a built-in scenario as it is written, comments included.

    Raises:
        KeyError: there is none of this name.
    """
    return _read(_builtin()[name])


def load(name_or_path: str | os.PathLike[str]) -> Scenario:
    """Return a built-in scenario by its name, or one from a file.

    What contains a path separator or ends in ".toml" or ".py" is a file, and so is whatever exists
    and is not the name of a built-in scenario. A scenario that does not name itself gets the file's
    name. A file that ends in ".py" is run: see ``script``.

    Raises:
        UnknownNameError: neither a built-in scenario of this name nor a file.
        ScenarioFileError: the file cannot be read, or is neither TOML nor Python.
        ScenarioError: the file says something wrong; the message has file, line and key path.
    """
    text = os.fspath(name_or_path)
    if isinstance(name_or_path, str) and not text.endswith(_SUFFIXES) and os.sep not in text:
        if text in _builtin():
            return _load_builtin(text)
        if not os.path.exists(text):  # not Path's, which raises for a name that is too long
            raise _unknown(text)
    read = run_script if text.endswith(".py") else loads
    return read(_read(Path(text)), file=text, name=Path(text).stem)


def parse_gpus(text: str) -> tuple[Gpu, ...]:
    """Return the GPUs of a command line: "h100-sxm5-80gb:2,t4" are three; "" is none.

    Raises:
        UnknownNameError: no profile of a name.
        ScenarioError: an entry that is neither PROFILE nor PROFILE:COUNT.
    """
    return tuple(_gpu(entry) for entry in text.split(",")) if text.strip() else ()


def _gpu(entry: str) -> Gpu:
    name, colon, count = entry.strip().partition(":")
    digits = count if colon else "1"
    if not name or not (digits.isascii() and digits.isdigit() and len(digits) < 10):
        problem = f"expected GPUs as PROFILE or PROFILE:COUNT, with commas between, found {entry!r}"
        raise ScenarioError(problem)
    profile(name)
    try:
        return Gpu(name, count=int(digits))
    except ScenarioError as error:
        raise ScenarioError(f"{entry.strip()!r}: {error.problem}") from None


@cache
def _folder(folder: str) -> dict[str, Path]:
    return {path.stem: path for path in Path(__file__).with_name(folder).glob("*.toml")}


@cache
def _builtin() -> dict[str, Path]:
    return {name: path for folder in _FOLDERS for name, path in sorted(_folder(folder).items())}


@cache
def _load_builtin(name: str) -> Scenario:
    return loads(written_scenario(name), file=f"{name}.toml", name=name)


def _unknown(name: str) -> UnknownNameError:
    files = [name + suffix for suffix in _SUFFIXES if os.path.exists(name + suffix)]
    if files:
        hint = f"; did you mean {files[0]!r}?"
    elif name in profiles():
        hint = f" ({name} is a GPU profile: use --gpus {name})"
    else:
        hint = nearest(name, _builtin())
    problem = "expected a built-in scenario or the path of a file"
    return UnknownNameError(f"{problem}, found {name!r}{hint}")


def _read(path: Path) -> str:
    try:
        return path.read_bytes().decode()
    except OSError as error:
        problem = f"cannot be read: {error.strerror}"
    except UnicodeDecodeError as error:
        problem = f"expected a file in UTF-8, but: {error}"
    except ValueError:
        problem = f"expected a path, found {str(path)!r}"  # with a NUL in it
    raise ScenarioFileError(problem, file=str(path))
