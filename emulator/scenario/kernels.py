"""A scenario's kernels, resolved: which Python function does the work of which."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .errors import within
from .hooks import located
from .schema import Kernel

__all__ = ["kernels"]


def kernels(written: Sequence[Kernel], folder: str = "") -> list[dict[str, Any]]:
    """Return the plan's kernels, in the order in which they were written.

    Raises:
        ScenarioError: a function that is not there; its key path begins with ``kernel[n]``.
    """
    resolved = []
    for index, kernel in enumerate(written):
        with within("kernel", index):
            resolved.append({"name": kernel.name, "run": located(kernel.run, folder)})
    return resolved
