"""Which calls a recording makes: every function that is safe, with all that it can be asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import Struct, field

from ..api import Api, Function, c_fields
from ..vocabulary import apis
from .client import Client
from .domains import SECOND, Domain, domain
from .found import FoundMachine
from .safety import asked, candidates, reason_against

__all__ = ["Question", "Unasked", "questions", "unasked"]

#: What functions take that are about one device as a whole; they are asked about MIG devices, too.
DEVICE = "device"


class Question(Struct, frozen=True):
    """One call to be made, as a capture has it: `inputs` by C parameter name."""

    library: str
    function: str
    inputs: dict[str, Any] = field(name="in")

    @property
    def text(self) -> str:
        """As a trace writes it: `nvmlDeviceGetClock(device=GPU-0, clockType=1, clockId=0)`."""
        inside = ", ".join(f"{name}={value}" for name, value in self.inputs.items())
        return f"{self.function}({inside})"


class Unasked(Struct, frozen=True):
    """A function that answers something and is not called, with the reason why."""

    library: str
    function: str
    reason: str


class Slot(Struct, frozen=True):
    """A place that a value is chosen for: a parameter (`("link",)`), or a field of a struct behind
    one (`("temperature", "sensorType")`)."""

    path: tuple[str, ...]
    domain: Domain


def questions(client: Client) -> Iterator[Question]:
    """The calls to be made of what a client finds, inits first."""
    found = FoundMachine(client)
    for library, api in apis().items():
        for name in candidates(library):
            if client.has(library, name) and not reason_against(library, name):
                yield from _of_function(found, api, api.find(name))


def unasked() -> list[Unasked]:
    """The functions that answer something and are not called."""
    rows: list[Unasked] = []
    for library, api in apis().items():
        for name in candidates(library):
            reason = reason_against(library, name) or _unknown(api, api.find(name))
            if reason:
                rows.append(Unasked(library, name, reason))
    return rows


def _of_function(found: FoundMachine, api: Api, function: Function) -> Iterator[Question]:
    slots = _slots(api, function)
    if isinstance(slots, str):
        return
    for inputs in _chosen(found, slots, {}):
        yield Question(api.name, function.name, inputs)
    if api.name == "nvml" and [slot.path for slot in slots] == [(DEVICE,)]:
        for device in found.mig_devices:
            yield Question(api.name, function.name, {DEVICE: device})


def _unknown(api: Api, function: Function) -> str:
    slots = _slots(api, function)
    return slots if isinstance(slots, str) else ""


def _slots(api: Api, function: Function) -> list[Slot] | str:
    """What is to be chosen for a call, in the order in which it is; or why that is not known."""
    slots: list[Slot] = []
    for path, owner, kind in _places(api, function):
        values = domain(api, function, owner, path[-1], kind)
        if values is None:
            return f"takes a {kind} in `{'.'.join(path)}`, which only other calls make"
        slots.append(Slot(path, values))
    # What else is asked for may depend on the device.
    return sorted(slots, key=lambda slot: not _is_device(api, function, slot.path[0]))


def _is_device(api: Api, function: Function, name: str) -> bool:
    return function.parameter(name).type in api.device_types and name not in SECOND


def _places(api: Api, function: Function) -> Iterator[tuple[tuple[str, ...], str, str]]:
    """Each place for a value: its path, whose it is, its type."""
    names = asked(function)
    for parameter in function.parameters or ():
        is_both = parameter.direction == "inout" and api.types.is_struct(parameter.type)
        if parameter.name in names or (is_both and parameter.length):
            yield (parameter.name,), function.name, parameter.type
        elif is_both:
            types = dict(c_fields(api.types.row(parameter.type)))
            for name in api.questions(parameter.type):
                yield (parameter.name, name), parameter.type, types[name]


def _chosen(
    found: FoundMachine, slots: list[Slot], chosen: Mapping[str, Any]
) -> Iterator[dict[str, Any]]:
    """All combinations; what is chosen for a slot may depend on those before it."""
    if not slots:
        yield dict(chosen)
        return
    slot, *rest = slots
    for value in slot.domain(found, chosen):
        yield from _chosen(found, rest, _placed(chosen, slot.path, value))


def _placed(chosen: Mapping[str, Any], path: tuple[str, ...], value: Any) -> dict[str, Any]:
    """The inputs with one more value."""
    name, *inside = path
    if not inside:
        return {**chosen, name: value}
    return {**chosen, name: {**chosen.get(name, {}), inside[0]: value}}
