"""Asking the C compiler about one release's headers: preprocessed text, macros, values, sizes."""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["CompilerError", "HeaderSet"]

# The system's own headers would drag in compiler extensions that pycparser cannot read, and GL,
# EGL and VDPAU headers are rarely installed. These few lines are all that NVIDIA's headers use.
_SYSTEM_HEADERS = {
    "stddef.h": "typedef unsigned long size_t;",
    "stdlib.h": "#include <stddef.h>",
    "stdint.h": """
        typedef signed char int8_t; typedef unsigned char uint8_t;
        typedef short int16_t; typedef unsigned short uint16_t;
        typedef int int32_t; typedef unsigned int uint32_t;
        typedef long int64_t; typedef unsigned long uint64_t; typedef unsigned long uintptr_t;""",
    "GL/gl.h": "typedef unsigned int GLuint; typedef unsigned int GLenum;",
    "EGL/egl.h": "typedef int EGLint;",
    "EGL/eglext.h": """
        typedef void *EGLImageKHR; typedef void *EGLStreamKHR; typedef void *EGLSyncKHR;""",
    "vdpau/vdpau.h": """
        #include <stdint.h>
        typedef uint32_t VdpDevice; typedef uint32_t VdpVideoSurface;
        typedef uint32_t VdpOutputSurface; typedef int VdpStatus; typedef uint32_t VdpFuncId;
        typedef VdpStatus VdpGetProcAddress(VdpDevice device, VdpFuncId id, void **pointer);""",
}
_ONCE = "#ifndef {guard}\n#define {guard}\n{text}\n#endif\n"

# With these, prototypes of old versions appear too, each under the name that is really exported.
# The third leaves out enumerators that only the driver's own build has.
_DEFINES = (
    "-DNVML_NO_UNVERSIONED_FUNC_DEFS",
    "-D__CUDA_API_VERSION_INTERNAL",
    "-D__CUDA_API_VERSION_INTERNAL_ODR",
)

_PROBE = """
int printf(const char *, ...);
#define SHOW(i, x) printf("%d %d %llu\\n", i, (x) < 0, (unsigned long long)(x))
int main(void) {{
{shows}
return 0; }}
"""


class CompilerError(RuntimeError):
    """The C compiler refused a header or a probe."""


@dataclass(frozen=True)
class HeaderSet:
    """Headers that are included together, and the folders that they lie in."""

    includes: tuple[str, ...]
    folders: tuple[Path, ...]

    @property
    def unit(self) -> str:
        """The translation unit that includes every header of the set that the release has."""
        own = {name for name in self.includes if any((f / name).is_file() for f in self.folders)}
        present = [name for name in self.includes if name in own or name in _SYSTEM_HEADERS]
        return "".join(f'#include "{name}"\n' for name in present)

    def preprocessed(self) -> str:
        """The whole set after the preprocessor, with line markers and without attributes."""
        return self._cc(["-E", "-D__attribute__(x)="], self.unit).stdout

    def macros(self) -> dict[str, str]:
        """Object-like macros that the headers define, by name, with their bodies as written."""
        defined = _macros(self._cc(["-E", "-dM"], self.unit).stdout)
        predefined = _macros(self._cc(["-E", "-dM"], "").stdout)
        return {name: body for name, body in defined.items() if name not in predefined}

    def values(self, expressions: Mapping[str, str]) -> dict[str, int]:
        """Evaluate C expressions; those that are no integer constants are left out."""
        constant = self._constant(expressions)
        lines = [f"SHOW({i}, {expressions[name]});" for i, name in enumerate(constant)]
        printed = self._run(self.unit + _PROBE.format(shows="\n".join(lines)))
        values = {}
        for line in printed.splitlines():
            index, negative, value = (int(word) for word in line.split())
            values[constant[index]] = value - 2**64 if negative else value
        return values

    def _constant(self, expressions: Mapping[str, str]) -> list[str]:
        """The names whose expression the compiler takes for a constant."""
        names = list(expressions)
        head = self.unit.count("\n")
        lines = [f'_Static_assert((long long)({expressions[n]}) || 1, "");' for n in names]
        done = self._cc(["-fsyntax-only"], self.unit + "\n".join(lines), check=False)
        refused = re.findall(r"^<stdin>:(\d+):.*error", done.stderr, re.M)
        wrong = {int(line) - head - 1 for line in refused}
        return [name for i, name in enumerate(names) if i not in wrong]

    def _run(self, source: str) -> str:
        with tempfile.TemporaryDirectory() as folder:
            program = Path(folder) / "probe"
            self._cc(["-o", str(program)], source)
            return subprocess.run([program], check=True, capture_output=True, text=True).stdout

    def _cc(
        self, flags: Sequence[str], source: str, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        with tempfile.TemporaryDirectory() as system:
            _write_system_headers(Path(system))
            where = [f"-I{folder}" for folder in (*self.folders, system)]
            command = ["cc", "-x", "c", "-w", "-fmax-errors=0", "-nostdinc", *where, *_DEFINES]
            done = subprocess.run(
                [*command, *flags, "-"], input=source, capture_output=True, text=True, check=False
            )
        if check and done.returncode:
            raise CompilerError(f"cc {' '.join(flags)} failed on {self.includes}:\n{done.stderr}")
        return done


def _write_system_headers(folder: Path) -> None:
    for name, text in _SYSTEM_HEADERS.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        guard = re.sub(r"\W", "_", name).upper()
        path.write_text(_ONCE.format(guard=guard, text=text))


def _macros(dump: str) -> dict[str, str]:
    found: Iterable[re.Match[str]] = re.finditer(r"^#define (\w+)(?: (.+))?$", dump, re.M)
    return {match[1]: match[2] or "" for match in found}
