"""The keys of a device in the NVML mock of NVIDIA's k8s-test-infra, and what each is here.

The keys and their meaning are those of `pkg/gpu/mocknvml/engine/config_types.go` and of the getters
in `device.go` there.
"""

from __future__ import annotations

from ..yaml.node import Node
from .addresses import is_address
from .gathering import Gathering, Row, Rows, absent, counted, follows, left, told, truth, word
from .mig import instances, mig_layout
from .moving import dynamic_power, dynamic_temperature, dynamic_utilization, failure
from .parts import (
    architecture_cores,
    event_reasons,
    fabric_health_mask,
    performance_state,
    power_profiles,
    processes,
    retired,
    supported_clocks,
)

__all__ = ["DEVICE"]

#: What keeps a GPU from being enumerated.
_HIDING = ("draining", "removed", "excluded")

_SET_LATER = ("nvlink_bw_mode", "nvlink_low_power_threshold")

_DESCRIBES = "describes the machine only: NVML does not tell it"


def text(*path: str) -> Row:
    """The row of a text; an empty one, as 'N/A', is what the product does not have."""
    return told(path, read=Node.text)


def clock(*path: str) -> Row:
    """The row of a clock in MHz; 0 is what the product does not have."""

    def take(node: Node, found: Gathering) -> None:
        value = None if absent(node) else node.integer()
        found.tell(("clocks", *path), value or None, node)

    return take


def link(*paths: str) -> Row:
    """The row of a PCI Express link's generation or width; 0 is what is not told."""

    def take(node: Node, found: Gathering) -> None:
        if value := node.integer():
            for path in paths:
                found.tell(("pci", path), value, node)

    return take


def address(node: Node, found: Gathering) -> None:
    """A PCI bus id, which nvemu writes with a domain of 32 bits."""
    if not node.text():
        return
    if not is_address(node.text().strip()):
        raise node.error(f"expected a PCI bus id such as '0000:1A:00.0', found {node.value!r}")
    found.tell(("pci_bus_id",), node.text().strip(), node)


def product(node: Node, found: Gathering) -> None:
    """A product's name; an empty one is none."""
    if node.text():
        found.tell(("name",), node.text(), node)


def _ecc_locations(lifetime: str, severity: str) -> Rows:
    names = {name: name for name in ("l1_cache", "l2_cache", "register_file", "texture_memory")}
    names["device_memory"] = "dram"
    return {
        **{key: counted(("ecc", lifetime, f"{at}_{severity}")) for key, at in names.items()},
        "total": follows,
    }


def _sessions(group: str) -> Rows:
    return {
        "session_count": counted((group, "sessions")),
        "average_fps": counted((group, "average_fps")),
        "average_latency_us": counted((group, "average_latency")),
    }


def _ecc(lifetime: str) -> Rows:
    return {
        "single_bit": _ecc_locations(lifetime, "correctable"),
        "double_bit": _ecc_locations(lifetime, "uncorrectable"),
    }


def _sram(lifetime: str) -> Rows:
    return {
        "correctable": counted(("ecc", lifetime, "sram_correctable")),
        "uncorrectable_parity": counted(("ecc", lifetime, "sram_uncorrectable_parity")),
        "uncorrectable_secded": counted(("ecc", lifetime, "sram_uncorrectable_secded")),
    }


def _domain(key: str, domain: str) -> Rows:
    return {
        f"{key}_current": clock(domain, "current"),
        f"{key}_max": clock(domain, "max"),
        f"{key}_app": clock(domain, "application"),
        f"{key}_app_default": clock(domain, "default_application"),
    }


