"""What kept a process from calling a library, in the order in which it is asked."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace

from ..stubfiles import SONAMES
from .events import File, Load, Search
from .evidence import Attempt, looked_at
from .library import Library
from .linked import needs
from .stages import Outcome, Stage, listed

__all__ = ["UNCALLED"]

#: What was at a path -> how far that leads, in the order in which it is asked.
_ENDS: dict[str, tuple[Stage, str]] = {
    "empty": (Stage.UNLOADABLE, "{path} is no library"),
    "not-elf": (Stage.UNLOADABLE, "{path} is no library"),
    "library": (Stage.UNLOADABLE, "{path} could not be loaded"),
    "wrong-class": (Stage.WRONG_CLASS, "{name} {are} there for another kind of machine only"),
    "unreadable": (Stage.NOT_FOUND, "{name} may not be read"),
}
_NOTHING = (Stage.NOT_FOUND, "{name} {are} not there")


def consumer(seen: Library) -> Outcome | None:
    """A library that would have called CUDA was not loaded, as one that it needs is not."""
    if seen.library != "cuda":
        return None
    loaded = {each.search.name for each in seen.attempts if each.load}
    lost = [each for each in seen.attempts if each.search.name not in loaded]
    asked = [each for each in lost if _is_consumer(seen, each) and _is_linked(seen, each)]
    return _unloaded(seen, asked) if asked else None


def _is_consumer(seen: Library, attempt: Attempt) -> bool:
    names = [os.path.basename(name) for name in (attempt.search.name, seen.asker(attempt))]
    apis = tuple(soname.removesuffix(".1") for soname in SONAMES.values())
    return not any(name.startswith(apis) for name in names)


def _is_linked(seen: Library, attempt: Attempt) -> bool:
    return needs(seen.asker(attempt), attempt.search.name)


def loaded(seen: Library) -> Outcome | None:
    """The library was loaded, maybe the wrong one, and not called."""
    loads = [load for load in seen.loads() if seen.is_ours(load.soname or load.path)]
    if not loads:
        return None
    last = loads[-1]
    dependency = _failed_dependency(seen, last)
    if dependency is not None:
        text = f"{last.path} needs {dependency.search.name}, which is not there"
        return seen.at(Stage.UNLOADABLE, text, details=looked_at(dependency.paths))
    if not any(seen.evidence.ours(load.path) for load in loads):
        return seen.at(Stage.OTHER_LIBRARY, f"it opened {last.path}", details=[last.path])
    name = os.path.basename(last.path)
    return seen.unlinked() or seen.at(
        Stage.NEVER_CALLED, f"{name} was loaded and never called", details=[last.path]
    )


def _failed_dependency(seen: Library, load: Load) -> Attempt | None:
    wanted = (each for each in seen.attempts if each.search.by == load.path)
    return next((each for each in wanted if each.load is None), None)


def searched(seen: Library) -> Outcome | None:
    """The library was asked for and nothing could be loaded."""
    asked = [each for each in seen.attempts if seen.is_ours(each.search.name)]
    return _unloaded(seen, asked) if asked else None


def looked(seen: Library) -> Outcome | None:
    """The library's file was looked for, and not by the loader."""
    looks = [each for each in seen.events if isinstance(each, File) and seen.is_ours(each.path)]
    if not looks or any(each.found for each in looks):
        return None
    searches = [Search(e.t, e.pid, e.tid, e.path, None, "absent") for e in looks]
    return replace(_unloaded(seen, list(map(Attempt, searches))), mild=True)


def _unloaded(seen: Library, asked: list[Attempt]) -> Outcome:
    """What became of searches that led to nothing."""
    paths: dict[str, str] = {}
    for each in asked:
        paths |= each.paths
    askers = dict.fromkeys(each.search.by for each in asked if each.search.by)
    details = [*(f"asked for by {by}" for by in askers), *looked_at(paths)]
    names = list(dict.fromkeys(each.search.name for each in asked))
    if len(names) > 1:
        names = list(dict.fromkeys(map(os.path.basename, names)))
    found = {state: path for path, state in reversed(paths.items())}  # the first of each state
    state = next((state for state in _ENDS if state in found), "")
    stage, text = _ENDS.get(state, _NOTHING)
    are = "are" if len(names) > 1 else "is"
    said = text.format(path=found.get(state), name=listed(names), are=are)
    return seen.at(stage, said, details=details)


UNCALLED: tuple[Callable[[Library], Outcome | None], ...] = (consumer, loaded, searched, looked)
