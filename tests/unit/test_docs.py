"""The docs' Python samples, run as they stand, and their scenario files, loaded."""

from __future__ import annotations

import inspect
import re
import sys
from pathlib import Path
from shutil import copy
from types import ModuleType, SimpleNamespace
from typing import Any

import pynvml
import pytest

from emulator.doctor import VERDICTS
from emulator.plans import plan_of
from emulator.scenario import loads, names

ROOT = Path(__file__).resolve().parent.parent.parent
PAGES = sorted([ROOT / "README.md", *ROOT.glob("docs/*.md")])
#: Its samples are tests with fixtures: tests/plugin/test_tutorial.py has pytest run them.
PLUGIN = ROOT / "docs" / "tutorial-tests.md"
PROGRAM = """#!{python}
import pynvml
pynvml.nvmlInit()
print(pynvml.nvmlSystemGetDriverVersion())
"""


def find_gpus() -> list[str]:
    """What a reader's own code might be."""
    try:
        pynvml.nvmlInit()
        handles = map(pynvml.nvmlDeviceGetHandleByIndex, range(pynvml.nvmlDeviceGetCount()))
        return [pynvml.nvmlDeviceGetName(handle) for handle in handles]
    except (pynvml.NVMLError, UnicodeDecodeError):  # pynvml decodes what the library wrote
        return []


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"(?ms)^```{language}\n(.*?)^```$", page.read_text(encoding="utf-8"))


@pytest.mark.parametrize("page", [p for p in PAGES if p != PLUGIN], ids=lambda page: page.name)
def test_python_samples(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "my-program"
    program.write_text(PROGRAM.format(python=sys.executable))
    program.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    module = ModuleType("sample")  # hypothesis asks where a test is from
    monkeypatch.setitem(sys.modules, "sample", module)
    names: dict[str, Any] = vars(module)
    names["my_package"] = SimpleNamespace(find_gpus=find_gpus)
    exec("import emulator, pynvml; from emulator import Fault, Gpu, Scenario", names)
    for number, sample in enumerate(blocks(page, "python")):
        if "@implements" not in sample:  # how a handler looks, with its body left out
            exec(compile(sample, f"{page.name}[{number}]", "exec"), names)
    for name, test in list(names.items()):
        if name.startswith("test_") and inspect.isfunction(test):
            test()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_scenario_files(page: Path, tmp_path: Path) -> None:
    (recorded, *_) = (ROOT / "tests" / "captures").glob("*.capture")
    copy(recorded, tmp_path / "box.capture")
    for number, text in enumerate(blocks(page, "toml")):
        plan_of(loads(text, f"{tmp_path}/{page.name}[{number}]", page.stem))


def test_what_the_readme_and_the_changelog_count() -> None:
    text = "".join((ROOT / name).read_text("utf-8") for name in ("README.md", "CHANGELOG.md"))
    known = names()
    failures = len(set(known.scenarios) - {"default"})
    for what, count, places in (
        (r"(\d+) (?:failures that people|\[scenarios\])", failures, 3),
        (r"(\d+) (?:\[products\]|GPU profiles)", len(known.profiles), 2),
        (r"(\d+)\s+systems", len(known.systems), 1),
    ):
        assert re.findall(what, text) == [str(count)] * places


def test_the_table_of_verdicts() -> None:
    page = (ROOT / "docs" / "tutorial-debugging.md").read_text(encoding="utf-8")
    rows = re.findall(r"(?m)^\| (\d+) \| `([a-z-]+)` \|", page)
    assert rows == [(str(kind.status), name) for name, kind in VERDICTS.items()]
