"""GPU performance monitoring: metrics between two samples, from Hopper on."""

from __future__ import annotations

import ctypes

from . import _constants as constants
from . import _status as status
from .architectures import need
from .gpmmetrics import NAMES, Moment, Span
from .library import Nvml, NvmlError, implements

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Optional

    from ..machine import Device

__all__: list[str] = []


class Sample:
    """What nvmlGpmSampleAlloc makes; empty until a device is sampled."""

    __slots__ = ("moment",)

    def __init__(self) -> None:
        self.moment: Optional[Moment] = None


def check(device: Device) -> None:
    """Refuse a device that is too old, or a GeForce: no "fully supported device" of nvml.h."""
    need(device, "HOPPER")
    if device.brand.startswith("GEFORCE"):
        raise NvmlError(status.NOT_SUPPORTED)


@implements("nvmlGpmQueryDeviceSupport")
def support(device: Device) -> dict[str, bool]:
    try:
        check(device)
    except NvmlError:
        return {"isSupportedDevice": False}
    return {"isSupportedDevice": True}


@implements("nvmlGpmQueryIfStreamingEnabled", "nvmlDeviceCcuGetStreamState")
def streaming(device: Device) -> bool:
    check(device)
    return bool(device.gpm_streaming)


@implements("nvmlGpmSetStreamingEnabled", "nvmlDeviceCcuSetStreamState")
def set_streaming(nvml: Nvml, device: Device, state: int) -> None:
    check(device)
    if state not in (constants.FEATURE_DISABLED, constants.FEATURE_ENABLED):
        raise NvmlError(status.INVALID_ARGUMENT)
    nvml.machine.alter(device, {"gpm_streaming": bool(state)})


@implements("nvmlGpmSampleAlloc")
def allocate() -> Sample:
    return Sample()


@implements("nvmlGpmSampleFree")
def free(nvml: Nvml, gpm_sample: Sample) -> None:
    nvml.handles("nvmlGpmSample_t").drop(gpm_sample)


@implements("nvmlGpmSampleGet")
def take(nvml: Nvml, device: Device, gpm_sample: Sample) -> None:
    check(device)
    gpm_sample.moment = Moment(nvml.machine, device)


@implements("nvmlGpmMigSampleGet")
def take_of_instance(nvml: Nvml, device: Device, gpu_instance_id: int, gpm_sample: Sample) -> None:
    """What a GPU instance does is what the GPU does: loads are of whole devices."""
    check(device)
    if not device.mig.current:
        raise NvmlError(status.NOT_SUPPORTED)
    if all(each.id != gpu_instance_id for each in device.gpu_instances):
        raise NvmlError(status.INVALID_ARGUMENT)
    gpm_sample.moment = Moment(nvml.machine, device)


@implements("nvmlGpmMetricsGet")
def metrics(nvml: Nvml, metrics_get: Any) -> dict[str, Any]:
    """The client's struct may be of another header, with room for other numbers of metrics: only
    those asked for are touched."""
    count = metrics_get.numMetrics
    if count > constants.GPM_METRIC_MAX:
        raise NvmlError(status.INVALID_ARGUMENT)
    array = metrics_get.metrics
    wanted = (array._type_ * count).from_address(ctypes.addressof(array))
    samples = nvml.handles("nvmlGpmSample_t").objects
    pair = [samples.get(handle) for handle in (metrics_get.sample1, metrics_get.sample2)]
    moments = [sample.moment for sample in pair if sample is not None and sample.moment]
    if count and (len(moments) < len(pair) or moments[0].device is not moments[1].device):
        raise NvmlError(status.INVALID_ARGUMENT)
    span = Span(nvml.machine, *moments) if count else None
    for metric in wanted:
        name = NAMES.get(metric.metricId)
        value = span.value(name) if span and name else None
        metric.nvmlReturn = status.NOT_SUPPORTED if value is None else status.SUCCESS
        if name is None:
            metric.nvmlReturn = status.INVALID_ARGUMENT
        metric.value = value or 0.0
    return {}
