"""What tests of Python code are given: GPUs for one test, and assertions on what was called."""

from __future__ import annotations

from .calls import Call, Calls
from .gpus import EmulatedGpus

__all__ = ["Call", "Calls", "EmulatedGpus"]