DEVICE: Rows = {
    "index": follows,
    "minor_number": follows,
    "grace_cpu_pair": follows,
    "name": product,
    "uuid": follows,
    "brand": word(("brand",), "Brand"),
    "serial": text("serial"),
    "board_part_number": text("board", "part_number"),
    "vbios_version": text("board", "vbios_version"),
    "architecture": word(("architecture",), "Architecture"),
    "compute_capability": {"major": follows, "minor": follows},
    "num_gpu_cores": architecture_cores,
    "inforom": {
        "image_version": text("inforom", "image"),
        "oem_object": text("inforom", "oem"),
        "ecc_object": text("inforom", "ecc"),
        "pwr_object": text("inforom", "power"),
    },
    "memory": {
        "total_bytes": told(("memory", "total")),
        "reserved_bytes": told(("memory", "reserved")),
        "used_bytes": told(("memory", "used")),
        "free_bytes": follows,
        "memory_bus_width": counted(("memory", "bus_width")),
    },
    "bar1_memory": {
        "total_bytes": told(("bar1", "total")),
        "used_bytes": told(("bar1", "used")),
        "free_bytes": follows,
    },
    "pci": {
        "device_id": counted(("pci", "device_id")),
        "subsystem_id": counted(("pci", "subsystem_id")),
        "bus_id": address,
    },
    "pcie": {
        "max_link_gen": link("device_max_generation", "host_max_generation"),
        "current_link_gen": link("current_generation"),
        "max_link_width": link("max_width"),
        "current_link_width": link("current_width"),
        "replay_counter": counted(("pci", "replay_counter")),
        "tx_throughput_kbps": counted(("pci", "tx_throughput")),
        "rx_throughput_kbps": counted(("pci", "rx_throughput")),
    },
    "power": {
        "management_supported": left("power management follows from the limits", "true"),
        "management_mode": truth(("power", "managed")),
        "default_limit_mw": told(("power", "default_limit")),
        "enforced_limit_mw": told(("power", "limit")),
        "min_limit_mw": told(("power", "min_limit")),
        "max_limit_mw": told(("power", "max_limit")),
        "current_draw_mw": told(("power", "usage"), ("power", "instant")),
        "power_state": follows,
        "total_energy_consumption_mj": told(("power", "total_energy")),
        "workload_power_profiles": power_profiles,
    },
    "thermal": {
        "temperature_gpu_c": told(("temperature", "gpu")),
        "temperature_memory_c": told(("temperature", "memory")),
        "shutdown_threshold_c": told(("temperature", "shutdown")),
        "slowdown_threshold_c": told(("temperature", "slowdown")),
        "max_operating_c": told(("temperature", "max_operating")),
        "target_temperature_c": follows,
    },
    "fan": {"count": follows, "speed_percent": follows, "target_speed_percent": follows},
    "clocks": {
        **_domain("graphics", "graphics"),
        **_domain("sm", "sm"),
        **_domain("memory", "memory"),
        **_domain("video", "video"),
    },
    "clocks_throttle_reasons": event_reasons,
    "supported_clocks": {"memory_clocks": supported_clocks},
    "performance_state": performance_state,
    "utilization": {
        "gpu": told(("utilization", "gpu")),
        "memory": told(("utilization", "memory")),
        **{
            engine: counted(("utilization", engine))
            for engine in ("encoder", "decoder", "jpeg", "ofa")
        },
    },
    "encoder_stats": _sessions("encoder"),
    "fbc_stats": _sessions("capture"),
    "ecc": {
        "mode_current": truth(("ecc", "current")),
        "mode_pending": truth(("ecc", "pending")),
        "default_mode": truth(("ecc", "default")),
        "errors": {"volatile": _ecc("volatile"), "aggregate": _ecc("aggregate")},
        "sram": {
            "volatile": _sram("volatile"),
            "aggregate": _sram("aggregate"),
            "uncorrectable_sources": {
                name: counted(("ecc", "sram_sources", name))
                for name in ("l2", "sm", "microcontroller", "pcie", "other")
            },
            "threshold_exceeded": counted(("ecc", "threshold_exceeded"), Node.truth),
        },
    },
    "retired_pages": {
        "single_bit_retirement": retired("single_bit"),
        "double_bit_retirement": retired("double_bit"),
        "pending_blacklist": follows,
        "pending_retirement": counted(("retired_pages", "pending"), Node.truth),
    },
    "remapped_rows": {
        "correctable": counted(("remapped_rows", "correctable")),
        "uncorrectable": counted(("remapped_rows", "uncorrectable")),
        "pending": counted(("remapped_rows", "pending"), Node.truth),
        "failure_occurred": counted(("remapped_rows", "failure"), Node.truth),
        "availability_histogram": {
            name: told(("remapped_rows", f"banks_{name}"))
            for name in ("max", "high", "partial", "low", "none")
        },
    },
    "display": {"mode": truth(("display_mode",)), "active": truth(("display_active",))},
    "persistence_mode": truth(("persistence_mode",)),
    "compute_mode": word(("compute_mode",), "ComputeMode"),
    **{key: left("programs do not find this GPU: here they do", "false") for key in _HIDING},
    **{key: left("set while programs run, not at the start") for key in _SET_LATER},
    "mig": {
        "mode_current": truth(("mig", "current")),
        "mode_pending": truth(("mig", "pending")),
        "max_gpu_instances": counted(("mig", "max_instances")),
        "supported_profiles": left("what a product can be divided into follows from the product"),
        "gpu_instances": mig_layout,
        "instances": instances,
    },
    "gpu_operation_mode": {
        "current": left("nvemu's products have no GPU operation mode", "all_on", "n/a"),
        "pending": left("nvemu's products have no GPU operation mode", "all_on", "n/a"),
    },
    "driver_model": {
        "current": left("only Windows has driver models", "n/a"),
        "pending": left("only Windows has driver models", "n/a"),
    },
    "accounting": {
        "mode": truth(("accounting", "enabled")),
        "buffer_size": counted(("accounting", "buffer_size")),
    },
    "virtualization": {
        "mode": word(("virtualization_mode",), "VirtualizationMode"),
        "host_vgpu_mode": word(("vgpu", "host_mode"), "HostVgpuMode", {"n/a": None}),
    },
    "gsp_firmware": {
        "mode": truth(("gsp", "enabled")),
        "version": follows,
    },
    "features": left(_DESCRIBES),
    "cpu": left(_DESCRIBES),
    "topology": follows,
    "processes": processes,
    "dynamic_metrics": {
        "seed": told(("load", "seed")),
        "temperature": dynamic_temperature,
        "power": dynamic_power,
        "utilization": dynamic_utilization,
    },
    "gpm": left("whether a GPU has GPM follows from its architecture, the rates from its load"),
    "failure": failure,
    "fabric": {
        "cluster_uuid": follows,
        "clique_id": told(("fabric", "clique_id")),
        "state": follows,
        "health_summary": word(("fabric", "health_summary"), "FabricHealth", {"auto": None}),
        "health": follows,
        "health_mask": fabric_health_mask,
    },
    "nvlink_error": left("errors that accrue are a change of a scenario: [[change]] with add"),
    "platform": {
        "chassis_serial_number": text("platform", "chassis_serial_number"),
        "slot_number": told(("platform", "slot_number")),
        "tray_index": told(("platform", "tray_index")),
        "host_id": told(("platform", "host_id")),
        "peer_type": word(
            ("platform", "peer_type"),
            "PeerType",
            {"switch_connected": "SWITCH", "direct_connected": "DIRECT", "": "DIRECT"},
        ),
        "module_id": counted(("board", "module_id")),
    },
}
