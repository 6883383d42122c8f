"""Scenarios for other programs: the folder that they share, and how they are run in it."""

from __future__ import annotations

from .furnishing import PACKAGE, TestbedError, boot_of, furnish, write_plan
from .program import ProgramError
from .testbed import Testbed

__all__ = ["PACKAGE", "ProgramError", "Testbed", "TestbedError", "boot_of", "furnish", "write_plan"]
