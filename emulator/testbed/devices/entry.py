"""What stands at a path that a testbed shows to its programs: a text, bytes, a link, a device node.

    {"/proc/driver/nvidia/version": text("NVRM version: ..."), "/dev/nvidia0": NODE}

An entry is a pair of strings, to be written down as JSON: its kind, and what is in it.
"""

from __future__ import annotations

__all__ = ["NODE", "Entries", "Entry", "binary", "link", "over", "text"]

Entry = tuple[str, str]
#: Absolute path -> what stands there.
Entries = dict[str, Entry]

#: A device node: /dev/null stands in for it, which can be opened, and refuses every ioctl (ENOTTY).
#: A node with NVIDIA's numbers could not be opened without their driver, and an ordinary user
#: may not make one.
NODE: Entry = ("node", "")


def text(content: str) -> Entry:
    """A file of one line or more; where the system has one there, the system's stays."""
    return "text", content if content.endswith("\n") else f"{content}\n"


def over(content: str) -> Entry:
    """A file in place of the system's."""
    return "over", content


def binary(content: bytes) -> Entry:
    """A file that is no text."""
    return "binary", content.hex()


def link(target: str) -> Entry:
    """A symbolic link."""
    return "link", target
