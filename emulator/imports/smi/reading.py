"""A file with what nvidia-smi printed, as facts: XML, text, or the line that it failed with."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from msgspec import Struct

from ...scenario import Fault, ScenarioError, ScenarioFileError, checks
from ..facts import Facts, GpuFacts, Note
from .answers import error_code, is_value, plain
from .failing import failed
from .mapping import read_gpu
from .tables.rest import HOSTS, MOVING
from .tellings import Telling
from .trees.foreign import refuse_foreign
from .trees.opening import text_of
from .trees.texttree import text_tree
from .trees.tree import Node
from .trees.xmltree import ROOT, xml_tree

__all__ = ["Output", "parse", "read", "tree_of"]

#: Sixteen GPUs with all their clocks have 30,000 fields.
MOST = 200_000

_DRIVER = ("kmd_version", "driver_version")  # newer drivers name it as in the first
_CUDA = ("cuda_umd_version", "cuda_version")
_CUDA_FUNCTIONS = ["nvmlSystemGetCudaDriverVersion", "nvmlSystemGetCudaDriverVersion_v2"]

#: What the file has beside fields that move: all of it is read.
_HEAD = {*_DRIVER, *_CUDA, *HOSTS, "attached_gpus", "gpu"}


class Output(Struct, frozen=True):
    """What a file says.

    Attributes:
        facts: of the machine.
        tree: all that nvidia-smi printed; None where that was one line.
        fields: of the scenario beside its GPUs and faults.
        view: the options of nvidia-smi that print it.
    """

    facts: Facts
    tree: Node | None = None
    fields: dict[str, Any] = {}
    view: tuple[str, ...] = ("-q", "-x")


def read(file: Path) -> Output:
    """Read a file with an output of `nvidia-smi -q -x` or `nvidia-smi -q`.

    Raises:
        ScenarioFileError: it cannot be read, or is no whole output; with the line.
    """
    return parse(text_of(file), str(file))


def parse(text: str, file: str) -> Output:
    """Return what a text says that nvidia-smi printed.

    Raises:
        ScenarioFileError: it is no whole output of nvidia-smi; with the line.
    """
    tree = tree_of(text, file)
    if tree is not None:
        return Output(_facts(tree, file), tree, view=("-q", "-x") if _is_xml(text) else ("-q",))
    machine = failed(text)
    if machine is not None:
        return Output(machine.facts, None, machine.fields)
    refuse_foreign(text, file)


def tree_of(text: str, file: str) -> Node | None:
    """Return all that nvidia-smi printed, as XML or as text; None if there is neither.

    Raises:
        ScenarioFileError: it is no whole output of nvidia-smi; with the line.
    """
    return xml_tree(text, file) if _is_xml(text) else text_tree(text, file)


def _is_xml(text: str) -> bool:
    return f"<{ROOT}" in text or f"&lt;{ROOT}" in text


def _facts(tree: Node, file: str) -> Facts:
    if tree.find("gpu") is None:
        raise ScenarioFileError("expected a GPU in it, found none", file=file, line=tree.line)
    if sum(1 for _ in tree.leaves()) > MOST:
        problem = f"expected a machine's fields, found more than {MOST} of them"
        raise ScenarioFileError(problem, file=file, line=tree.line)
    driver = _version(tree, file, _DRIVER, checks.version)
    tellings = [read_gpu(gpu, index, file, driver) for index, gpu in enumerate(tree.all("gpu"))]
    _refuse_nameless(tellings)
    notes = [note for telling in tellings for note in telling.notes]
    return Facts(
        driver=driver,
        cuda=_version(tree, file, _CUDA, checks.cuda_version),
        gpus=tuple(GpuFacts(tuple(telling.told)) for telling in tellings),
        faults=(*_faults(tree), *(fault for telling in tellings for fault in telling.faults)),
        notes=(*_notes(tree, len(tellings)), *notes),
    )


def _refuse_nameless(tellings: list[Telling]) -> None:
    """Refuse a GPU of which nothing says what it is: `nvidia-smi -q -d` leaves that out."""
    for telling in tellings:
        if telling.value("name") is None and telling.value("pci.device_id") is None:
            telling.refuse(
                "expected product_name or pci/pci_device_id, found neither, as in the output of "
                "`nvidia-smi -q -d`; run `nvidia-smi -q -x > FILE` on that machine",
                telling.gpu,
            )


def _version(tree: Node, file: str, tags: Iterable[str], check: Callable[[str], object]) -> str:
    """What the first of some elements says that says something, less what 610 adds to it:
    "[Deprecated; will be removed]"."""
    for node in filter(None, map(tree.find, tags)):
        version = plain(node.text).partition(" [")[0]
        if is_value(version):
            try:
                check(version)
            except ScenarioError as error:
                problem = f"{node.tag}: {error.problem}"
                raise ScenarioFileError(problem, file=file, line=node.line) from None
            return version
    return ""


def _faults(tree: Node) -> list[Fault]:
    """Without libcuda there is no CUDA version: "Not Found", as on hosts of virtual GPUs."""
    codes = [error_code(plain(tree.told(tag))) for tag in _CUDA]
    return [Fault(_CUDA_FUNCTIONS, returns=code) for code in dict.fromkeys(codes) if code]


def _notes(tree: Node, shown: int) -> list[Note]:
    notes = [
        Note(f"line {node.line}, {node.tag}", "field not known")
        for node in tree.children
        if node.tag not in _HEAD and node.tag not in MOVING
    ]
    attached = tree.find("attached_gpus")
    if attached and attached.text.isdecimal() and attached.text != str(shown):
        text = f"{attached.text} GPUs are attached, {shown} are shown: those alone are imported"
        notes.append(Note(f"line {attached.line}, {attached.tag}", text))
    return notes
