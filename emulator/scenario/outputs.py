"""What a fault writes to a call's out-parameters, checked against their shapes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from .errors import ScenarioError, UnknownNameError, nearest
from .fields import CORRUPTIONS
from .vocabulary import Vocabulary

__all__ = ["check_corrupt", "check_writes"]

_KINDS: dict[str, tuple[type, ...]] = {
    "text": (str,),
    "integer": (int,),
    "number": (int, float),
}
_NOUNS = {"text": "text", "integer": "an integer", "number": "a number"}


def with_outputs(
    fault: Any, functions: Mapping[str, Collection[str]], vocabulary: Vocabulary
) -> list[str]:
    """Return the libraries in which some function has all that a fault writes to or spoils.

    Where none has, it is all of them: what is wrong is told of each.
    """
    wanted = {*fault.writes, *(path.partition(".")[0] for path in fault.corrupt)}
    if not wanted:
        return list(functions)
    able = [
        library
        for library, names in functions.items()
        if wanted <= {key for name in names for key in vocabulary.outputs(library, name)}
    ]
    return able or list(functions)


def check_writes(
    writes: Mapping[str, Any], library: str, functions: Sequence[str], vocabulary: Vocabulary
) -> dict[str, Any]:
    """Return the plan's `writes`, if any: each value fits a parameter of one of the functions.

    Raises:
        UnknownNameError: none of the functions has such a parameter, or it no such field.
        ScenarioError: the value is of another shape than the parameter.
    """
    for name, value in writes.items():
        shapes = _shapes(("writes", name), name, library, functions, vocabulary)
        for shape in shapes:
            _fit(value, shape, ("writes", name))
    return {"writes": dict(writes)} if writes else {}


def check_corrupt(
    corrupt: Mapping[str, str], library: str, functions: Sequence[str], vocabulary: Vocabulary
) -> dict[str, Any]:
    """Return the plan's `corrupt`, if any: each path leads to a number or text that can be spoilt.

    Raises:
        UnknownNameError: none of the functions has such a parameter, or it no such field.
        ScenarioError: what is to become of it cannot become of it.
    """
    for path, kind in corrupt.items():
        name, *fields = path.split(".")
        key = ("corrupt", path)
        for shape in _shapes(key, name, library, functions, vocabulary):
            leaf = _leaf(shape, fields, key)
            of_text, of_number = CORRUPTIONS[kind]
            if not (of_text if leaf == "text" else of_number):
                raise ScenarioError(f"{_NOUNS[leaf]} cannot become {kind!r}", key=key)
    return {"corrupt": dict(corrupt)} if corrupt else {}


def _shapes(
    key: tuple[str, ...],
    name: str,
    library: str,
    functions: Sequence[str],
    vocabulary: Vocabulary,
) -> list[Any]:
    """Return the shapes of a parameter in all of the functions that have it."""
    found, known = [], set()
    for function in functions:
        outputs = vocabulary.outputs(library, function)
        known |= set(outputs)
        if name in outputs:
            found.append(outputs[name])
    if not found:
        what = functions[0] if len(functions) == 1 else "any of these functions"
        problem = f"expected a parameter that {what} writes to, found {name!r}"
        raise UnknownNameError(problem + nearest(name, known), key=key)
    return found


def _fit(value: Any, shape: Any, key: tuple[str | int, ...]) -> None:
    if isinstance(shape, list):
        if not isinstance(value, list):
            raise ScenarioError(f"expected a list, found {value!r}", key=key)
        for index, entry in enumerate(value):
            _fit(entry, shape[0], (*key, index))
        if len(shape) > 1 and len(value) > shape[1]:
            raise ScenarioError(f"expected at most {shape[1]} entries, found {len(value)}", key=key)
    elif isinstance(shape, dict):
        if not isinstance(value, dict):
            raise ScenarioError(f"expected a table of fields, found {value!r}", key=key)
        for name, entry in value.items():
            if name not in shape:
                problem = f"no field {name!r}{nearest(name, shape)}"
                raise UnknownNameError(problem, key=(*key, name))
            _fit(entry, shape[name], (*key, name))
    elif not isinstance(value, _KINDS[shape]):
        raise ScenarioError(f"expected {_NOUNS[shape]}, found {value!r}", key=key)


def _leaf(shape: Any, fields: Sequence[str], key: tuple[str, ...]) -> str:
    for field in fields:
        shape = shape[0] if isinstance(shape, list) else shape
        if not isinstance(shape, dict) or field not in shape:
            known = shape if isinstance(shape, dict) else ()
            raise UnknownNameError(f"no field {field!r}{nearest(field, known)}", key=key)
        shape = shape[field]
    shape = shape[0] if isinstance(shape, list) else shape
    if isinstance(shape, dict):
        problem = f"expected one of its fields, such as {key[1]}.{next(iter(shape))}"
        raise ScenarioError(f"{problem}; found the whole of {key[1]}", key=key)
    return str(shape)
