"""Launches: what is checked, what is done, what is recorded."""

from __future__ import annotations

import ctypes
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from ctypes import byref, c_double, c_float, c_int, c_size_t, c_uint
from pathlib import Path
from typing import Any

import pytest
from cuda_client import refused
from device_images import image, ptx
from module_client import ModuleClient, pointers

from emulator import Emulation, EmulationError, Gpu, Kernel, Scenario
from emulator.cuda import _constants as constants
from emulator.cuda import api
from emulator.cuda.kernels.launch import Launch
from emulator.cuda.library import Cuda, CudaError
from emulator.runtime import boot

H100 = Gpu("h100-sxm5-80gb")


def saxpy(launch: Any) -> None:
    n, a, x, y = launch.unpack("i", "f", "f*", "f*")
    for i in range(n):
        y[i] += a * x[i]


def noted(seen: list[Any]) -> Callable[[Any], None]:
    """A kernel that keeps its launches in a list."""
    return lambda launch: seen.append(launch)  # noqa: PLW0108  (a plain function)


Play = Callable[..., tuple[ModuleClient, Emulation]]


@pytest.fixture
def play(monkeypatch: pytest.MonkeyPatch) -> Iterator[Play]:
    """`play(name=function, ...)`: a client of a machine whose kernels these are."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    entered: list[Emulation] = []

    def start(strict: bool = False, **functions: Any) -> tuple[ModuleClient, Emulation]:
        kernels = [Kernel(name, run) for name, run in functions.items()]
        scenario = Scenario(gpus=[H100, Gpu("t4")], kernels=kernels, strict=strict)
        emulation = Emulation(scenario, record=True)
        emulation.__enter__()
        entered.append(emulation)
        return ModuleClient(), emulation

    yield start
    for emulation in entered:
        emulation.__exit__(ValueError, None, None)


def records(emulation: Emulation) -> list[dict[str, Any]]:
    return [call for call in emulation.calls if call["function"].startswith("kernel ")]


def test_a_function_does_the_work(play: Play) -> None:
    client, emulation = play(saxpy=saxpy)
    function = client.function(client.load())
    params, y = client.saxpy()
    client.launch(function, params, grid=(2, 1, 1), block=(64, 2, 1), shared=16)
    assert client.read_floats(y, 4) == [12, 14, 16, 18]
    (record,) = records(emulation)
    assert record["function"] == "kernel saxpy"
    assert (record["status"], record["arguments"]["grid"]) == ("SUCCESS", [2, 1, 1])
    assert (record["arguments"]["block"], record["arguments"]["shared"]) == ([64, 2, 1], 16)
    assert record["arguments"]["arguments"][0] == 4
    assert record["arguments"]["arguments"][3] == hex(y.value)


def test_arguments_are_copied_by_the_image_and_seen_by_the_function(play: Play) -> None:
    seen: list[Any] = []
    client, _ = play(bounded=noted(seen))
    function = client.function(client.load(image("sm_90a.cubin")), "bounded")
    pair = ctypes.create_string_buffer(16)
    out = client.allocate(1024)
    params = pointers(ctypes.c_char(b"c"), pair, ctypes.c_short(-2), out)
    client.launch(function, params, block=(128, 1, 1))
    (launch,) = seen
    assert launch.parameters == [(0, 1), (8, 16), (24, 2), (32, 8)]
    assert launch.arguments[0] == b"c"
    assert launch.arguments[2] == (-2).to_bytes(2, "little", signed=True)
    assert (launch.name, launch.grid, launch.block) == ("bounded", (1, 1, 1), (128, 1, 1))
    assert (launch.shared, launch.device, launch.machine.devices[0].name) == (0, 0, H100_NAME)
    view = launch.memory(out.value, "d")
    assert (view.format, len(view), len(launch.memory(out.value + 8, "d", 3))) == ("d", 128, 3)
    view[5] = 2.5
    back = c_double()
    client.cuMemcpyDtoH_v2(byref(back), c_size_t(out.value + 40), c_size_t(8))
    assert back.value == 2.5


H100_NAME = "NVIDIA H100 80GB HBM3"


def test_a_buffer_of_arguments(play: Play) -> None:
    client, _ = play(saxpy=saxpy)
    function = client.function(client.load())
    x, y = client.floats(1, 2), client.floats(5, 5)
    data = ctypes.create_string_buffer(
        bytes(c_int(2)) + bytes(c_float(3)) + bytes(x) + bytes(y), 24
    )

    def extra(size: int) -> Any:
        made = (c_size_t * 5)(1, ctypes.addressof(data), 2, 0, 0)
        made.size = c_size_t(size)  # type: ignore[attr-defined]
        made[3] = ctypes.addressof(made.size)  # type: ignore[attr-defined]
        return made

    client.launch(function, extra=extra(24))
    assert client.read_floats(y, 2) == [8, 11]
    with refused("INVALID_VALUE"):
        client.launch(function, extra=extra(16))
    with refused("LAUNCH_OUT_OF_RESOURCES"):
        client.launch(function, extra=extra(64))
    with refused("INVALID_VALUE"):
        client.launch(function, client.saxpy()[0], extra=extra(24))
    with refused("INVALID_VALUE"):
        client.launch(function, extra=(c_size_t * 3)(7, 7, 0))


def test_arguments_that_are_missing(play: Play) -> None:
    client, _ = play()
    function = client.function(client.load())
    params, _ = client.saxpy()
    with refused("INVALID_VALUE"):
        client.launch(function)
    params[1] = None
    with refused("INVALID_VALUE"):
        client.launch(function, params)


@pytest.mark.parametrize(
    ("shape", "code"),
    [
        ({"grid": (0, 1, 1)}, "INVALID_VALUE"),
        ({"grid": (1, 65536, 1)}, "INVALID_VALUE"),
        ({"grid": (2**31, 1, 1)}, "INVALID_VALUE"),
        ({"block": (0, 1, 1)}, "INVALID_VALUE"),
        ({"block": (4096, 1, 1)}, "INVALID_VALUE"),
        ({"block": (1, 1, 65)}, "INVALID_VALUE"),
        ({"block": (32, 32, 2)}, "INVALID_VALUE"),
        ({"shared": 48 * 1024 + 1}, "INVALID_VALUE"),
    ],
)
def test_shapes_that_the_device_does_not_have(play: Play, shape: Any, code: str) -> None:
    client, emulation = play()
    function = client.function(client.load())
    with refused(code):
        client.launch(function, client.saxpy()[0], **shape)
    assert not records(emulation)
    client.launch(function, client.saxpy()[0], grid=(2**31 - 1, 65535, 65535), block=(16, 1, 64))


def test_what_a_function_was_compiled_for(play: Play) -> None:
    client, _ = play()
    module = client.load(
        ptx(
            ".visible .entry bounded .maxntid 128, 1, 1 { ret; }\n"
            ".visible .entry shaped .reqntid 8, 4, 1 { ret; }\n"
            ".visible .entry hungry .maxntid 256, 1, 1 { .reg .b32 %r<255>; ret; }\n"
        )
    )
    bounded, shaped = client.function(module, "bounded"), client.function(module, "shaped")
    client.launch(bounded, block=(128, 1, 1))
    client.launch(shaped, block=(8, 4, 1))
    for function, block in ((bounded, (129, 1, 1)), (shaped, (4, 8, 1))):
        with refused("INVALID_VALUE"):
            client.launch(function, block=block)
    assert client.attribute(client.function(module, "hungry"), 0) == 256


def test_registers_bound_the_threads(play: Play) -> None:
    client, _ = play()
    data = bytearray(image("sm_90a.cubin"))
    place = data.index(b"\x04\x2f\x08\x00")  # EIATTR_REGCOUNT of the first function
    data[place + 8] = 128
    module = client.load(bytes(data))
    counts = {
        name: client.attribute(client.function(module, name), constants.FUNC_ATTRIBUTE_NUM_REGS)
        for name in ("saxpy", "bounded")
    }
    assert 128 in counts.values()
    if counts["saxpy"] == 128:
        function = client.function(module, "saxpy")
        assert client.attribute(function, 0) == 512
        client.launch(function, client.saxpy()[0], block=(512, 1, 1))
        with refused("LAUNCH_OUT_OF_RESOURCES"):
            client.launch(function, client.saxpy()[0], block=(544, 1, 1))


def test_more_shared_memory_has_to_be_asked_for(play: Play) -> None:
    client, _ = play()
    function = client.function(client.load())
    dynamic = constants.FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
    assert client.attribute(function, dynamic) == 48 * 1024
    client.cuFuncSetAttribute(function, dynamic, 232448)
    client.launch(function, client.saxpy()[0], shared=232448)
    with refused("INVALID_VALUE"):
        client.cuFuncSetAttribute(function, dynamic, 232449)


def test_attributes_that_can_be_set_and_not(play: Play) -> None:
    client, _ = play()
    function = client.function(client.load())
    carveout = constants.FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT
    assert client.attribute(function, carveout) == -1
    client.cuFuncSetAttribute(function, carveout, 50)
    assert client.attribute(function, carveout) == 50
    for number, value in ((carveout, 101), (constants.FUNC_ATTRIBUTE_NUM_REGS, 8), (8, -1)):
        with refused("INVALID_VALUE"):
            client.cuFuncSetAttribute(function, number, value)
    with refused("INVALID_VALUE"):
        client.attribute(function, constants.FUNC_ATTRIBUTE_MAX)
    client.cuFuncSetCacheConfig(function, 2)
    client.cuFuncSetSharedMemConfig(function, 2)
    offset, size = c_size_t(), c_size_t()
    client.cuFuncGetParamInfo(function, c_size_t(3), byref(offset), byref(size))
    assert (offset.value, size.value) == (16, 8)
    with refused("INVALID_VALUE"):
        client.cuFuncGetParamInfo(function, c_size_t(4), byref(offset), byref(size))


def test_a_function_of_another_context(play: Play) -> None:
    client, _ = play()
    function = client.function(client.load())
    params, _ = client.saxpy()
    client.create(0)
    with refused("INVALID_HANDLE"):
        client.launch(function, params)
    with refused("INVALID_HANDLE"):
        client.launch(c_size_t(0xDEAD000), params)


def test_a_librarys_kernel_is_launched_as_a_function(play: Play) -> None:
    client, emulation = play()
    library = client.handle("cuLibraryLoadData", image("ptx"), None, None, 0, None, None, 0)
    kernel = c_size_t(client.handle("cuLibraryGetKernel", c_size_t(library), b"saxpy"))
    client.launch(kernel, client.saxpy()[0])
    client.create(0)
    client.launch(kernel, client.saxpy()[0])
    assert len(records(emulation)) == 2


# ---- cooperation and clusters


def test_cooperative_launches_fit_on_the_device(play: Play) -> None:
    client, _ = play()
    function = client.function(client.load(ptx(".visible .entry k { ret; }")), "k")
    most = 132 * 2
    client.cuLaunchCooperativeKernel(function, most, 1, 1, 1024, 1, 1, 0, None, None)
    with refused("COOPERATIVE_LAUNCH_TOO_LARGE"):
        client.cuLaunchCooperativeKernel(function, most + 1, 1, 1, 1024, 1, 1, 0, None, None)


def config(grid: int, *attributes: tuple[int, tuple[int, ...]]) -> Any:
    made = api.types["CUlaunchConfig"]()
    made.gridDimX, made.gridDimY, made.gridDimZ = grid, 1, 1
    made.blockDimX, made.blockDimY, made.blockDimZ = 1024, 1, 1
    list_ = (api.types["CUlaunchAttribute"] * max(len(attributes), 1))()
    for place, (number, values) in zip(list_, attributes, strict=False):
        place.id = number
        ctypes.memmove(
            ctypes.addressof(place.value), (c_uint * len(values))(*values), 4 * len(values)
        )
    made.attrs, made.numAttrs = ctypes.addressof(list_), len(attributes)
    made.kept = list_
    return made


CLUSTER = constants.LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION
COOPERATIVE = constants.LAUNCH_ATTRIBUTE_COOPERATIVE


@pytest.mark.parametrize(
    ("grid", "attribute", "code"),
    [
        (6, (CLUSTER, (2, 1, 1)), ""),
        (6, (CLUSTER, (4, 1, 1)), "INVALID_CLUSTER_SIZE"),
        (16, (CLUSTER, (16, 1, 1)), "INVALID_CLUSTER_SIZE"),
        (6, (CLUSTER, (0, 1, 1)), "INVALID_CLUSTER_SIZE"),
        (264, (COOPERATIVE, (1,)), ""),
        (265, (COOPERATIVE, (1,)), "COOPERATIVE_LAUNCH_TOO_LARGE"),
        (265, (COOPERATIVE, (0,)), ""),
        (6, (constants.LAUNCH_ATTRIBUTE_PRIORITY, (1,)), ""),
        (6, (999, (1,)), "INVALID_VALUE"),
    ],
)
def test_launch_attributes(play: Play, grid: int, attribute: Any, code: str) -> None:
    client, emulation = play()
    function = client.function(client.load(ptx(".visible .entry k { ret; }")), "k")
    if code:
        with refused(code):
            client.cuLaunchKernelEx(byref(config(grid, attribute)), function, None, None)
    else:
        client.cuLaunchKernelEx(byref(config(grid, attribute)), function, None, None)
    assert len(records(emulation)) == (not code)


def test_clusters_that_a_kernel_was_compiled_for(play: Play) -> None:
    client, _ = play()
    text = ".visible .entry k .reqnctapercluster 2, 1, 1 .explicitcluster { ret; }"
    function = client.function(client.load(ptx(text, "7.8", "sm_90")), "k")
    width = constants.FUNC_ATTRIBUTE_REQUIRED_CLUSTER_WIDTH
    assert client.attribute(function, width) == 2
    with refused("NOT_PERMITTED"):
        client.cuFuncSetAttribute(function, width, 4)
    client.launch(function, grid=(4, 1, 1))
    with refused("INVALID_CLUSTER_SIZE"):
        client.launch(function, grid=(3, 1, 1))


def test_clusters_that_a_function_is_set_to(play: Play) -> None:
    client, _ = play()
    function = client.function(client.load(ptx(".visible .entry k { ret; }")), "k")
    client.cuFuncSetAttribute(function, constants.FUNC_ATTRIBUTE_REQUIRED_CLUSTER_WIDTH, 2)
    with refused("INVALID_CLUSTER_SIZE"):  # the others are still 0
        client.launch(function, grid=(4, 1, 1))
    client.cuFuncSetAttribute(function, constants.FUNC_ATTRIBUTE_REQUIRED_CLUSTER_HEIGHT, 1)
    client.cuFuncSetAttribute(function, constants.FUNC_ATTRIBUTE_REQUIRED_CLUSTER_DEPTH, 1)
    client.launch(function, grid=(4, 1, 1))
    with refused("INVALID_CLUSTER_SIZE"):
        client.launch(function, grid=(3, 1, 1))


def test_devices_without_clusters(play: Play) -> None:
    client, _ = play()
    client.create(1)
    function = client.function(client.load(ptx(".visible .entry k { ret; }")), "k")
    with refused("INVALID_CLUSTER_SIZE"):
        client.cuLaunchKernelEx(byref(config(4, (CLUSTER, (2, 1, 1)))), function, None, None)


def test_cooperation_of_several_devices(play: Play) -> None:
    client, emulation = play()
    streams, functions = [], []
    for device in (0, 1):
        client.create(device)
        streams.append(client.handle("cuStreamCreate", 0))
        functions.append(client.function(client.load(ptx(".visible .entry k { ret; }")), "k"))
    list_ = (api.types["CUDA_LAUNCH_PARAMS"] * 2)()
    for params, function, stream in zip(list_, functions, streams, strict=True):
        params.function, params.hStream = function.value, stream
        for axis in "XYZ":
            setattr(params, f"gridDim{axis}", 1)
            setattr(params, f"blockDim{axis}", 1)
    client.cuLaunchCooperativeKernelMultiDevice(list_, 2, 0)
    assert len(records(emulation)) == 2
    list_[1].hStream = 0
    with refused("INVALID_VALUE"):
        client.cuLaunchCooperativeKernelMultiDevice(list_, 2, 0)


def test_the_calls_of_cuda_3(play: Play) -> None:
    client, emulation = play(saxpy=saxpy)
    function = client.function(client.load())
    x, y = client.floats(1, 2), client.floats(5, 5)
    client.cuFuncSetBlockShape(function, 16, 1, 1)
    client.cuFuncSetSharedSize(function, 64)
    client.cuParamSeti(function, 0, 2)
    set_float = client.library.cuParamSetf
    set_float.argtypes = [c_size_t, c_int, c_float]
    assert set_float(function.value, 4, 2.0) == 0
    client.cuParamSetv(function, 8, byref(x), 8)
    client.cuParamSetv(function, 16, byref(y), 8)
    with refused("INVALID_VALUE"):
        client.cuLaunch(function)
    client.cuParamSetSize(function, 24)
    client.cuLaunch(function)
    client.cuLaunchGrid(function, 2, 3)
    client.cuLaunchGridAsync(function, 1, 1, None)
    assert client.read_floats(y, 2) == [5 + 3 * 2, 5 + 3 * 4]
    grids = [record["arguments"]["grid"] for record in records(emulation)]
    assert grids == [[1, 1, 1], [2, 3, 1], [1, 1, 1]]
    for call in (
        lambda: client.cuFuncSetBlockShape(function, 0, 1, 1),
        lambda: client.cuParamSeti(function, 4095, 1),
        lambda: client.cuParamSetSize(function, 5000),
        lambda: client.cuLaunchGrid(function, 0, 1),
    ):
        with refused("INVALID_VALUE"):
            call()


# ---- what functions of a scenario may do


def test_a_kernel_without_a_function_does_nothing_and_says_so_once(
    play: Play, capfd: pytest.CaptureFixture[str]
) -> None:
    client, emulation = play()
    text = ".visible .entry once_said { ret; }"
    function = client.function(client.load(ptx(text)), "once_said")
    client.launch(function)
    client.launch(function)
    how = """@kernel("once_said") in a scenario's script gives it a function"""
    assert capfd.readouterr().err == f"nvemu: kernel once_said does nothing: {how}\n"
    assert [r["arguments"]["does"] for r in records(emulation)] == ["nothing"] * 2


