"""From a capture to facts: what the calls tell of the machine that answered them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any

from ...api import c_fields
from ...machine.cuda import DERIVED
from ...nvml import _status as status
from ...scenario import Fault, ScenarioError
from ...scenario.profiles import profile, profiles
from ...vocabulary import apis, vocabulary
from ..captures.format import Call, Capture
from ..choosing import choose_profile
from ..facts import Facts, GpuFacts, Note, Told
from ..figures import IDENTITY, checked, may_lack
from .asked import INITS, AskedGpu, AskedMachine, output_of
from .compounds import BY_PRODUCT, COMPOUNDS
from .fields import FIELDS
from .tables import (
    ATTRIBUTES,
    CHOICES,
    CUDA,
    NOT_IN_MIG_MODE,
    NVML,
    OFTEN_REFUSED,
)
from .values import UNTOLD, figure_of, number_of, value_of

__all__ = ["facts_of"]

_INPUT = re.compile(r"\{([\w.]+)\}")
_VERSION = re.compile(r"_v\d+$")

#: As many GPUs as no machine has.
MOST = 256

#: The profile of a GPU that nothing tells the product of.
DEFAULT = "t4"


def facts_of(capture: Capture) -> Facts:
    """What a capture tells of its machine.

    A reading is told as it was first answered. What fails there fails in the facts: a library that
    could not be initialised, a GPU that is lost. Functions that were recorded but tell no figure
    are not here: replay answers them.

    Raises:
        ScenarioError: it is of more GPUs than any machine has.
    """
    machine = AskedMachine(capture.calls)
    found = {index: _gpu(machine, gpu) for index, gpu in sorted(machine.gpus.items())}
    gpus, notes = _filled(machine, {index: facts for index, (facts, _) in found.items()})
    notes += [note for _, refused in found.values() for note in refused]
    return Facts(
        driver=capture.header.driver or _driver(machine),
        cuda=_cuda(machine),
        gpus=tuple(gpus),
        faults=tuple(_faults(machine, bool(gpus))),
        notes=(*capture.notes, *notes),
        origin=capture.header.origin,
    )


# ---- the machine


def _driver(machine: AskedMachine) -> str:
    return str(machine.output("version", "nvmlSystemGetDriverVersion") or "")


def _cuda(machine: AskedMachine) -> str:
    """The CUDA version as people write it: "12.4" for 12040."""
    functions = (
        *("nvmlSystemGetCudaDriverVersion_v2", "nvmlSystemGetCudaDriverVersion"),
        "cuDriverGetVersion",
    )
    for call in machine.of(*functions):
        for number in (call.outputs or {}).values():
            return f"{number // 1000}.{number % 1000 // 10}"
    return ""


def _faults(machine: AskedMachine, has_gpus: bool) -> Iterator[Fault]:
    """A library whose initialisation failed, each time it was tried; CUDA's does by itself where
    there is no GPU."""
    for library, functions in INITS.items():
        tried = [code for call, code in machine.codes if call.function in functions]
        code = _code_name(library, tried[0]) if tried and all(tried) else None
        if code is not None and (has_gpus or code != "NO_DEVICE"):
            yield Fault(list(functions), returns=code)


def _code_name(library: str, code: int) -> str | int:
    codes = vocabulary().codes[library].values()
    return apis()[library].status_name(code) if code in codes else code


def _filled(machine: AskedMachine, known: dict[int, GpuFacts]) -> tuple[list[GpuFacts], list[Note]]:
    """The facts of every GPU there was; of a product that is not told, as the first one is."""
    typical = next((each for each in known.values() if _is_known(each)), _default())
    gpus, notes = [], []
    count = _count(machine, NVML_COUNTS)
    total = max(count or _count(machine, CUDA_COUNTS), max(known, default=-1) + 1)
    if total > MOST:
        raise ScenarioError(f"expected a capture of at most {MOST} GPUs, found {total}")
    for index in range(total):
        facts = known.get(index, GpuFacts(()))
        if index not in known and 0 < count <= len(known):
            facts = GpuFacts((Told(("failure",), "unplugged"),))
        if not _is_known(facts):
            like = typical.value("name") or "GPU like the others"
            text = f"its product is not told: it is taken for a {like}"
            notes.append(Note(f"GPU-{index}", text))
            facts = GpuFacts((*_product(typical), *facts.told))
        gpus.append(facts)
    return gpus, notes


#: What says how many GPUs there are: NVML, and CUDA, of those that the program may see.
NVML_COUNTS = ("nvmlDeviceGetCount_v2", "nvmlDeviceGetCount")
CUDA_COUNTS = ("cuDeviceGetCount",)


def _count(machine: AskedMachine, functions: Iterable[str]) -> int:
    calls = machine.of(*functions)
    return max((value for call in calls for value in (call.outputs or {}).values()), default=0)


def _default() -> GpuFacts:
    """The product of a machine of which nothing tells it."""
    return GpuFacts((Told(("name",), profile(DEFAULT).figures["name"]),))


def _is_known(facts: GpuFacts) -> bool:
    return any(facts.find(*path) for path in _PRODUCT[:2])


_PRODUCT = (
    *(("name",), ("pci", "device_id"), ("architecture",), ("brand",), ("compute_capability",)),
    ("memory", "total"),
)


def _product(facts: GpuFacts) -> Iterator[Told]:
    return (told for path in _PRODUCT if (told := facts.find(*path)))


# ---- a GPU


def _gpu(machine: AskedMachine, gpu: AskedGpu) -> tuple[GpuFacts, list[Note]]:
    """What is told of a GPU: a value before "not supported", the first value before others; and
    what no machine of nvemu's can have."""
    told: dict[tuple[str, ...], Told] = {}
    notes: list[Note] = []
    for each in _everything(machine, gpu):
        before = told.get(each.path)
        if before is None or (before.value is None and each.value is not None):
            problem = _problem(each)
            if problem:
                notes.append(Note(each.where, f"{'.'.join(each.path)}: {problem}; it is left out"))
            else:
                told[each.path] = each
    facts = GpuFacts(tuple(told.values()))
    if not _is_known(facts):
        return facts, notes
    product, _ = choose_profile(facts)
    more = (told for each in BY_PRODUCT for told in each(gpu, product))
    return GpuFacts((*facts.told, *more)), notes


