"""Machines and drivers to check up on: /dev, /proc and /sys in a folder, libraries made of C."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import emulator
from emulator.checkup import Check
from emulator.stubfiles import SONAMES
from emulator.symbols import exported

VERSION = "550.163.01"
KERNEL_LINE = (
    "NVRM version: NVIDIA UNIX x86_64 Kernel Module  {}  Tue Apr  8 12:41:17 UTC 2025\n"
    "GCC version:  gcc version 12.2.0 (Debian 12.2.0-14)\n"
)
OPEN_KERNEL_LINE = (
    "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  {}  Release Build  (root@build)\n"
)
HEALTHY_NODES = ("nvidiactl", "nvidia0", "nvidia-uvm")


def lay_out_machine(
    root: Path,
    gpus: Mapping[str, str | None] | None = None,
    kernel: str | None = None,
    nodes: Sequence[str] = (),
    *,
    line: str = KERNEL_LINE,
    modules: Sequence[str] = (),
    release: str = "6.1.0-37-amd64",
) -> Path:
    """A machine with GPUs (PCI address -> driver), a kernel module and device nodes."""
    for folder in ("dev", "proc/driver", "sys/bus/pci/devices", "etc"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    (root / "proc/sys/kernel").mkdir(parents=True, exist_ok=True)
    (root / "proc/sys/kernel/osrelease").write_text(release + "\n")
    (root / "proc/modules").write_text("".join(f"{name} 1 0 - Live 0x0\n" for name in modules))
    bridge = root / "sys/bus/pci/devices/0000:00:00.0"
    lay_out_device(bridge, vendor="0x8086", kind="0x060000", driver=None)
    for address, driver in (gpus or {}).items():
        lay_out_device(root / "sys/bus/pci/devices" / address, driver=driver)
    if kernel:
        (root / "proc/driver/nvidia").mkdir()
        (root / "proc/driver/nvidia/version").write_text(line.format(kernel))
    for node in nodes:
        (root / "dev" / node).write_text("")
    return root


def lay_out_device(
    folder: Path, vendor: str = "0x10de", kind: str = "0x030200", driver: str | None = "nvidia"
) -> None:
    folder.mkdir()
    (folder / "vendor").write_text(vendor + "\n")
    (folder / "class").write_text(kind + "\n")
    (folder / "device").write_text("0x1eb8\n")
    if driver:
        (folder / "driver").symlink_to(f"../../../bus/pci/drivers/{driver}")


def healthy_machine(root: Path, kernel: str = VERSION) -> Path:
    return lay_out_machine(root, {"0000:01:00.0": "nvidia"}, kernel, HEALTHY_NODES)


def refuse_opening(path: Path) -> None:
    """Make a file that open() refuses with ENXIO, as a node without a driver does: a socket."""
    path.unlink(missing_ok=True)
    here = os.getcwd()
    os.chdir(path.parent)  # a socket's path has 107 bytes
    try:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(path.name)
    finally:
        os.chdir(here)


#: What a library answers: function -> C expression of its body.
HEALTHY = {
    "nvmlInit_v2": "return 0;",
    "nvmlErrorString": 'return (long)(code == 9 ? "Driver Not Loaded" : "Unknown Error");',
    "nvmlSystemGetDriverVersion": f'return !__builtin_strcpy((char *)code, "{VERSION}");',
    "nvmlSystemGetCudaDriverVersion_v2": "*(int *)code = 12040; return 0;",
    "nvmlDeviceGetCount_v2": "*(int *)code = 2; return 0;",
    "cuInit": "return 0;",
    "cuDriverGetVersion": "*(int *)code = 12040; return 0;",
    "cuDeviceGetCount": "*(int *)code = 2; return 0;",
    "cuGetErrorString": '*(const char **)out = "the text of a code"; return 0;',
}


def c_source(
    library: str,
    version: str | None = VERSION,
    functions: Sequence[str] | None = None,
    **bodies: str,
) -> str:
    """A library like NVIDIA's: with its version in it, and all of its functions or those named.

    A function's first argument is `code`, its second `out`; those without a body answer 999.
    """
    names = exported(library, VERSION) if functions is None else functions
    made = {name: (HEALTHY | bodies).get(name, "return 999;") for name in names}
    head = "#include <signal.h>\n#include <stdio.h>\n#include <stdlib.h>\n#include <unistd.h>\n"
    if version:
        head += f'__attribute__((used)) static const char version[] = "\\0" "{version}";\n'
    return head + "\n".join(
        f"long {name}(long code, long out) {{ {body} }}" for name, body in made.items()
    )


class Driver:
    """A folder with libraries that are made as they are asked for."""

    def __init__(self, folder: Path, compile_c: Callable[..., Path]) -> None:
        self.folder, self._compile = folder, compile_c
        folder.mkdir(exist_ok=True)

    def put(
        self,
        library: str,
        version: str | None = VERSION,
        functions: Sequence[str] | None = None,
        flags: Sequence[str] = (),
        **bodies: str,
    ) -> Path:
        """Compile a library into the folder, under the names that NVIDIA gives it."""
        soname = SONAMES[library]
        source = c_source(library, version, functions, **bodies)
        options = ("-shared", "-fPIC", "-fno-builtin", "-w", f"-Wl,-soname,{soname}", *flags)
        file = self.folder / f"{soname.removesuffix('.1')}.{version or '1.0'}"
        self._compile(source, *options).rename(file)
        (self.folder / soname).symlink_to(file.name)
        return self.folder / soname

    @property
    def environment(self) -> dict[str, str]:
        """Variables with which programs find these libraries and nothing else of NVIDIA's."""
        return {"LD_LIBRARY_PATH": str(self.folder), "PATH": str(self.folder)}


_PRINT_LINE = """
import json, sys; from pathlib import Path; from emulator.checkup import as_data, check
root, name, environment = sys.argv[1:]
lines = as_data(check(Path(root), json.loads(environment), 20))["checks"]
print(json.dumps(next(line for line in lines if line["name"] == name)))
"""


def seen_elsewhere(
    root: Path,
    name: str,
    environment: Mapping[str, str],
    before: Sequence[str] = (),
    preexec: Callable[[], None] | None = None,
) -> dict[str, Any]:
    """The line of a checkup by another process, one that may do less: `before` is a command that
    starts it, `preexec` is called in it."""
    arguments = [str(root), name, json.dumps(dict(environment))]
    done = subprocess.run(
        [*before, sys.executable, "-c", _PRINT_LINE, *arguments],
        env=os.environ | {"PYTHONPATH": str(Path(emulator.__file__).parent.parent)},
        preexec_fn=preexec,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    line: dict[str, Any] = json.loads(done.stdout)
    return line


def named(checks: Sequence[Check], name: str) -> Check:
    """The one line of this name."""
    (found,) = (each for each in checks if each.name == name)
    return found


def system_has(soname: str) -> bool:
    """Whether this system has one of NVIDIA's libraries, which then cannot be made absent."""
    command = [sys.executable, "-c", f"import ctypes; ctypes.CDLL({soname!r})"]
    environment = {"PATH": os.environ["PATH"]}
    return not subprocess.run(command, env=environment, check=False, capture_output=True).returncode