def test_a_mangled_name_is_said_readably(play: Play, capfd: pytest.CaptureFixture[str]) -> None:
    client, _ = play()
    mangled = "_ZN3lab8say_onceIfEEvT_"
    module = client.load(ptx(f".visible .entry {mangled} {{ ret; }}"))
    client.launch(client.function(module, mangled))
    said = capfd.readouterr().err
    assert said.startswith('nvemu: kernel lab::say_once does nothing: @kernel("lab::say_once") in')
    assert said.endswith(f"gives it a function ({mangled})\n")


def test_a_record_has_the_time_that_the_function_took(play: Play) -> None:
    client, emulation = play(saxpy=lambda launch: time.sleep(0.01))
    client.launch(client.function(client.load()), client.saxpy()[0])
    launch, call = emulation.calls[-2:]
    assert (launch["function"], call["function"]) == ("kernel saxpy", "cuLaunchKernel")
    assert 10_000 <= launch["us"] <= call["us"]
    assert call["t"] <= launch["t"], "it begins within the call"


def test_a_function_that_calls_cuda_is_refused(play: Play) -> None:
    codes: dict[str, int] = {}

    def inside(launch: Any) -> None:
        cuda = client.library
        codes["alloc"] = cuda.cuMemAlloc_v2(byref(c_size_t()), c_size_t(64))
        codes["launch"] = cuda.cuLaunchKernel(function, 1, 1, 1, 1, 1, 1, 0, None, None, None)
        codes["wait"] = cuda.cuStreamSynchronize(stream)
        codes["all"] = cuda.cuCtxSynchronize()

    client, _ = play(inside=inside)
    function = client.function(client.load(ptx(".visible .entry inside { ret; }")), "inside")
    stream = c_size_t(client.handle("cuStreamCreate", 0))
    for where in (None, stream):
        codes.clear()
        client.launch(function, stream=where)
        assert codes == dict.fromkeys(("alloc", "launch", "wait", "all"), 800)  # NOT_PERMITTED
        client.cuStreamSynchronize(stream)
        client.cuCtxSynchronize()
        assert client.handle("cuCtxGetCurrent") == client.context.value


