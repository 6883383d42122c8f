"""Which figure each field is that reads something: memory, use, temperature, power, clocks."""

from __future__ import annotations

from ..units import (
    celsius,
    count,
    kilobytes,
    mebibytes,
    megahertz,
    millivolts,
    nanoseconds,
    percent,
    switched,
    watts,
)

__all__ = ["READINGS"]

_MEMORIES = {
    "fb_memory_usage": "memory",
    "bar1_memory_usage": "bar1",
    "cc_protected_memory_usage": "protected_memory",
}

_TEMPERATURES = {
    "gpu_temp": "gpu",
    "gpu_temp_tlimit": "margin",
    "gpu_temp_max_threshold": "shutdown",
    "gpu_temp_max_tlimit_threshold": "shutdown_margin",
    "gpu_temp_slow_threshold": "slowdown",
    "gpu_temp_slow_tlimit_threshold": "slowdown_margin",
    "gpu_temp_max_gpu_threshold": "max_operating",
    "gpu_temp_max_gpu_tlimit_threshold": "max_operating_margin",
    "gpu_target_temperature": "target",
    "memory_temp": "memory",
    "gpu_temp_max_mem_threshold": "memory_max",
    "gpu_temp_max_mem_tlimit_threshold": "memory_max_margin",
}

#: `firmware_limit` is the limit in force, which is of its own only where none can be set.
_POWER = {
    "power_draw": "usage",
    "average_power_draw": "usage",
    "instant_power_draw": "instant",
    "enforced_power_limit": "firmware_limit",
    "current_power_limit": "firmware_limit",
    "power_limit": "limit",
    "requested_power_limit": "limit",
    "default_power_limit": "default_limit",
    "min_power_limit": "min_limit",
    "max_power_limit": "max_limit",
}
#: From 610 on these stand in an element of their own.
_CEILINGS = {
    f"gpu_ceiling_power_limit/{path}": _POWER[path]
    for path in ("current_power_limit", "requested_power_limit", "default_power_limit")
}
_MODULE = {path: figure for path, figure in _POWER.items() if figure != "firmware_limit"}

_DOMAINS = {
    "graphics_clock": "graphics",
    "sm_clock": "sm",
    "mem_clock": "memory",
    "video_clock": "video",
}
_CLOCKS = {
    "clocks": "current",
    "applications_clocks": "application",
    "default_applications_clocks": "default_application",
    "max_clocks": "max",
    "max_customer_boost_clocks": "max_customer_boost",
}

_COUNTERS = {
    "sw_power_cap": "sw_power_cap",
    "sync_boost": "sync_boost",
    "sw_therm_slowdown": "sw_thermal_slowdown",
    "hw_therm_slowdown": "hw_thermal_slowdown",
    "hw_power_brake": "hw_power_brake_slowdown",
}
_COUNTED = "clocks_event_reasons_counters"

#: XML path below <gpu> -> figure, and what reads it.
READINGS = {
    **{
        f"{path}/{part}": (f"{figure}.{part}", mebibytes)
        for path, figure in _MEMORIES.items()
        for part in ("total", "used")
    },
    "fb_memory_usage/reserved": ("memory.reserved", mebibytes),
    "pci/tx_util": ("pci.tx_throughput", kilobytes),
    "pci/rx_util": ("pci.rx_throughput", kilobytes),
    **{
        f"utilization/{tag}_util": (f"utilization.{engine}", percent)
        for tag, engine in (
            *(("gpu", "gpu"), ("memory", "memory"), ("encoder", "encoder")),
            *(("decoder", "decoder"), ("jpeg", "jpeg"), ("ofa", "ofa")),
        )
    },
    **{
        f"{path}/{tag}": (f"{group}.{figure}", count)
        for path, group in (("encoder_stats", "encoder"), ("fbc_stats", "capture"))
        for tag, figure in (
            *(("session_count", "sessions"), ("average_fps", "average_fps")),
            ("average_latency", "average_latency"),
        )
    },
    **{
        f"temperature/{tag}": (f"temperature.{figure}", celsius)
        for tag, figure in _TEMPERATURES.items()
    },
    "supported_gpu_target_temp/gpu_target_temp_min": ("temperature.target_min", celsius),
    "supported_gpu_target_temp/gpu_target_temp_max": ("temperature.target_max", celsius),
    **{
        f"{path}/{tag}": (f"power.{figure}", watts)
        for path in ("power_readings", "gpu_power_readings")
        for tag, figure in {**_POWER, **_CEILINGS}.items()
    },
    "power_readings/power_management": ("power.managed", switched),
    "gpu_memory_power_readings/power_draw": ("power.memory_usage", watts),
    "gpu_memory_power_readings/average_power_draw": ("power.memory_usage", watts),
    **{
        f"module_power_readings/{tag}": (f"power.module.{figure}", watts)
        for tag, figure in _MODULE.items()
    },
    "voltage/graphics_volt": ("power.voltage", millivolts),
    **{
        f"{path}/{tag}": (f"clocks.{domain}.{figure}", megahertz)
        for path, figure in _CLOCKS.items()
        for tag, domain in _DOMAINS.items()
    },
    **{
        f"{_COUNTED}/{_COUNTED}_{tag}": (f"clocks.event_counters.{figure}", nanoseconds)
        for tag, figure in _COUNTERS.items()
    },
}