def _problem(told: Told) -> str:
    """Why a scenario refuses what is told; empty if it does not."""
    try:
        checked(told.path, told.value)
    except ScenarioError as error:
        return error.problem
    return ""


def _everything(machine: AskedMachine, gpu: AskedGpu) -> Iterator[Told]:
    divided = bool(gpu.output("currentMode", "nvmlDeviceGetMigMode"))
    # Of Tegra's NVML, which has a few functions alone, nothing follows from one that is refused.
    few = gpu.is_refused("nvmlDeviceGetPciInfo_v3", "nvmlDeviceGetPciInfo_v2")
    for call in sorted(gpu.calls, key=lambda call: call.library != "nvml"):
        if call.library == "nvml":
            yield from _of_nvml(call, divided, few)
        elif not divided:  # else CUDA's devices are parts of the GPU
            yield from _of_cuda(call)
    for compound in COMPOUNDS:
        yield from compound(machine, gpu)
    yield from _failure(gpu)


def _failure(gpu: AskedGpu) -> Iterator[Told]:
    """What is the matter with a GPU that answers nothing any more."""
    getters = vocabulary().groups["getters"]["nvml"]
    answered = [(call, code) for call, code in gpu.codes if call.function in getters]
    if answered and answered[-1][1] in _FAILED:
        call, code = answered[-1]
        yield Told(("failure",), _FAILED[code], where=call.function)


_FAILED = {status.GPU_IS_LOST: "lost", status.RESET_REQUIRED: "reset_required"}