async def later(launch: Any) -> None:
    """Do nothing, later."""


def piecemeal(launch: Any) -> Iterator[None]:
    yield


@pytest.mark.parametrize(
    ("function", "kind"),
    [(later, "an async function"), (piecemeal, "a function with `yield`")],
)
@pytest.mark.filterwarnings("error")
def test_what_is_no_plain_function(
    play: Play, function: Any, kind: str, capfd: pytest.CaptureFixture[str]
) -> None:
    client, _ = play(saxpy=function)
    client.launch(client.function(client.load()), client.saxpy()[0])
    with refused("LAUNCH_FAILED"):
        client.cuCtxSynchronize()
    assert f"expected a code of cuda or None, found {kind}" in capfd.readouterr().err


def test_a_strict_scenario_fails_on_it() -> None:
    scenario = Scenario(gpus=[H100], strict=True, kernels=[Kernel("saxpy", saxpy)])
    expected = pytest.raises(EmulationError, match="no handler answers kernel bounded")
    with expected, Emulation(scenario):
        client = ModuleClient()
        module = client.load()
        client.launch(client.function(module), client.saxpy()[0])
        params = pointers(c_int(), ctypes.create_string_buffer(16), c_int(), client.allocate(8))
        client.launch(client.function(module, "bounded"), params)


