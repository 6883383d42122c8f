"""The values of DCGM's NVML injection: what a function put out, by its declaration."""

from __future__ import annotations

import ctypes
import re
import struct
from typing import Any

from ...api import Function, Parameter, c_array, c_fields
from ...nvml.library import api
from ...runtime.exact import answered, is_plain
from ...runtime.forms import fields_of
from ..yaml.node import Node

__all__ = ["UNTOLD", "code_of", "field_values", "outputs_of"]

#: What a file does not tell, or a capture does not hold: the handler answers.
UNTOLD: Any = object()

#: Fields that the recorder names otherwise than nvml.h.
_NAMES = {"timestamp": "timeStamp", "pci": "pciInfo", "partitionId": "cliqueId"}

#: Without this field the recorder had to ask the first version of a function.
_LATER = {"nvmlDeviceGetMemoryInfo_v2": "reserved"}

#: nvmlValueType_t -> how such a number lies in the eight bytes of the union.
_KINDS = ("<d", "<I", "<Q", "<Q", "<q", "<i", "<H")
_UNSIGNED_INT = 1

#: Lists of readings, whose type the recorder leaves out: it takes them for unsigned integers.
_VALUE_TYPE = "sampleValType"

_HEX = re.compile(r"[0-9a-fA-F]+")


def code_of(leaf: Node) -> int | None:
    """What the function returned; None where it is not told.

    Raises:
        ScenarioFileError: it is no code of NVML.
    """
    node = leaf.table().get("FunctionReturn")
    return None if node is None or node.is_null else node.integer(0, 999)


def outputs_of(function: Function, value: Node) -> dict[str, Any]:
    """What the function put out, by C parameter; UNTOLD values are left out.

    Raises:
        ScenarioFileError: the value is of another shape than the function's outputs.
    """
    outputs = answered(function)
    later = _LATER.get(function.name)
    if not is_plain(api, function) or (later and later not in _table(value)):
        return {}
    if len(outputs) == 1:
        found = {outputs[0].name: _one(outputs[0], value)}
    elif value.kind == "table":
        found = _by_name(outputs, value)
    else:
        found = _columns(function, outputs, value)
    if function.name == "nvmlDeviceGetMemoryInfo" and "reserved" in _table(value):
        _count_reserved(found["memory"])
    return {} if UNTOLD in found.values() else found


def _table(value: Node) -> dict[str, Node]:
    return value.table() if value.kind == "table" else {}


def _count_reserved(memory: dict[str, Any]) -> None:
    """nvmlMemory_t has no field for what is reserved: what is not free counts as used."""
    memory["used"] = memory["total"] - memory["free"]


def _by_name(outputs: list[Parameter], value: Node) -> dict[str, Any]:
    table = value.table()
    known = {name.lower(): node for name, node in table.items()}
    found = {}
    for parameter in outputs:
        node = known.get(parameter.name.lower())
        if node is None:
            names = ", ".join(parameter.name for parameter in outputs)
            raise value.error(f"expected {names}; found {', '.join(table) or 'nothing'}")
        found[parameter.name] = _one(parameter, node)
    return found


def _columns(function: Function, outputs: list[Parameter], value: Node) -> dict[str, Any]:
    """Several outputs of which the file has one list: readings and their type, or rows of which
    each output has a column."""
    if outputs[0].name == _VALUE_TYPE and len(outputs) == 2:
        return {_VALUE_TYPE: _UNSIGNED_INT, outputs[1].name: _one(outputs[1], value)}
    found: dict[str, Any] = {parameter.name: [] for parameter in outputs}
    for row in value.list():
        if row.kind != "table":
            return dict.fromkeys(found, UNTOLD)
        for parameter in outputs:
            keys = [key for key in row.table() if parameter.name.lower().startswith(key.lower())]
            if not keys:
                names = ", ".join(found)
                raise row.error(f"expected what {function.name} answers in: {names}")
            found[parameter.name].append(_value(parameter.type, row.table()[keys[0]]))
    return found


def _one(parameter: Parameter, node: Node) -> Any:
    if parameter.type == "char" and parameter.length:
        return node.text()
    if not parameter.length:
        return _any(parameter, node)
    return [_any(parameter, each) for each in node.list()]


def _any(parameter: Parameter, node: Node) -> Any:
    if not api.types.is_struct(parameter.type):
        return _value(parameter.type, node)
    fields: dict[str, str] = {}
    for version in parameter.versions:
        fields |= dict(fields_of(api, version))
    return _fields(fields, node)


