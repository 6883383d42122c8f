"""The machine's words for the numbers that functions answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...machine.words import WORDS
from ...nvml import _constants as constants
from ...nvml import _status as status
from ...nvml.modes import COMPUTE_MODES
from ...nvml.pci import ATOMICS
from ...nvml.performance import EVENT_REASONS

__all__ = ["BITS", "WORDS_OF"]


def _named(prefix: str, kind: str) -> dict[int, str]:
    """The header's numbers for the machine's words of a kind."""
    known = {word: getattr(constants, prefix + word, None) for word in WORDS[kind]}
    return {value: word for word, value in known.items() if value is not None}


def _placed(kind: str) -> dict[int, str]:
    """The words of a kind that stand in the order of their numbers."""
    return dict(enumerate(WORDS[kind]))


#: Figure -> number -> the machine's word for it.
WORDS_OF: dict[str, Mapping[int, str]] = {
    "addressing_mode": _named("DEVICE_ADDRESSING_MODE_", "AddressingMode"),
    "architecture": _named("DEVICE_ARCH_", "Architecture"),
    "brand": _named("BRAND_", "Brand"),
    "compute_mode": COMPUTE_MODES,
    "fabric.health_summary": _placed("FabricHealth"),
    "fabric.incorrect_configuration": _placed("FabricConfiguration"),
    "fabric.state": _named("GPU_FABRIC_STATE_", "FabricState"),
    "fabric.status": {getattr(status, word): word for word in WORDS["FabricStatus"]},
    "platform.peer_type": _placed("PeerType"),
    "power.mizer_mode": _placed("PowerMizerMode"),
    "power.source": _placed("PowerSource"),
    "recovery_action": _named("GPU_RECOVERY_ACTION_", "RecoveryAction"),
    "virtualization_mode": _named("GPU_VIRTUALIZATION_MODE_", "VirtualizationMode"),
}

#: Figure that is a list -> bit of the mask that is told -> the list's element.
BITS: dict[str, Mapping[int, Any]] = {
    "clocks.event_reasons": {bit: reason for reason, bit in EVENT_REASONS.items()},
    **{
        f"pci.atomics_{way}": {1 << place: word for place, word in enumerate(ATOMICS)}
        for way in ("inbound", "outbound")
    },
    "power.mizer_modes": {1 << place: word for place, word in _placed("PowerMizerMode").items()},
    "power.modes": {1 << place: place for place in range(32)},
}
