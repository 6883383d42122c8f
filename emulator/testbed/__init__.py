"""Scenarios for other programs: the folder that they share, and how they are run in it."""

from __future__ import annotations

from .program import ProgramError
from .testbed import PACKAGE, Testbed, TestbedError, boot_of, furnish, write_plan

__all__ = ["PACKAGE", "ProgramError", "Testbed", "TestbedError", "boot_of", "furnish", "write_plan"]
