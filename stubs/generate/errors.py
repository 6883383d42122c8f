"""Recording the texts of CUDA's status codes, from the real libraries.

    python -m stubs.generate.errors DRIVERS

DRIVERS is the folder of real libraries (`<version>/libcuda.so.1`); no GPU is needed. Which codes
cuGetErrorString knows differs by driver, and not only with age: 550.163.01 knows 916, which the
older but higher 555.58.02 does not. The texts do not differ. Names are those of the header.
"""

from __future__ import annotations

import ctypes
import json
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from stubs.generate.debian import RECORDED
from stubs.generate.paths import API

__all__ = ["record", "write"]

TARGET = Path(__file__).resolve().parents[2] / "emulator" / "cuda" / "_errors.py"
CODES = range(1, 2048)

# Codes of cuda.h that no library asked so far knows. The texts of CUDA 13.0 are libcudart's
# (13.0.96), which for every code that both know has the driver's text (compared: 12.4 with
# 550.163.01, 12.5 with 555.58.02, 13.0 with both).
UNHEARD = {
    "580.126.09": {
        36: "API call is not supported in the installed CUDA driver",
        226: "Invalid access of peer GPU memory over nvlink or a hardware error",
        721: "tensor memory not completely freed",
    },
    # Neither has libcudart 13.5 a text for these: what cuda.h says of them, in a few words.
    "615.71": {
        47: "no hardware resource is left to bind memory to a multicast object",
        227: "the loader's version is insufficient for the fatbin",
        917: "operation not permitted when stream is detached",
        918: "the recapture of a graph failed and was terminated",
        919: "the fabric is not ready",
    },
}


class ErrorTextsError(RuntimeError):
    """A driver has another text or another name for a code than the others."""


def record(drivers: Path) -> tuple[dict[int, str], dict[str, list[int]]]:
    """All texts, and by driver the codes that it does not know."""
    heard: dict[str, dict[int, str]] = {}
    for driver in RECORDED:
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            heard[driver] = pool.submit(ask_library, drivers / driver / "libcuda.so.1").result()
    texts: dict[int, str] = {}
    for known in heard.values():
        for code, text in known.items():
            if texts.setdefault(code, text) != text:
                raise ErrorTextsError(f"{code}: {text!r}, elsewhere {texts[code]!r}")
    # A newer driver knows what any before it knew.
    for driver, new in UNHEARD.items():
        heard[driver] = texts = texts | new
    texts = dict(sorted(texts.items()))
    return texts, {driver: sorted(texts.keys() - known) for driver, known in heard.items()}


def ask_library(path: Path) -> dict[int, str]:
    """Load the real libcuda in this process; the texts of the codes that it knows."""
    library = ctypes.CDLL(str(path))
    described = json.loads((API / "cuda.json").read_text(encoding="utf-8"))
    names = {code: name for name, code in described["enums"]["CUresult"].items()}
    found = {0: _ask(library.cuGetErrorString, 0)}
    for code in CODES:
        text, name = _ask(library.cuGetErrorString, code), _ask(library.cuGetErrorName, code)
        if (name or None) != (names.get(code) if text else None):
            raise ErrorTextsError(f"{path}: {code} is {name!r}, in the header {names.get(code)!r}")
        if text:
            found[code] = text
    return {code: text for code, text in found.items() if text}


def _ask(function: Any, code: int) -> str:
    text = ctypes.c_char_p()
    function(code, ctypes.byref(text))
    return (text.value or b"").decode()


def write(texts: dict[int, str], lacking: dict[str, list[int]], path: Path = TARGET) -> None:
    """Write the module that the package reads."""
    lines = [
        '"""The texts of cuGetErrorString, and the codes that a driver does not know.',
        "",
        "Recorded by stubs/generate/errors.py from the real libraries; where what none of them",
        "knows is from, says UNHEARD there.",
        '"""',
        "",
        "TEXTS = {",
        *(_line(f"{code}: {json.dumps(text)}") for code, text in texts.items()),
        "}",
        "",
        "LACKING = {",
        *(_line(f"{json.dumps(driver)}: {tuple(codes)}") for driver, codes in lacking.items()),
        "}",
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _line(entry: str) -> str:
    line = f"    {entry},"
    return line if len(line) <= 100 else f"{line}  # noqa: E501"
