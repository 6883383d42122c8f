"""Programs under drawn scenarios: which of them make one crash, hang or end otherwise than it may.

findings = Fuzzer(["./my-program"]).run(draw(100, seed=0))
"""

from __future__ import annotations

from .fuzzer import Finding, Fuzzer, Outcome, Unplayable, draw, ends_programs

__all__ = ["Finding", "Fuzzer", "Outcome", "Unplayable", "draw", "ends_programs"]
