"""Where the Python functions of a scenario are: checked without running anything."""

from __future__ import annotations

import ast
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .errors import ScenarioError

__all__ = ["located", "portable"]


def located(hook: str | Callable[..., Any], folder: str) -> list[str] | Callable[..., Any]:
    """Return the file and the name of "file.py:function"; a function itself stays what it is.

    Raises:
        ScenarioError: the file cannot be read or is no Python, or has no such function.
    """
    if not isinstance(hook, str):
        return hook
    path, _, name = hook.rpartition(":")
    file = os.path.abspath(os.path.join(folder, path))
    _check(file, name)
    return [file, name]


def portable(hook: Any) -> list[str]:
    """Return the file and the name of a function, for another process to find it by.

    Raises:
        ScenarioError: it is not a function at the top of a file.
    """
    code = getattr(hook, "__code__", None)
    name = getattr(hook, "__qualname__", "")
    if code is None or not name.isidentifier():
        problem = (
            f"expected a function at the top of a file, as other processes run it; found {hook!r}"
        )
        raise ScenarioError(problem, key=("run",))
    _check(code.co_filename, name)
    return [os.path.abspath(code.co_filename), name]


def _check(file: str, name: str) -> None:
    try:
        tree = ast.parse(Path(file).read_bytes(), file)
    except OSError as error:
        problem = f"{file} cannot be read: {error.strerror}"
        raise ScenarioError(problem, key=("run",)) from None
    except (SyntaxError, ValueError, RecursionError) as error:
        raise ScenarioError(f"{file} is not Python: {error}", key=("run",)) from None
    names = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
    if name not in names:
        problem = f"expected a function at the top of {file}, found no {name!r}"
        raise ScenarioError(problem, key=("run",))
