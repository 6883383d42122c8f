"""What `nvemu devices` found, for people: a line for each library, then the GPUs."""

from __future__ import annotations

import os

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text

from .findings import Finding, Pair, SeenGpu

__all__ = ["show"]

LABEL = 14  # cells for the longest of the labels below, and the gap after it
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
    """Print all that was found: side by side where there is room, else NVML above CUDA.

    Nothing is wrapped here: a line that is still too long is the terminal's to break.
    """
    console = Console(highlight=False, markup=False, emoji=False)
    lines = [headline("NVML", nvml), headline("CUDA", cuda)]
    if found:
        table = beside(found)
        limited = console.is_terminal or os.environ.get("COLUMNS", "").isdigit()
        if limited and max(line.cell_len for line in table) > console.width:
            table = above(found)
        lines += [Text(), *table]
    for line in lines:
        line.rstrip()
        console.print(line, soft_wrap=True)


def headline(name: str, finding: Finding) -> Text:
    """One line: which library, its versions, and how many GPUs or why none."""
    where = f" {finding.path}" if finding.path else ""
    made = Text(f"{name}{where}: ")
    versions = (("driver", finding.driver), ("CUDA", finding.cuda))
    made.append("".join(f"{label} {version}, " for label, version in versions if version))
    if finding.failure is not None:
        return made.append(str(finding.failure), style="bold red")
    count = len(finding.gpus)
    return made.append(f"{count} GPU{'' if count == 1 else 's'}")


def beside(found: list[Pair]) -> list[Text]:
    """The GPUs with NVML beside CUDA, a block for each."""
    blocks = [rows(pair) for pair in found]
    width = max(cell_len(nvml) for block in blocks for _, nvml, _, _ in block)
    head = line("", "NVML", "", "CUDA", width)
    lines = [head]
    for block in blocks:
        lines += [line(*row, width) for row in block] + [Text()]
    longest = max(made.cell_len for made in lines)
    return [head, Text("-" * longest), *lines[1:-1]]


def line(label: str, nvml: str, mark: str, cuda: str, width: int) -> Text:
    """One row of the table; a contradiction is red."""
    made = Text(set_cell_size(label, LABEL))
    cells = f"{set_cell_size(nvml, width)}  {mark:2}  {cuda}"
    return made.append(cells, style="bold red" if mark else "")


def above(found: list[Pair]) -> list[Text]:
    """The GPUs with NVML above CUDA."""
    lines = []
    for pair in found:
        for position, name in ((1, "NVML"), (3, "CUDA")):
            lines.append(Text(name))
            for row in rows(pair):
                if row[position]:
                    made = Text("  " + set_cell_size(row[0], LABEL))
                    style = "bold red" if row[2] else ""
                    lines.append(made.append(f"{row[position]} {row[2]}", style=style))
        lines.append(Text())
    return lines[:-1]


def rows(pair: Pair) -> list[tuple[str, str, str, str]]:
    """Label, what NVML says, "!=" where it is a contradiction, and what CUDA says."""
    made = []
    for label, field, shared in ROWS:
        nvml, cuda = cell(pair.nvml, field), cell(pair.cuda, field)
        if nvml or cuda:
            mark = "!=" if shared and pair.contradicts(field) else ""
            made.append((label, nvml, mark, cuda))
    return made


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
