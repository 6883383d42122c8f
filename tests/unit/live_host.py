"""What live_host.c does, in Python."""

from __future__ import annotations

import select
import sys
import time

import pynvml


def main(before: int, after: int, pause: float) -> None:
    pynvml.nvmlInit()
    device = pynvml.nvmlDeviceGetHandleByIndex(0)
    calls = changed = other = 0
    print("ready", flush=True)
    while not select.select([sys.stdin], [], [], pause)[0]:
        try:
            read = pynvml.nvmlDeviceGetTemperature(device, pynvml.NVML_TEMPERATURE_GPU)
        except pynvml.NVMLError:
            read = -1
        calls += 1
        if read == after and not changed:
            changed = time.monotonic_ns()
        other += read != (after if changed else before)
    print(calls, changed, other)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]) / 1000)
