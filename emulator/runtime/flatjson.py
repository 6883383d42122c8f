"""JSON with the C scanner and encoder that the `json` module is built on, and without that module.

`import json` takes as long as starting Python and `ctypes` together (it brings `re`, `enum` and
`functools`), which is most of what a cold start may cost. Where an interpreter lacks the
accelerator, `json` itself is used.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Optional

__all__ = ["dumps", "loads"]

try:
    from _json import encode_basestring_ascii as _quote
    from _json import make_encoder as _make_encoder
    from _json import make_scanner as _make_scanner
except ImportError:
    from json import dumps as _quote

    _make_encoder = _make_scanner = None  # type: ignore[assignment, misc]


class _Context:
    """What the scanner asks of a decoder."""

    strict = True
    object_hook = None
    object_pairs_hook = None
    parse_float = float
    parse_int = int
    parse_constant = float  # NaN and Infinity, as `json` writes them


def loads(text: str) -> Any:
    """The value that `text` holds; ValueError when it is not one JSON value."""
    if _make_scanner is not None:
        try:
            scan = _make_scanner(_Context)  # type: ignore[arg-type]
            value, end = scan(text, len(text) - len(text.lstrip()))
            if not text[end:].strip():
                return value
        except (StopIteration, SystemError, ValueError):
            pass  # it raises what only the `json` module can word; that shall say what is wrong
    import json

    return json.loads(text)


def dumps(value: Any) -> str:
    """`value` (None, bool, int, float, str, list, tuple, dict by str) as one line of JSON.

    Neither infinity nor what is no number is JSON: they become texts.
    """
    if _encode is not None:
        try:
            return "".join(_encode(value, 0))
        except ValueError:
            pass  # such a number
    return _dumps(value)


def _dumps(value: Any) -> str:
    if isinstance(value, str):
        return _quote(value)
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, float) and value - value != 0:
        return _quote(repr(value))
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, dict):
        pairs = (f"{_dumps(str(key))}: {_dumps(item)}" for key, item in value.items())
        return "{" + ", ".join(pairs) + "}"
    return "[" + ", ".join(_dumps(item) for item in value) + "]"


def _encoder() -> Optional[Callable[[Any, int], tuple[str, ...]]]:
    """The C encoder; None where there is none, or one that is made in another way."""
    if _make_encoder is None:
        return None
    try:
        # markers, default, quote, indent, two separators, sort_keys, skipkeys, allow_nan
        return _make_encoder(None, list, _quote, None, ": ", ", ", False, False, False)
    except TypeError:
        return None


_encode = _encoder()
