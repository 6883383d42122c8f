"""Waits for events of all GPUs and prints them, one line each: type and data, or the error.

Its arguments are how long it waits for each at most, in milliseconds.
"""

from __future__ import annotations

import sys

import pynvml

XID_AND_MORE = 0x4188  # Xids, power source, MIG, unavailable


def main(times: list[int]) -> None:
    pynvml.nvmlInit()
    made = pynvml.nvmlEventSetCreate()
    for index in range(pynvml.nvmlDeviceGetCount()):
        device = pynvml.nvmlDeviceGetHandleByIndex(index)
        types = XID_AND_MORE & pynvml.nvmlDeviceGetSupportedEventTypes(device)
        pynvml.nvmlDeviceRegisterEvents(device, types, made)
    print("ready", flush=True)
    for milliseconds in times:
        try:
            data = pynvml.nvmlEventSetWait_v2(made, milliseconds)
        except pynvml.NVMLError as error:
            print(type(error).__name__.partition("_")[2], flush=True)
        else:
            print(hex(data.eventType), data.eventData, flush=True)


if __name__ == "__main__":
    main([int(word) for word in sys.argv[1:]])
