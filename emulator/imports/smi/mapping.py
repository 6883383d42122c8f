"""From the element of a GPU to what is told of it: each field by the tables, no field left out."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ...scenario import Fault, UnknownNameError
from ..figures import may_lack
from .adjusting import ADJUSTED, adjust
from .answers import DENIED, FAILURES, NOTHING, SILENT, error_code, is_value, plain
from .behind import functions_of
from .clocks import supported_clocks
from .elements import bridges, event_reasons, fans, licence, minor_number, retired
from .mig import mig_devices
from .processes import accounted, processes
from .tables.board import BOARD
from .tables.health import HEALTH
from .tables.readings import READINGS
from .tables.rest import derived_from, why_not_kept
from .tellings import Telling
from .trees.tree import Node

__all__ = ["read_gpu"]

#: XML path below <gpu> -> the figure that the field is, and what reads its value.
FIGURES = {**BOARD, **READINGS, **HEALTH}

#: XML path below <gpu> -> what reads the element and all in it.
ELEMENTS: dict[str, Callable[[Telling, Node], None]] = {
    "minor_number": minor_number,
    "fan_speed": fans,
    "clocks_event_reasons": event_reasons,
    "clocks_throttle_reasons": event_reasons,
    "retired_pages/multiple_single_bit_retirement": retired,
    "retired_pages/double_bit_retirement": retired,
    "pci/pci_bridge_chip": bridges,
    "supported_clocks": supported_clocks,
    "vgpu_software_licensed_product": licence,
    "grid_licensed_product": licence,
    "processes": processes,
    "accounted_processes": accounted,
    "mig_devices": mig_devices,
}

#: Those of them of which nothing is told where a part says an error, or nothing.
AS_ONE = frozenset(
    path for path in ELEMENTS if path.startswith(("retired_pages/", "pci/", "supported_clocks"))
)

#: What says how something went, in the words of errors.
NAMES_A_CODE = frozenset({"fabric/status"})

#: What nvidia-smi asks for by field ids from 535 on: of a GPU that has failed it prints zeros.
BY_FIELD = ("gpu_power_readings/", "module_power_readings/")


def read_gpu(gpu: Node, index: int, file: str, driver: str = "") -> Telling:
    """Return all that the element of a GPU tells, under a driver version if that is told.

    Raises:
        ScenarioFileError: a field has a value that nvidia-smi does not print, with the line.
    """
    telling = Telling(gpu, index, file, driver)
    if "id" in gpu.attributes and plain(gpu.told("pci/pci_bus_id")) not in NOTHING:
        telling.tell("pci_bus_id", gpu.attributes["id"], "id", gpu)
    for path, node in _fields(gpu):
        _read(telling, path, node)
    adjust(telling)
    return telling


def _fields(gpu: Node) -> Iterator[tuple[str, Node]]:
    """Go through the fields; an element that is read as a whole is one. MIG devices come last:
    which they are depends on the product."""
    last = []
    for path, node in _walk(gpu, ""):
        if path == "mig_devices":
            last.append((path, node))
        else:
            yield path, node
    yield from last


def _walk(node: Node, prefix: str) -> Iterator[tuple[str, Node]]:
    for child in node.children:
        path = f"{prefix}{child.tag}"
        if child.children and path not in ELEMENTS:
            yield from _walk(child, f"{path}/")
        else:
            yield path, child


def _read(telling: Telling, path: str, node: Node) -> None:
    text = plain(node.text)
    if not node.children and _stands_in_place(telling, path, node, text):
        return
    if path in ELEMENTS:
        if not (path in AS_ONE and _has_no_answer(telling, path, node)):
            ELEMENTS[path](telling, node)
    elif path in FIGURES:
        _read_figure(telling, path, node, text)
    elif path in ADJUSTED or derived_from(path):
        return
    elif why := why_not_kept(path):
        if is_value(text) and text != "0":  # of none, nothing is lost
            telling.note(f"{text!r} is not kept: {why}", path, node)
    elif not any(each.startswith(f"{path}/") for each in FIGURES):
        telling.note("field not known", path, node)
    else:  # "N/A" stands for an element with fields
        _read_group(telling, path, node, text)


def _has_no_answer(telling: Telling, path: str, node: Node) -> bool:
    """Whether an element's parts say an error, or nothing: what one function answered."""
    if telling.says_nothing(path):
        return True
    return any(
        _stands_in_place(telling, f"{path}/{part}", leaf, plain(leaf.text))
        for part, leaf in node.leaves()
    )


def _read_group(telling: Telling, path: str, node: Node, text: str) -> None:
    if not text:
        return
    if text not in NOTHING:
        telling.refuse(f"expected elements in it, found {text[:40]!r}", node)
    for each in FIGURES:
        if each.startswith(f"{path}/"):
            _read_figure(telling, each, node, text)


def _stands_in_place(telling: Telling, path: str, node: Node, text: str) -> bool:
    """Whether a text stands where a value or "N/A" would; then it is seen to."""
    if text in SILENT:
        return True
    if text in DENIED:
        if not _is_left_out(path):
            telling.note("who ran nvidia-smi was not permitted to see it: not told", path, node)
        return True
    if text in FAILURES:
        telling.tell("failure", FAILURES[text], path, node)
        return True
    code = None if path in NAMES_A_CODE or text in NOTHING else error_code(text)
    if code:
        _blame(telling, path, node, code)
    return code is not None


def _is_left_out(path: str) -> bool:
    """Whether nothing is told of a field, whatever it says."""
    return bool(derived_from(path) or why_not_kept(path))


def _blame(telling: Telling, path: str, node: Node, code: str) -> None:
    """Let the function behind a field fail, if it is known and all that it answers is the same."""
    if telling.has_failed:
        return  # a GPU that has failed answers so, too
    functions = functions_of(path)
    if not functions or not telling.answered_alike(functions):
        if not _is_left_out(path):
            text = f"{node.text!r} is not kept: no function fails for this field alone"
            telling.note(text, path, node)
        return
    fault = Fault(list(functions), device=telling.index, returns=code)
    if fault not in telling.faults:
        telling.faults.append(fault)


def _read_figure(telling: Telling, path: str, node: Node, text: str) -> None:
    figure, reader = FIGURES[path]
    if path.startswith(BY_FIELD) and telling.has_failed:
        return
    if text in NOTHING:
        _lack(telling, path, node, figure)
    elif text:
        try:
            value, step = telling.read(reader, text, node)
        except UnknownNameError:
            telling.note(f"{text[:40]!r} is not known: not told", path, node)
        else:
            telling.tell(figure, value, path, node, step)


def _lack(telling: Telling, path: str, node: Node, figure: str) -> None:
    """Say that a product has no such figure, unless it is the GPU's state that says so."""
    if telling.says_nothing(path):
        return
    if may_lack(tuple(figure.split("."))):
        telling.tell(figure, None, path, node)
    else:
        _blame(telling, path, node, "NOT_SUPPORTED")
