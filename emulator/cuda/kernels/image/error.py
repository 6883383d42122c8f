"""The exception of everything that reads images."""

from __future__ import annotations

__all__ = ["ImageError"]


class ImageError(Exception):
    """An image that cannot be used.

    Attributes:
        code: the CUresult of the call that was to load it.
        text: why, as a line for the client's log buffer.
        lacking: what this process lacks to read an image that is otherwise fine; "" for nothing.
    """

    def __init__(self, code: int, text: str, lacking: str = "") -> None:
        super().__init__(text)
        self.code = code
        self.text = text
        self.lacking = lacking