@pytest.mark.parametrize("name", ["_Z5saxpyif", "saxpy", "sax*", "_Z*", "*"])
def test_names_of_kernels(play: Play, name: str) -> None:
    seen: list[Any] = []
    client, _ = play(**{name: noted(seen)})
    text = ".visible .entry _Z5saxpyif(.param .u32 n, .param .f32 a) { ret; }"
    params = pointers(c_int(1), c_float(2))
    client.launch(client.function(client.load(ptx(text)), "_Z5saxpyif"), params)
    assert [launch.unpack("I", "f") for launch in seen] == [(1, 2.0)]


def test_the_first_that_fits(play: Play) -> None:
    first: list[Any] = []
    second: list[Any] = []
    client, _ = play(**{"sax*": noted(first), "saxpy": noted(second)})
    client.launch(client.function(client.load()), client.saxpy()[0])
    assert (len(first), len(second)) == (1, 0)


def fails(launch: Any) -> None:
    raise ZeroDivisionError("in the lab")


def test_what_a_function_raises_ends_the_context(
    play: Play, capfd: pytest.CaptureFixture[str]
) -> None:
    client, emulation = play(saxpy=fails)
    function = client.function(client.load())
    client.launch(function, client.saxpy()[0])
    said = capfd.readouterr().err
    assert "kernel saxpy: the scenario's function failed" in said
    assert "ZeroDivisionError: in the lab (test_cuda_launch.py:" in said
    assert records(emulation)[0]["status"] == "LAUNCH_FAILED"
    for _ in range(2):
        with refused("LAUNCH_FAILED"):
            client.cuCtxSynchronize()
    client.cuCtxDestroy_v2(client.context)
    client.create(0)
    client.cuCtxSynchronize()


