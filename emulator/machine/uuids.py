"""UUIDs of what is made while programs run."""

from __future__ import annotations

from _blake2 import blake2b

__all__ = ["derived"]


def derived(origin: str) -> str:
    """The UUID that follows from a name: of version 5, as a MIG device's is."""
    digest = bytearray(blake2b(origin.encode(), digest_size=16).digest())
    digest[6] = digest[6] & 0x0F | 0x50
    digest[8] = digest[8] & 0x3F | 0x80
    text = digest.hex()
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))
