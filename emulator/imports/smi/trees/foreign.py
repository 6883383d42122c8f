"""What a file is that has no `nvidia-smi -q` in it, for the one error that says what to run."""

from __future__ import annotations

import re
from typing import NoReturn

from ....scenario.errors import ScenarioFileError

__all__ = ["refuse_foreign"]

_WANTED = "expected the output of `nvidia-smi -q -x`, or of `nvidia-smi -q`"
_ADVICE = "; run `nvidia-smi -q -x > FILE` on that machine"

#: A line that gives it away -> what it is.
_KINDS = (
    (r".*\| +NVIDIA-SMI \d", "nvidia-smi's table"),
    (r".*\|[ \d]+(N/A +N/A +)?\d+ +(C|G|C\+G|M\+C) ", "the processes of nvidia-smi's table"),
    (r"\s*GPU \d+: .*\(UUID: ", "a list of GPUs, as of `nvidia-smi -L`"),
    (r"\s*(\x1b\[4m)?\s*GPU0\b.*CPU Affinity", "the output of `nvidia-smi topo -m`"),
    (r"(index|name|uuid|pci\.|gpu_|timestamp|driver)[\w.]*( \[\w+\])?,", "a table of --query-gpu"),
    (r"(pid|process_name|used_gpu_memory)( \[\w+\])?,", "a table of --query-compute-apps"),
    (r"# gpu +(pwr|pid|sm)", "the output of `nvidia-smi dmon` or pmon"),
    (r"NVIDIA System Management Interface", "nvidia-smi's help"),
    (r'\s*\{"nvemu": ?"capture"', "a capture, which is a scenario itself (nvemu run --scenario)"),
    (r"\s*\[\[gpu\]\]", "a scenario"),
    (r"\s*Attached Units\s+: ", "the output of `nvidia-smi -q -u`"),
    (r".*=NVSMI LOG=", "its first lines alone"),
    (r"\s{4,}\w[\w ./-]*\s+: ", "a part of `nvidia-smi -q` without the line of its GPU"),
)

#: Longer lines are none of these, and nobody puts it behind as many others.
_LONGEST = 400
_LOOKED = 20_000


def refuse_foreign(text: str, file: str) -> NoReturn:
    """Say what a text is in place of nvidia-smi's `-q`, with the line that shows it.

    Raises:
        ScenarioFileError: always.
    """
    lines = text.split("\n", _LOOKED)[:_LOOKED]
    for pattern, kind in _KINDS:
        found = re.compile(pattern)
        for number, line in enumerate(lines, 1):
            if found.match(line[:_LONGEST]):
                problem = f"{_WANTED}, found {kind}{_ADVICE}"
                raise ScenarioFileError(problem, file=file, line=number)
    first = next((number for number, line in enumerate(lines, 1) if line.strip()), 1)
    shown = lines[first - 1].strip()[:40]
    problem = f"{_WANTED}, found {shown!r}{_ADVICE}"
    raise ScenarioFileError(problem, file=file, line=first)
