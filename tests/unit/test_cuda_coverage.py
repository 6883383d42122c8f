"""Every function of the CUDA driver is answered: by a handler, or by a row of refusals."""

from __future__ import annotations

import pytest

from emulator.cuda import _returns, api, refusals
from emulator.vocabulary import handlers


def test_no_function_without_a_handler() -> None:
    answered = handlers()["cuda"]
    assert [name for name in api.names if name not in answered] == []


def test_what_is_refused_is_refused_once_and_for_a_reason() -> None:
    names = [name for *_, row in refusals.REFUSALS for name in row]
    assert len(names) == len(set(names)) > 40
    assert all(reason for _, _, reason, _ in refusals.REFUSALS)


@pytest.mark.parametrize("row", refusals.REFUSALS, ids=lambda row: row[3][0])
def test_refusals_are_with_codes_of_the_reference(row: tuple[int, bool, str, tuple[str]]) -> None:
    code, in_context, _, names = row
    for name in names:
        documented = _returns.RETURNS[name].split()
        if documented and name not in UNDOCUMENTED:
            assert api.status_name(code) in documented
            assert "INVALID_CONTEXT" in documented or not in_context or name in IN_CONTEXT


# The reference names other codes; where ours is from says the row.
UNDOCUMENTED = (
    *("cuGLCtxCreate", "cuGLCtxCreate_v2", "cuGLInit", "cuGLRegisterBufferObject"),
    *("cuGraphicsGLRegisterBuffer", "cuGraphicsGLRegisterImage"),
)
IN_CONTEXT = ("cuFabricCpyBatchAsync",)
