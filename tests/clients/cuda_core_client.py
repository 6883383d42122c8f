"""What a program that uses cuda.core gets, as one line of JSON.

python cuda_core_client.py PART
"""

from __future__ import annotations

import json
import multiprocessing
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from cuda import core

SOURCE = """
extern "C" __global__ void add(const float *a, const float *b, float *sum, size_t size) {
    size_t place = blockIdx.x * blockDim.x + threadIdx.x;
    if (place < size)
        sum[place] = a[place] + b[place];
}
"""
SIZE = 1000
MIB = 1 << 20


def seen(buffer: core.Buffer, kind: type = np.uint8) -> np.ndarray:
    """A buffer that the host can reach, as an array."""
    return np.from_dlpack(buffer).view(kind)


def devices() -> dict[str, Any]:
    """The machine's devices, and every property that cuda.core knows of the first."""
    found = core.Device.get_all_devices()
    found[0].set_current()
    properties = found[0].properties
    names = [name for name in dir(properties) if not name.startswith("_")]
    return {
        "devices": [
            {
                "name": device.name,
                "uuid": device.uuid,
                "capability": list(device.compute_capability),
                "multiprocessors": device.properties.multiprocessor_count,
            }
            for device in found
        ],
        "properties": {name: getattr(properties, name) for name in names},
        "peers": [found[0].can_access_peer(device) for device in found[1:]],
    }


def buffers() -> dict[str, Any]:
    """From the host's pinned memory to the device and back, through a stream and its pool."""
    device = core.Device()
    device.set_current()
    stream = device.create_stream()
    pinned = core.LegacyPinnedMemoryResource()
    source, back = (pinned.allocate(MIB) for _ in range(2))
    data = np.random.default_rng(2).integers(0, 256, MIB, dtype=np.uint8)
    seen(source)[:] = data
    first = device.allocate(MIB, stream=stream)
    second = core.DeviceMemoryResource(device).allocate(MIB, stream=stream)
    start = stream.record(options=core.EventOptions(timing_enabled=True))
    source.copy_to(first, stream=stream)
    first.copy_to(second, stream=stream)
    second.copy_to(back, stream=stream)
    end = stream.record(options=core.EventOptions(timing_enabled=True))
    stream.sync()
    first.fill(np.uint8(0xAB), stream=stream)
    filled = pinned.allocate(MIB)
    first.copy_to(filled, stream=stream)
    stream.sync()
    answer = {
        "back": bool((seen(back) == data).all()),
        "filled": int(seen(filled).min()),
        "milliseconds": end - start,
        "accessible": [
            [buffer.is_device_accessible, buffer.is_host_accessible] for buffer in (first, source)
        ],
        "device": first.device_id,
    }
    for buffer in (first, second, source, back, filled):
        buffer.close()
    return answer


def virtual_memory() -> dict[str, Any]:
    """A range that is reserved and mapped, and grows without losing what is in it."""
    device = core.Device()
    device.set_current()
    stream = device.create_stream()
    pinned = core.LegacyPinnedMemoryResource()
    resource = core.VirtualMemoryResource(device)
    small = resource.allocate(2 * MIB)
    small.fill(np.uint8(0x5A), stream=stream)
    grown = resource.modify_allocation(small, 8 * MIB)
    back = pinned.allocate(grown.size)
    grown.copy_to(back, stream=stream)
    stream.sync()
    return {"size": grown.size, "kept": seen(back)[: 2 * MIB].tolist() == [0x5A] * 2 * MIB}


