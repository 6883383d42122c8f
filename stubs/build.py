"""Compiling the stubs: each library's source once, then one link for each driver version.

A build leaves `<folder>/<driver version>/<soname>`, such as `550.163.01/libcuda.so.1`, and
`<folder>/audit.so`, which watches what the dynamic loader does.
Standard library only: it runs inside the package's build.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

__all__ = ["BuildError", "build"]

HERE = Path(__file__).resolve().parent
SONAMES = {"nvml": "libnvidia-ml.so.1", "cuda": "libcuda.so.1"}
COMPILE = "-std=gnu11 -O2 -fPIC -fvisibility=hidden -ffunction-sections -Wall -Wextra"
# nodelete: Python holds pointers into the stub, and hosts dlclose and dlopen again.
LINK = (
    "-shared -Wl,-z,nodelete -Wl,--hash-style=gnu -Wl,-z,relro -Wl,-z,now -Wl,--gc-sections -Wl,-s"
)


class BuildError(RuntimeError):
    """The stubs could not be compiled; the message has what the compiler said."""


def drivers(library: str) -> list[str]:
    """The driver versions that a library has a version script for, oldest first."""
    return sorted(path.name[len(library) + 1 : -4] for path in HERE.glob(f"gen/{library}-*.map"))


def build(into: Path, compiler: str | None = None) -> list[Path]:
    """Compile all stubs into `into`; BuildError when there is no compiler or it fails."""
    command = shlex.split(compiler or os.environ.get("CC", "cc"))
    if shutil.which(command[0]) is None:
        raise BuildError(f"no C compiler ({command[0]}): install gcc, or set CC")
    with tempfile.TemporaryDirectory() as work, ThreadPoolExecutor() as pool:
        sources = {name: HERE / "gen" / f"{name}.c" for name in SONAMES}
        sources["python"] = HERE / "src" / "python.c"
        objects = {name: Path(work, f"{name}.o") for name in sources}
        list(pool.map(lambda n: _compile(command, sources[n], objects[n]), sources))
        jobs = [(library, driver) for library in SONAMES for driver in drivers(library)]
        stubs = pool.map(lambda job: _link(command, objects, Path(work), into, *job), jobs)
        return [*stubs, _build_audit(command, Path(work), into)]


def _build_audit(command: list[str], work: Path, into: Path) -> Path:
    fresh = work / "audit.so"
    link = ["-shared", "-Wl,-z,relro", "-Wl,-z,now", "-Wl,-s"]
    sources = map(str, sorted((HERE / "src" / "audit").glob("*.c")))
    _run([*command, *COMPILE.split(), *link, "-o", str(fresh), *sources, "-ldl"])
    return _put(fresh, into / "audit.so")


def _link(
    command: list[str], objects: dict[str, Path], work: Path, into: Path, library: str, driver: str
) -> Path:
    forward = work / f"forward-{library}-{driver}.o"
    _compile(command, HERE / "src" / "forward.c", forward, [f'-DNVEMU_DRIVER="{driver}"'])
    shared = [str(objects[library]), str(objects["python"])]
    fresh = work / f"{library}-{driver}.so"
    script = HERE / "gen" / f"{library}-{driver}.map"
    names = [f"-Wl,-soname,{SONAMES[library]}", f"-Wl,--version-script={script}"]
    inputs = [*shared, str(forward), "-lpthread", "-ldl"]
    _run([*command, *LINK.split(), *names, "-o", str(fresh), *inputs])
    return _put(fresh, into / driver / SONAMES[library])


def _put(fresh: Path, target: Path) -> Path:
    """Renamed into place: a process that has the old one mapped keeps it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    staged = target.with_suffix(".new")
    shutil.copy(fresh, staged)
    staged.replace(target)
    return target


def _compile(command: list[str], source: Path, target: Path, flags: Sequence[str] = ()) -> None:
    include = f"-I{HERE / 'src'}"
    _run([*command, *COMPILE.split(), include, *flags, "-c", str(source), "-o", str(target)])


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BuildError(f"{shlex.join(command)} failed:\n{done.stderr}")