def _value(spelling: str, node: Node) -> Any:
    """A value of a type, as a struct's row spells it."""
    element, dimensions, _ = c_array(spelling)
    if element == "char" and len(dimensions) == 1:
        return node.text()
    if dimensions:
        return _array(element, dimensions, node)
    if api.types.is_struct(element):
        return _union(element, node) if node.kind == "text" else _struct(element, node)
    if api.types.resolve(element) in ("float", "double"):
        return node.number()
    return _integer(element, node)


def _integer(element: str, node: Node) -> int:
    size = 8 * ctypes.sizeof(api.types[element])
    if node.is_null or node.value == "None":
        return (1 << size) - 1  # pynvml has None for NVML_VALUE_NOT_AVAILABLE
    if node.kind == "text" and node.value.lower() in ("true", "false"):
        return int(node.truth())
    return node.integer(-(1 << size - 1), (1 << size) - 1)


def _array(element: str, dimensions: list[int], node: Node) -> list[Any]:
    """An array; bytes may be written as digits, as those of a UUID are."""
    if node.kind == "text" and len(dimensions) == 1:
        digits = node.text().replace("-", "")
        if len(digits) != 2 * dimensions[0] or not _HEX.fullmatch(digits):
            raise node.error(f"expected {dimensions[0]} bytes, found {node.value[:60]!r}")
        return list(bytes.fromhex(digits))
    if len(node.list()) > dimensions[0]:
        raise node.error(f"expected at most {dimensions[0]}, found {len(node.list())}")
    inner = element + "".join(f"[{size}]" for size in dimensions[1:])
    return [_value(inner, each) for each in node.list()]


def _struct(name: str, node: Node) -> dict[str, Any]:
    return _fields(dict(fields_of(api, name)), node)


def _fields(fields: dict[str, str], node: Node) -> dict[str, Any]:
    """A struct's fields by name; what the file leaves out of them is 0, as in DCGM's library.

    Others are passed over: those of another version of the struct, or that only the recorder has.
    """
    known = {name.lower(): name for name in fields}
    found: dict[str, Any] = {}
    for key, each in node.table().items():
        name = known.get(_NAMES.get(key, key).lower())
        if name is not None:
            found[name] = _value(fields[name], each)
    for name, spelling in fields.items():
        element, dimensions, _ = c_array(spelling)
        if name not in found and not dimensions and not api.types.is_struct(element):
            found[name] = 0
    return found


def _union(name: str, node: Node) -> dict[str, Any]:
    """A reading without its type: an unsigned integer."""
    return _packed(name, _UNSIGNED_INT, node)


def _packed(name: str, kind: int, node: Node) -> dict[str, Any]:
    """A number as the widest member of its union holds it."""
    ((widest, _),) = fields_of(api, name)
    if kind >= len(_KINDS):
        raise node.error(f"expected a value of nvmlValueType_t, of type {kind}")
    number = node.number() if kind == 0 else node.integer(-(1 << 63), (1 << 64) - 1)
    try:
        held = struct.pack(_KINDS[kind], number).ljust(8, b"\0")
    except (struct.error, OverflowError):
        raise node.error(f"expected a value of type {kind}, found {node.value}") from None
    return {widest: struct.unpack("<Q", held)[0]}


def field_values(value: Node) -> tuple[list[dict[str, int]], list[dict[str, Any]]]:
    """The questions and the answers of nvmlDeviceGetFieldValues.

    Raises:
        ScenarioFileError: a field lacks its number, or has a value of another type.
    """
    rows = list(value.table().values()) if value.kind == "table" else value.list()
    asked, answers = [], []
    for row in rows:
        table = row.table()
        if "fieldId" not in table:
            raise row.error("expected a key 'fieldId', found none")
        kind = table["valueType"].integer(0, 255) if "valueType" in table else _UNSIGNED_INT
        scalars = dict(c_fields(api.types.row("nvmlFieldValue_t")))
        answer = {
            name: _value(scalars[name], table[name]) if name in table else 0
            for name, _ in fields_of(api, "nvmlFieldValue_t")
            if name != "value"
        }
        failed = answer["nvmlReturn"] != 0 or "value" not in table
        answer["value"] = (
            {fields_of(api, "nvmlValue_t")[0][0]: 0}
            if failed
            else _packed("nvmlValue_t", kind, table["value"])
        )
        asked.append({"fieldId": answer["fieldId"], "scopeId": answer["scopeId"]})
        answers.append(answer)
    return asked, answers
