"""Monitors as programs of a testbed: what they show, and what they are to show of a device."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from emulator import Machine, Testbed
from emulator.machine import Device
from emulator.plans import plan_of

__all__ = [
    "FOLDERS",
    "Held",
    "Scene",
    "expected_of_glances",
    "expected_of_gpustat",
    "expected_of_nvitop",
    "expected_of_nvtop",
    "figures",
    "gibibytes",
    "mebibytes",
    "watts",
]

HERE = Path(__file__).parent
FOLDERS = os.environ.get("NVEMU_MONITORS", "")
MIB = 1 << 20
LIMIT = 60  # seconds after which a monitor hangs


def program(name: str) -> str:
    """Where a monitor is."""
    found = shutil.which(name, path=FOLDERS)
    if found is None:
        pytest.skip(f"NVEMU_MONITORS ({FOLDERS}) has no {name}")
    return found


class Held:
    """A process of the testbed that holds memory, in bytes by CUDA's device."""

    def __init__(self, environment: dict[str, str], held: dict[int, int]) -> None:
        words = [f"{device}={size}" for device, size in held.items()]
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "holding_client.py"), *words],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.pid = self.process.pid
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "holding\n"

    def end(self) -> None:
        self.process.communicate(timeout=LIMIT)


class Scene:
    """A scenario's testbed, and what the monitors show in it."""

    def __init__(self, testbed: Testbed, home: Path) -> None:
        self.testbed = testbed
        self.devices = Machine(plan_of(testbed.scenario)).devices
        path = os.pathsep.join([FOLDERS, os.environ["PATH"]])
        own = {"HOME": str(home), "XDG_CONFIG_HOME": str(home), "PATH": path, "COLUMNS": "200"}
        self.environment = testbed.environment() | own

    def run(self, name: str, *arguments: object, status: int = 0) -> str:
        """What a monitor prints."""
        done = subprocess.run(
            [program(name), *map(str, arguments)],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=LIMIT,
            check=False,
        )
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout + done.stderr if status else done.stdout

    def screen(self, name: str, *awaited: str) -> str:
        """What a monitor shows in a terminal, once it shows all that is awaited."""
        pattern = r"\A" + "".join(rf"(?=[\s\S]*{each})" for each in awaited)
        shown = self.run("python", HERE / "terminal_client.py", pattern, program(name))
        for each in awaited:
            assert re.search(each, shown, re.M), shown
        return shown

    def gpustat(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.run("gpustat", "--json"))["gpus"]
        return found

    def nvitop(self) -> list[dict[str, Any]]:
        """What nvitop's interface for Python says."""
        found: list[dict[str, Any]] = json.loads(self.run("python", HERE / "nvitop_client.py"))
        return found

    def glances(self) -> list[dict[str, Any]]:
        shown = self.run("glances", "--stdout-json", "gpu", "--stop-after", 1)
        found: list[dict[str, Any]] = json.loads(shown.splitlines()[0])["gpu"]
        return found

    def nvtop(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.run("nvtop", "-s"))
        return found

    def hold(self, held: dict[int, int], **variables: str) -> Held:
        return Held(self.environment | variables, held)


def watts(milliwatts: int | None) -> int | None:
    return None if milliwatts is None else milliwatts // 1000


def mebibytes(size: int) -> int:
    return size // MIB


def gibibytes(size: int) -> str:
    """As btop cuts a size after its third digit."""
    return f"{size / (1 << 30):.5f}"[:4]


def figures(gpu: dict[str, Any]) -> dict[str, Any]:
    """What gpustat says of a GPU itself."""
    return {name: value for name, value in gpu.items() if name != "processes"}


def expected_of_gpustat(index: int, device: Device, used: int | None) -> dict[str, Any]:
    return {
        "index": index,
        "uuid": device.uuid,
        "name": device.name,
        "temperature.gpu": device.temperature.gpu,
        "fan.speed": device.fans[0].speed if device.fans else None,
        "utilization.gpu": device.utilization.gpu,
        "utilization.enc": device.utilization.encoder,
        "utilization.dec": device.utilization.decoder,
        "power.draw": watts(device.power.usage),
        "enforced.power.limit": watts(device.power.enforced_limit),
        "memory.used": None if used is None else mebibytes(used),
        "memory.total": None if used is None else mebibytes(device.memory.total),
    }


def expected_of_nvitop(device: Device, used: int) -> dict[str, Any]:
    def or_not(value: Any) -> Any:
        return "N/A" if value is None else value

    return {
        "name": device.name,
        "uuid": device.uuid,
        "bus_id": device.pci.bus_id,
        "memory_total": device.memory.total,
        "memory_used": used,
        "gpu_utilization": or_not(device.utilization.gpu),
        "memory_utilization": or_not(device.utilization.memory),
        "encoder_utilization": or_not(device.utilization.encoder),
        "decoder_utilization": or_not(device.utilization.decoder),
        "temperature": or_not(device.temperature.gpu),
        "fan_speed": device.fans[0].speed if device.fans else "N/A",
        "power_usage": or_not(device.power.usage),
        "power_limit": or_not(device.power.limit),
        "sm_clock": device.clocks.sm.current,
        "memory_clock": device.clocks.memory.current,
        "performance_state": f"P{device.performance_state}",
        "compute_mode": "Default",
        "cuda_compute_capability": list(device.compute_capability),
    }


def expected_of_glances(index: int, device: Device, used: int) -> dict[str, Any]:
    return {
        "key": "gpu_id",
        "gpu_id": f"nvidia{index}",
        "name": device.name,
        "mem": pytest.approx(used * 100 / device.memory.total),
        "proc": device.utilization.gpu,
        "temperature": device.temperature.gpu,
        "fan_speed": device.fans[0].speed if device.fans else None,
    }


def expected_of_nvtop(device: Device, used: int) -> dict[str, Any]:
    def shown(value: int | None, unit: str) -> str | None:
        return None if value is None else f"{value}{unit}"

    return {
        "device_name": device.name,
        "gpu_clock": shown(device.clocks.graphics.current, "MHz"),
        "mem_clock": shown(device.clocks.memory.current, "MHz"),
        "temp": shown(device.temperature.gpu, "C"),
        "fan_speed": shown(device.fans[0].speed if device.fans else None, "%"),
        "power_draw": shown(watts(device.power.usage), "W"),
        "gpu_util": shown(device.utilization.gpu, "%"),
        "mem_util": shown(used * 100 // device.memory.total, "%"),
    }
