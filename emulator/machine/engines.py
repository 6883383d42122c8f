"""What the device's engines do, and can do."""

from __future__ import annotations

from .figures import Bytes, Figures, Microseconds, Percent, Rows

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .words import CaptureType, VideoCodec

__all__ = [
    "ENGINES",
    "CaptureSession",
    "CaptureSessions",
    "Encoder",
    "EncoderSession",
    "Processor",
    "Utilization",
]

#: The engines whose use is told, as figures of `Utilization`.
ENGINES = ("gpu", "memory", "encoder", "decoder", "jpeg", "ofa")


class Utilization(Figures):
    """Percent of the last sample period in which an engine was busy; None: no such engine."""

    __slots__ = ("decoder", "encoder", "gpu", "jpeg", "memory", "ofa", "sample_period")

    gpu: Percent | None
    memory: Percent | None
    encoder: Percent | None
    decoder: Percent | None
    jpeg: Percent | None
    ofa: Percent | None
    sample_period: Microseconds | None  # of the encoder and decoder figures


class EncoderSession(Figures):
    """A process that encodes video: the picture's size in pixels, frames a second, and the latency
    of one."""

    __slots__ = ("average_fps", "average_latency", "codec", "height", "pid", "width")

    pid: int
    codec: VideoCodec
    width: int
    height: int
    average_fps: int
    average_latency: Microseconds


class Encoder(Rows):
    """Hardware video encoding: sessions now, and the remaining capacity in percent by codec.

    ``rows`` lists sessions; without them, ``sessions`` is how many there are.
    """

    __slots__ = ("av1", "average_fps", "average_latency", "h264", "hevc", "rows", "sessions")
    kinds = (("rows", EncoderSession),)
    empty = (("rows", ()),)

    sessions: int | None
    average_fps: int | None
    average_latency: Microseconds | None
    h264: Percent | None
    hevc: Percent | None
    av1: Percent | None
    rows: list[EncoderSession]


class CaptureSession(Figures):
    """A process that captures what a display shows, the first display being 0."""

    __slots__ = ("average_fps", "average_latency", "display", "height", "pid", "type", "width")

    pid: int
    display: int
    type: CaptureType
    width: int
    height: int
    average_fps: int
    average_latency: Microseconds


class CaptureSessions(Rows):
    """Frame buffer capture sessions (FBC in nvidia-smi).

    ``rows`` lists them; without them, ``sessions`` is how many there are.
    """

    __slots__ = ("average_fps", "average_latency", "rows", "sessions")
    kinds = (("rows", CaptureSession),)
    empty = (("rows", ()),)

    sessions: int | None
    average_fps: int | None
    average_latency: Microseconds | None
    rows: list[CaptureSession]


class Processor(Figures):
    """The compute part of the chip."""

    __slots__ = ("cores_per_multiprocessor", "l2_cache", "multiprocessors")

    multiprocessors: int
    cores_per_multiprocessor: int
    l2_cache: Bytes

    @property
    def cores(self) -> int:
        """FP32 cores, as nvmlDeviceGetNumGpuCores counts them."""
        return self.multiprocessors * self.cores_per_multiprocessor
