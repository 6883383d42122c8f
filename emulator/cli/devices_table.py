"""What `nvemu devices` found, for people: a line for each library, then NVML beside CUDA."""

from __future__ import annotations

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from .findings import Finding, Pair, SeenGpu

__all__ = ["show"]

WIDTH = 110  # of what is not a terminal: two UUIDs side by side
MIB = 1 << 20
# Label, field, and whether the libraries must agree on it.
ROWS = (
    ("index", "index", False),
    ("name", "name", True),
    ("UUID", "uuid", True),
    ("bus id", "bus_id", True),
    ("memory", "memory_total", False),
    ("compute cap.", "compute_capability", True),
)


def show(nvml: Finding, cuda: Finding, found: list[Pair]) -> None:
    """Print all that was found."""
    console = Console(highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console.width = WIDTH
    for name, finding in (("NVML", nvml), ("CUDA", cuda)):
        console.print(headline(name, finding), soft_wrap=True)
    if found:
        console.print(table(found))


def headline(name: str, finding: Finding) -> Text:
    """One line: which library, its versions, and how many GPUs or why none."""
    where = f" {finding.path}" if finding.path else ""
    line = Text(f"{name}{where}: ")
    versions = (("driver", finding.driver), ("CUDA", finding.cuda))
    line.append("".join(f"{label} {version}, " for label, version in versions if version))
    if finding.failure is not None:
        return line.append(str(finding.failure), style="bold red")
    count = len(finding.gpus)
    return line.append(f"{count} GPU{'' if count == 1 else 's'}")


def table(found: list[Pair]) -> Table:
    """The GPUs, a section for each."""
    made = Table("", "NVML", "", "CUDA", box=SIMPLE_HEAD, pad_edge=False)
    for column in made.columns:
        column.overflow = "fold"
    for pair in found:
        for label, field, shared in ROWS:
            cells = cell(pair.nvml, field), cell(pair.cuda, field)
            if any(cells):
                made.add_row(label, *row(*cells, shared and pair.contradicts(field)))
        made.add_section()
    return made


def row(nvml: str, cuda: str, marked: bool) -> tuple[Text, Text, Text]:
    """What the two libraries say; marked where it is a contradiction."""
    style = "bold red" if marked else ""
    return Text(nvml, style), Text("!=" if marked else "", style), Text(cuda, style)


def cell(gpu: SeenGpu | None, field: str) -> str:
    """A figure of a GPU, or why it is not there."""
    if gpu is None:
        return "not found" if field == "index" else ""
    if field in gpu.failures:
        return gpu.failures[field].name
    if field == "memory_total":
        return memory(gpu)
    value = getattr(gpu, field)
    return "" if value is None else str(value)


def memory(gpu: SeenGpu) -> str:
    """Memory in use (NVML alone tells) and in all."""
    total = f"{gpu.memory_total // MIB} MiB" if gpu.memory_total is not None else ""
    return total if gpu.memory_used is None else f"{gpu.memory_used // MIB} of {total} in use"
