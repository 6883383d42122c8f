"""Environment variables and the container: what has a say in which GPUs a program finds."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path

from .facts import Facts
from .result import Check

__all__ = ["checks", "hiding"]

Line = tuple[str, str, str]  # state, text, what to do

#: Values of NVIDIA_VISIBLE_DEVICES with which the container runtime gives no GPU.
_NO_GPUS = ("void", "none", "")


def hiding(environment: Mapping[str, str], count: int | None = None) -> str:
    """What hides every GPU from CUDA, as a clause; "" for nothing.

    CUDA reads the list up to the first entry that names no GPU. `count` is how many there are,
    None where nobody knows; a UUID is taken for one of them.
    """
    value = environment.get("CUDA_VISIBLE_DEVICES")
    if value is None or value.startswith(("GPU-", "MIG-")):
        return ""
    index = re.match(r"\s*\+?(\d+)", value)
    if index and (not count or int(index[1]) < count):
        return ""
    return f"CUDA_VISIBLE_DEVICES={value} hides all GPUs from CUDA"


def _visible(value: str, facts: Facts) -> Line:
    hides = hiding({"CUDA_VISIBLE_DEVICES": value})
    if hides:
        return "warning", "hides all GPUs from CUDA; NVML still shows them", "unset it"
    return "ok", "CUDA shows these GPUs only, in this order; NVML shows all", ""


def _library_path(value: str, facts: Facts) -> Line:
    folders = [folder for folder in re.split("[:;]", value) if folder]
    stubs = next((folder for folder in folders if "stubs" in Path(folder).parts), None)
    if stubs:
        return "warning", f"{stubs} has stubs that are there to link with", "take it off the path"
    absent = [folder for folder in folders if not os.path.isdir(folder)]
    gone = f"; not there: {', '.join(absent)}" if absent else ""
    return "ok", f"these folders are searched before all others{gone}", ""


def _preload(value: str, facts: Facts) -> Line:
    return "ok", "loaded into every program, in front of the libraries it asks for", ""


def _audit(value: str, facts: Facts) -> Line:
    return "ok", "is told of every search of the loader, and may redirect it", ""


def _given(value: str, facts: Facts) -> Line:
    if value in _NO_GPUS:
        advice = "start the container with `--gpus all` or NVIDIA_VISIBLE_DEVICES=all"
        return "warning", "gives the container no GPU", advice
    if facts.container and not facts.nodes and not facts.platform:
        advice = "start it with the nvidia runtime (`--gpus all`): the variable alone does nothing"
        return "failed", "asks for GPUs, and the container was given none", advice
    return "ok", "the GPUs that the container runtime gives", ""


def _capabilities(value: str, facts: Facts) -> Line:
    asked = {part.strip() for part in value.split(",")}
    lacks = [name for name in ("utility", "compute") if not asked & {name, "all"}]
    if not lacks or not facts.container:
        return "ok", "the libraries that the container runtime gives", ""
    libraries = {"utility": "libnvidia-ml.so.1 and nvidia-smi", "compute": "libcuda.so.1"}
    text = f"without {' and '.join(libraries[name] for name in lacks)}"
    return "warning", text, "NVIDIA_DRIVER_CAPABILITIES=compute,utility gives both"


_VARIABLES: dict[str, Callable[[str, Facts], Line]] = {
    "CUDA_VISIBLE_DEVICES": _visible,
    "NVIDIA_VISIBLE_DEVICES": _given,
    "NVIDIA_DRIVER_CAPABILITIES": _capabilities,
    "LD_LIBRARY_PATH": _library_path,
    "LD_PRELOAD": _preload,
    "LD_AUDIT": _audit,
}


def checks(environment: Mapping[str, str], facts: Facts) -> list[Check]:
    """A line for each variable that is set and has a say."""
    lines = []
    for name, judge in _VARIABLES.items():
        value = environment.get(name)
        if value or (value == "" and name.endswith("VISIBLE_DEVICES")):
            state, text, advice = judge(value, facts)
            lines.append(Check(f"{name}={value}", state, text, (), advice))
    return lines
