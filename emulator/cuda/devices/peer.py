"""What devices can do with each other's memory, and with the host's: access and atomics.

Sources: NVIDIA's driver API reference, "Peer Context Memory Access" and "Device Management"; the
PTX ISA, "atom" and "red", for the operations; NVIDIA's MIG user guide: no peer access under MIG.
"""

from __future__ import annotations

from ...machine.links.peers import access, linked
from .. import _constants as constants
from .. import _status as status
from ..library import Cuda, CudaError, implements

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...machine import Device
    from ..contexts.context import Context

__all__ = ["Peers"]

SIGNED = constants.ATOMIC_CAPABILITY_SIGNED
UNSIGNED = constants.ATOMIC_CAPABILITY_UNSIGNED
REDUCTION = constants.ATOMIC_CAPABILITY_REDUCTION
WORDS = constants.ATOMIC_CAPABILITY_SCALAR_32 | constants.ATOMIC_CAPABILITY_SCALAR_64
WORD = constants.ATOMIC_CAPABILITY_SCALAR_32
WIDE = constants.ATOMIC_CAPABILITY_SCALAR_128

#: What NVLink carries of each operation.
NVLINK = {
    constants.ATOMIC_OPERATION_INTEGER_ADD: SIGNED | UNSIGNED | REDUCTION | WORDS,
    constants.ATOMIC_OPERATION_INTEGER_MIN: SIGNED | UNSIGNED | REDUCTION | WORDS,
    constants.ATOMIC_OPERATION_INTEGER_MAX: SIGNED | UNSIGNED | REDUCTION | WORDS,
    constants.ATOMIC_OPERATION_INTEGER_INCREMENT: UNSIGNED | REDUCTION | WORD,
    constants.ATOMIC_OPERATION_INTEGER_DECREMENT: UNSIGNED | REDUCTION | WORD,
    constants.ATOMIC_OPERATION_AND: UNSIGNED | REDUCTION | WORDS,
    constants.ATOMIC_OPERATION_OR: UNSIGNED | REDUCTION | WORDS,
    constants.ATOMIC_OPERATION_XOR: UNSIGNED | REDUCTION | WORDS,
    constants.ATOMIC_OPERATION_EXCHANGE: UNSIGNED | WORDS,
    constants.ATOMIC_OPERATION_CAS: UNSIGNED | WORDS,
    constants.ATOMIC_OPERATION_FLOAT_ADD: SIGNED | REDUCTION | WORDS,
    constants.ATOMIC_OPERATION_FLOAT_MIN: 0,
    constants.ATOMIC_OPERATION_FLOAT_MAX: 0,
}

#: An operation of PCI Express, as nvidia-smi names it -> CUDA's.
PCI = {
    "FETCHADD": (constants.ATOMIC_OPERATION_INTEGER_ADD, SIGNED | UNSIGNED | REDUCTION),
    "SWAP": (constants.ATOMIC_OPERATION_EXCHANGE, UNSIGNED),
    "CAS": (constants.ATOMIC_OPERATION_CAS, UNSIGNED),
}
WIDTHS = {"32": WORD, "64": constants.ATOMIC_CAPABILITY_SCALAR_64, "128": WIDE}


class Peers:
    """The contexts whose memory a context may access, each until its life ends.

    Attributes:
        enabled: their parts of this class, which are others when a primary context lives again.
    """

    def __init__(self, context: Context) -> None:
        self.enabled: list[Peers] = []

    def end(self) -> None:
        """Nothing is held."""


def accessible(cuda: Cuda, one: Device, other: Device) -> bool:
    """As NVML says of reads and writes; never with a MIG device, nor of one with itself."""
    if one is other or one.place or other.place:
        return False
    return access(cuda.machine.devices, one, other) == "OK"


@implements("cuDeviceCanAccessPeer")
def can_access_peer(cuda: Cuda, dev: Device, peer_dev: Device) -> int:
    return int(accessible(cuda, dev, peer_dev))


@implements("cuDeviceGetP2PAttribute")
def attribute(cuda: Cuda, attrib: int, src_device: Device, dst_device: Device) -> int:
    if src_device is dst_device:
        raise CudaError(status.INVALID_DEVICE)
    there = accessible(cuda, src_device, dst_device)
    link = there and linked(cuda.machine.devices, src_device, dst_device)
    return {
        # "Indicates relative value of the performance of the link": 0 is the best.
        constants.DEVICE_P2P_ATTRIBUTE_PERFORMANCE_RANK: int(there and not link),
        constants.DEVICE_P2P_ATTRIBUTE_ACCESS_SUPPORTED: int(there),
        constants.DEVICE_P2P_ATTRIBUTE_NATIVE_ATOMIC_SUPPORTED: int(link),
        constants.DEVICE_P2P_ATTRIBUTE_CUDA_ARRAY_ACCESS_SUPPORTED: int(there),
        constants.DEVICE_P2P_ATTRIBUTE_ONLY_PARTIAL_NATIVE_ATOMIC_SUPPORTED: 0,
    }[attrib]


@implements("cuDeviceGetP2PAtomicCapabilities")
def atomics(cuda: Cuda, operations: list[int], src_device: Device, dst_device: Device) -> list[int]:
    if src_device is dst_device:
        raise CudaError(status.INVALID_DEVICE)
    there = accessible(cuda, src_device, dst_device) and linked(
        cuda.machine.devices, src_device, dst_device
    )
    return _capabilities(operations, NVLINK if there else {})


@implements("cuDeviceGetHostAtomicCapabilities")
def host_atomics(operations: list[int], dev: Device) -> list[int]:
    """What PCI Express lets the device do in the host's memory."""
    found: dict[int, int] = {}
    for name in dev.pci.atomics_outbound or ():
        word, _, width = name.partition("_")
        operation, capability = PCI[word]
        found[operation] = found.get(operation, capability) | WIDTHS[width]
    return _capabilities(operations, found)


def _capabilities(operations: list[int], known: dict[int, int]) -> list[int]:
    if not all(0 <= operation < constants.ATOMIC_OPERATION_MAX for operation in operations):
        raise CudaError(status.INVALID_VALUE)
    return [known.get(operation, 0) for operation in operations]


@implements("cuCtxEnablePeerAccess")
def enable(cuda: Cuda, peer_context: Context, flags: int) -> None:
    context = cuda.contexts.current()
    if flags:
        raise CudaError(status.INVALID_VALUE)
    _check_peer(context, peer_context)
    if not accessible(cuda, context.device, peer_context.device):
        raise CudaError(status.PEER_ACCESS_UNSUPPORTED)
    enabled, peer = context.part(Peers).enabled, peer_context.part(Peers)
    with cuda.lock:
        if peer in enabled:
            raise CudaError(status.PEER_ACCESS_ALREADY_ENABLED)
        enabled.append(peer)


@implements("cuCtxDisablePeerAccess")
def disable(cuda: Cuda, peer_context: Context) -> None:
    context = cuda.contexts.current()
    _check_peer(context, peer_context)
    enabled, peer = context.part(Peers).enabled, peer_context.part(Peers)
    with cuda.lock:
        if peer not in enabled:
            raise CudaError(status.PEER_ACCESS_NOT_ENABLED)
        enabled.remove(peer)


def _check_peer(context: Context, peer: Context) -> None:
    if peer is context or not peer.alive:
        raise CudaError(status.INVALID_CONTEXT)
