"""What the device's engines do, and can do."""

from __future__ import annotations

from .figures import Bytes, Figures, Microseconds, Percent

__all__ = ["CaptureSessions", "Encoder", "Processor", "Utilization"]


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


class Encoder(Figures):
    """Hardware video encoding: sessions now, and the remaining capacity in percent by codec."""

    __slots__ = ("av1", "average_fps", "average_latency", "h264", "hevc", "sessions")

    sessions: int | None
    average_fps: int | None
    average_latency: Microseconds | None
    h264: Percent | None
    hevc: Percent | None
    av1: Percent | None


class CaptureSessions(Figures):
    """Frame buffer capture sessions (FBC in nvidia-smi)."""

    __slots__ = ("average_fps", "average_latency", "sessions")

    sessions: int | None
    average_fps: int | None
    average_latency: Microseconds | None


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
