"""Why a program did not find its GPU: evidence, verdict, report."""

from __future__ import annotations

from .evidence import Evidence
from .examination import examine
from .judgement import judge
from .report import Report, report
from .verdicts import VERDICTS, Verdict

__all__ = ["VERDICTS", "Evidence", "Report", "Verdict", "examine", "judge", "report"]
