"""The processes of a report as a tree."""

from __future__ import annotations

from collections.abc import Iterable

from .report import ProcessSeen

__all__ = ["tree"]


def tree(processes: Iterable[ProcessSeen]) -> list[tuple[ProcessSeen, int]]:
    """Each process and how deep it is below the first: parents before their children, these in
    the order of their beginnings."""
    waiting = sorted(processes, key=lambda process: process.began)
    known = {process.pid for process in waiting}
    children: dict[int | None, list[ProcessSeen]] = {}
    for process in waiting:
        parent = process.parent if process.parent in known - {process.pid} else None
        children.setdefault(parent, []).append(process)
    found: list[tuple[ProcessSeen, int]] = []
    stack = [(process, 0) for process in reversed(children.pop(None, []))]
    while stack:
        process, depth = stack.pop()
        found.append((process, depth))
        below = children.pop(process.pid, [])
        stack += [(child, depth + 1) for child in reversed(below)]
    # A number that was used twice can make a circle of parents.
    return found + [(process, 0) for circle in children.values() for process in circle]
