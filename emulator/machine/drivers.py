"""The drivers nvemu knows, each with the CUDA version that its libcuda reports.

The CUDA version is what ``cuDriverGetVersion`` answers: 1000 x major + 10 x minor (cuda.h). Read
off the libraries of the Debian non-free packages of each version; 580.126.09 is from NVIDIA's
release notes for the 580 branch. 615.71 is from headers: no library of it was read. It exports
what the one before does and what the headers of CUDA 13.5 add, and NEWEST is not it.
"""

from __future__ import annotations

__all__ = ["DRIVERS", "FROM_HEADERS", "NEWEST", "branch", "cuda_version", "nvml_version", "older"]

#: Driver version -> CUDA version, oldest first.
DRIVERS = {
    "470.256.02": 11040,
    "525.147.05": 12000,
    "535.261.03": 12020,
    "550.163.01": 12040,
    "555.58.02": 12050,
    "580.126.09": 13000,
    "615.71": 13050,
}

#: The driver of a scenario that names none: the newest whose names are known.
NEWEST = "580.126.09"


#: The drivers whose libraries nobody has read: what they export follows from headers.
FROM_HEADERS = ("615.71",)


def older(driver: str) -> list[str]:
    """Return the drivers that are older than one of them, oldest first."""
    known = list(DRIVERS)
    return known[: known.index(driver)]


def branch(driver: str) -> int:
    """Return a driver version's release branch: 580 of "580.126.09"."""
    return int(driver.partition(".")[0])


def cuda_version(number: int) -> str:
    """Return a CUDA version as people write it: "12.4" of 12040."""
    return f"{number // 1000}.{number % 1000 // 10}"


def nvml_version(driver: str, cuda: int) -> str:
    """Return what ``nvmlSystemGetNVMLVersion`` answers under a driver.

    The CUDA major version stands before the driver version: the real 550.163.01 library answers
    "12.550.163.01".
    """
    return f"{cuda // 1000}.{driver}"
