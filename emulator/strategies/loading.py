"""Drawn states of the libraries, and drawn variables: what a program finds before any call."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from ..machine import NEWEST
from ..machine.drivers import older
from ..scenario import Loader
from ..symbols import exported
from ..vocabulary import vocabulary
from .drawing import few
from .failing import DISCOVERY

__all__ = ["environments", "loader_states"]

#: States that need no detail. "unreadable" is left out: for root there is no such file.
_PLAIN = ("absent", "broken-symlink", "empty", "not-elf", "wrong-class", "missing-dependency")

#: Variable -> values that people and schedulers set.
_VARIABLES = {
    "CUDA_VISIBLE_DEVICES": ("0", "", "-1", "1,0", "0,0", "7", "0,-1,1", "NoDevFiles", "GPU-", "x"),
    "CUDA_DEVICE_ORDER": ("PCI_BUS_ID", "FASTEST_FIRST", "x"),
    "NVIDIA_VISIBLE_DEVICES": ("all", "none", "void", "0", ""),
}


def loader_states(driver: str = NEWEST) -> st.SearchStrategy[dict[str, Loader]]:
    """What the dynamic loader finds of "nvml" and "cuda"; a library that is not named is there.

    Only for programs in a testbed: see `emulator.emulate`.

    Args:
        driver: the driver version; "older-table" is drawn from older ones.
    """
    states = {library: _states(library, driver) for library in vocabulary().functions}
    return few(tuple(states)).flatmap(
        lambda chosen: st.fixed_dictionaries({library: states[library] for library in chosen})
    )


def _states(library: str, driver: str) -> st.SearchStrategy[Loader]:
    kinds: list[st.SearchStrategy[Loader]] = [st.sampled_from(_PLAIN).map(Loader)]
    there = [name for name in DISCOVERY[library] if name in exported(library, driver)]
    kinds.append(
        st.lists(st.sampled_from(there), min_size=1, max_size=3, unique=True).map(
            lambda names: Loader("missing-symbols", symbols=names)
        )
    )
    versions = older(driver)
    if versions:
        kinds.append(
            st.sampled_from(versions[::-1]).map(
                lambda version: Loader("older-table", driver=version)
            )
        )
    return st.one_of(kinds)


def environments() -> st.SearchStrategy[dict[str, str]]:
    """Variables that hide and order devices, with values that people and schedulers set."""
    values: dict[str, Any] = {name: st.sampled_from(known) for name, known in _VARIABLES.items()}
    return few(tuple(values)).flatmap(
        lambda chosen: st.fixed_dictionaries({name: values[name] for name in chosen})
    )
