"""The machine below the libraries: GPUs on the PCI bus and the kernel module."""

from __future__ import annotations

from collections.abc import Sequence

from .facts import Facts
from .libraries import Library
from .result import Check

__all__ = ["checks"]

#: What has a GPU in place of NVIDIA's driver -> what to do.
_HOLDERS = {
    "nouveau": "blacklist nouveau (`/etc/modprobe.d`), rebuild the initramfs and restart",
    "vfio-pci": "it is reserved for virtual machines: unbind it from vfio-pci to use it here",
    None: "load NVIDIA's kernel module: `sudo modprobe nvidia`",
}
_OTHER = "unbind it from this driver and bind it to nvidia"


def checks(facts: Facts, libraries: Sequence[Library]) -> list[Check]:
    """The lines about hardware and kernel module."""
    reached = any(library.reaches_gpus for library in libraries)
    real = any(library.driver for library in libraries)
    return [_pci(facts, real, reached), _module(facts, real, reached)]


def _pci(facts: Facts, real: bool, reached: bool) -> Check:
    name = "GPUs on the PCI bus"
    if facts.platform:
        return Check(name, "ok", f"{facts.platform}: the GPU is not on a bus that is seen here")
    if reached and not facts.gpus:
        return Check(name, "ok", "none to be seen here (a sandbox?), but the libraries reach one")
    if facts.gpus is None:
        return Check(name, "warning", "not to be seen: there is no /sys/bus/pci here")
    if not facts.gpus:
        text = "no NVIDIA GPU in this machine" + ", though its libraries are there" * real
        advice = "programs find GPUs here under `nvemu run` only"
        return Check(name, "warning", text, (), advice)
    details = tuple(map(str, facts.gpus))
    lost = [gpu for gpu in facts.gpus if gpu.driver != "nvidia"]
    text = f"{len(facts.gpus)} of NVIDIA"
    if not lost:
        return Check(name, "ok", f"{text}, with its driver", details)
    holder = lost[0].driver
    text += f"; {lost[0].address} has " + (f"the driver {holder}" if holder else "no driver")
    state = "failed" if len(lost) == len(facts.gpus) else "warning"
    return Check(name, state, text, details, _HOLDERS.get(holder, _OTHER))


def _module(facts: Facts, real: bool, reached: bool) -> Check:
    name = "kernel module"
    details = (f"loaded: {', '.join(facts.modules)}",) if facts.modules else ()
    if facts.kernel_line:
        details = (facts.kernel_line, *details)
        return Check(name, "ok", f"nvidia {facts.kernel or '(of unknown version)'}", details)
    fine = _fine_without_module(facts, real, reached)
    if fine:
        return Check(name, "ok", fine, details)
    text = "not loaded: there is no /proc/driver/nvidia/version"
    if not facts.has_hardware:
        text += ", and there is no GPU for it"
        advice = "without an NVIDIA GPU it cannot be loaded"
        return Check(name, "failed", text, details, advice)
    if facts.container:
        advice = "load it on the host; if it is, start the container with the GPUs (`--gpus all`)"
        return Check(name, "failed", text, details, advice)
    return _unloaded(name, text, details, facts)


def _fine_without_module(facts: Facts, real: bool, reached: bool) -> str:
    """Why it is right that there is no kernel module; "" where it is not."""
    if facts.platform:
        return f"{facts.platform} has none of this name"
    if reached:
        return "not to be seen here (a sandbox?), but the libraries reach it"
    return "" if facts.gpus or real else "not loaded, and nothing here needs it"


def _unloaded(name: str, text: str, details: tuple[str, ...], facts: Facts) -> Check:
    """A kernel module that ought to be loaded: whether there is one, and what may refuse it."""
    if not facts.module_files:
        text += f", and the running kernel {facts.release} has none"
        advice = "install the driver's module for this kernel: its headers, then `dkms autoinstall`"
        return Check(name, "failed", text, details, advice)
    details += tuple(f"there to be loaded: {file}" for file in facts.module_files)
    if facts.secure_boot:
        text += "; Secure Boot is on, which refuses a module that is not signed"
        advice = "sign it and enrol the key (`mokutil --import`), then `sudo modprobe nvidia`"
        return Check(name, "failed", text, details, advice)
    return Check(name, "failed", text, details, "`sudo modprobe nvidia`; `dmesg` says why not")
