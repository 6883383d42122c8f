"""Other processes, as /proc shows them."""

from __future__ import annotations

__all__ = ["start_of"]

DEAD = (b"Z", b"X")  # ended, and maybe not waited for yet


def start_of(process: int) -> int:
    """When a process started, in ticks since the machine did; 0: there is none, or it has ended.

    Together with its number it is unlike any other process of the machine.
    """
    try:
        with open(f"/proc/{process}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
        return 0 if fields[0] in DEAD else int(fields[19])
    except (OSError, IndexError, ValueError):
        return 0
