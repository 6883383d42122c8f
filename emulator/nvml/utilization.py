"""How busy the engines of a device are: now, in samples, and by session."""

from __future__ import annotations

from . import _constants as constants
from . import _status as status
from .library import Nvml, NvmlError, implements, implements_each

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Optional

    from ..machine import Device

__all__: list[str] = []

SAMPLES = 100  # the driver keeps about as many
PERIOD = 20_000  # microseconds from one to the next, as nvidia-smi's durations show

#: In the order of nvmlSamplingType_t: what is sampled.
SAMPLED: tuple[Callable[[Device], Optional[int]], ...] = (
    lambda device: device.power.usage,
    lambda device: device.utilization.gpu,
    lambda device: device.utilization.memory,
    lambda device: device.utilization.encoder,
    lambda device: device.utilization.decoder,
    lambda device: device.clocks.sm.current,
    lambda device: device.clocks.memory.current,
    lambda device: device.power.module.usage,
    lambda device: device.utilization.jpeg,
    lambda device: device.utilization.ofa,
)

ENCODERS = ("h264", "hevc", "av1")  # in the order of nvmlEncoderType_t


@implements("nvmlDeviceGetUtilizationRates")
def rates(device: Device) -> Optional[dict[str, Optional[int]]]:
    """A device in MIG mode has none: nvidia-smi shows N/A."""
    if device.mig.current:
        return None
    return {"gpu": device.utilization.gpu, "memory": device.utilization.memory}


@implements("nvmlDeviceGetSamples", sizes=True)
def samples(
    nvml: Nvml,
    device: Device,
    type: int,  # noqa: A002 (the C name)
    last_seen_time_stamp: int,
) -> tuple[int, list[dict[str, Any]]]:
    value = SAMPLED[type](device) if type < len(SAMPLED) else None
    times = [time for time in sample_times(nvml) if time > last_seen_time_stamp]
    if value is None or not times:
        raise NvmlError(status.NOT_SUPPORTED if value is None else status.NOT_FOUND)
    taken = [{"timeStamp": time, "sampleValue": {"uiVal": value}} for time in times]
    return constants.VALUE_TYPE_UNSIGNED_INT, taken


def sample_times(nvml: Nvml) -> range:
    """When the samples were taken that the driver still has, in microseconds."""
    now = nvml.machine.clock.now() // 1000
    return range(now - (SAMPLES - 1) * PERIOD, now + 1, PERIOD)


@implements("nvmlDeviceGetDynamicPstatesInfo")
def dynamic_states(device: Device) -> dict[str, Any]:
    shares = (device.utilization.gpu, device.utilization.memory, device.utilization.decoder, 0)
    return {
        "flags": 0,
        "utilization": [
            {"bIsPresent": share is not None, "percentage": share or 0} for share in shares
        ],
    }


@implements("nvmlDeviceGetEncoderCapacity")
def encoder_capacity(device: Device, encoder_query_type: int) -> Optional[int]:
    if encoder_query_type >= len(ENCODERS):
        raise NvmlError(status.INVALID_ARGUMENT)
    return getattr(device.encoder, ENCODERS[encoder_query_type])  # type: ignore[no-any-return]


@implements("nvmlDeviceGetFBCStats")
def capture_stats(device: Device) -> dict[str, Optional[int]]:
    return {
        "sessionsCount": device.capture.sessions,
        "averageFPS": device.capture.average_fps,
        "averageLatency": device.capture.average_latency,
    }


@implements("nvmlDeviceGetEncoderSessions", "nvmlDeviceGetFBCSessions")
def sessions() -> list[Any]:
    """Sessions are counted, not listed: no client says whose they are."""
    return []


def engine(name: str) -> Callable[[Device], tuple[Optional[int], Optional[int]]]:
    return lambda device: (getattr(device.utilization, name), device.utilization.sample_period)


implements_each(
    {
        "nvmlDeviceGetDecoderUtilization": engine("decoder"),
        "nvmlDeviceGetEncoderStats": lambda device: (
            device.encoder.sessions,
            device.encoder.average_fps,
            device.encoder.average_latency,
        ),
        "nvmlDeviceGetEncoderUtilization": engine("encoder"),
        "nvmlDeviceGetJpgUtilization": engine("jpeg"),
        "nvmlDeviceGetOfaUtilization": engine("ofa"),
    }
)
