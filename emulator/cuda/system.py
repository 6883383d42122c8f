"""Initialisation, versions and errors of the CUDA driver."""

from __future__ import annotations

from .library import Cuda, implements

__all__: list[str] = []


@implements("cuInit", anytime=True)
def init(library: Cuda) -> None:
    library.init()


@implements("cuDriverGetVersion", anytime=True)
def driver_version(library: Cuda) -> int:
    return library.machine.cuda_version
