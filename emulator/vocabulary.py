"""What the two APIs have: the names that faults may use, and where the handlers are."""

from __future__ import annotations

import re
from functools import cache
from importlib import import_module
from pkgutil import walk_packages
from typing import Any

from . import cuda, nvml
from .api import Api, Parameter, c_array, c_fields
from .scenario import Signature, Vocabulary
from .symbols import exported

__all__ = ["apis", "documented", "handlers", "vocabulary"]

#: Groups of functions -> what the names in them are like.
GROUPS = {
    "getters": re.compile(r"(nvml|cu)\w*?Get[A-Z0-9]\w*"),
    "setters": re.compile(r"(nvml|cu)(?!\w*(EventSet|Get)[A-Z0-9])\w*Set[A-Z0-9]\w*"),
}


def apis() -> dict[str, Api]:
    """The APIs by name."""
    return {package.api.name: package.api for package in (nvml, cuda)}


@cache
def handlers() -> dict[str, dict[str, str]]:
    """API -> function -> the module of that API's package that has its handler.

    Plans say it, so that a foreign process imports just the modules that it needs.
    """
    for package in (nvml, cuda):
        for module in walk_packages(package.__path__, package.__name__ + "."):
            if not module.name.rpartition(".")[2].startswith("_"):  # the generated tables
                import_module(module.name)
    return {
        name: {f: h.answer.__module__[len(api.package) + 1 :] for f, h in api.handlers.items()}
        for name, api in apis().items()
    }


@cache
def vocabulary() -> Vocabulary:
    """The functions and status codes of both APIs."""
    functions = {name: frozenset(api.names) for name, api in apis().items()}
    return Vocabulary(
        functions=functions,
        codes={name: api.types.members(api.status) for name, api in apis().items()},
        prefixes={name: api.prefixes for name, api in apis().items()},
        groups={
            group: {name: frozenset(filter(spelling.fullmatch, functions[name])) for name in apis()}
            for group, spelling in GROUPS.items()
        },
        exported=exported,
        signature=signature,
        outputs=outputs,
    )


@cache
def signature(library: str, name: str) -> Signature:
    """What a fault must know of a function."""
    api = apis()[library]
    function = api.find(name)
    return Signature(
        returns_status=function.returns == api.status,
        names_device=api.device_parameter(function) is not None,
    )


@cache
def outputs(library: str, name: str) -> dict[str, Any]:
    """The parameters that a function writes to, each with its shape: see `Vocabulary`."""
    api = apis()[library]
    parameters = api.find(name).parameters or ()
    written = (p for p in parameters if p.is_output and p.type != "void")
    return {parameter.name: _shape(api, parameter) for parameter in written}


@cache
def documented(library: str, function: str) -> tuple[int, ...]:
    """The codes that NVIDIA's headers say a function returns, success among them.

    Where they do not say which (six functions of NVML, eleven of CUDA: four are documented to
    return "any" error, the others lack the list or are in no header), all codes of the API. Nothing
    for a function that returns no status, such as nvmlErrorString.

    Raises:
        LookupError: the API has no such function.
    """
    api = apis()[library]
    if function not in api.names:
        raise LookupError(f"{function} is not a function of {library}")
    rows = _returns(library)
    if function not in rows:
        return ()
    codes = {api.short(name): code for name, code in api.types.members(api.status).items()}
    return tuple(map(codes.__getitem__, rows[function].split() or codes))


@cache
def _returns(library: str) -> dict[str, str]:
    rows: dict[str, str] = import_module(f"{apis()[library].package}._returns").RETURNS
    return rows


def _shape(api: Api, parameter: Parameter) -> Any:
    if api.types.is_struct(parameter.type):
        fields: dict[str, Any] = {}
        for version in parameter.versions:
            fields |= _fields(api, version)
        element: Any = fields
    elif parameter.type == "char" and parameter.length:
        return "text"
    else:
        element = _scalar(api, parameter.type)
    return [element] if parameter.length else element


def _fields(api: Api, struct: str) -> dict[str, Any]:
    return {name: _field(api, spelling) for name, spelling in c_fields(api.types.row(struct))}


def _field(api: Api, spelling: str) -> Any:
    element, dimensions, _ = c_array(spelling)
    if element == "char" and dimensions:
        return ["text", dimensions[0]] if len(dimensions) > 1 else "text"
    shape: Any = _fields(api, element) if api.types.is_struct(element) else _scalar(api, element)
    for size in reversed(dimensions):
        shape = [shape, size]
    return shape


def _scalar(api: Api, spelling: str) -> str:
    return "number" if api.types.resolve(spelling) in ("float", "double") else "integer"
