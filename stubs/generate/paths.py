"""Where the generator's inputs and outputs lie in the repository."""

from __future__ import annotations

from pathlib import Path

__all__ = ["API"]

API = Path(__file__).resolve().parent.parent / "api"
