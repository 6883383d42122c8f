"""What the two APIs have: the names that faults may use, and where the handlers are."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pkgutil import iter_modules

from . import cuda, nvml
from .api import Api
from .scenario import Vocabulary

__all__ = ["apis", "handlers", "vocabulary"]


def apis() -> dict[str, Api]:
    """The APIs by name."""
    return {package.api.name: package.api for package in (nvml, cuda)}


@cache
def handlers() -> dict[str, dict[str, str]]:
    """API -> function -> the module of that API's package that has its handler.

    A plan carries this, so that a foreign process imports just the modules that it needs.
    """
    for package in (nvml, cuda):
        for module in iter_modules(package.__path__):
            import_module(f"{package.__name__}.{module.name}")
    return {
        name: {f: h.answer.__module__.rpartition(".")[2] for f, h in api.handlers.items()}
        for name, api in apis().items()
    }


@cache
def vocabulary() -> Vocabulary:
    """The functions and status codes of both APIs."""
    return Vocabulary(
        functions={name: frozenset(api.names) for name, api in apis().items()},
        codes={name: api.types.members(api.status) for name, api in apis().items()},
    )
