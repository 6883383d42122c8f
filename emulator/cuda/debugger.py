"""The debugger's entry points, as they answer where no debugger has a back end.

cuda-gdb calls these in the program it debugs; no header declares them. Their codes are
CUDBGResult's of cudadebugger.h. Observed on 550 and 555; cudbgMain never returns there (its
number is that of an internal error), and 470 to 535 differ in the first two.
"""

from __future__ import annotations

from .library import implements

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable

__all__: list[str] = []

ANSWERS = {
    "cudbgApiAttach": 0,
    "cudbgApiDetach": 0,
    "cudbgApiInit": 1,
    "cudbgGetAPI": 10,
    "cudbgGetAPIVersion": 10,
    "cudbgMain": 28,
    "cudbgReportDriverApiError": 1,
    "cudbgReportDriverInternalError": 1,
}


def _constant(code: int) -> Callable[[], int]:
    def answer() -> int:
        return code

    return answer


for _name, _code in ANSWERS.items():
    implements(_name, anytime=True)(_constant(_code))