def launch() -> dict[str, Any]:
    """A kernel compiled from C++, asked about, and launched alone and in a graph."""
    device = core.Device()
    device.set_current()
    stream = device.create_stream()
    options = core.ProgramOptions(std="c++17", arch=f"sm_{device.arch}")
    code = core.Program(SOURCE, code_type="c++", options=options).compile("cubin")
    kernel = code.get_kernel("add")
    pinned = core.LegacyPinnedMemoryResource()
    host = [pinned.allocate(4 * SIZE) for _ in range(3)]
    there = [device.allocate(4 * SIZE, stream=stream) for _ in range(3)]
    for number, (mine, its) in enumerate(zip(host, there, strict=True)):
        seen(mine, np.float32)[:] = np.arange(SIZE) * number
        mine.copy_to(its, stream=stream)
    config = core.LaunchConfig(grid=4, block=256)
    arguments = (there[1], there[2], there[0], np.uint64(SIZE))
    core.launch(stream, config, kernel, *arguments)
    there[0].copy_to(host[0], stream=stream)
    stream.sync()
    result = seen(host[0], np.float32).tolist()
    there[0].fill(np.uint8(0), stream=stream)
    builder = device.create_graph_builder().begin_building()
    core.launch(builder, config, kernel, *arguments)
    core.launch(builder, config, kernel, there[0], there[0], there[0], np.uint64(SIZE))
    graph = builder.end_building().complete()
    graph.launch(stream)
    there[0].copy_to(host[0], stream=stream)
    stream.sync()
    return {
        "result": result,
        "pointers": [int(buffer.handle) for buffer in there],
        "by_graph": seen(host[0], np.float32).tolist(),
        "arguments": [[info.offset, info.size] for info in kernel.arguments_info],
        "registers": kernel.attributes.num_regs,
        "threads": kernel.attributes.max_threads_per_block,
        "blocks": kernel.occupancy.max_active_blocks_per_multiprocessor(256, 0),
    }


def graphs() -> dict[str, Any]:
    """Captured work: what the host is called for in which order, and a graph that is changed."""
    device = core.Device()
    device.set_current()
    stream = device.create_stream()
    called: list[str] = []
    builder = device.create_graph_builder().begin_building()
    builder.callback(lambda: called.append("first"))
    left, right = builder.split(2)
    for branch in (left, right):
        branch.callback(lambda: called.append("branch"))
    joined = type(left).join(left, right)
    joined.callback(lambda: called.append("last"))
    forked = joined.end_building().complete()
    buffer = device.allocate(SIZE, stream=stream)
    stream.sync()
    graph = filling(device, buffer, 1).complete()
    graph.update(filling(device, buffer, 2))
    for work in (forked, forked, graph):
        work.launch(stream)
    back = core.LegacyPinnedMemoryResource().allocate(SIZE)
    buffer.copy_to(back, stream=stream)
    stream.sync()
    return {"called": called, "filled": sorted(set(seen(back).tolist()))}


def filling(device: core.Device, buffer: core.Buffer, value: int) -> Any:
    """A graph, built but not completed, that fills a buffer."""
    builder = device.create_graph_builder().begin_building("thread_local")
    buffer.fill(np.uint8(value), stream=builder)
    return builder.end_building()


def _other_process(pipe: Any) -> None:
    device = core.Device()
    device.set_current()
    stream = device.create_stream()
    resource, descriptor = pipe.recv()
    buffer = core.Buffer.from_ipc_descriptor(resource, descriptor, stream=stream)
    back = core.LegacyPinnedMemoryResource().allocate(SIZE)
    buffer.copy_to(back, stream=stream)
    buffer.fill(np.uint8(2), stream=stream)
    stream.sync()
    pipe.send(int(seen(back).sum()))


def ipc() -> dict[str, Any]:
    """Another process reads and writes what this one has allocated from its pool."""
    device = core.Device()
    device.set_current()
    stream = device.create_stream()
    options = core.DeviceMemoryResourceOptions(max_size=2 * MIB, ipc_enabled=True)
    resource = core.DeviceMemoryResource(device, options=options)
    buffer = resource.allocate(SIZE, stream=stream)
    buffer.fill(np.uint8(1), stream=stream)
    stream.sync()
    multiprocessing.set_start_method("spawn")
    mine, its = multiprocessing.Pipe()
    other = multiprocessing.Process(target=_other_process, args=(its,))
    other.start()
    mine.send((resource, buffer.ipc_descriptor))
    read = mine.recv()
    other.join()
    back = core.LegacyPinnedMemoryResource().allocate(SIZE)
    buffer.copy_to(back, stream=stream)
    stream.sync()
    return {"read": read, "status": other.exitcode, "now": int(seen(back).sum())}


if __name__ == "__main__":
    PARTS: tuple[Callable[[], dict[str, Any]], ...] = (
        *(devices, buffers, virtual_memory, launch, graphs, ipc),
    )
    print(json.dumps({part.__name__: part for part in PARTS}[sys.argv[1]]()))
