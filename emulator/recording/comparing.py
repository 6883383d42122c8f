"""Two captures beside each other: what was answered alike, and what otherwise."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from msgspec import Struct

from ..imports.captures.format import Call
from ..nvml import _constants as constants
from ..vocabulary import apis
from .moving import IDENTITY, PLAIN, READING, kind_of
from .recorder import key_of

__all__ = ["Comparison", "Difference", "Tally", "compare"]

#: Type of a field's value (nvmlValueType_t) -> how many bits of its union it fills, if not all.
FIELD_BITS = {
    constants.VALUE_TYPE_UNSIGNED_INT: 32,
    constants.VALUE_TYPE_SIGNED_INT: 32,
    constants.VALUE_TYPE_UNSIGNED_SHORT: 16,
}

#: What is different, in the order in which it is shown.
CODE, VALUE, MISSING = "code", "value", "missing"

#: The kind of an answer that is none, on both sides.
REFUSAL = "refusal"


class Tally(Struct):
    """How many answers there are of a kind, and how many of them agree."""

    agree: int = 0
    all: int = 0

    @property
    def percent(self) -> float:
        """How many of a hundred agree; of none, all do."""
        return 100 * self.agree / self.all if self.all else 100.0

    def count(self, agrees: bool) -> None:
        """One more answer."""
        self.agree += agrees
        self.all += 1


class Difference(Struct, frozen=True):
    """An answer that is not the recorded one.

    Attributes:
        kind: "code": another status; "value": another value; "missing": no answer, since the
            function or the device is not there.
        library: "nvml" or "cuda".
        function: its C name.
        figure: the output, with fields behind dots; empty for the status of a call.
        inputs: what was asked with.
        recorded: the value, or the name of the status, of the capture.
        found: what was answered in its place; None where nothing was.
    """

    kind: str
    library: str
    function: str
    figure: str
    inputs: dict[str, Any]
    recorded: Any
    found: Any


class Comparison(Struct, frozen=True):
    """What came of comparing a capture.

    An answer is one figure that a call put out, or a refusal (the status of a call, or of a field,
    that failed) that is not ours, too. A refusal that is ours counts nothing: a library that can do
    nothing has them all.

    Attributes:
        tallies: "answer", "reading", "identity" -> how many agree; readings move on their own, and
            identities differ between any two machines, so that they are counted apart.
        refusals: how many there are on both sides.
        differences: of the first kind, in the order of the calls.
        skipped: functions in the capture that were not called, and how often they are in it.
    """

    tallies: dict[str, Tally]
    refusals: int
    differences: tuple[Difference, ...]
    skipped: dict[str, int]

    @property
    def percent(self) -> float:
        """The fidelity figure: how many of a hundred answers agree."""
        return self.tallies[PLAIN].percent


class Part(Struct, frozen=True):
    """What has a status of its own: a call, or a field that it was asked for.

    Attributes:
        place: of a field, "values." and its name in nvml.h and its scope; of a call, nothing.
        code: the status.
        outputs: what was put out.
    """

    place: str
    code: int
    outputs: Mapping[str, Any]


def compare(
    recorded: Sequence[Call], found: Iterable[Call], skipped: Mapping[str, int]
) -> Comparison:
    """Set the answers to the same calls beside each other.

    Args:
        recorded: the calls of a capture, each once.
        found: what was answered to them.
        skipped: functions that were not called, and how often they were recorded.
    """
    answers = {key_of(call): call for call in found}
    tallies = {kind: Tally() for kind in (PLAIN, READING, IDENTITY)}
    refusals = 0
    differences: list[Difference] = []
    for call in recorded:
        for kind, difference in _compared(call, answers.get(key_of(call))):
            if kind == REFUSAL:
                refusals += 1
                continue
            tallies[kind].count(difference is None)
            if difference is not None and kind == PLAIN:
                differences.append(difference)
    return Comparison(tallies, refusals, tuple(differences), dict(Counter(skipped)))


def _compared(call: Call, answer: Call | None) -> Iterator[tuple[str, Difference | None]]:
    """Each answer of a call: its kind, and how ours differs."""

    def differs(kind: str, figure: str, recorded: Any, found: Any) -> Difference:
        return Difference(kind, call.library, call.function, figure, call.inputs, recorded, found)

    name = apis()[call.library].status_name
    ours = {} if answer is None else {part.place: part for part in _parts(answer)}
    for part in _parts(call):
        other = ours.get(part.place)
        # Whether a reading can be had at all is an answer.
        if other is None:
            yield PLAIN, differs(MISSING, part.place, name(part.code), None)
        elif part.code != other.code:
            yield PLAIN, differs(CODE, part.place, name(part.code), name(other.code))
        elif part.code:
            yield REFUSAL, None
        elif not part.outputs:
            yield PLAIN, None
        else:
            told = dict(_figures(other.outputs, part.place))
            for figure, value in _figures(part.outputs, part.place):
                same = figure in told and value == told[figure]
                kind = kind_of(call.function, figure, call.inputs)
                yield kind, None if same else differs(VALUE, figure, value, told.get(figure))


def _parts(call: Call) -> Iterator[Part]:
    """A call; one for many fields is in parts, if it succeeded."""
    outputs = call.outputs or {}
    if call.function != "nvmlDeviceGetFieldValues" or call.code:
        yield Part("", call.code, outputs)
        return
    for value in outputs.get("values", ()):
        name = _field_names().get(value["fieldId"], str(value["fieldId"]))
        told = {"valueType": value["valueType"], "value": _number(value)}
        yield Part(f"values.{name}[{value['scopeId']}]", value["nvmlReturn"], told)


def _number(value: Mapping[str, Any]) -> Any:
    """A value as wide as its type: of a union's other bytes nothing is known."""
    held = next(iter(value["value"].values()), None)
    bits = FIELD_BITS.get(value["valueType"], 64)
    return held & (1 << bits) - 1 if isinstance(held, int) else held


@cache
def _field_names() -> dict[int, str]:
    begin = ("FI_DEV_", "FI_PWR_")
    return {value: name for name, value in vars(constants).items() if name.startswith(begin)}


def _figures(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """The figures in an output; a list is one."""
    if not isinstance(value, Mapping):
        yield path, value
        return
    for name, inside in value.items():
        yield from _figures(inside, f"{path}.{name}" if path else name)
