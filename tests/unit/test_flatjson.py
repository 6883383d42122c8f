"""JSON without the `json` module, beside the `json` module."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.runtime import flatjson

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters())
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=10
)


@given(values)
def test_both_ways_write_what_the_json_module_writes(value: Any) -> None:
    assert flatjson.dumps(value) == flatjson._dumps(value) == json.dumps(value)
    assert flatjson.loads(flatjson.dumps(value)) == value


@pytest.mark.parametrize("number", ["nan", "inf", "-inf"])
def test_what_is_no_number_becomes_a_text(number: str) -> None:
    value = {"a": [1, float(number)], "b": "x"}
    assert json.loads(flatjson.dumps(value)) == {"a": [1, number], "b": "x"}


def test_an_interpreter_without_the_c_encoder_writes_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    value = {"a": [1, None, {"b": "é\x1b"}], "c": (True, 1.5)}
    expected = flatjson.dumps(value)
    monkeypatch.setattr(flatjson, "_make_encoder", None)
    monkeypatch.setattr(flatjson, "_encode", flatjson._encoder())
    assert flatjson._encode is None
    assert flatjson.dumps(value) == expected
