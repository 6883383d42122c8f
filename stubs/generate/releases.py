"""The header releases that the API descriptions are read from: one table, newest first."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["CUDA", "LIBRARIES", "NVML", "PROFILER", "Release"]


@dataclass(frozen=True)
class Release:
    """One pinned wheel that carries NVIDIA headers."""

    package: str
    version: str

    @property
    def label(self) -> str:
        """How API descriptions name their source: package and version."""
        return f"{self.package} {self.version}"

    @property
    def toolkit(self) -> str:
        """The CUDA toolkit release that the header belongs to, such as `12.4`."""
        major, minor = self.version.split(".")[:2]
        return f"{major}.{minor}"

    @property
    def folder(self) -> str:
        """The name of its folder in the header cache."""
        return f"{self.package}-{self.version}"


def _pin(package: str, *versions: str) -> tuple[Release, ...]:
    return tuple(Release(package, version) for version in versions)


NVML = (
    _pin("nvidia-nvml-dev", "13.5.37", "13.3.29", "13.0.87")
    + _pin("nvidia-nvml-dev-cu12", "12.9.79", "12.8.90", "12.6.77", "12.5.82", "12.4.127")
    + _pin("nvidia-nvml-dev-cu12", "12.3.101", "12.2.140", "12.1.105", "12.0.140")
    + _pin("nvidia-nvml-dev-cu11", "11.8.86", "11.7.91")
)

CUDA = (
    _pin("nvidia-cuda-runtime", "13.5.37", "13.0.96")
    + _pin("nvidia-cuda-runtime-cu12", "12.9.79", "12.8.90", "12.6.77", "12.5.82", "12.4.127")
    + _pin("nvidia-cuda-runtime-cu12", "12.3.101", "12.2.140", "12.1.105", "12.0.146")
    + _pin("nvidia-cuda-runtime-cu11", "11.8.89", "11.7.99")
)

# cudaProfiler.h is in a package of its own; its three functions have not changed since CUDA 4.0.
PROFILER = Release("nvidia-cuda-profiler-api-cu12", "12.9.79")

LIBRARIES = {"nvml": NVML, "cuda": CUDA}
