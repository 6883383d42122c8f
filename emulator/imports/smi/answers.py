"""What nvidia-smi prints in a value's place: there is none, it may not say, or an error."""

from __future__ import annotations

from ...nvml import _status
from ...nvml.system import TEXTS, UNKNOWN_TEXT

__all__ = ["DENIED", "FAILURES", "NOTHING", "SILENT", "error_code", "is_value", "plain"]

#: The product has no such thing, or the driver does not tell.
NOTHING = frozenset({"N/A", "Not Supported", "Not available in WDDM driver model"})

#: Newer drivers say this of what older ones print: it tells nothing of the machine.
SILENT = frozenset({"Requested functionality has been deprecated"})

#: Who ran nvidia-smi was not root.
DENIED = frozenset({"Insufficient Permissions"})

#: The GPU itself does not answer -> the scenario's word for it.
FAILURES = {"GPU is lost": "lost", "GPU requires reset": "reset_required"}

_NAMES = {code: name for name, code in vars(_status).items() if name.isupper()}

#: nvmlErrorString's text -> the code's name in nvml.h without its prefix.
_CODES = {
    **{text.casefold(): _NAMES[code] for code, (_, text) in enumerate(TEXTS)},
    **dict.fromkeys((UNKNOWN_TEXT.casefold(), "err!", "error"), "UNKNOWN"),
}


def plain(text: str) -> str:
    """Return a text without the brackets that nvidia-smi puts around what is no value."""
    return text[1:-1] if text.startswith("[") and text.endswith("]") else text


def is_value(text: str) -> bool:
    """Whether a text, without brackets, is a value: nothing that stands in one's place."""
    in_place = text in NOTHING | SILENT | DENIED | FAILURES.keys() or error_code(text)
    return bool(text) and not in_place


def error_code(text: str) -> str | None:
    """Return the name of the code whose text this is ("UNKNOWN" of "Unknown Error"), if any."""
    return _CODES.get(text.casefold())
