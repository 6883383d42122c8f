"""DCGM's NVML injection: its YAML -> a capture, which tells of the machine and answers for it.

The file has the answers of a machine's NVML by function: for each device under its UUID, for its
MIG devices, GPU instances and compute instances, for vGPU types and vGPUs, and under "Global" for
the machine. See `nvml-injection/README.md` in NVIDIA's DCGM, `InjectedNvml.cpp`, which reads it,
and `testing/python3/nvml_api_recorder.py`, which writes it. How answers are spelt is said in
`keys` and `values`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ...api import Parameter
from ...nvml import _status as status
from ...nvml.library import api
from ...scenario import ScenarioFileError
from ...scenario.checks import VERSION
from ..captures.format import Call, Capture, Header
from ..captures.shapes import check_call
from ..facts import Note
from ..yaml.node import Node
from ..yaml.tree import read
from .keys import SECTIONS, Meant, meant
from .names import names, order
from .values import code_of, field_values, outputs_of

__all__ = ["read_injection"]

#: More answers than any machine gives: eight GPUs recorded whole give some 50,000.
MOST_CALLS = 1_000_000

#: An input of a function beside its subject, as deep as any has it.
DEEPEST = 4

#: Keys that stand for no function, or for one whose answers mean nothing later: where the parts of
#: a device are, and samples of its metrics.
_STRUCTURE = ("MigDeviceUUID", "GpmMetrics", "GpuInstances", "ComputeInstances")

_EXCLUDED = "ExcludedDevice"


def read_injection(path: str) -> Capture:
    """Read such a file.

    Raises:
        ScenarioFileError: it cannot be read, lacks what it must have, or has values of another
            type than the function's.
    """
    root = read(path)
    reading = _Reading(root)
    calls = tuple(reading.calls())
    header = Header(driver=reading.driver, made="import")
    return Capture(header, calls, tuple(reading.notes))


class _Reading:
    """One file: its sections, and the names that captures have for what they are about."""

    def __init__(self, root: Node) -> None:
        self.sections = root.table()
        self.notes: dict[Note, None] = {}
        self.made = 0
        for name in ("Global", "Device"):
            if name not in self.sections:
                found = ", ".join(sorted(self.sections)[:8]) or "nothing"
                problem = f"expected a section {name!r}, as DCGM's NVML injection has it"
                raise root.error(f"{problem}; found {found}")
        for name, node in self.sections.items():
            if name not in SECTIONS and name != _EXCLUDED:
                self.note(node, "no section of this format that nvemu knows")
        self.order = order(self.sections, self.note)
        self.names = names(self.sections, self.order, self.note)

    def note(self, node: Node, text: str) -> None:
        self.notes.setdefault(Note(node.where, text))

    @property
    def driver(self) -> str:
        """The driver's version; empty where it is not told."""
        leaf = self.sections["Global"].table().get("DriverVersion")
        value = None if leaf is None or code_of(leaf) else leaf.table().get("ReturnValue")
        if value is None or value.is_null:
            return ""
        if not VERSION.fullmatch(value.text()):
            problem = f"expected a driver version such as '550.163.01', found {value.value!r}"
            raise value.error(problem)
        return value.text()

    # ---- calls

    def calls(self) -> Iterator[Call]:
        """All calls that the file has answers of."""
        yield from self._devices()
        for section in SECTIONS:
            for subject, node in self._subjects(section):
                for key, value in node.table().items():
                    if key == "DeviceOrder" or value.is_null:
                        continue
                    yield from self._key(section, key, subject, value)
        yield from self._excluded()

    def _devices(self) -> Iterator[Call]:
        """What the order of the devices answers, where the file does not answer it itself."""
        known = self.sections["Global"].table()
        for name in ("nvmlDeviceGetCount_v2", "nvmlDeviceGetCount"):
            if "Count" not in known:
                yield Call("nvml", name, {}, 0, {"deviceCount": len(self.order)})
        for index, uuid in enumerate(self.order):
            if "UUID" not in self.sections["Device"].table()[uuid].table():
                inputs = {"device": f"GPU-{index}"}
                yield Call("nvml", "nvmlDeviceGetUUID", inputs, 0, {"uuid": uuid})

    def _subjects(self, section: str) -> Iterator[tuple[Any, Node]]:
        node = self.sections.get(section)
        if node is None or node.is_null:
            return
        if section == "Global":
            yield None, node
            return
        for key, value in node.table().items():
            if section.startswith("vGPU"):
                yield _number(key, value), value
            elif key in self.names:
                yield self.names[key], value

    def _key(self, section: str, key: str, subject: Any, value: Node) -> Iterator[Call]:
        if key in _STRUCTURE:
            return
        functions = meant(section, key)
        if not functions:
            self.note(value, "NVML has no function of this name that nvemu knows")
        for keys, leaf in self._leaves(value, ()):
            fitting = [each for each in functions if _takes(each, keys)]
            if functions and not fitting:
                self.note(leaf, "no function of this name takes as many inputs: left out")
            for each in fitting:
                yield from self._call(each, subject, keys, leaf)

    def _leaves(self, node: Node, keys: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Node]]:
        """The answers below a key, each with the keys on the way."""
        table = node.table()
        if "FunctionReturn" in table or "ReturnValue" in table:
            yield keys, node
        elif len(keys) < DEEPEST:
            for key, value in table.items():
                if not value.is_null:
                    yield from self._leaves(value, (*keys, key))
        else:
            raise node.error("expected FunctionReturn and ReturnValue, found more keys")

    def _call(self, each: Meant, subject: Any, keys: tuple[str, ...], leaf: Node) -> Iterator[Call]:
        function, code = each.function, code_of(leaf)
        if code is None:
            self.note(leaf, "lacks FunctionReturn: DCGM's library answers UNKNOWN, nvemu success")
            code = 0
        inputs = self._inputs(each, subject, keys, leaf)
        if inputs is None or code == status.INSUFFICIENT_SIZE:
            return
        value = leaf.table().get("ReturnValue")
        outputs: dict[str, Any] | None = None
        if code == 0:
            if function.name == "nvmlDeviceGetFieldValues":
                asked, answers = ([], []) if value is None else field_values(value)
                inputs["values"], outputs = asked, {"values": answers}
            else:
                outputs = self._outputs(each, value, leaf)
            if outputs is None:
                return
        elif function.name == "nvmlDeviceGetFieldValues":
            return  # each client asks for other fields: there is no telling which calls failed
        call = Call("nvml", function.name, inputs, code, outputs)
        yield self._checked(call, leaf)

    def _outputs(self, each: Meant, value: Node | None, leaf: Node) -> dict[str, Any] | None:
        """What a call that succeeded put out; None where the handler answers it."""
        if not any(p.is_output for p in each.function.parameters or ()):
            return {}
        if value is None:
            self.note(leaf, "lacks ReturnValue: the profile answers")
            return None
        return outputs_of(each.function, value) or None

    def _inputs(
        self, each: Meant, subject: Any, keys: tuple[str, ...], leaf: Node
    ) -> dict[str, Any] | None:
        inputs = {} if each.subject is None else {each.subject.name: subject}
        for parameter, key in zip(each.asked, keys[len(keys) - len(each.asked) :], strict=True):
            value = self.names.get(key) if parameter.type in api.handle_types else _input(key)
            if value is None:
                self.note(leaf, f"{key!r} is no {_what(parameter)}: left out")
                return None
            inputs[parameter.name] = value
        return inputs

    def _checked(self, call: Call, leaf: Node) -> Call:
        self.made += 1
        if self.made > MOST_CALLS:
            raise leaf.error(f"expected at most {MOST_CALLS} answers, found more")
        try:
            check_call(call.library, call.function, call.inputs, call.outputs)
        except ScenarioFileError as error:
            raise leaf.error(error.problem) from None
        return call

    def _excluded(self) -> Iterator[Call]:
        """The devices that the driver was told to leave alone."""
        section = self.sections.get(_EXCLUDED)
        for index, (uuid, node) in enumerate(section.table().items() if section else ()):
            for name in ("ExcludedDevice", "BlacklistDevice"):
                function = f"nvmlGet{name}InfoByIndex"
                info: dict[str, Any] = {"uuid": uuid}
                if "pci" in node.table():
                    shape = api.find("nvmlDeviceGetPciInfo_v3")
                    info["pciInfo"] = outputs_of(shape, node.table()["pci"])["pci"]
                yield self._checked(
                    Call("nvml", function, {"index": index}, 0, {"info": info}), node
                )


def _takes(each: Meant, keys: tuple[str, ...]) -> bool:
    return len(keys) - len(each.asked) in (0, each.sized)


def _number(key: str, node: Node) -> int:
    number = _input(key)
    if number is None:
        raise node.error(f"expected a number for a key, found {key!r}")
    return number


def _input(key: str) -> int | None:
    """A key that is a number; None for one that is none."""
    text = key.strip()
    digits = text.removeprefix("-")
    return int(text) if digits.isdecimal() and len(digits) < 20 and digits.isascii() else None


def _what(parameter: Parameter) -> str:
    return "device of this file" if parameter.type in api.handle_types else "number"
