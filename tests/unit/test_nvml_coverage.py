"""Every function of NVML is answered: by a handler, or by a row of refusals."""

from __future__ import annotations

from pathlib import Path

from emulator.nvml import api, refusals
from emulator.vocabulary import handlers

TABLE = Path(__file__).parents[2] / "docs" / "reference" / "nvml.md"


def test_no_function_without_a_handler() -> None:
    answered = handlers()["nvml"]
    assert [name for name in api.names if name not in answered] == []


def test_the_table_of_the_docs_says_so() -> None:
    text = TABLE.read_text(encoding="utf-8")
    assert "no handler |" not in text
    assert all(f"| `{name}` |" in text for name in api.names)


def test_what_is_refused_is_refused_once_and_for_a_reason() -> None:
    names = [name for _, row in refusals.REFUSALS for name in row]
    assert len(names) == len(set(names))
    assert all(reason for reason, _ in refusals.REFUSALS)
