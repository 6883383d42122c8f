"""Where our libraries are known to answer otherwise than the real ones, each with its reason.

A row: which calls, of which ways to be called, in which drivers (none named: all), and why.
"""

from __future__ import annotations

from fnmatch import fnmatchcase

__all__ = ["reason_for"]

BEHIND_HANDLES = (
    "it reads the memory behind a handle that it never gave out, and says what lies there"
)
BACK_END = "the debugger's back end, which 470 has inside, is not emulated"
NO_VALUE = "it returns nothing: the number is what was left in a register"

DIFFERENCES: tuple[tuple[str, tuple[str, ...], str], ...] = (
    ("cudbgApiAttach(*)", ("470",), NO_VALUE),
    ("cudbgApiInit(*)", ("470",), NO_VALUE),
    ("cudbgGetAPI(*)", ("470",), BACK_END),
    (
        "nvmlRetry_NvRmControl(*)",
        ("470", "525"),
        "internal, and of no header: a code of the kernel driver's interface",
    ),
    *(
        (f"{function}(words)", (), BEHIND_HANDLES)
        for function in (
            *("cuFuncGetName", "cuKernelGetName", "cuUserObjectRelease", "cuUserObjectRetain"),
            *("cuGraphKernelNodeGetParams", "cuGraphKernelNodeGetParams_v2"),
        )
    ),
)


def reason_for(call: str, driver: str) -> str | None:
    """Why a call is answered otherwise with this driver; None when it should not be."""
    for pattern, branches, reason in DIFFERENCES:
        if fnmatchcase(call, pattern) and driver.partition(".")[0] in (branches or (driver[:3],)):
            return reason
    return None
