"""Which answers say nothing of how faithful a profile is: readings, and who somebody is."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from functools import cache
from typing import Any

__all__ = ["IDENTITY", "PLAIN", "READING", "kind_of", "kind_of_figure"]

PLAIN, READING, IDENTITY = "answer", "reading", "identity"

#: Figures that move on their own: `function.output`, or `function.output.field`.
READINGS = (
    # what sensors and counters say
    *("*Temperature.temp", "*TemperatureV.*", "*MarginTemperature.*", "*ThermalSettings.*"),
    *("*PowerUsage.*", "*TotalEnergyConsumption.*", "*FanSpeed*.speed", "*FanSpeedRPM.*.speed"),
    *("*TargetFanSpeed.*", "*PerformanceState.*", "*PowerState.*", "*DynamicPstatesInfo.*"),
    *("nvmlDeviceGetClockInfo.*", "*CurrentClockFreqs.*", "*AdaptiveClock*.*"),
    *("*CurrentClocks*Reasons.*", "*ViolationStatus.*", "*CurrPcieLink*.*", "*PcieSpeed.*"),
    *("*PcieThroughput.*", "*PcieReplayCounter.*", "*UtilizationRates.*", "*.utilization"),
    *("*.samplingPeriodUs", "*EncoderCapacity.*", "*.utilizationSamples", "*SchedulerLog*"),
    *("*Samples.*", "*Samples_v1.*", "*EncoderStats.*", "*EncoderSessions.*", "*FBCStats.*"),
    "*FBCSessions.*",
    *("*NvLinkUtilizationCounter.*", "*NvLinkErrorCounter.*", "*GpuUptime*", "*BBXTimeData*"),
    # what is in use
    *("*MemoryInfo*.used", "*MemoryInfo*.free", "*BAR1MemoryInfo.*.bar1Used"),
    *("*BAR1MemoryInfo.*.bar1Free", "*ProtectedMemoryUsage.*.used", "*FbUsage.*"),
    *("*ProtectedMemoryUsage.*.free", "*RunningProcesses*", "*ProcessName.*"),
    *("*AccountingPids.*", "*AccountingStats*", "*LastBBXFlushTime.*"),
    # when it was asked for
    "*.timeStamp",
    # what a board has suffered
    *("*MemoryErrorCounter.*", "*DetailedEccErrors.*", "*TotalEccErrors.*"),
    *("*SramEccErrorStatus.*", "*RetiredPages*", "*RemappedRows*", "*BankRemapperStatus*"),
    *("*RowRemapperHistogram.*", "*RepairStatus.*"),
    # of all that, what nvmlDeviceGetFieldValues gives by number
    *("*.FI_DEV_ECC_?BE_*.value", "*.FI_DEV_RETIRED_*.value", "*.FI_DEV_REMAPPED_*.value"),
    *("*.FI_DEV_NVLINK_*ERROR*.value", "*.FI_DEV_NVLINK_*COUNT_*.value", "*.FI_DEV_*ENERGY*.value"),
    *("*.FI_DEV_NVLINK_*BANDWIDTH*.value", "*.FI_DEV_NVLINK_THROUGHPUT*.value"),
    *("*.FI_DEV_NVLINK_ECC_*.value", "*.FI_DEV_PERF_POLICY_*.value", "*.FI_DEV_*_MARGIN*.value"),
    *("*.FI_DEV_GPU_TEMP*.value", "*.FI_DEV_MEMORY_TEMP*.value", "*.FI_DEV_*BANK_REMAP*.value"),
    *("*.FI_DEV_NVLINK_PLR_*.value", "*.FI_DEV_MMA_STALL_*.value", "*.FI_DEV_POWER_AVERAGE*.value"),
    *("*.FI_DEV_POWER_INSTANT*.value", "*.FI_DEV_PCIE_COUNT_*.value"),
    *("*.FI_DEV_PCIE_REPLAY_*.value", "*.FI_DEV_PCIE_L0_TO_*.value"),
    *("*.FI_DEV_CLOCKS_EVENT_REASON_*.value", "*.FI_DEV_C2C_LINK_ERROR_*.value"),
)

#: Who a device, its board or a process is.
IDENTITIES = (
    *(
        "*GetUUID.*",
        "*Uuid*",
        "*GetSerial.*",
        "*PciInfo*.bus*",
        "*PciInfo*.domain",
        "*PciInfo*.device",
    ),
    *("*GetPCIBusId.*", "*BoardId.*", "*MinorNumber.*", "*GpuInstanceId.*", "*Pdi.*", "*Luid.*"),
    *("*PlatformInfo.*", "*InforomConfigurationChecksum.*", "*MdevUUID.*", "*VmID.*"),
    *("*Hostname*", "*IrqNum.*", "*CpuAffinity*", "*MemoryAffinity.*", "*NumaNodeId.*"),
    "*ModuleId.*",
)


#: Figures of a scenario's GPU that move on their own, or that a board suffers.
FIGURES = (
    *("accounting.ended", "bar1.used", "capture.*", "clocks.event_*", "clocks.*.current"),
    *("clocks.adaptive", "ecc.*_repair_pending", "ecc.threshold_exceeded", "encoder.*"),
    *("ecc.volatile*", "ecc.aggregate*", "ecc.sram_sources*", "fans*", "load*", "memory.used"),
    *("pci.current_*", "pci.errors*", "pci.replay_*", "pci.?x_*", "performance_state"),
    *("power.*usage", "power.*instant", "power.total_energy", "power.voltage", "processes"),
    *("inforom.bbx_flush_*", "inforom.bbx_run_time"),
    *("protected_memory.used", "remapped_rows*", "retired_pages*", "temperature.gpu"),
    *("temperature.margin", "temperature.memory", "utilization*"),
)

#: Figures of a scenario's GPU that say who it is, and where in its chassis.
IDENTITY_FIGURES = ("board.module_id", "fabric.cluster_uuid", "pdi", "platform.*")

#: Functions whose answer is of a kind only where they are asked for it: a clock as it is now;
#: PCI bus, device and domain (cuda.h).
BY_INPUT: Mapping[str, tuple[str, Mapping[int, str]]] = {
    "nvmlDeviceGetClock": ("clockId", {0: READING}),
    "cuDeviceGetAttribute": ("attrib", dict.fromkeys((33, 34, 50), IDENTITY)),
}


def kind_of(function: str, figure: str, inputs: Mapping[str, Any]) -> str:
    """What a figure of a function that was asked with `inputs` is: `PLAIN`, `READING` or
    `IDENTITY`."""
    if function in BY_INPUT:
        name, kinds = BY_INPUT[function]
        return kinds.get(inputs[name], PLAIN)
    return _kind("call", f"{function}.{figure}")


def kind_of_figure(path: str) -> str:
    """What a figure of a scenario's GPU is: `PLAIN`, `READING` or `IDENTITY`."""
    return _kind("scenario", path)


#: Whose figures -> what they are, and those that are so; all others are `PLAIN`.
KINDS = {
    "call": {READING: READINGS, IDENTITY: IDENTITIES},
    "scenario": {READING: FIGURES, IDENTITY: IDENTITY_FIGURES},
}


@cache  # a capture of 16 GPUs has 70,000 figures, and 1,500 names for them
def _kind(whose: str, name: str) -> str:
    for kind, globs in KINDS[whose].items():
        if any(fnmatchcase(name, glob) for glob in globs):
            return kind
    return PLAIN
