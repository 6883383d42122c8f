"""`--redirect`: programs that ask for a library by a path are given the testbed's."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Nvemu = Callable[..., subprocess.CompletedProcess[str]]
Compile = Callable[..., Path]

ASK = """
import ctypes, sys
cuda = ctypes.CDLL(sys.argv[1])
print(cuda.cuInit(0))
"""
SHIM = "int cuInit(unsigned flags) { (void)flags; return 77; }"


@pytest.fixture
def driver(compile_c: Compile, tmp_path: Path) -> Path:
    """A libcuda that is not nvemu's, in a folder of its own."""
    shim = compile_c(SHIM, "-shared", "-fPIC", "-Wl,-soname,libcuda.so.1")
    (tmp_path / "driver").mkdir()
    return shim.rename(tmp_path / "driver" / "libcuda.so.535.54.03")


def ask(nvemu: Nvemu, *options: str, library: Path) -> subprocess.CompletedProcess[str]:
    """What a program finds that asks for a library by a path."""
    return nvemu(*options, "--", sys.executable, "-c", ASK, library)


def test_a_path_leads_to_the_file_without_it(nvemu: Nvemu, driver: Path) -> None:
    assert ask(nvemu, "run", library=driver).stdout == "77\n"


@pytest.mark.parametrize("command", ["run", "trace"])
def test_a_path_leads_to_the_testbed(nvemu: Nvemu, driver: Path, command: str) -> None:
    done = ask(nvemu, command, "--redirect", library=driver)
    assert done.stdout == "0\n"
    assert ("cuInit(Flags=0) = SUCCESS" in done.stderr) == (command == "trace")


def test_also_where_there_is_no_such_file(nvemu: Nvemu) -> None:
    done = ask(nvemu, "run", "--redirect", library=Path("/usr/lib/none/libcuda.so.1"))
    assert (done.stdout, done.stderr) == ("0\n", "")


@pytest.mark.parametrize("options", [[], ["--scenario", "cuda-absent-nvml-fine"]])
def test_a_name_leads_to_the_testbed_whatever_the_path(
    nvemu: Nvemu, driver: Path, options: list[str]
) -> None:
    (driver.parent / "libcuda.so.1").symlink_to(driver)
    changed = ["env", f"LD_LIBRARY_PATH={driver.parent}", sys.executable, "-c", ASK, "libcuda.so.1"]
    assert nvemu("run", "--", *changed).stdout == "77\n"
    done = nvemu("run", "--redirect", *options, "--", *changed)
    assert done.stdout == ("" if options else "0\n")


def test_what_the_scenario_breaks_is_broken_there(nvemu: Nvemu, driver: Path) -> None:
    lacking = ("--scenario", "cuda-absent-nvml-fine")
    done = ask(nvemu, "run", "--redirect", *lacking, library=driver)
    assert "cannot open shared object file" in done.stderr


def test_says_what_it_did_not_reach(nvemu: Nvemu, driver: Path) -> None:
    other = driver.rename(driver.with_name("my-driver.so"))
    done = ask(nvemu, "run", "--redirect", library=other)
    assert done.stdout == "77\n"
    said = f"has loaded {other}, under a name that is not libcuda.so.1"
    assert done.stderr.startswith("nvemu: --redirect did not reach all: python")
    assert said in done.stderr
