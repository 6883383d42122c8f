"""How busy the engines of a device are: now, in samples, and by session."""

from __future__ import annotations

from ..machine.clock import SAMPLE
from ..machine.words import WORDS
from . import _constants as constants
from . import _status as status
from .library import Nvml, NvmlError, implements, implements_each

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Optional, Sequence, Union

    from ..machine import Device
    from ..machine.engines import CaptureSessions, Encoder

__all__ = ["CAPTURE_STATS", "averages", "captured", "encoded", "whole"]

SAMPLES = 100  # the driver keeps about as many, as nvidia-smi's durations show

#: In the order of nvmlSamplingType_t: the reading that is sampled.
SAMPLED = (
    ("power", "usage"),
    ("utilization", "gpu"),
    ("utilization", "memory"),
    ("utilization", "encoder"),
    ("utilization", "decoder"),
    ("clocks", "sm", "current"),
    ("clocks", "memory", "current"),
    ("power", "module", "usage"),
    ("utilization", "jpeg"),
    ("utilization", "ofa"),
)

ENCODERS = WORDS["VideoCodec"]  # in the order of nvmlEncoderType_t


def whole(device: Device) -> None:
    """Refuse a device in MIG mode, of whose engines nothing is known (nvml.h)."""
    if device.mig.current:
        raise NvmlError(status.NOT_SUPPORTED)


@implements("nvmlDeviceGetUtilizationRates")
def rates(device: Device) -> dict[str, Optional[int]]:
    whole(device)
    return {"gpu": device.utilization.gpu, "memory": device.utilization.memory}


@implements("nvmlDeviceGetSamples", sizes=True)
def recent_samples(
    nvml: Nvml,
    device: Device,
    type: int,  # noqa: A002 (the C name)
    last_seen_time_stamp: int,
    samples: int,
    sample_count: int,
) -> tuple[int, list[dict[str, Any]]]:
    """As many as the client has room for, the oldest first; all of them for one that asks how many
    there are."""
    if type >= len(SAMPLED):
        raise NvmlError(status.INVALID_ARGUMENT)
    if samples and not sample_count:
        raise NvmlError(status.INVALID_ARGUMENT)
    path = SAMPLED[type]
    if path[0] == "utilization":
        whole(device)
    start, read = nvml.machine.clock.start, nvml.machine.reading
    if read(device, path, nvml.machine.clock.elapsed()) is None:
        raise NvmlError(status.NOT_SUPPORTED)
    times = [time for time in sample_times(nvml) if time // 1000 > last_seen_time_stamp]
    if not times:
        raise NvmlError(status.NOT_FOUND)
    if samples:
        times = times[:sample_count]
    return constants.VALUE_TYPE_UNSIGNED_INT, [
        {"timeStamp": time // 1000, "sampleValue": {"uiVal": read(device, path, time - start)}}
        for time in times
    ]


def sample_times(nvml: Nvml) -> range:
    """When the samples were taken that the driver still has, in nanoseconds."""
    now = nvml.machine.clock.now()
    now -= now % SAMPLE
    return range(now - (SAMPLES - 1) * SAMPLE, now + 1, SAMPLE)


@implements("nvmlDeviceGetDynamicPstatesInfo")
def dynamic_states(device: Device) -> dict[str, Any]:
    """The GPU, its memory, video, and the bus, which nothing is known of."""
    whole(device)
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
    capacity: Optional[int] = getattr(device.encoder, ENCODERS[encoder_query_type])
    return capacity


CAPTURE_STATS = ("sessionsCount", "averageFPS", "averageLatency")


def averages(rows: Sequence[Any]) -> tuple[int, int, int]:
    """How many sessions, their frames a second and their latency in microseconds, on average."""
    count = len(rows)
    fps, latency = (
        sum(getattr(row, name) or 0 for row in rows) // max(count, 1)
        for name in ("average_fps", "average_latency")
    )
    return count, fps, latency


def counted(group: Union[Encoder, CaptureSessions]) -> tuple[Optional[int], ...]:
    """As `averages`; of a mere number of sessions as the scenario says."""
    if group.rows:
        return averages(group.rows)
    return group.sessions, group.average_fps, group.average_latency


def encoded(session: Any) -> dict[str, int]:
    """What an nvmlEncoderSessionInfo_t says of the picture, a vGPU's or not."""
    return {
        "pid": session.pid,
        "hResolution": session.width,
        "vResolution": session.height,
        "averageFps": session.average_fps,
        "averageLatency": session.average_latency,
    }


def captured(session: Any) -> dict[str, int]:
    """The same of an nvmlFBCSessionInfo_t: what is captured at most is what is captured."""
    return {
        "pid": session.pid,
        "hMaxResolution": session.width,
        "vMaxResolution": session.height,
        "hResolution": session.width,
        "vResolution": session.height,
        "averageFPS": session.average_fps,
        "averageLatency": session.average_latency,
    }


@implements("nvmlDeviceGetEncoderStats")
def encoder_stats(device: Device) -> tuple[Optional[int], ...]:
    return counted(device.encoder)


@implements("nvmlDeviceGetFBCStats")
def capture_stats(device: Device) -> dict[str, Optional[int]]:
    return dict(zip(CAPTURE_STATS, counted(device.capture)))


@implements("nvmlDeviceGetEncoderSessions", sizes=True)
def encoder_sessions(device: Device) -> list[dict[str, Any]]:
    """Those that the scenario lists: of a mere number nobody knows whose they are."""
    return [
        {
            **encoded(session),
            "sessionId": number,
            "vgpuInstance": 0,
            "codecType": ENCODERS.index(session.codec),
        }
        for number, session in enumerate(device.encoder.rows, 1)
    ]


@implements("nvmlDeviceGetFBCSessions", sizes=True)
def capture_sessions(device: Device) -> list[dict[str, Any]]:
    """As those of the encoder."""
    return [
        {
            **captured(session),
            "sessionId": number,
            "vgpuInstance": 0,
            "displayOrdinal": session.display,
            "sessionType": WORDS["CaptureType"].index(session.type),
            "sessionFlags": constants.NVFBC_SESSION_FLAG_CAPTURE_WITH_WAIT_NO_WAIT,
        }
        for number, session in enumerate(device.capture.rows, 1)
    ]


def engine(name: str) -> Callable[[Device], tuple[Optional[int], Optional[int]]]:
    def read(device: Device) -> tuple[Optional[int], Optional[int]]:
        whole(device)
        return getattr(device.utilization, name), device.utilization.sample_period

    return read


implements_each(
    {
        "nvmlDeviceGetDecoderUtilization": engine("decoder"),
        "nvmlDeviceGetEncoderUtilization": engine("encoder"),
        "nvmlDeviceGetJpgUtilization": engine("jpeg"),
        "nvmlDeviceGetOfaUtilization": engine("ofa"),
    }
)