def _of_nvml(call: Call, divided: bool, few: bool) -> Iterator[Told]:
    if call.function == "nvmlDeviceGetFieldValues":
        yield from _fields(call, few)
        return
    base = _VERSION.sub("", call.function)
    row = NVML.get(call.function) or NVML.get(base, {})
    if call.code == status.NOT_SUPPORTED:
        barred = divided and call.function in NOT_IN_MIG_MODE
        row = {} if few or barred or base in OFTEN_REFUSED else row
    elif call.code != 0 or (divided and base == "nvmlDeviceGetAccountingMode"):
        row = {}
    for output, figure in row.items():
        path = _path(call, figure)
        if path is None:
            continue
        if call.code == status.NOT_SUPPORTED:
            yield from _absent(path, call.function)
        else:
            yield from _told(path, output_of(call, output), call.function)


def _fields(call: Call, few: bool) -> Iterator[Told]:
    """The values of nvmlDeviceGetFieldValues, each with a code of its own."""
    rows = (call.outputs or {}).get("values", [])
    for asked, row in zip(call.inputs.get("values", ()), rows, strict=False):
        number, scope = asked.get("fieldId"), asked.get("scopeId", 0)
        figure = FIELDS.get((number, scope))
        where = f"{call.function}, field {number}"
        if figure is None:
            continue
        path = tuple(figure.split("."))
        if row.get("nvmlReturn") == 0:
            yield from _told(path, number_of(row), where)
        elif row.get("nvmlReturn") == status.NOT_SUPPORTED and not few and path[0] != "ecc":
            yield from _absent(path, where)


def _of_cuda(call: Call) -> Iterator[Told]:
    if call.code != 0:
        return
    if call.function == "cuDeviceGetAttribute":
        value = (call.outputs or {}).get("pi")
        for name in _attribute_names().get(call.inputs.get("attrib"), ()):
            figure = ATTRIBUTES.get(name)
            path = tuple(figure.split(".")) if figure else ("cuda", name)
            yield from _told(path, value, f"{call.function}, {name}")
    for output, figure in CUDA.get(call.function, {}).items():
        yield from _told(tuple(figure.split(".")), output_of(call, output), call.function)


@cache
def _attribute_names() -> dict[Any, list[str]]:
    """CUdevice_attribute -> its name among the figures, of several that of the catalogue. One that
    is computed from other figures has none."""
    used = {name for each in profiles() for name in profile(each).figures.get("cuda", {})}
    found: dict[Any, list[str]] = {}
    for name, number in apis()["cuda"].types.members("CUdevice_attribute").items():
        short = name.removeprefix("CU_DEVICE_ATTRIBUTE_")
        if short in ATTRIBUTES or short not in DERIVED:
            found.setdefault(number, []).append(short)
    return {
        number: [name for name in found[number] if name in used][:1] or found[number][:1]
        for number in found
    }


# ---- figures


def _path(call: Call, figure: str) -> tuple[str, ...] | None:
    """The path of a row's figure, with the call's inputs in their places; None for an input that
    chooses no figure."""

    def chosen(place: re.Match[str]) -> str:
        value: Any = call.inputs
        for part in place[1].split("."):
            value = value.get(part) if isinstance(value, dict) else None
        words = CHOICES.get(_input_type(call.library, call.function, place[1]))
        return (str(value) if words is None else words.get(value)) or "?"

    path = tuple(_INPUT.sub(chosen, figure).split("."))
    return path if path[0] in IDENTITY or figure_of(path) is not None else None


@cache
def _input_type(library: str, function: str, name: str) -> str:
    """The C type of a parameter, or of a field of the struct behind it."""
    api = apis()[library]
    first, *rest = name.split(".")
    kind = api.find(function).parameter(first)
    if not rest:
        return str(kind.type)
    return dict(c_fields(api.types.row(kind.versions[-1])))[rest[0]]


def _absent(path: tuple[str, ...], where: str) -> Iterator[Told]:
    if path == ("serial",) or (path[0] not in IDENTITY and may_lack(path)):
        yield Told(path, None, where=where)


def _told(path: tuple[str, ...], value: Any, where: str) -> Iterator[Told]:
    known = value_of(path, value)
    if known is not UNTOLD:
        yield Told(path, known, where=where)
