"""Sessions. `nox` alone runs the tests, the linters and the type checker."""

from __future__ import annotations

import os
from pathlib import Path

import nox

nox.options.sessions = ["tests", "lint", "types"]
nox.options.reuse_existing_virtualenvs = True

CACHE = Path(__file__).parent / ".cache"
DRIVERS = CACHE / "drivers"  # real libraries and nvidia-smi, from Debian's packages
PROGRAMS = CACHE / "programs"  # monitors, from Debian's packages

# Versions that go together, and with the drivers of CUDA 12.4 to 13.0.
CUDA_CLIENTS = ("numba-cuda[cu12]==0.30.4", "cuda-bindings==12.9.7", "cuda-core[cu12]==1.2.2")
MONITORS = ("gpustat==1.1.1", "nvitop==1.7.2", "glances==4.5.8", "py3nvml==0.2.7", "pyte==0.8.2")
NUMBA_TESTS = ("cffi", "filecheck", "psutil", "pytest")  # what numba-cuda's own tests import


@nox.session
def tests(session: nox.Session) -> None:
    """The test suite, with its coverage; arguments go to pytest."""
    session.install("-e", ".[test]")
    session.run("pytest", "--cov", "--cov-report=term", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Ruff's checks and format, and the dependency rules of docs/design.md."""
    session.install("-e", ".[lint]")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("lint-imports")


@nox.session
def types(session: nox.Session) -> None:
    """mypy --strict."""
    session.install("-e", ".[test,lint]")
    session.run("mypy")


@nox.session
def generate(session: nox.Session) -> None:
    """Write the API descriptions, the C and the Python tables anew; `-- --check`: only compare."""
    session.install("-e", ".[test]")
    session.run("python", "-m", "stubs.generate", "files", "--descriptions", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """Print the budgets of docs/design.md as ratios, measured in one run."""
    session.install("-e", ".[test]")
    session.run("python", "tests/benchmarks/budgets.py", *session.posargs)
    session.run("python", "tests/benchmarks/discovery.py")
    session.run("python", "tests/benchmarks/live.py")
    session.run("python", "tests/benchmarks/watching.py")
    session.run("python", "tests/benchmarks/million.py")
    session.run("python", "tests/benchmarks/cuda.py")


@nox.session
def stress(session: nox.Session) -> None:
    """Many processes that share a machine's memory, come, go and are killed: the long way."""
    session.install("-e", ".[test]")
    tests = ("tests/unit/test_ledger.py", "tests/unit/test_cuda_together.py")
    session.run("pytest", *tests, *session.posargs, env=os.environ | {"NVEMU_STRESS": "1"})


@nox.session
def symbols(session: nox.Session) -> None:
    """Record the symbol tables anew from Debian's packages; fails where one differs (downloads)."""
    session.install("-e", ".[test]")
    session.run("python", "-m", "stubs.generate", "symbols", str(DRIVERS))


@nox.session
def real(session: nox.Session) -> None:
    """Real clients and the real libraries beside ours (downloads Debian's driver packages)."""
    session.install("-e", ".[test]")
    session.run("python", "-m", "stubs.generate", "drivers", str(DRIVERS))
    environment = os.environ | {"NVEMU_REAL_DRIVERS": str(DRIVERS)}
    session.run("pytest", "tests/clients", "tests/conformance", *session.posargs, env=environment)


@nox.session
def clients(session: nox.Session) -> None:
    """gpustat, nvitop, glances, py3smi, nvtop and btop on emulated GPUs (downloads them)."""
    session.install("-e", ".[test]")
    session.run("python", "-m", "stubs.generate", "programs", str(PROGRAMS))
    folder = Path(session.create_tmp()) / "clients" / "bin"
    session.run("python", "-m", "venv", str(folder.parent))
    session.run(str(folder / "pip"), "install", "-q", *MONITORS, external=True)
    environment = os.environ | {"NVEMU_MONITORS": f"{folder}{os.pathsep}{PROGRAMS / 'bin'}"}
    session.run("pytest", "tests/clients/test_monitors.py", *session.posargs, env=environment)


@nox.session
def cuda_clients(session: nox.Session) -> None:
    """numba-cuda, cuda-bindings and cuda.core on emulated GPUs (downloads them)."""
    session.install("-e", ".[test]")
    session.run("python", "-m", "stubs.generate", "drivers", str(DRIVERS))
    python = Path(session.create_tmp()) / "clients" / "bin" / "python"
    session.run("python", "-m", "venv", str(python.parents[1]))
    session.run(
        str(python), "-m", "pip", "install", "-q", *CUDA_CLIENTS, *NUMBA_TESTS, external=True
    )
    environment = os.environ | {
        "NVEMU_CUDA_CLIENTS": str(python),
        "NVEMU_REAL_DRIVERS": str(DRIVERS),
    }
    session.run("pytest", "tests/clients/test_cuda_clients.py", *session.posargs, env=environment)


@nox.session
def oracle(session: nox.Session) -> None:
    """Our libraries beside the real ones in all that these answer without a GPU (downloads)."""
    session.install("-e", ".[test]")
    session.run("python", "-m", "stubs.generate", "drivers", str(DRIVERS))
    session.run("python", "tests/conformance/oracle.py", str(DRIVERS))
    session.run("python", "-m", "stubs.generate", "files", "--check", "--descriptions")
    environment = os.environ | {"NVEMU_HEADERS": str(CACHE / "headers")}
    session.run("pytest", "tests/conformance/test_layouts.py", env=environment)


@nox.session
def fidelity(session: nox.Session) -> None:
    """Print how many answers of each recorded machine nvemu's own machine gives, too."""
    session.install("-e", ".[test]")
    session.run("python", "tests/conformance/fidelity.py", *session.posargs)


@nox.session
def browser(session: nox.Session) -> None:
    """The page of `nvemu doctor --html` in headless Chromium (apt-get install chromium)."""
    session.install("-e", ".[test]")
    session.run("pytest", "tests/clients/test_doctor_chromium.py", *session.posargs)


@nox.session
def aarch64(session: nox.Session) -> None:
    """Compile the stubs for aarch64 with Debian's cross gcc and check their tables."""
    session.install("-e", ".[test]")
    environment = os.environ | {"NVEMU_CROSS_CC": "aarch64-linux-gnu-gcc"}
    session.run("pytest", "tests/abi/test_tables.py", *session.posargs, env=environment)


@nox.session
def docs(session: nox.Session) -> None:
    """Write docs/reference out of the code; `-- --check`: only compare."""
    session.install("-e", ".[test]")
    session.run("python", "docs/reference.py", *session.posargs)
