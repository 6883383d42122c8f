"""Modules and libraries: loading, finding, unloading."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from ctypes import byref, c_float, c_int, c_size_t, c_uint, c_void_p, create_string_buffer
from pathlib import Path
from typing import Any

import pytest
from cuda_client import refused
from device_images import fatbin, image, loaded, ptx
from module_client import ModuleClient

import emulator
from emulator import Gpu, Machine, Scenario
from emulator.cuda import _constants as constants
from emulator.cuda.kernels.image import write
from emulator.cuda.kernels.image.architecture import Architecture
from emulator.cuda.library import Cuda
from emulator.runtime import boot

FOLDER = Path(__file__).parent / "images"


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    for name in ("CUDA_VISIBLE_DEVICES", "CUDA_MODULE_LOADING", "CUDA_FORCE_PTX_JIT"):
        monkeypatch.delenv(name, raising=False)
    gpus = [Gpu("a100-sxm4-80gb", count=2), Gpu("t4")]
    with emulator.emulate(Scenario(gpus=gpus)) as machine:
        yield machine


@pytest.fixture
def client(machine: Machine) -> ModuleClient:
    assert machine
    return ModuleClient()


def integer_at(client: ModuleClient, address: int) -> int:
    value = c_int()
    client.cuMemcpyDtoH_v2(byref(value), c_size_t(address), c_size_t(4))
    return value.value


@pytest.mark.parametrize("name", ["sm_80.cubin", "ptx", "lz4.fatbin", "zstd.fatbin"])
def test_images_from_memory_and_from_files(client: ModuleClient, name: str) -> None:
    path = str(FOLDER / f"lab.{name}").encode()
    for module in (client.load(image(name)), c_size_t(client.handle("cuModuleLoad", path))):
        assert client.function(module, "saxpy").value
        assert client.function(module, "saxpy").value == client.function(module, "saxpy").value
        with refused("NOT_FOUND"):
            client.function(module, "nothing")
        client.cuModuleUnload(module)


def test_fat_binaries_and_their_wrapper(client: ModuleClient) -> None:
    data = create_string_buffer(image("zstd.fatbin"))
    wrapper = (c_size_t * 3)(0x1_466243B1, ctypes.addressof(data), 0)
    for what in (data, wrapper):
        assert client.handle("cuModuleLoadFatBinary", what)
        assert client.handle("cuModuleLoadData", what)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"garbage", "INVALID_IMAGE"),
        (b"", "INVALID_IMAGE"),
        (b"\x7fELF" + bytes(100), "INVALID_IMAGE"),
        (image("sm_90a.cubin"), "NO_BINARY_FOR_GPU"),
        (fatbin(), "NO_BINARY_FOR_GPU"),
        (ptx(target="sm_90"), "NO_BINARY_FOR_GPU"),
        (ptx("nonsense;"), "INVALID_PTX"),
        (ptx(version="99.0"), "UNSUPPORTED_PTX_VERSION"),
    ],
)
def test_images_that_are_refused(
    client: ModuleClient, tmp_path: Path, data: bytes, code: str
) -> None:
    with refused(code):
        client.load(data)
    with refused(code):
        client.handle("cuLibraryLoadData", data, None, None, 0, None, None, 0)
    file = tmp_path / "image"
    file.write_bytes(data)
    with refused(code):
        client.handle("cuModuleLoad", str(file).encode())


def test_images_that_are_not_there(client: ModuleClient, tmp_path: Path) -> None:
    for function in ("cuModuleLoadData", "cuModuleLoadFatBinary"):
        with refused("INVALID_VALUE"):
            client.handle(function, None)
        with refused("INVALID_IMAGE"):
            client.handle(function, c_void_p(0xDEAD000))
    for path in (tmp_path / "none", tmp_path):
        with refused("FILE_NOT_FOUND"):
            client.handle("cuModuleLoad", str(path).encode())
        with refused("FILE_NOT_FOUND"):
            client.handle("cuLibraryLoadFromFile", str(path).encode(), *[None] * 7)
    client.cuCtxDestroy_v2(client.context)
    with refused("INVALID_CONTEXT"):
        client.load()


def test_variables_are_device_memory(client: ModuleClient, machine: Machine) -> None:
    free = c_size_t()
    client.cuMemGetInfo_v2(byref(free), None)
    module, other = client.load(), client.load()
    address, size = client.variable(module, "counter")
    assert (size, integer_at(client, address)) == (4, 42)
    assert client.variable(module, "coefficients")[1] == 32
    assert integer_at(client, client.variable(module, "total")[0]) == 7
    client.cuMemsetD32_v2(c_size_t(address), c_uint(7), c_size_t(1))
    assert integer_at(client, address) == 7
    assert integer_at(client, client.variable(other, "counter")[0]) == 42
    with refused("NOT_FOUND"):
        client.variable(module, "nothing")
    client.cuModuleGetGlobal_v2(byref(c_size_t()), None, module, b"counter")
    client.cuModuleUnload(module)
    client.cuModuleUnload(other)
    with refused("INVALID_VALUE"):
        integer_at(client, address)
    after = c_size_t()
    client.cuMemGetInfo_v2(byref(after), None)
    assert after.value == free.value


def test_memory_that_was_used_before_is_zero_where_the_image_says_nothing(
    client: ModuleClient,
) -> None:
    dirty = client.allocate(512)
    client.cuMemsetD8_v2(dirty, 0xFF, c_size_t(512))
    client.cuMemFree_v2(dirty)
    module = client.load(ptx(".visible .global .u32 v; .visible .global .u32 w[4] = {1};"))
    assert integer_at(client, client.variable(module, "v")[0]) == 0
    assert integer_at(client, client.variable(module, "w")[0] + 4) == 0


def test_the_form_of_cuda_2(client: ModuleClient) -> None:
    client.handle("cuCtxCreate", 0, 0)
    module = client.load()
    address, size = c_uint(), c_uint()
    client.cuModuleGetGlobal(byref(address), byref(size), module, b"counter")
    assert (size.value, integer_at(client, address.value)) == (4, 42)


def test_no_room_for_variables(client: ModuleClient, machine: Machine) -> None:
    huge = ptx(f".visible .global .b8 huge[{machine.devices[0].memory.total}];")
    with refused("OUT_OF_MEMORY"):
        client.load(huge)


def test_a_module_that_is_gone(client: ModuleClient) -> None:
    module = client.load()
    function = client.function(module)
    client.cuModuleUnload(module)
    for name in ("cuModuleUnload",):
        with refused("INVALID_HANDLE"):
            getattr(client, name)(module)
    with refused("INVALID_HANDLE"):
        client.function(module)
    with refused("INVALID_HANDLE"):
        client.launch(function, *client.saxpy()[:1])
    module = client.load()
    client.cuCtxDestroy_v2(client.context)
    client.create(0)
    with refused("INVALID_HANDLE"):
        client.function(module)


def test_functions_of_a_module(client: ModuleClient) -> None:
    module = client.load()
    count = c_uint()
    client.cuModuleGetFunctionCount(byref(count), module)
    assert count.value == 2
    functions = (c_size_t * 3)()
    client.cuModuleEnumerateFunctions(functions, 3, module)
    names = []
    for handle in functions[:2]:
        name = ctypes.c_char_p()
        client.cuFuncGetName(byref(name), c_size_t(handle))
        names.append(name.value)
    assert sorted(names) == [b"bounded", b"saxpy"]
    assert client.function(module, "saxpy").value in functions[:2]
    assert client.handle("cuFuncGetModule", c_size_t(functions[0])) == module.value


def test_lazy_and_eager_loading(client: ModuleClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def mode() -> int:
        return client.integer("cuModuleGetLoadingMode")

    def states() -> list[int]:
        functions = (c_size_t * 2)()
        client.cuModuleEnumerateFunctions(functions, 2, client.load())
        return [client.integer("cuFuncIsLoaded", c_size_t(each)) for each in functions]

    assert mode() == constants.MODULE_LAZY_LOADING
    assert states() == [0, 0]
    module = client.load()
    functions = (c_size_t * 2)()
    client.cuModuleEnumerateFunctions(functions, 2, module)
    with refused("FUNCTION_NOT_LOADED"):
        client.attribute(c_size_t(functions[0]), 0)
    client.cuFuncLoad(c_size_t(functions[0]))
    assert client.attribute(c_size_t(functions[0]), 0) > 0
    monkeypatch.setenv("CUDA_MODULE_LOADING", "EAGER")
    assert mode() == constants.MODULE_EAGER_LOADING
    assert states() == [1, 1]


def test_references_of_a_module(client: ModuleClient) -> None:
    text = ".global .texref picture;\n.global .surfref canvas;\n.visible .entry k { ret; }"
    module = client.load(ptx(text))
    picture = client.handle("cuModuleGetTexRef", module, b"picture")
    assert client.handle("cuModuleGetTexRef", module, b"picture") == picture
    assert client.handle("cuModuleGetSurfRef", module, b"canvas")
    for function, name in (("cuModuleGetTexRef", b"canvas"), ("cuModuleGetSurfRef", b"picture")):
        with refused("NOT_FOUND"):
            client.handle(function, module, name)
    function = client.function(module, "k")
    client.cuParamSetTexRef(function, -1, c_size_t(picture))
    with refused("INVALID_VALUE"):
        client.cuParamSetTexRef(function, 0, c_size_t(picture))
    client.cuModuleUnload(module)
    with refused("INVALID_HANDLE"):
        client.integer("cuTexRefGetFlags", c_size_t(picture))


def log(client: ModuleClient, data: bytes, room: int) -> tuple[str, int]:
    """The error log of a load that fails, and the length that is told."""
    buffer = create_string_buffer(b"?" * room, room + 1)
    options = (c_int * 3)(
        constants.JIT_ERROR_LOG_BUFFER,
        constants.JIT_ERROR_LOG_BUFFER_SIZE_BYTES,
        constants.JIT_WALL_TIME,
    )
    values = (c_size_t * 3)(ctypes.addressof(buffer), room, 0)
    with pytest.raises(Exception, match=r"INVALID|UNSUPPORTED"):
        client.handle("cuModuleLoadDataEx", data, 3, options, values)
    return buffer.value.decode(), values[1]


def test_a_log_that_nobody_wants_has_no_length(client: ModuleClient) -> None:
    options = (c_int * 2)(constants.JIT_ERROR_LOG_BUFFER, constants.JIT_ERROR_LOG_BUFFER_SIZE_BYTES)
    values = (c_size_t * 2)(0, 64)
    with refused("INVALID_IMAGE"):
        client.handle("cuModuleLoadDataEx", b"junk", 2, options, values)
    assert list(values) == [0, 0]


def test_what_a_load_may_take_and_takes(client: ModuleClient) -> None:
    options = (c_int * 2)(constants.JIT_MAX_REGISTERS, constants.JIT_WALL_TIME)
    values = (c_size_t * 2)(24, 0)
    data = ptx(".visible .entry k() { .reg .b32 %r<60>; ret; }")
    module = c_size_t(client.handle("cuModuleLoadDataEx", data, 2, options, values))
    function = client.function(module, "k")
    assert client.attribute(function, constants.FUNC_ATTRIBUTE_NUM_REGS) == 24
    assert c_float.from_buffer(values, 8).value > 0, "milliseconds"


def test_logs(client: ModuleClient) -> None:
    text, length = log(client, ptx(version="99.0"), 1000)
    assert "Unsupported .version 99.0; current version is" in text
    assert length == len(text)
    assert log(client, ptx(version="99.0"), 10) == (text[:9], 9)
    assert log(client, b"junk", 1000)[0].startswith("error   : Binary format")
    assert log(client, b"junk", 0) == ("", 0)
    module = c_size_t()
    buffer = create_string_buffer(b"?", 100)
    options, values = (c_int * 2)(3, 4), (c_size_t * 2)(ctypes.addressof(buffer), 100)
    client.cuModuleLoadDataEx(byref(module), image("ptx"), 2, options, values)
    assert (buffer.value, values[1]) == (b"", 0)
    for number in (99, -1):
        with refused("INVALID_VALUE"):
            client.cuModuleLoadDataEx(byref(module), image("ptx"), 1, (c_int * 1)(number), values)
    with refused("INVALID_VALUE"):
        client.cuModuleLoadDataEx(byref(module), image("ptx"), 1, options, values)


def test_what_the_environment_says_of_ptx(
    client: ModuleClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def registers() -> int:
        function = client.function(client.load(image("zstd.fatbin")))
        return client.attribute(function, constants.FUNC_ATTRIBUTE_NUM_REGS)

    of_cubin = registers()
    monkeypatch.setenv("CUDA_FORCE_PTX_JIT", "1")
    assert registers() != of_cubin
    monkeypatch.delenv("CUDA_FORCE_PTX_JIT")
    monkeypatch.setenv("CUDA_DISABLE_PTX_JIT", "1")
    assert registers() == of_cubin
    with refused("JIT_COMPILATION_DISABLED"):
        client.load(image("ptx"))


# ---- libraries


@pytest.fixture
def library(client: ModuleClient) -> c_size_t:
    return open_library(client)


def open_library(client: ModuleClient, data: Any = None) -> c_size_t:
    data = image("zstd.fatbin") if data is None else data
    return c_size_t(client.handle("cuLibraryLoadData", data, None, None, 0, None, None, 0))


def kernel(client: ModuleClient, library: c_size_t, name: str = "saxpy") -> c_size_t:
    return c_size_t(client.handle("cuLibraryGetKernel", library, name.encode()))


def test_a_library_has_kernels_in_no_context(machine: Machine) -> None:
    client = ModuleClient()
    client.cuCtxDestroy_v2(client.context)
    library = open_library(client)
    saxpy = kernel(client, library)
    count = c_uint()
    client.cuLibraryGetKernelCount(byref(count), library)
    kernels = (c_size_t * 2)()
    client.cuLibraryEnumerateKernels(kernels, 2, library)
    assert count.value == 2
    assert saxpy.value in kernels
    assert client.handle("cuKernelGetLibrary", saxpy) == library.value
    name = ctypes.c_char_p()
    client.cuKernelGetName(byref(name), saxpy)
    assert name.value == b"saxpy"
    size, offset = c_size_t(), c_size_t()
    client.cuKernelGetParamInfo(saxpy, c_size_t(2), byref(offset), byref(size))
    assert (offset.value, size.value) == (8, 8)
    with refused("INVALID_VALUE"):
        client.cuKernelGetParamInfo(saxpy, c_size_t(4), byref(offset), byref(size))
    with refused("NOT_FOUND"):
        kernel(client, library, "nothing")
    with refused("INVALID_CONTEXT"):
        client.handle("cuKernelGetFunction", saxpy)


def test_a_library_in_contexts(client: ModuleClient, library: c_size_t) -> None:
    saxpy = kernel(client, library)
    first = client.handle("cuKernelGetFunction", saxpy)
    module = c_size_t(client.handle("cuLibraryGetModule", library))
    assert client.handle("cuFuncGetModule", c_size_t(first)) == module.value
    with refused("NOT_PERMITTED"):
        client.cuModuleUnload(module)
    counter = client.handle("cuLibraryGetGlobal", byref(c_size_t()), library, b"counter")
    assert integer_at(client, counter) == 42
    client.create(1)
    assert client.handle("cuKernelGetFunction", saxpy) != first
    assert client.handle("cuLibraryGetGlobal", byref(c_size_t()), library, b"counter") != counter
    client.create(2)  # a T4, for which it has no code
    with refused("NO_BINARY_FOR_GPU"):
        client.handle("cuKernelGetFunction", saxpy)
    client.cuLibraryUnload(library)
    for handle, function in ((saxpy, "cuKernelGetFunction"), (library, "cuLibraryGetModule")):
        with refused("INVALID_HANDLE"):
            client.handle(function, handle)


def test_symbols_of_a_library(client: ModuleClient, library: c_size_t) -> None:
    size = c_size_t()
    managed = client.handle("cuLibraryGetManaged", byref(size), library, b"total")
    assert (size.value, integer_at(client, managed)) == (4, 7)
    for function, name in (
        ("cuLibraryGetManaged", b"counter"),
        ("cuLibraryGetGlobal", b"nothing"),
    ):
        with refused("NOT_FOUND"):
            client.handle(function, byref(size), library, name)
    with refused("NOT_FOUND"):
        client.handle("cuLibraryGetUnifiedFunction", library, b"saxpy")


def test_attributes_of_a_kernel_are_those_of_its_functions(
    client: ModuleClient, library: c_size_t
) -> None:
    bounded = kernel(client, library, "bounded")
    dynamic = constants.FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
    assert client.integer("cuKernelGetAttribute", dynamic, bounded, 0) == 48 * 1024 - 1024
    client.cuKernelSetAttribute(dynamic, 100_000, bounded, 0)
    client.cuKernelSetCacheConfig(bounded, 1, 0)
    function = c_size_t(client.handle("cuKernelGetFunction", bounded))
    assert client.attribute(function, dynamic) == 100_000
    assert client.integer("cuKernelGetAttribute", dynamic, bounded, 1) == 48 * 1024 - 1024
    with refused("INVALID_VALUE"):
        client.cuKernelSetAttribute(dynamic, 200_000, bounded, 0)
    with refused("NO_BINARY_FOR_GPU"):
        client.integer("cuKernelGetAttribute", dynamic, bounded, 2)


def test_options_of_a_library(client: ModuleClient) -> None:
    with refused("INVALID_VALUE"):
        client.handle(
            *("cuLibraryLoadData", image("ptx"), None, None, 0),
            *((c_int * 1)(9), (c_size_t * 1)(), 1),
        )


POINTERS = """
.visible .global .align 4 .u32 x[4] = {1, 2, 3, 4};
.visible .const .align 4 .u32 c = 7;
.visible .global .align 8 .u64 s[4] = {generic(x)+8, 3, c, generic(nothing)};
.visible .global .align 8 .u64 p = generic(x);
"""


def test_variables_that_begin_as_addresses_of_others(client: ModuleClient) -> None:
    text = ptx(POINTERS)
    cubin = write(loaded(text, (8, 0)), Architecture((8, 0)))
    for data in (text, cubin):
        module = client.load(data)
        places = {name: client.variable(module, name)[0] for name in ("x", "c", "s", "p")}
        words = (c_size_t * 4)()
        client.cuMemcpyDtoH_v2(words, c_size_t(places["s"]), c_size_t(32))
        assert list(words) == [places["x"] + 8, 3, places["c"], 0]
        client.cuMemcpyDtoH_v2(words, c_size_t(places["p"]), c_size_t(8))
        assert words[0] == places["x"]
        client.cuModuleUnload(module)


def test_unloading_gives_everything_back(client: ModuleClient) -> None:
    def held() -> tuple[int, int]:
        free, total = c_size_t(), c_size_t()
        client.cuMemGetInfo_v2(byref(free), byref(total))
        return free.value, sum(map(len, (functions.objects, modules.objects)))

    cuda = next(a.library for a in boot.attachments if isinstance(a.library, Cuda))
    functions, modules = cuda.handles("CUfunction"), cuda.handles("CUmodule")
    before = held()
    for _ in range(200):
        module = client.load()
        client.function(module)
        client.cuModuleUnload(module)
    assert held() == before
