"""GPU performance monitoring: metrics between two samples, from Hopper on.

A sample is the moment it was taken at. The machine's figures stand still between two of them, so
that a metric is what the figure says now.
"""

from __future__ import annotations

from . import _constants as constants
from . import _status as status
from .library import Nvml, NvmlError, implements

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Optional

    from ..machine import Device

__all__: list[str] = []

#: Architectures without it.
EARLIER = ("KEPLER", "MAXWELL", "PASCAL", "VOLTA", "TURING", "AMPERE", "ADA")

#: nvmlGpmMetricId_t -> how it is read; others are NOT_SUPPORTED one by one.
METRICS: dict[int, Callable[[Device], Optional[int]]] = {
    constants.GPM_METRIC_GRAPHICS_UTIL: lambda device: device.utilization.gpu,
    constants.GPM_METRIC_SM_UTIL: lambda device: device.utilization.gpu,
    constants.GPM_METRIC_DRAM_BW_UTIL: lambda device: device.utilization.memory,
    constants.GPM_METRIC_PCIE_TX_PER_SEC: lambda device: device.pci.tx_throughput,
    constants.GPM_METRIC_PCIE_RX_PER_SEC: lambda device: device.pci.rx_throughput,
}


class Sample:
    """What nvmlGpmSampleAlloc makes."""

    __slots__ = ("device",)

    def __init__(self) -> None:
        self.device: Optional[Device] = None


def supported(device: Device) -> bool:
    return device.architecture not in EARLIER


@implements("nvmlGpmQueryDeviceSupport")
def support(device: Device) -> dict[str, bool]:
    return {"isSupportedDevice": supported(device)}


@implements("nvmlGpmQueryIfStreamingEnabled")
def streaming(device: Device) -> Optional[int]:
    return 0 if supported(device) else None


@implements("nvmlGpmSampleAlloc")
def allocate() -> Sample:
    return Sample()


@implements("nvmlGpmSampleFree")
def free(nvml: Nvml, gpm_sample: Sample) -> None:
    nvml.handles("nvmlGpmSample_t").drop(gpm_sample)


@implements("nvmlGpmSampleGet")
def take(device: Device, gpm_sample: Sample) -> None:
    if not supported(device):
        raise NvmlError(status.NOT_SUPPORTED)
    gpm_sample.device = device


@implements("nvmlGpmMetricsGet")
def metrics(nvml: Nvml, metrics_get: Any) -> dict[str, Any]:
    """The client's struct may have been made for fewer metrics than ours: only those asked for
    are touched."""
    wanted = [metrics_get.metrics[index] for index in range(metrics_get.numMetrics)]
    samples = nvml.handles("nvmlGpmSample_t").objects
    sample = samples.get(metrics_get.sample2)
    if wanted and (sample is None or sample.device is None):
        raise NvmlError(status.INVALID_ARGUMENT)
    for metric in wanted:
        read = METRICS.get(metric.metricId)
        value = read(sample.device) if read and sample and sample.device else None
        metric.nvmlReturn = status.NOT_SUPPORTED if value is None else status.SUCCESS
        metric.value = value or 0.0
    return {}
