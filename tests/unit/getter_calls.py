"""Calls of every getter that nvemu has, for tests that make them of two machines."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from itertools import islice, product
from typing import Any

from emulator import strategies as nv
from emulator.api import Api, Function, Parameter
from emulator.imports.captures.answers import asking
from emulator.machine import NEWEST
from emulator.runtime.exact import is_plain, lengths
from emulator.symbols import exported
from emulator.vocabulary import apis, handlers

ROOM = 512  # elements of each list
MOST = 12  # calls of one function

#: What gives the handles that getters are asked for.
OPENING = {
    "nvml": [
        ("nvmlInit_v2", {}),
        ("nvmlDeviceGetHandleByIndex_v2", {"index": 0, "device": nv.Memory(8)}),
        ("nvmlDeviceGetHandleByIndex_v2", {"index": 1, "device": nv.Memory(8)}),
    ],
    "cuda": [
        ("cuInit", {"Flags": 0}),
        ("cuDeviceGet", {"device": nv.Memory(4), "ordinal": 0}),
        ("cuDeviceGet", {"device": nv.Memory(4), "ordinal": 1}),
    ],
}


def opening(library: str) -> list[nv.ApiCall]:
    """The calls that stand before all others."""
    return [nv.ApiCall(library, *each) for each in OPENING[library]]


def getters(library: str) -> list[str]:
    """The functions whose recorded answers are replayed, as far as they are exported and have a
    handler."""
    known = exported(library, NEWEST)
    api, asks = apis()[library], asking(library)
    return [
        name
        for name in handlers()[library]
        if name in known and name in asks and is_plain(api, api.find(name))
    ]


def calls(library: str) -> Iterator[nv.ApiCall]:
    """Every getter, with what it can be asked: each device, enum and version of a struct."""
    api = apis()[library]
    for name in getters(library):
        function = api.find(name)
        parameters = function.parameters or ()
        ways = [list(_arguments(api, function, parameter)) for parameter in parameters]
        for chosen in islice(product(*ways), MOST):
            named = zip((parameter.name for parameter in parameters), chosen, strict=True)
            yield nv.ApiCall(library, name, dict(named))


def _arguments(api: Api, function: Function, parameter: Parameter) -> Iterator[Any]:
    if parameter.name in lengths(function):
        size = ctypes.sizeof(api.types[parameter.type])
        yield nv.Memory(size, ROOM.to_bytes(size, "little")) if parameter.is_pointer else ROOM
    elif parameter.is_pointer:
        yield from _memories(api, parameter)
    elif parameter.type in api.handle_types:
        yield from (nv.Handle(parameter.type, number) for number in range(2))
    elif api.types.is_enum(parameter.type):
        yield from sorted(set(api.types.members(parameter.type).values()))[:6]
    else:
        yield from range(2)


def _memories(api: Api, parameter: Parameter) -> Iterator[nv.Memory]:
    """Room for the answer, with each version tag that the function knows."""
    if parameter.length == "nul":
        yield nv.Memory(8, b"cuInit\0")
        return
    size = max(ctypes.sizeof(api.types[version]) for version in parameter.versions)
    count = ROOM if parameter.length else 1
    tags = api.types.versions(parameter.versions) if api.types.is_struct(parameter.type) else {}
    for tag in tags or (0,):
        yield nv.Memory(size * count, tag.to_bytes(4, "little") if tag else b"")


class Client(nv.Player):
    """A client that looks at all of the memory that it has given to a call."""

    def made(self, call: nv.ApiCall) -> tuple[int | None, list[bytes]]:
        """What a call returned, and what its memory holds then."""
        before = len(self._kept)
        [code] = self.play([call])
        return code, [memory.raw for memory in self._kept[before:]]