@pytest.mark.parametrize("code", ["ILLEGAL_ADDRESS", "CUDA_ERROR_ILLEGAL_ADDRESS", 700])
def test_a_function_may_return_a_code(play: Play, code: Any) -> None:
    client, _ = play(saxpy=lambda launch: code)
    client.launch(client.function(client.load()), client.saxpy()[0])
    with refused("ILLEGAL_ADDRESS"):
        client.cuCtxSynchronize()


@pytest.mark.parametrize("found", [{"a": 1}, "NO_SUCH_CODE", True, 1 << 40])
def test_what_is_no_answer(play: Play, found: Any, capfd: pytest.CaptureFixture[str]) -> None:
    client, _ = play(saxpy=lambda launch: found)
    client.launch(client.function(client.load()), client.saxpy()[0])
    with refused("LAUNCH_FAILED"):
        client.cuCtxSynchronize()
    assert f"found {found!r}" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("types", "problem"),
    [
        (("i",), "expected 4 types for the parameters of saxpy, found 1"),
        (("i", "f", "f*", "f"), "parameter 3 of saxpy has 8 bytes, and 'f' has 4"),
        (("i", "f", "f*", "float*"), "expected types such as 'f' and 'f*', found 'float*'"),
    ],
)
def test_types_that_do_not_fit(play: Play, types: tuple[str, ...], problem: str) -> None:
    found: list[str] = []

    def look(launch: Any) -> None:
        with pytest.raises(ValueError, match=r"expected|parameter") as caught:
            launch.unpack(*types)
        found.append(str(caught.value))

    client, _ = play(saxpy=look)
    client.launch(client.function(client.load()), client.saxpy()[0])
    assert found == [problem]


