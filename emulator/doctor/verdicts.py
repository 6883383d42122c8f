"""The verdicts that there are."""

from __future__ import annotations

from dataclasses import dataclass, field

from .stages import Outcome

__all__ = ["VERDICTS", "Kind", "Verdict"]


@dataclass(frozen=True)
class Kind:
    """A verdict that there is.

    Attributes:
        status: doctor's exit status.
        title: it in a few words.
        advice: what to do about it.
    """

    status: int
    title: str
    advice: str = ""


#: Name -> kind. Exit statuses 1, 2 and those from 124 on have meanings of their own.
VERDICTS = {
    "fine": Kind(0, "all fine"),
    "never-asked": Kind(
        10,
        "it never asked the libraries",
        "It was built without GPU support, or something decided before: its options, its "
        "configuration, a missing plug-in. Its own log, as detailed as it gets, says which.",
    ),
    "not-found": Kind(
        11,
        "library not found",
        "Where there is no driver, install it, or give the container its GPUs. Else put its folder "
        "on LD_LIBRARY_PATH, or into /etc/ld.so.conf.d and run ldconfig; where the program insists "
        "on a path, the file must be there (under nvemu: --redirect).",
    ),
    "wrong-class": Kind(
        12,
        "wrong ELF class",
        "Only a library for another kind of machine is there, 32-bit for most: install the "
        "driver's 64-bit libraries, or put their folder first.",
    ),
    "unloadable": Kind(
        13,
        "library cannot be loaded",
        "Install what it needs (`ldd FILE` says what that is), or replace the file.",
    ),
    "other-library": Kind(
        14,
        "a different library was opened",
        "The program names it by a path, has an RPATH, or changed LD_LIBRARY_PATH: undo that, or "
        "have it get the right one all the same with --redirect.",
    ),
    "symbol-missing": Kind(
        15,
        "function missing",
        "Install a driver that has it, or a version of the program for this driver.",
    ),
    "init-failed": Kind(16, "initialisation failed"),
    "no-devices": Kind(
        17,
        "no devices",
        "The driver is there and shows no GPU: see `nvidia-smi -L` and `lspci -d 10de:`; in a "
        "container, whether it was started with the GPUs.",
    ),
    "rejected": Kind(
        18,
        "devices were seen and turned away",
        "The program did not like that answer: compare it with what the program asks for (compute "
        "capability, memory, driver version).",
    ),
    "cuda-failed": Kind(19, "NVML is fine and CUDA failed"),
    "nvml-failed": Kind(20, "CUDA is fine and NVML failed"),
    "runtime-refused": Kind(
        21,
        "the CUDA runtime turned the driver away",
        "A runtime that is newer than the driver needs a newer driver, or NVIDIA's compatibility "
        "package.",
    ),
    "other-way": Kind(
        22,
        "it never asked the libraries and looked another way",
        "What it looked at must say that there is a GPU. nvemu's --devices makes device nodes, "
        "/proc/driver/nvidia and PCI entries; programs such as nvidia-smi must be on PATH.",
    ),
    "inside-a-call": Kind(
        23,
        "it crashed or hung inside a call",
        "Run it under a debugger and look at that call; with a real driver, `dmesg | grep -e NVRM "
        "-e Xid` says what happened to the GPU.",
    ),
    "unseen": Kind(
        24,
        "it could not be seen",
        "It is linked statically or clears its environment: with --strace its system calls are "
        "looked at.",
    ),
}


@dataclass(frozen=True)
class Verdict:
    """What kept the program from its GPU.

    Attributes:
        name: one of `VERDICTS`.
        text: what happened, in one line.
        why: the evidence, a line each.
        advice: what to do next, a line each.
        notes: what else is worth knowing, a line each.
        outcomes: what became of each library in each process.
        pid: the process that it is about; None for all of them.
    """

    name: str
    text: str
    why: list[str] = field(default_factory=list)
    advice: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)
    pid: int | None = None

    @property
    def kind(self) -> Kind:
        """What is true of all verdicts of this name."""
        return VERDICTS[self.name]

    @property
    def headline(self) -> str:
        """It in one line."""
        return f"{self.kind.title}: {self.text}" if self.text else self.kind.title
