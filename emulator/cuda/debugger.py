"""The debugger's entry points, as they answer where no debugger has a back end.

cuda-gdb calls these in the program it debugs; no header of CUDA's toolkit declares most of them.
Their codes are CUDBGResult's of cudadebugger.h. Observed on 470 to 555. Up to 535 the library has
a back end's interface of its own and tells its version; the interface itself is not emulated,
though 470 has one to give. cudbgMain never returns (its number is that of an internal error).
"""

from __future__ import annotations

import ctypes

from ..api import NULL_PAGE
from ..machine.drivers import branch
from .library import Cuda, implements

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable

__all__: list[str] = []

SUCCESS, UNKNOWN, INVALID_ARGS, NOT_FOUND, INTERNAL = 0, 1, 4, 10, 28

ANSWERS = {
    "cudbgApiAttach": SUCCESS,
    "cudbgApiDetach": SUCCESS,
    "cudbgApiInit": UNKNOWN,
    "cudbgMain": INTERNAL,
}

# Driver branch -> the version of its debugger interface.
INTERFACES = {470: (8, 0, 129), 525: (12, 0, 133), 535: (12, 2, 134)}
REPORTS = 525  # the first branch that refuses a report without a back end


def _constant(code: int) -> Callable[[], int]:
    def answer() -> int:
        return code

    return answer


for _name, _code in ANSWERS.items():
    implements(_name, anytime=True)(_constant(_code))


@implements("cudbgGetAPIVersion", anytime=True)
def interface_version(cuda: Cuda, major: int, minor: int, rev: int) -> int:
    version = INTERFACES.get(branch(cuda.machine.driver))
    if version is None:
        return NOT_FOUND
    addresses = (major, minor, rev)
    if min(addresses) < NULL_PAGE:
        return INVALID_ARGS
    for address, number in zip(addresses, version):
        ctypes.c_uint.from_address(address).value = number
    return SUCCESS


@implements("cudbgGetAPI", anytime=True)
def interface(cuda: Cuda, api: int) -> int:
    has_one = branch(cuda.machine.driver) in INTERFACES
    return INVALID_ARGS if has_one and api < NULL_PAGE else NOT_FOUND


@implements("cudbgReportDriverApiError", "cudbgReportDriverInternalError", anytime=True)
def report(cuda: Cuda) -> int:
    return SUCCESS if branch(cuda.machine.driver) < REPORTS else UNKNOWN