def test_pointers_to_nothing(play: Play) -> None:
    found: list[Any] = []
    client, _ = play(saxpy=lambda launch: found.append(launch.unpack("i", "f", "f*", "f*")))
    function = client.function(client.load())
    client.launch(function, pointers(c_int(1), c_float(1), c_size_t(0), client.floats(1)))
    assert found[0][2] is None
    client.launch(function, pointers(c_int(1), c_float(1), c_size_t(0xDEAD000), client.floats(1)))
    assert len(found) == 1
    with refused("ILLEGAL_ADDRESS"):
        client.cuCtxSynchronize()


def test_numpy_makes_arrays_of_the_views(play: Play) -> None:
    numpy = pytest.importorskip("numpy")

    def add(launch: Any) -> None:
        n, a, x, y = launch.unpack("i", "f", "f*", "f*")
        y, x = numpy.asarray(y), numpy.asarray(x)
        y[:n] += a * x[:n]

    client, _ = play(saxpy=add)
    params, y = client.saxpy()
    client.launch(client.function(client.load()), params)
    assert client.read_floats(y, 4) == [12, 14, 16, 18]


# ---- as an operation of graphs


def test_a_launch_out_of_the_params_of_a_node_and_back(play: Play) -> None:
    client, _ = play(saxpy=saxpy)
    function = client.function(client.load())
    params, y = client.saxpy()
    struct = api.types["CUDA_KERNEL_NODE_PARAMS"]()
    struct.func, struct.kernelParams = function.value, ctypes.addressof(params)
    struct.gridDimX = struct.gridDimY = struct.gridDimZ = 1
    struct.blockDimX = struct.blockDimY = struct.blockDimZ = 2
    cuda = next(a.library for a in boot.attachments if isinstance(a.library, Cuda))
    launch = Launch.from_params(cuda, struct)
    launch.run()
    assert client.read_floats(y, 4) == [12, 14, 16, 18]
    again = api.types["CUDA_KERNEL_NODE_PARAMS"](**launch.params())
    assert (again.func, again.gridDimX, again.blockDimZ) == (function.value, 1, 2)
    assert Launch.from_params(cuda, again).arguments == launch.arguments
    struct.gridDimX = 0
    with pytest.raises(CudaError):
        Launch.from_params(cuda, struct)


