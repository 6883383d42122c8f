"""The calls of a capture, sorted by what they were about: the machine, a GPU, a part of one."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from ...nvml import _status as status
from ...vocabulary import apis
from ..captures.format import Call

__all__ = ["INITS", "Answers", "AskedGpu", "AskedMachine", "gpus_in"]

#: What makes a library usable, the newest first.
INITS = {"nvml": ("nvmlInit_v2", "nvmlInit", "nvmlInitWithFlags"), "cuda": ("cuInit",)}

#: How a trace names a GPU, a GPU instance and a MIG device.
_NAME = re.compile(r"GPU-(\d{1,4})(?:/(\d{1,4})(?:/(\d{1,4}))?)?")

#: What a version is at the end of a function's name.
_VERSION = re.compile(r"_v\d+$")


class Answers:
    """What was answered about one thing. Of a question that was asked several times, the first
    answer: a scenario is the machine as it was at the start."""

    def __init__(self) -> None:
        self.calls: list[Call] = []  # each question once
        self.codes: list[tuple[Call, int]] = []  # of all calls, in their order
        self._asked: set[str] = set()

    def add(self, call: Call) -> None:
        """Take in one more call."""
        self.codes.append((call, call.code))
        question = f"{call.function} {call.inputs!r}"
        if question not in self._asked:
            self._asked.add(question)
            self.calls.append(call)

    def of(self, *functions: str) -> Iterator[Call]:
        """The calls that succeeded of some functions, those of the first one first."""
        for function in functions:
            for call in self.calls:
                if call.function == function and call.code == 0 and call.outputs is not None:
                    yield call

    def output(self, name: str, *functions: str, **inputs: Any) -> Any:
        """An output, or a field of one ("memory.used"), of the first of some functions that was
        asked with such inputs and succeeded; None where none was."""
        for call in self.of(*functions):
            if all(call.inputs.get(key) == value for key, value in inputs.items()):
                return output_of(call, name)
        return None

    def is_refused(self, *functions: str) -> bool:
        """Whether one of some functions was answered NOT_SUPPORTED."""
        refused = (call.function for call in self.calls if call.code == status.NOT_SUPPORTED)
        return any(function in functions for function in refused)


class AskedGpu(Answers):
    """What was answered about a GPU; `instances` and `mig_devices` are the same of its parts, by
    their ids."""

    def __init__(self) -> None:
        super().__init__()
        self.instances: dict[int, Answers] = {}
        self.mig_devices: dict[tuple[int, int], Answers] = {}

    def part(self, instance: str | None, compute: str | None) -> Answers:
        """The GPU itself, or a part of it that the ids of a trace's name say."""
        if instance is None:
            return self
        if compute is None:
            return self.instances.setdefault(int(instance), Answers())
        return self.mig_devices.setdefault((int(instance), int(compute)), Answers())


class AskedMachine(Answers):
    """What was answered about the machine as a whole; `gpus` are its GPUs by index."""

    def __init__(self, calls: Iterable[Call]) -> None:
        super().__init__()
        self.gpus: dict[int, AskedGpu] = {}
        for call in calls:
            self._whose(call).add(call)
            for index in gpus_in([*call.inputs.values(), *(call.outputs or {}).values()]):
                self._gpu(index)

    def _whose(self, call: Call) -> Answers:
        """What a call is about: what its first handle names, or else the machine."""
        function = apis()[call.library].find(call.function)
        if _VERSION.sub("", call.function) == "nvmlDeviceGetHandleByIndex":
            return self._by_index(call)
        names = (call.inputs.get(each.name) for each in function.parameters or ())
        named = next((name for name in names if is_name(name)), None)
        found = _NAME.fullmatch(named or "")
        if found is None:
            return self
        return self._gpu(int(found[1])).part(found[2], found[3])

    def _by_index(self, call: Call) -> Answers:
        """The GPU behind a handle; or that of the index, if there was one and it has failed."""
        found = _NAME.fullmatch(str(output_of(call, "device")))
        if found is not None:
            return self._gpu(int(found[1]))
        there = call.code not in (status.INVALID_ARGUMENT, status.UNINITIALIZED)
        return self._gpu(call.inputs.get("index")) if there else self

    def _gpu(self, index: Any) -> AskedGpu:
        return self.gpus.setdefault(int(index), AskedGpu())


def is_name(value: Any) -> bool:
    """Whether an input is a device, or a part of one, by its name in traces."""
    return isinstance(value, str) and _NAME.fullmatch(value) is not None


def gpus_in(values: Iterable[Any]) -> set[int]:
    """The indices of the GPUs that inputs or outputs name, themselves or a part of them."""
    found = (_NAME.fullmatch(value) for value in values if isinstance(value, str))
    return {int(name[1]) for name in found if name}


def output_of(call: Call, name: str) -> Any:
    """An output of a call, or a field of it: "memory.used"."""
    value: Any = call.outputs
    for part in name.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value
