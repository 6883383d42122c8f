"""The question that nvemu comes from: a server spawns a runner, the runner loads a library that is
linked with libcuda.so.1, and the mode stays CPU. Which of the four explanations is it?"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Nvemu = Callable[..., subprocess.CompletedProcess[str]]
Compile = Callable[..., Path]

#: The driver, to link with: what it answers is never asked for.
DRIVER = "int cuInit(unsigned f) { return f; } int cuDeviceGetCount(int *n) { return *n; }"

#: As libggml-cuda.so: linked with the driver.
BACKEND = """
int cuInit(unsigned); int cuDeviceGetCount(int *);
int devices(void) { int n = 0; return cuInit(0) || cuDeviceGetCount(&n) ? 0 : n; }
"""

#: Says how many devices its backend found, by its exit status.
RUNNER = """
#include <dlfcn.h>
int main(int n, char **arguments) {
    void *backend = n > 1 ? dlopen(arguments[1], RTLD_NOW) : 0;
    return backend ? ((int (*)(void))dlsym(backend, "devices"))() : 0;
}
"""

SERVER = """
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
int main(int n, char **arguments) {
    int status = 0;
    (void)n;
    if (!fork()) {
        execv(arguments[1], arguments + 1);
        _exit(0);
    }
    wait(&status);
    puts(WEXITSTATUS(status) ? "mode: GPU" : "mode: CPU");
    return 0;
}
"""


@pytest.fixture
def server(compile_c: Compile, tmp_path: Path) -> list[str]:
    """The command line: server, runner, backend."""
    folder = tmp_path / "driver"
    folder.mkdir()
    driver = compile_c(DRIVER, "-shared", "-fPIC", "-Wl,-soname,libcuda.so.1")
    driver.rename(folder / "libcuda.so")
    linked = ("-shared", "-fPIC", "-Wl,--no-as-needed", f"-L{folder}", "-lcuda")
    backend = compile_c(BACKEND, *linked).rename(tmp_path / "libggml-cuda.so")
    (folder / "libcuda.so").unlink()
    runner = compile_c(RUNNER, "-ldl").rename(tmp_path / "runner")
    return [str(compile_c(SERVER).rename(tmp_path / "server")), str(runner), str(backend)]


def first_line(done: subprocess.CompletedProcess[str]) -> str:
    """Doctor's, after what the program printed."""
    return next(row for row in done.stdout.splitlines() if row.startswith("nvemu doctor: "))


def test_found(nvemu: Nvemu, server: list[str]) -> None:
    done = nvemu("doctor", "--", *server)
    assert done.stdout.startswith("mode: GPU\n")
    assert first_line(done) == "nvemu doctor: all fine: 1 device seen"
    assert done.returncode == 0


def test_1_the_library_was_never_found(nvemu: Nvemu, server: list[str]) -> None:
    done = nvemu("doctor", "--scenario", "cuda-absent-nvml-fine", "--", *server)
    assert done.stdout.startswith("mode: CPU\n")
    assert first_line(done) == "nvemu doctor: library not found: libcuda.so.1 is not there"
    assert f"{os.sep}libcuda.so.1: absent" in done.stdout
    assert f"asked for by {server[2]}" in done.stdout


def test_2_it_was_found_and_initialisation_failed(nvemu: Nvemu, server: list[str]) -> None:
    done = nvemu("doctor", "--scenario", "uvm-module-missing", "--", *server)
    assert done.stdout.startswith("mode: CPU\n")
    said = "nvemu doctor: initialisation failed: cuInit answered UNKNOWN (999)"
    assert first_line(done) == said


def test_3_the_device_count_was_0(nvemu: Nvemu, server: list[str], tmp_path: Path) -> None:
    scenario = tmp_path / "none.toml"
    fault = 'function = "cuDeviceGetCount"\nwrites = { count = 0 }\n'
    scenario.write_text(f'[[gpu]]\nprofile = "t4"\n[[fault]]\n{fault}')
    done = nvemu("doctor", "--scenario", scenario, "--", *server)
    assert done.stdout.startswith("mode: CPU\n")
    assert first_line(done) == "nvemu doctor: no devices: cuDeviceGetCount counted 0"


def test_4_it_never_asked(nvemu: Nvemu, server: list[str]) -> None:
    done = nvemu("doctor", "--", *server[:2])
    assert done.stdout.startswith("mode: CPU\n")
    said = "it never asked the libraries: no search for libnvidia-ml or libcuda at all"
    assert first_line(done) == f"nvemu doctor: {said}"


def test_4_it_went_another_way(nvemu: Nvemu, server: list[str]) -> None:
    done = nvemu("doctor", "--", server[0], "/bin/sh", "-c", "test -e /dev/nvidia0")
    said = "it never asked the libraries and looked another way"
    assert first_line(done).startswith(f"nvemu doctor: {said}: sh looked at /dev/nvidia0")


def test_4_what_would_have_asked_is_missing(nvemu: Nvemu, server: list[str]) -> None:
    Path(server[2]).unlink()
    done = nvemu("doctor", "--", *server)
    assert first_line(done) == f"nvemu doctor: library not found: {server[2]} is not there"
