"""Where the Python functions of a scenario are: checked without running anything."""

from __future__ import annotations

import ast
import os
from collections.abc import Callable, Sequence
from inspect import CO_ASYNC_GENERATOR, CO_COROUTINE, CO_GENERATOR
from pathlib import Path
from typing import Any

from .errors import ScenarioError, within
from .schema import Change, Fault, Kernel, Scenario

__all__ = ["check_portable", "located", "portable"]

#: A flag of a function's code -> what such a function is; it gives no answer, but one to ask.
_NOT_PLAIN = {
    CO_COROUTINE: "an async function",
    CO_ASYNC_GENERATOR: "an async function",
    CO_GENERATOR: "a function with 'yield'",
}


def located(hook: str | Callable[..., Any], folder: str) -> list[str] | Callable[..., Any]:
    """Return the file and the name of "file.py:function"; a function itself stays what it is.

    Raises:
        ScenarioError: the file cannot be read or is no Python, or has no such function.
    """
    if not isinstance(hook, str):
        return hook
    path, _, name = hook.rpartition(":")
    file = os.path.abspath(os.path.join(folder, path))
    problem = _problem(file, name)
    if problem is not None:
        raise ScenarioError(problem, key=("run",))
    return [file, name]


def portable(hook: Any) -> list[str]:
    """Return the file and the name of a function, for another process to find it by.

    Raises:
        ScenarioError: it is not a plain function at the top of a file; at its line.
    """
    code = hook.__code__
    file = os.path.abspath(code.co_filename)
    kind = _kind(hook)
    if kind is None:
        problem = _problem(file, hook.__name__)
    else:
        expected = "expected a function at the top of a file, as other processes run it"
        problem = f"{expected}; found {kind}"
    if problem is not None:
        raise ScenarioError(problem, key=("run",), file=file, line=code.co_firstlineno)
    return [file, hook.__name__]


def check_portable(scenario: Scenario) -> None:
    """Check that other processes can run the functions of a scenario.

    Raises:
        ScenarioError: they cannot; its key path begins with ``fault[n]``, ``change[n]`` or
            ``kernel[n]``.
    """
    tables: dict[str, Sequence[Fault | Change | Kernel]] = {
        "fault": scenario.faults,
        "change": scenario.changes,
        "kernel": scenario.kernels,
    }
    try:
        for table, entries in tables.items():
            for index, entry in enumerate(entries):
                if callable(entry.run):
                    with within(table, index):
                        portable(entry.run)
    except ScenarioError as error:
        raise scenario.locate(error) from None


def _kind(hook: Any) -> str | None:
    """What a function is that is not a plain one at the top of a file."""
    for flag, kind in _NOT_PLAIN.items():
        if hook.__code__.co_flags & flag:
            return kind
    outer, _, name = hook.__qualname__.rpartition(".")
    if name == "<lambda>":
        return "a lambda"
    if outer.endswith("<locals>"):
        return f"{name!r} inside the function {outer.removesuffix('.<locals>')!r}"
    return f"{name!r} inside the class {outer!r}" if outer else None


def _problem(file: str, name: str) -> str | None:
    """Why there is no function of this name at the top of a file."""
    try:
        tree = ast.parse(Path(file).read_bytes(), file)
    except OSError as error:
        return f"{file} cannot be read: {error.strerror}"
    except (SyntaxError, ValueError, RecursionError) as error:
        return f"{file} is not Python: {error}"
    named = [node for node in ast.walk(tree) if getattr(node, "name", None) == name]
    at_top = [node for node in named if node in tree.body]
    if any(isinstance(node, ast.FunctionDef) for node in at_top):
        return None
    if any(isinstance(node, ast.AsyncFunctionDef) for node in at_top):
        found = f"an async function {name!r}"
    else:
        found = f"{name!r} inside something else" if named else f"no {name!r}"
    return f"expected a function at the top of {file}, found {found}"
