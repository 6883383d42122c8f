"""Traces: reading what the runtime writes, choosing calls of it, and showing them."""

from .call import Call, identity
from .choosing import Choice, Functions, failed
from .chrome import Chrome
from .formats import Format, Json, Text
from .lines import line, printable
from .reading import Commands, Record, Splitter, records, whole
from .summary import Summary, SummaryJson

__all__ = [
    "Call",
    "Choice",
    "Chrome",
    "Commands",
    "Format",
    "Functions",
    "Json",
    "Record",
    "Splitter",
    "Summary",
    "SummaryJson",
    "Text",
    "failed",
    "identity",
    "line",
    "printable",
    "records",
    "whole",
]
