"""nvidia-smi, and whether all parts of the driver are of one version."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping, Sequence

from ..testbed.asking import Output, run
from .facts import Facts
from .libraries import Library
from .result import Check

__all__ = ["Smi", "agreement", "examine_smi", "smi_check"]

_SMI_VERSION = re.compile(r"-- v(\d+\.\d+(?:\.\d+)?)")


class Smi:
    """The nvidia-smi on PATH: where it is, its version, and what `nvidia-smi -L` did."""

    def __init__(self, path: str, help_: Output, listing: Output) -> None:
        found = _SMI_VERSION.search(help_.out)
        self.path, self.listing = path, listing
        self.version = found[1] if found else None


def examine_smi(environment: Mapping[str, str], limit: float) -> Smi | None:
    """Run the nvidia-smi on PATH; None where there is none."""
    path = shutil.which("nvidia-smi", path=environment.get("PATH", ""))
    if path is None:
        return None
    try:
        outputs = [run([path, option], environment, limit) for option in ("-h", "-L")]
    except OSError as error:
        unstarted = Output("", str(error), 126, limit)
        return Smi(path, unstarted, unstarted)
    return Smi(path, *outputs)


def smi_check(smi: Smi | None, facts: Facts) -> Check:
    """The line about nvidia-smi."""
    name = "nvidia-smi"
    if smi is None:
        if facts.wants_driver:
            advice = "programs that ask nvidia-smi find no GPU: install the driver's utilities"
            return Check(name, "warning", "not on PATH", (), advice)
        return Check(name, "ok", "not on PATH, as is right without a GPU")
    text = smi.path + (f", version {smi.version}" if smi.version else "")
    lines = tuple(line for line in (smi.listing.out + smi.listing.err).splitlines() if line.strip())
    if smi.listing.status == 0:
        return Check(name, "ok", text, lines)
    ending = smi.listing.ending or f"exits with {smi.listing.status}"
    said = f": {lines[0].strip()}" if lines else ""
    advice = "the lines about NVML say why: nvidia-smi asks nothing else"
    return Check(name, "failed", f"{text}, {ending}{said}", lines[1:], advice)


def agreement(facts: Facts, libraries: Sequence[Library], smi: Smi | None) -> Check | None:
    """Whether all parts of the driver are of one version; None where no two can be compared."""
    found = {each.name.upper(): each.driver for each in libraries if each.driver}
    found |= {"kernel module": facts.kernel} if facts.kernel else {}
    if found and smi is not None and smi.version and facts.platform != "WSL":
        found["nvidia-smi"] = smi.version
    if len(found) < 2:
        return None
    details = tuple(f"{part}: {version}" for part, version in found.items())
    if len(set(found.values())) == 1:
        return Check("versions", "ok", f"{', '.join(found)} agree: {next(iter(found.values()))}")
    return _disagreement(found, details, libraries)


def _disagreement(
    found: Mapping[str, str | None], details: tuple[str, ...], libraries: Sequence[Library]
) -> Check:
    name, text = "versions", "differ: " + ", ".join(f"{k} {v}" for k, v in found.items())
    kernel, nvml, cuda = (found.get(key) for key in ("kernel module", "NVML", "CUDA"))
    if kernel and nvml and kernel != nvml:
        text += "; nvmlInit answers 18 (driver/library version mismatch)"
        advice = "restart the machine, so that the module of the libraries' version is loaded"
        return Check(name, "failed", text, details, advice)
    cuda_path = next((str(each.path) for each in libraries if each.name == "cuda"), "")
    if kernel and cuda and kernel != cuda and "compat" in cuda_path:
        text += "; cuda-compat's libcuda, which is for data-centre GPUs only"
        advice = "if cuInit answers 803 or 804, take its folder off the search path"
        return Check(name, "warning", text, details, advice)
    state = "failed" if kernel and cuda and kernel != cuda else "warning"
    advice = "install all parts from one driver version, then restart the machine"
    return Check(name, state, text, details, advice)
