"""Processes of a GPU, and those that accounting remembers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ...machine.words import WORDS
from .answers import NOTHING, error_code, plain
from .tellings import Telling
from .trees.tree import Node
from .units import Reader, count, mebibytes, milliseconds, percent

__all__ = ["accounted", "processes"]

#: How nvidia-smi prints NVML_VALUE_NOT_AVAILABLE (nvml.h), which is -1.
UNAVAILABLE = frozenset({f"{(1 << 32) - 1} %", f"{((1 << 64) - 1) >> 20} MiB"})


def processes(telling: Telling, node: Node) -> None:
    """Tell the processes of a GPU; a driver that does not know them says "N/A"."""
    if plain(node.text) not in NOTHING:
        found = [_process(telling, row, pid) for pid, row in _rows(telling, node)]
        telling.tell("processes", found, "processes", node)


def _rows(telling: Telling, node: Node) -> Iterator[tuple[int, Node]]:
    """The elements of processes, with their pids."""
    for row in node.children:
        pid = _value(telling, row, "pid", count)
        if pid is None:
            telling.note("a process without a pid is left out", f"{node.tag}/{row.tag}", row)
        else:
            yield pid, row


def _process(telling: Telling, row: Node, pid: int) -> dict[str, Any]:
    found = {
        "pid": pid,
        "name": _printable(row.told("process_name")),
        "type": _type(telling, row),
        "used_memory": _value(telling, row, "used_memory", mebibytes),
    }
    instances = {
        name: _value(telling, row, f"{name}_id", count)
        for name in ("gpu_instance", "compute_instance")
    }
    return found | {name: number for name, number in instances.items() if number is not None}


def _type(telling: Telling, row: Node) -> str:
    """How a process uses the GPU; that it computes where nothing is said that is known."""
    text = plain(row.told("type"))
    if text in WORDS["ProcessType"]:
        return text
    telling.note(f"type {text[:40]!r} is not known: it is 'C'", f"{row.tag}/type", row)
    return "C"


def accounted(telling: Telling, node: Node) -> None:
    """Tell the processes that accounting remembers and that have ended; those that run are among
    the GPU's."""
    rows = [
        {
            "pid": pid,
            "utilization": _value(telling, row, "gpu_util", percent),
            "memory_utilization": _value(telling, row, "memory_util", percent),
            "max_memory": _value(telling, row, "max_memory_usage", mebibytes),
            "ended": _value(telling, row, "time", milliseconds),
        }
        for pid, row in _rows(telling, node)
        if row.told("is_running") != "1"
    ]
    if rows:
        telling.tell("accounting.ended", rows, "accounted_processes", node)


def _value(telling: Telling, row: Node, tag: str, reader: Reader) -> Any:
    """What a part of a process's element says; None if it says nothing, or an error."""
    node = row.find(tag)
    text = plain(node.text) if node else ""
    if node is None or not text or text in NOTHING:
        return None
    if error_code(text):
        telling.note(f"nvidia-smi was answered {text!r}", f"{row.tag}/{tag}", node)
        return None
    return None if text in UNAVAILABLE else telling.read(reader, text, node)[0]


def _printable(name: str) -> str:
    """A process's name in one line: a scenario has no other."""
    return "".join(letter if letter.isprintable() else " " for letter in name)
