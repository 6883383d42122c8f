"""A call's inputs and outputs exactly, as captures hold them.

`inputs` has, by C parameter, what the client puts in: numbers (enums too), text, structs
as tables, arrays as lists, devices and parts of them by their names in traces ("GPU-0/2/0").
Of a struct that both sides fill in it has the fields that the API declares to be questions
(`Api.questions`). What another client would do otherwise, and be answered alike, is left out:
`version` tags, lengths, counts of room.

`outputs` has what a call put out that succeeded: lists as long as they were answered (a count
follows from its list), structs and unions as `forms` says, handles by name. Memory without a type
and addresses are left out.
"""

from __future__ import annotations

import ctypes

from ..api import NULL_PAGE
from .taking import UNTOLD, leads_to_address, take_in, take_out

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Callable, Optional

    from ..api import Api, Function, Parameter
    from .call import Call
    from .taking import Take

    #: A parameter's place, its name, and how its value is taken.
    Takes = Sequence[tuple[int, str, Take]]

__all__ = ["answered", "exact", "inputs", "is_plain", "is_told", "lengths", "outputs"]

#: Lengths of what has none in its declaration: a text inside a struct, bytes of an enum's.
UNTIED = {
    "nvmlDeviceGetSupportedPerformanceStates": "size",
    "nvmlSystemGetDriverBranch": "length",
}

_inputs: dict[Function, Optional[Takes]] = {}
_outputs: dict[Function, Takes] = {}


def exact(call: Call, code: Any) -> dict[str, Any]:
    """`in` and `out` of a call that returned `code`, for its record in a trace; neither for one
    that a capture is not to hold.

    That is a call that cannot be told from others by its inputs, one that only asked how much room
    is needed, and one with NULL where the function wants an address.
    """
    succeeded = code == 0
    if not _is_whole(call, succeeded) or not (succeeded or _is_safe(call)):
        return {}
    found = inputs(call)
    if found is None:
        return {}
    return {"in": found, "out": outputs(call)} if succeeded else {"in": found}


def inputs(call: Call) -> Optional[dict[str, Any]]:
    """What the client put in; None for a call that cannot be told from others by it, as it has an
    address or a handle without a name.

    Pointers are followed, but for those into the first page.
    """
    takes = _prepared(_inputs, call.function, lambda: _takes_in(call.library.api, call.function))
    if takes is None:
        return None
    found = {name: take(call, call.words[index]) for index, name, take in takes}
    return None if any(map(_is_untold, found.values())) else found


def _is_untold(value: Any) -> bool:
    return value is UNTOLD or (isinstance(value, list) and UNTOLD in value)


def outputs(call: Call) -> dict[str, Any]:
    """What a call that succeeded put out."""
    takes = _prepared(_outputs, call.function, lambda: _takes_out(call.library.api, call.function))
    found = {name: take(call, call.words[index]) for index, name, take in takes}
    return {name: value for name, value in found.items() if value is not UNTOLD}


def is_told(call: Call) -> bool:
    """Whether a call that was made can be told from others in a capture."""
    return _is_safe(call) and inputs(call) is not None


def is_plain(api: Api, function: Function) -> bool:
    """Whether all that a function puts out is plain values: no handle, address or bare memory."""
    return all(
        parameter.type != "void" and not leads_to_address(api, parameter)
        for parameter in answered(function)
    )


def answered(function: Function) -> list[Parameter]:
    """The parameters that a function puts values out by; counts follow from their lists."""
    parameters = function.parameters or ()
    counts = {parameter.counts for parameter in parameters}
    return [p for p in parameters if p.is_output and p.name not in counts]


def lengths(function: Function) -> set[str]:
    """The parameters by which a client says how much room it has, or how long its list is."""
    tied = {(p.length or "").lstrip("*") for p in function.parameters or () if p.is_pointer}
    return {*tied, UNTIED.get(function.name, "")}


def _prepared(known: dict[Function, Any], function: Function, make: Callable[[], Any]) -> Any:
    if function not in known:
        known[function] = make()
    return known[function]


# ---- which calls


def _is_whole(call: Call, succeeded: bool) -> bool:
    """Whether the client gave an address wherever the function wants one."""
    handler = call.library.api.handler(call.function.name)
    nullable = handler.nullable if handler else ()
    for parameter, word in zip(call.function.parameters or (), call.words):
        if parameter.is_pointer and word < NULL_PAGE and parameter.name not in nullable:
            # How many there are is asked first, without a list; what fails then, fails with one.
            if parameter.counts and not (succeeded and call.length(parameter)):
                continue
            return False
    return True


def _is_safe(call: Call) -> bool:
    """Whether the client's inputs can be read after a call that failed: nobody may have."""
    if call.handled:
        return True
    return all(
        _is_readable(call, parameter, word)
        for parameter, word in zip(call.function.parameters or (), call.words)
        if parameter.is_input and parameter.is_pointer
    )


def _is_readable(call: Call, parameter: Parameter, word: int) -> bool:
    from ..cuda.memory.mapping import readable  # here, as few calls need it

    if parameter.type == "void" or not readable(word, 4):
        return False
    kind = call.element_type(parameter, word)
    count = 1 if parameter.length == "nul" else max(call.length(parameter), 0)
    return readable(word, ctypes.sizeof(kind) * count)


# ---- how it is taken


def _takes_in(api: Api, function: Function) -> Optional[Takes]:
    if function.parameters is None or function.returns != api.status:
        return None
    passed_over = lengths(function)
    takes = []
    for index, parameter in enumerate(function.parameters):
        if parameter.is_input and parameter.name not in passed_over:
            take = take_in(api, parameter)
            if take is not None:
                takes.append((index, parameter.name, take))
    return takes


def _takes_out(api: Api, function: Function) -> Takes:
    parameters = function.parameters or ()
    told = {
        parameter.name: take_out(api, parameter)
        for parameter in answered(function)
        if parameter.type != "void"
    }
    return [(i, p.name, told[p.name]) for i, p in enumerate(parameters) if p.name in told]
