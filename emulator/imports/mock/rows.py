"""The rows of a list in the NVML mock's configuration."""

from __future__ import annotations

from ..yaml.node import Node

__all__ = ["rows"]

#: What a program may ask for at most in one list; a file that has more is no machine.
MOST_ROWS = 4096


def rows(node: Node) -> list[Node]:
    """The rows of a list.

    Raises:
        ScenarioFileError: it is no list, or longer than any machine has.
    """
    found = node.list()
    if len(found) > MOST_ROWS:
        raise node.error(f"expected at most {MOST_ROWS} rows, found {len(found)}")
    return found
