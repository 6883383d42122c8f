"""Linking: what comes out loads, what does not fit is refused with a log."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from ctypes import byref, c_char_p, c_int, c_size_t, c_void_p, create_string_buffer
from pathlib import Path
from typing import Any

import pytest
from cuda_client import refused
from device_images import CUBIN, fatbin, image, ptx
from module_client import ModuleClient

import emulator
from emulator import Gpu, Scenario
from emulator.cuda import _constants as constants

FOLDER = Path(__file__).parent / "images"
CALLER = ".extern .func helper();\n.visible .entry k(.param .u64 p) { call helper; ret; }"
HELPER = ".visible .func helper() { ret; }\n.visible .global .u32 v = 5;"


class LinkClient(ModuleClient):
    """A client with a link under way, and its error log."""

    def __init__(self) -> None:
        super().__init__()
        self.state = c_size_t()
        self.buffer = create_string_buffer(1000)
        self.options = (c_int * 2)(5, 6)
        self.values = (c_size_t * 2)(ctypes.addressof(self.buffer), 1000)
        self.cuLinkCreate_v2(2, self.options, self.values, byref(self.state))

    @property
    def log(self) -> str:
        assert self.values[1] == len(self.buffer.value)
        return self.buffer.value.decode()

    def add(self, kind: int, data: bytes, name: bytes | None = b"input") -> None:
        size = c_size_t(len(data))
        self.cuLinkAddData_v2(self.state, kind, data, size, name, 0, None, None)

    def complete(self) -> c_void_p:
        out, size = c_void_p(), c_size_t()
        self.cuLinkComplete(self.state, byref(out), byref(size))
        assert size.value > 64
        assert out.value is not None
        assert ctypes.string_at(out.value, 4) == b"\x7fELF"
        return out


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Iterator[LinkClient]:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    with emulator.emulate(Scenario(gpus=[Gpu("a100-sxm4-80gb")])):
        yield LinkClient()


def loaded(client: LinkClient, out: Any) -> c_size_t:
    return c_size_t(client.handle("cuModuleLoadData", out))


def test_a_function_of_another_input(client: LinkClient) -> None:
    client.add(constants.JIT_INPUT_PTX, ptx(CALLER) + b"\0", None)
    client.add(constants.JIT_INPUT_PTX, ptx(HELPER))
    module = loaded(client, client.complete())
    assert client.function(module, "k").value
    address, _ = client.variable(module, "v")
    value = c_int()
    client.cuMemcpyDtoH_v2(byref(value), c_size_t(address), c_size_t(4))
    assert value.value == 5
    client.cuLinkDestroy(client.state)
    with refused("INVALID_HANDLE"):
        client.cuLinkDestroy(client.state)


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (constants.JIT_INPUT_CUBIN, "sm_80.cubin"),
        (constants.JIT_INPUT_PTX, "ptx"),
        (constants.JIT_INPUT_FATBINARY, "zstd.fatbin"),
    ],
)
def test_kinds_of_inputs(client: LinkClient, kind: int, name: str) -> None:
    alone = client.load(image(name))
    client.cuLinkAddFile_v2(client.state, kind, str(FOLDER / f"lab.{name}").encode(), 0, None, None)
    module = loaded(client, client.complete())
    for number in (constants.FUNC_ATTRIBUTE_NUM_REGS, 0, 1, 2, 3):
        linked = client.attribute(client.function(module, "bounded"), number)
        assert linked == client.attribute(client.function(alone, "bounded"), number)


def archive(*members: bytes) -> bytes:
    data = b"!<arch>\n"
    for member in members:
        data += b"lab.o/".ljust(48) + str(len(member)).encode().ljust(10) + b"`\n" + member
        data += b"\n" * (len(member) % 2)
    return data


def test_objects_and_libraries(client: LinkClient, compile_c: Any) -> None:
    bytes_ = ",".join(str(byte) for byte in fatbin((CUBIN, 80, image("sm_80.cubin"))))
    source = f'__attribute__((section(".nv_fatbin"))) const unsigned char code[] = {{{bytes_}}};'
    made = compile_c(source, "-c").read_bytes()
    plain = compile_c("int nothing;", "-c").read_bytes()
    client.add(constants.JIT_INPUT_LIBRARY, archive(plain, made))
    assert client.function(loaded(client, client.complete()), "saxpy").value
    other = LinkClient()
    other.add(constants.JIT_INPUT_OBJECT, made)
    assert other.function(loaded(other, other.complete()), "saxpy").value


@pytest.mark.parametrize(
    ("kind", "data", "code", "said"),
    [
        (constants.JIT_INPUT_PTX, b"junk", "INVALID_IMAGE", "Binary format"),
        (constants.JIT_INPUT_PTX, ptx("junk;"), "INVALID_PTX", "Parsing error near 'junk'"),
        (
            constants.JIT_INPUT_PTX,
            ptx(version="99.9"),
            "UNSUPPORTED_PTX_VERSION",
            "Unsupported .version 99.9",
        ),
        (constants.JIT_INPUT_PTX, ptx(target="sm_90"), "NO_BINARY_FOR_GPU", "SM version"),
        (constants.JIT_INPUT_CUBIN, image("sm_90a.cubin"), "NO_BINARY_FOR_GPU", "sm_90a"),
        (constants.JIT_INPUT_CUBIN, ptx(), "INVALID_IMAGE", "not of its input type"),
        (constants.JIT_INPUT_LIBRARY, archive(b"x")[:-3], "INVALID_IMAGE", "damaged"),
        (constants.JIT_INPUT_LIBRARY, archive(b"long")[:-3], "INVALID_IMAGE", "cut off"),
        (constants.JIT_INPUT_NVVM, b"BC", "INVALID_VALUE", ""),
    ],
)
def test_inputs_that_are_refused(
    client: LinkClient, kind: int, data: bytes, code: str, said: str
) -> None:
    with refused(code):
        client.add(kind, data)
    assert said in client.log


def test_what_does_not_fit_together(client: LinkClient) -> None:
    client.add(constants.JIT_INPUT_PTX, ptx(CALLER), b"caller.ptx")
    with refused("INVALID_IMAGE"):
        client.complete()
    assert client.log == "error   : Undefined reference to 'helper' in 'caller.ptx'"
    other = LinkClient()
    for name in (b"a", b"b"):
        other.add(constants.JIT_INPUT_PTX, ptx(HELPER), name)
    with refused("INVALID_IMAGE"):
        other.complete()
    assert "Multiple definition of 'v' in 'b', first defined in 'a'" in other.log


def test_after_completion(client: LinkClient) -> None:
    client.add(constants.JIT_INPUT_PTX, ptx(HELPER))
    assert client.complete().value == client.complete().value
    with refused("INVALID_VALUE"):
        client.add(constants.JIT_INPUT_PTX, ptx(CALLER))


def test_files_that_are_not_there_and_options_that_are_none(client: LinkClient) -> None:
    with refused("FILE_NOT_FOUND"):
        client.cuLinkAddFile_v2(client.state, 1, c_char_p(b"/nowhere"), 0, None, None)
    with refused("INVALID_VALUE"):
        client.cuLinkCreate_v2(1, (c_int * 1)(77), client.values, byref(client.state))
    client.cuCtxDestroy_v2(client.context)
    with refused("INVALID_CONTEXT"):
        client.cuLinkCreate_v2(0, None, None, byref(client.state))


def test_a_link_for_another_target(client: LinkClient) -> None:
    state = c_size_t()
    options, values = (c_int * 1)(constants.JIT_TARGET), (c_size_t * 1)((1 << 16) + 90)
    client.cuLinkCreate_v2(1, options, values, byref(state))
    client.state = state
    client.add(constants.JIT_INPUT_CUBIN, image("sm_90a.cubin"))
    with refused("NO_BINARY_FOR_GPU"):
        loaded(client, client.complete())


def test_a_verbose_log(client: LinkClient) -> None:
    buffer = create_string_buffer(1000)
    options = (c_int * 3)(3, 4, constants.JIT_LOG_VERBOSE)
    values = (c_size_t * 3)(ctypes.addressof(buffer), 1000, 1)
    client.cuLinkCreate_v2(3, options, values, byref(client.state))
    client.add(constants.JIT_INPUT_CUBIN, image("sm_80.cubin"))
    assert "Function properties for 'saxpy'" in buffer.value.decode()
