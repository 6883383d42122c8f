"""Hypothesis strategies for scenarios, and tests that run in what they draw.

    from emulator.strategies import given_scenarios

    @given_scenarios()
    def test_never_raises():
        find_gpus()

All shrink towards the empty machine on which nothing fails: first fewer GPUs and faults, then
fewer figures that are out of the ordinary, then simpler values. Needs hypothesis, which
`pip install "nvemu[fuzz]"` brings.
"""

from __future__ import annotations

from .calling import ApiCall, Handle, Memory, Player, call_sequences
from .course import changes
from .discovery import DiscoveryMachine
from .failing import faults, return_codes
from .hardware import gpus, machines
from .loading import environments, loader_states
from .saving import REPLAY, given_scenarios, save
from .whole import scenarios

__all__ = [
    "REPLAY",
    "ApiCall",
    "DiscoveryMachine",
    "Handle",
    "Memory",
    "Player",
    "call_sequences",
    "changes",
    "environments",
    "faults",
    "given_scenarios",
    "gpus",
    "loader_states",
    "machines",
    "return_codes",
    "save",
    "scenarios",
]