# ---- in other processes

SCRIPT = """
from emulator import Gpu, Scenario, kernel

scenario = Scenario(gpus=[Gpu("h100-sxm5-80gb")])


@kernel("saxpy")
def saxpy(launch):
    n, a, x, y = launch.unpack("i", "f", "f*", "f*")
    for i in range(n):
        y[i] += a * x[i]
"""

PROGRAM = """
import sys
sys.path[:0] = {paths!r}
from module_client import ModuleClient
client = ModuleClient()
params, y = client.saxpy()
client.launch(client.function(client.load()), params)
print(client.read_floats(y, 4))
"""


@pytest.mark.parametrize("form", ["py", "toml"])
def test_a_program_under_a_scenario(
    run_in: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path, form: str
) -> None:
    (tmp_path / "lab.py").write_text(SCRIPT)
    (tmp_path / "lab.toml").write_text(
        '[[gpu]]\nprofile = "h100-sxm5-80gb"\n\n[[kernel]]\nname = "sax*"\nrun = "lab.py:saxpy"\n'
    )
    paths = [str(Path(__file__).parent), str(Path(__file__).parents[2])]
    program = tmp_path / "program.py"
    program.write_text(PROGRAM.format(paths=paths))
    done = run_in(str(tmp_path / f"lab.{form}"), [sys.executable, program])
    assert (done.stdout, done.stderr) == ("[12.0, 14.0, 16.0, 18.0]\n", "")
