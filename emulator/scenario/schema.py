"""What users write: a scenario, its GPUs, faults and changes. The same in TOML and Python.

    Scenario(
        gpus=[Gpu("h100-sxm5-80gb", count=2, memory_used="10 GiB")],
        faults=[Fault("nvmlDeviceGetTemperature", device=1, calls="3-", returns="GPU_IS_LOST")],
        changes=[Change(at="30 s", device=1, set={"failure": "lost"})],
    )

All of it is immutable. What one value alone can have wrong is refused here, at construction; what
depends on profiles, on the other GPUs or on the APIs' names is refused by ``resolve``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec import Struct, field
from msgspec.structs import fields as fields_of
from msgspec.structs import force_setattr, replace

from ..machine import NEWEST
from . import fields
from .errors import ScenarioError
from .loader import Loader

__all__ = ["Change", "Fault", "Gpu", "Kernel", "Scenario"]


class Gpu(Struct, frozen=True, repr_omit_defaults=True, forbid_unknown_fields=True):
    """GPUs of one product: a profile, how many, and what is different about them.

    Attributes:
        profile: a name of the catalogue, such as "h100-sxm5-80gb".
        count: how many alike. ``uuid``, ``serial`` and ``pci_bus_id`` belong to a single GPU.
        name: product name; the profile's if not given. May be longer than a client's buffer.
        uuid: "GPU-" and a UUID; made up if not given, the same in every run.
        serial: board serial number; made up if not given, where the product has one. "N/A": none.
        pci_bus_id: "00000000:19:00.0"; where such servers have it if not given.
        memory_total: bytes, or a size such as "40 GiB".
        memory_used: bytes, or a size such as "512 MiB".
        temperature: of the GPU, in degrees Celsius.
        power_usage: milliwatts, or a power such as "312.5 W".
        load: how busy the GPU is, in percent, and all of its readings with it; or a table, see
            ``emulator.machine.load.load.Load``.
        utilization: the same as ``load`` in percent.
        failure: "lost", "reset_required" or "unplugged": what has become of it.
        figures: any other figure of the profile, in tables as the profile has them.

    Raises:
        ScenarioError: a value is of the wrong type or out of range.
    """

    profile: str
    count: int = 1
    name: str | None = None
    uuid: str | None = None
    serial: str | None = None
    pci_bus_id: str | None = None
    memory_total: int | str | None = None
    memory_used: int | str | None = None
    temperature: int | str | None = None
    power_usage: int | str | None = None
    load: int | str | Mapping[str, Any] | None = None
    utilization: int | str | None = None
    failure: str | None = None
    figures: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        fields.normalize(self, fields.GPU)
        fields.check_single(self)
        fields.check_once(self)


class Fault(Struct, frozen=True, repr_omit_defaults=True, forbid_unknown_fields=True):
    """A rule: what happens to certain calls instead of the answer.

    A call is hit when all that is given up to ``probability`` holds. Then happens what is given
    from ``delay`` on, in this order. Of several faults the first that hits a call decides.

    Attributes:
        function: exact name, glob ("nvmlInit*"), "getters" or "setters" for all such functions,
            or a list of them.
        library: "nvml" or "cuda", where the functions and the code do not say it.
        device: index, UUID or profile of the device that a call is about, or a list of them.
        process: name of the program (a glob), or n for the nth process of the testbed.
        thread: "main", a thread's name (a glob), or n for the nth thread of its process that calls.
        time: "10 s-20 s" or "30 s-", on the scenario's clock since its start.
        after: only after a call of such a function (written as ``function``) in the same process.
        calls: a number from 1 on, a range "2-4" or "3-", "every 3" (the 3rd, 6th, ...), or a list
            of them. Counted for each fault and each process: those calls that all of the above
            match.
        probability: how likely such a call is to be hit, above 0 and up to 1.
        seed: of the probability; the same seed hits the same calls.
        delay: real time to wait first: seconds, or text such as "200 ms".
        block: wait until the fault is released or cleared by live control.
        signal: end the process by this signal ("SIGSEGV").
        exit: end the process with this status, without cleaning up.
        run: a Python function that is given the call, or "file.py:function"; see
            ``emulator.runtime.hooks``. It decides what the call returns.
        returns: name of a code with or without its prefix ("GPU_IS_LOST",
            "CUDA_ERROR_NO_DEVICE"), or its number; in its place the call is not made. Without it,
            the call is made and answers as it would without the fault.
        writes: C parameter -> the value written to it, also with an error; a struct's fields as a
            table, an array's elements as a list.
        corrupt: C parameter, or a field in it ("memory.total") -> what becomes of it: "max",
            "min", "zero", "larger" (by one: a count larger than its list), "random", or of text
            "truncated" or "unterminated".
        name: what live control and the trace call it; "fault[0]" for the first if not given.

    Raises:
        ScenarioError: a value is of the wrong type or out of range, or nothing is to happen.
    """

    function: str | Sequence[str]
    returns: str | int | None = None
    library: str | None = None
    device: int | str | Sequence[int | str] | None = None
    process: int | str | None = None
    thread: int | str | None = None
    time: str | None = None
    after: str | Sequence[str] | None = None
    calls: int | str | Sequence[int | str] | None = None
    probability: float | None = None
    seed: int = 0
    delay: float | str | None = None
    block: bool = False
    signal: str | int | None = None
    exit: int | None = None
    run: str | Callable[..., Any] | None = None
    writes: Mapping[str, Any] = field(default_factory=dict)
    corrupt: Mapping[str, str] = field(default_factory=dict)
    name: str = ""

    def __post_init__(self) -> None:
        fields.normalize(self, fields.FAULT)
        fields.check_effect(self, fields.EFFECTS)


class Change(Struct, frozen=True, repr_omit_defaults=True, forbid_unknown_fields=True):
    """What happens to the machine at a time of the scenario's clock.

    Attributes:
        at: when, counted from the scenario's start: seconds, or text such as "30 s", "1.5 min".
        every: how long after that it happens again and again.
        until: the time after which it does not any more.
        device: index, UUID or profile of a device, or a list of them; all if not given.
        set: figures and their new values, in tables as a profile has them.
        add: figures, and by how much each grows (or, below zero, shrinks); memory in use stays
            between nothing and all there is, other figures at or above zero.
        xid: the number of an Xid that the driver reports, 999 for one that it does not know: an
            event for those who wait for it. It changes no figure.
        run: a Python function that is given the machine, or "file.py:function".

    Raises:
        ScenarioError: a value is of the wrong type or out of range, or nothing is to change.
    """

    at: float | str = 0
    every: float | str | None = None
    until: float | str | None = None
    device: int | str | Sequence[int | str] | None = None
    set: Mapping[str, Any] = field(default_factory=dict)
    add: Mapping[str, Any] = field(default_factory=dict)
    xid: int | None = None
    run: str | Callable[..., Any] | None = None

    def __post_init__(self) -> None:
        fields.normalize(self, fields.CHANGE)
        fields.check_effect(self, fields.CHANGES)


class Kernel(Struct, frozen=True, repr_omit_defaults=True, forbid_unknown_fields=True):
    """A Python function that does the work of CUDA kernels.

    Of several the first whose name fits does it. A kernel without one does nothing.

    Attributes:
        name: of the kernel, as its module has it ("_Z5saxpyifPKfPf") or as it is written in C++
            ("saxpy", "lab::saxpy"), or a glob.
        run: a Python function that is given the launch, or "file.py:function"; see
            ``emulator.cuda.kernels.work``. What it raises ends the CUDA context.

    Raises:
        ScenarioError: a value is of the wrong type.
    """

    name: str
    run: str | Callable[..., Any]

    def __post_init__(self) -> None:
        fields.normalize(self, fields.KERNEL)


class Scenario(Struct, frozen=True, repr_omit_defaults=True, forbid_unknown_fields=True, dict=True):
    """What a program that looks for GPUs shall find.

    Attributes:
        name: what traces and reports call it; the file's name if read from a file.
        description: one line for a reader.
        origin: where people met this: addresses of public issues or documents.
        sees: what a program sees of it, for a reader.
        driver: driver version, one of ``emulator.machine.DRIVERS``.
        driver_version: what the driver says its version is ("550.54.15"), if not ``driver``, whose
            libraries stand for it.
        cuda_version: the CUDA version that it says it is for ("12.4"), if not ``driver``'s.
        clock: "wall"; "60x" for sixty times as fast; or "manual": it stands until it is advanced.
        gpus: the GPUs in NVML's order; none at all is a machine without GPUs.
        loader: library ("nvml", "cuda") -> the state that the dynamic loader finds it in: a word,
            a ``Loader``, or a list of them, one for each copy in the order of the search path.
        environment: variables set for the program, such as CUDA_VISIBLE_DEVICES.
        user: "root", who may change the machine's modes, or "unprivileged"; if not given, who runs
            the program.
        faults: in order: the first that fires decides.
        changes: what happens to the machine in the course of time.
        kernels: the Python functions of CUDA kernels.
        capture: a file of recorded calls, by its path from the scenario's file: these are answered
            as they were then, all others as without it.
        strict: whether a call of a function without a handler is an error of the test.

    Raises:
        ScenarioError: a value is of the wrong type or out of range.
    """

    name: str = ""
    description: str = ""
    origin: str | Sequence[str] = ()
    sees: str = ""
    driver: str = NEWEST
    driver_version: str | None = None
    cuda_version: str | None = None
    clock: str = "wall"
    loader: Mapping[str, str | Loader | Sequence[str | Loader]] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    user: str | None = None
    gpus: Sequence[Gpu] = field(default=(), name="gpu")
    faults: Sequence[Fault] = field(default=(), name="fault")
    changes: Sequence[Change] = field(default=(), name="change")
    kernels: Sequence[Kernel] = field(default=(), name="kernel")
    capture: str | None = None
    strict: bool = False

    def __post_init__(self) -> None:
        fields.normalize(self, fields.SCENARIO)
        rows = (("gpus", Gpu), ("faults", Fault), ("changes", Change), ("kernels", Kernel))
        for name, kind in rows:
            force_setattr(self, name, fields.members(getattr(self, name), kind, name))

    @property
    def reported_driver(self) -> str:
        """What the driver says its version is."""
        return self.driver_version or self.driver

    def but(self, **fields: Any) -> Scenario:
        """Return the same scenario, of the same file, with some fields, by Python name, replaced.

        Another driver has versions of its own.

        Raises:
            ScenarioError: a value is of the wrong type or out of range.
        """
        if "driver" in fields:
            fields = {"driver_version": None, "cuda_version": None, **fields}
        made = replace(self, **fields)
        source = self.__dict__.get("source")
        if source is not None:
            keys = {field.name: field.encode_name for field in fields_of(Scenario)}
            replaced = source.replaced.union(keys[name] for name in fields)
            made.__dict__["source"] = replace(source, replaced=replaced)
        return made

    def locate(self, error: ScenarioError) -> ScenarioError:
        """Give an error about this scenario the file and line it was read from, if any."""
        source = self.__dict__.get("source")
        if source is None or (error.key and error.key[0] in source.replaced):
            return error
        located: ScenarioError = source.locate(error)
        return located
