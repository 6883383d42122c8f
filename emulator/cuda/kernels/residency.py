"""How many blocks of a kernel fit on a multiprocessor.

The rules are those of NVIDIA's occupancy calculator (cuda_occupancy.h of the toolkit): warps,
registers and shared memory are given out in steps, and the scarcest of them decides.
"""

from __future__ import annotations

from ..memory.heap import rounded

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...machine import Device
    from .image import Kernel

__all__ = ["blocks", "capability", "shared_limit", "shared_room", "threads_by_registers"]

REGISTER_STEP = 256  # registers that a warp takes at once, from sm_30 on
SUBDIVISIONS = 4  # schedulers of a multiprocessor, each with its part of warps and registers
SHARED_STEPS = {3: 256, 5: 256, 6: 256, 7: 256}  # by major version; later ones:
SHARED_STEP = 128

#: Schedulers of the multiprocessor where there are not four.
FEWER = {(6, 0): 2}


def _figure(device: Device, name: str) -> int:
    return device.cuda_attribute(name) or 0


def capability(device: Device) -> tuple[int, int]:
    """A device's compute capability, major and minor."""
    names = "COMPUTE_CAPABILITY_MAJOR", "COMPUTE_CAPABILITY_MINOR"
    return _figure(device, names[0]), _figure(device, names[1])


def _parts(device: Device) -> int:
    return FEWER.get(capability(device), SUBDIVISIONS)


def threads_by_registers(device: Device, kernel: Kernel) -> int:
    """The most threads of a block that the registers of a block suffice for."""
    warp = _figure(device, "WARP_SIZE") or 32
    most = _figure(device, "MAX_THREADS_PER_BLOCK")
    per_warp = rounded(kernel.registers * warp, REGISTER_STEP)
    if not per_warp:
        return most
    parts = _parts(device)
    in_part = _figure(device, "MAX_REGISTERS_PER_BLOCK") // parts // per_warp
    return min(most, in_part * parts * warp)


def shared_limit(device: Device) -> int:
    """Bytes of shared memory that a block may have where its function asks for it."""
    plain = _figure(device, "MAX_SHARED_MEMORY_PER_BLOCK")
    return max(plain, _figure(device, "MAX_SHARED_MEMORY_PER_BLOCK_OPTIN"))


def shared_room(device: Device, shared: int) -> int:
    """Bytes that a block with so much shared memory takes of its multiprocessor's."""
    step = SHARED_STEPS.get(capability(device)[0], SHARED_STEP)
    return rounded(shared + _figure(device, "RESERVED_SHARED_MEMORY_PER_BLOCK"), step)


def blocks(device: Device, kernel: Kernel, threads: int, dynamic: int) -> int:
    """The blocks of `threads` threads, each with `dynamic` bytes more of shared memory, that are on
    a multiprocessor at once; 0 where not even one fits."""
    warp = _figure(device, "WARP_SIZE") or 32
    warps = -(-threads // warp)
    if threads > _figure(device, "MAX_THREADS_PER_BLOCK"):
        return 0
    if kernel.max_threads and threads > kernel.max_threads:
        return 0
    shared = kernel.shared + dynamic
    if shared > shared_limit(device):
        return 0
    found = [
        _figure(device, "MAX_BLOCKS_PER_MULTIPROCESSOR"),
        _figure(device, "MAX_THREADS_PER_MULTIPROCESSOR") // warp // warps,
        _by_registers(device, kernel, warp, warps),
    ]
    room = shared_room(device, shared)
    if room:
        found.append(_figure(device, "MAX_SHARED_MEMORY_PER_MULTIPROCESSOR") // room)
    return min(found)


def _by_registers(device: Device, kernel: Kernel, warp: int, warps: int) -> int:
    per_warp = rounded(kernel.registers * warp, REGISTER_STEP)
    if not per_warp:
        return _figure(device, "MAX_BLOCKS_PER_MULTIPROCESSOR")
    parts = _parts(device)
    if _figure(device, "MAX_REGISTERS_PER_BLOCK") // parts // per_warp * parts < warps:
        return 0
    return _figure(device, "MAX_REGISTERS_PER_MULTIPROCESSOR") // parts // per_warp * parts // warps
