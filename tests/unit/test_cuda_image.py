"""What is read of cubins, fatbins and PTX."""

from __future__ import annotations

import ctypes
import struct
from typing import Any

import pytest
from device_images import (
    CUBIN,
    LZ4,
    PTX,
    SPECIFIC,
    ZSTD,
    fatbin,
    image,
    loaded,
    ptx,
    refusal,
    stored,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from emulator.cuda import _status as status
from emulator.cuda.kernels.image import Image, ImageError, Target, fetch, load, merged, parts, write
from emulator.cuda.kernels.image.architecture import Architecture
from emulator.cuda.kernels.image.lz4 import decompress
from emulator.cuda.kernels.mangling import plain_name

CUBINS = {"sm_80.cubin": (8, 0), "sm_90a.cubin": (9, 0), "sm_100.cubin": (10, 0)}
FATBINS = ("lz4.fatbin", "zstd.fatbin")


def layout(found: Image, kernel: str) -> list[tuple[int, int]]:
    return [(each.offset, each.size) for each in found.kernels[kernel].parameters]


@pytest.mark.parametrize("name", [*CUBINS, "ptx", *FATBINS])
def test_kernels_and_variables(name: str) -> None:
    found = loaded(image(name), CUBINS.get(name, (8, 0)))
    assert sorted(found.kernels) == ["bounded", "saxpy"]
    assert layout(found, "saxpy") == [(0, 4), (4, 4), (8, 8), (16, 8)]
    assert layout(found, "bounded") == [(0, 1), (8, 16), (24, 2), (32, 8)]
    bounded = found.kernels["bounded"]
    assert (bounded.max_threads, bounded.shared, bounded.constant) == (128, 1024, 32)
    assert found.kernels["saxpy"].shared == 0
    assert found.kernels["saxpy"].max_threads == 0
    variables = found.variables
    assert {name: (v.size, v.constant, v.managed) for name, v in variables.items()} == {
        "counter": (4, False, False),
        "total": (4, False, True),
        "coefficients": (32, True, False),
    }
    assert variables["counter"].data == struct.pack("<i", 42)
    assert variables["coefficients"].data[:8] == struct.pack("<2f", 0.5, 1.5)


@pytest.mark.parametrize(
    ("name", "registers", "versions"),
    [
        ("sm_80.cubin", (10, 14), (80, 80)),
        ("sm_90a.cubin", (10, 16), (90, 80)),
        ("sm_100.cubin", (10, 16), (100, 100)),
    ],
)
def test_what_the_compiler_said(
    name: str, registers: tuple[int, int], versions: tuple[int, int]
) -> None:
    """The registers as `cuobjdump -res-usage` prints them."""
    kernels = loaded(image(name), CUBINS[name]).kernels
    assert (kernels["saxpy"].registers, kernels["bounded"].registers) == registers
    assert (kernels["saxpy"].binary_version, kernels["saxpy"].ptx_version) == versions


@pytest.mark.parametrize(
    ("name", "device", "fits"),
    [
        ("sm_80.cubin", (8, 0), True),
        ("sm_80.cubin", (8, 9), True),
        ("sm_80.cubin", (7, 5), False),
        ("sm_80.cubin", (9, 0), False),
        ("sm_90a.cubin", (9, 0), True),
        ("sm_90a.cubin", (10, 0), False),
        ("sm_100.cubin", (10, 3), True),
        ("sm_100.cubin", (12, 0), False),
        ("ptx", (8, 0), True),
        ("ptx", (12, 0), True),
        ("ptx", (7, 5), False),
        ("lz4.fatbin", (8, 6), True),
        ("zstd.fatbin", (9, 0), True),
        ("zstd.fatbin", (7, 0), False),
    ],
)
def test_which_device_an_image_is_for(name: str, device: tuple[int, int], fits: bool) -> None:
    assert refusal(image(name), device) == (0 if fits else status.NO_BINARY_FOR_GPU)


@pytest.mark.parametrize(
    ("target", "device", "fits"),
    [
        ("sm_90a", (9, 0), True),
        ("sm_90a", (10, 0), False),
        ("sm_100f", (10, 3), True),
        ("sm_100f", (12, 0), False),
        ("sm_100", (12, 0), True),
        ("sm_35", (7, 0), True),
    ],
)
def test_targets_of_ptx(target: str, device: tuple[int, int], fits: bool) -> None:
    assert (refusal(ptx(target=target), device) == 0) == fits


def test_the_best_image_of_a_fatbin() -> None:
    old, new = image("sm_80.cubin"), write(loaded(image("ptx"), (8, 6)), Architecture((8, 6)))
    both = fatbin((CUBIN, 80, old), (CUBIN, 86, new), (PTX, 80, image("ptx")))
    versions = {
        device: loaded(both, device).kernels["saxpy"].binary_version
        for device in ((8, 0), (8, 6), (8, 9), (9, 0))
    }
    assert versions == {(8, 0): 80, (8, 6): 86, (8, 9): 86, (9, 0): 90}
    preferred = load(both, Target((8, 0), 13000, prefers_ptx=True))
    assert preferred.kernels["saxpy"].registers != loaded(both, (8, 0)).kernels["saxpy"].registers
    assert refusal(fatbin((CUBIN, 90, image("sm_90a.cubin")), flags=SPECIFIC), (9, 0)) == 0
    assert refusal(fatbin(), (9, 0)) == status.NO_BINARY_FOR_GPU
    assert refusal(fatbin((CUBIN, 80, b"junk")), (8, 0)) == status.INVALID_IMAGE


def test_ptx_may_be_forbidden() -> None:
    with pytest.raises(ImageError) as caught:
        load(image("ptx"), Target((8, 0), 13000, compiles=False))
    assert caught.value.code == status.JIT_COMPILATION_DISABLED


def test_versions_of_ptx() -> None:
    assert refusal(ptx(version="8.4"), cuda=12040) == 0
    assert refusal(ptx(version="8.5"), cuda=12040) == status.UNSUPPORTED_PTX_VERSION
    with pytest.raises(ImageError, match=r"Unsupported .version 8.5; current version is '8.4'"):
        loaded(ptx(version="8.5"), (8, 0), 12040)


PARAMETERS = """
/* a comment with { and ; */
.visible .entry mixed( // and "another
    .param .u8 a, .param .align 16 .b8 b[20], .param .v4 .f32 c,
    .param .u64 .ptr .global .align 1 d, .param .b16 e)
.maxntid 32, 4
.minnctapersm 2
{ .reg .b32 %r<20>; .local .align 8 .b8 depot[24]; .shared .align 4 .f32 tile[8][4]; ret; }
.entry bare { ret; }
.entry shaped(.param .u32 p) .reqntid 8, 2, 2 .reqnctapercluster 2, 1, 1 .maxclusterrank 4 { ret; }
.entry declared(.param .u32 p);
"""


def test_entries_of_ptx() -> None:
    found = loaded(ptx(PARAMETERS), (8, 0))
    assert list(found.kernels) == ["mixed", "bare", "shaped"]
    mixed, shaped = found.kernels["mixed"], found.kernels["shaped"]
    assert layout(found, "mixed") == [(0, 1), (16, 20), (48, 16), (64, 8), (72, 2)]
    assert mixed.argument_size == 74
    assert (mixed.max_threads, mixed.local, mixed.shared, mixed.registers) == (128, 24, 128, 20)
    assert layout(found, "bare") == []
    assert (shaped.block, shaped.max_threads, shaped.cluster) == ((8, 2, 2), 32, (2, 1, 1))
    assert shaped.max_cluster == 4


@pytest.mark.parametrize(
    ("declaration", "data"),
    [
        (".u32 v = 42;", b"\x2a\0\0\0"),
        (".s16 v = -2;", b"\xfe\xff"),
        (".u64 v = 0xFFu;", b"\xff" + bytes(7)),
        (".u8 v[3] = {1, 2};", b"\1\2\0"),
        (".b8 v[2][2] = {{1, 2}, {3, 4}};", b"\1\2\3\4"),
        (".f32 v = 0f3F800000;", b"\0\0\x80\x3f"),
        (".f64 v = 1.5;", struct.pack("<d", 1.5)),
        (".u64 v[2] = {other, 7};", bytes(8) + b"\7" + bytes(7)),
        (".b8 v[] = {9, 8, 7};", b"\t\b\7"),
        (".u32 v;", bytes(4)),
    ],
)
def test_initial_values_of_ptx(declaration: str, data: bytes) -> None:
    found = loaded(ptx(f".visible .global .align 8 {declaration}\n"), (8, 0)).variables["v"]
    assert found.data.ljust(found.size, b"\0") == data
    assert found.align == 8


def test_references_and_space_of_a_module() -> None:
    text = """.global .texref picture; .global .surfref canvas; .global .samplerref s;
    .extern .global .u32 elsewhere; .shared .b8 common[64]; .extern .shared .b8 dynamic[];
    .entry uses { mov.u32 %r1, common; ret; } .entry not_uses { mov.u32 %r1, common_one; ret; }"""
    found = loaded(ptx(text), (8, 0))
    assert (found.textures, found.surfaces, list(found.variables)) == (["picture"], ["canvas"], [])
    assert (found.kernels["uses"].shared, found.kernels["not_uses"].shared) == (64, 0)


@pytest.mark.parametrize(
    "text",
    [
        ".entry broken(.param .u32 p { ret; }",
        ".entry broken(.param p) { ret; }",
        ".entry broken { ret;",
        ".entry { ret; }",
        ".global .u32 v[x];",
        ".global .align 3 .u32 v;",
        "this is not ptx;",
        "nor is this",
        ".entry k .maxntid 0 { ret; }",
        ".global .u32 v = {1, 2} 3;",
    ],
)
def test_malformed_ptx(text: str) -> None:
    assert refusal(ptx(text)) == status.INVALID_PTX


def test_ptx_without_a_target_and_functions_that_are_not_there() -> None:
    assert refusal(b".version 7.0\n.entry k { ret; }") == status.INVALID_PTX
    assert refusal(ptx(target="compute_50")) == status.INVALID_PTX
    call = ".extern .func (.param .b32 r) {0} (.param .b64 p);\n.entry k {{ call (r), {0}, (p); }}"
    assert refusal(ptx(call.format("nowhere"))) == status.NO_BINARY_FOR_GPU
    assert refusal(ptx(call.format("vprintf"))) == 0
    assert refusal(ptx(".extern .func unused();\n.entry k { ret; }")) == 0


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n",
        b"garbage",
        b".target sm_50\n.version 7.0\n",
        b"\x7fELF",
        b"\x7fELF" + bytes(200),
        image("sm_80.cubin")[:200],
        image("sm_80.cubin")[:-1],
        stored("zstd.fatbin")[:-1],
        image("lz4.fatbin")[:70],
        b"\x50\xed\x55\xba" + bytes(40),
    ],
)
def test_what_is_no_image(data: bytes) -> None:
    assert refusal(data) == status.INVALID_IMAGE


def test_a_library_for_the_host_is_no_image() -> None:
    with open("/proc/self/exe", "rb") as file:
        assert refusal(file.read()) == status.INVALID_IMAGE


def test_damaged_compression() -> None:
    data = image("sm_80.cubin")
    assert refusal(fatbin((CUBIN, 80, data), flags=LZ4, size=len(data))) == status.INVALID_IMAGE
    assert refusal(fatbin((CUBIN, 80, data), flags=ZSTD, size=len(data))) == status.INVALID_IMAGE
    assert refusal(fatbin((CUBIN, 80, data), flags=LZ4, size=1 << 62)) == status.INVALID_IMAGE


def test_lz4_by_its_description() -> None:
    assert decompress(b"\x50hello", 5) == b"hello"
    assert decompress(b"\x1fa\1\0\0\x10b", 21) == b"a" * 20 + b"b", "a match that overlaps itself"
    assert decompress(b"\xf0\1" + b"x" * 16, 16) == b"x" * 16, "a length of more than four bits"
    for damaged in (b"", b"\x10", b"\x1fa\2\0\0", b"\x1fa\0\0\0", b"\xf0\xff"):
        with pytest.raises(ImageError):
            decompress(damaged, 20)


def test_what_zstd_needs_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise OSError("not here")

    monkeypatch.setattr(ctypes, "CDLL", refuse)
    monkeypatch.setattr("sys.version_info", (3, 9))
    with pytest.raises(ImageError) as caught:
        loaded(stored("zstd.fatbin"), (8, 0))
    assert caught.value.code == status.INVALID_IMAGE
    assert "libzstd.so.1" in caught.value.lacking


class Memory:
    """Bytes at an address, with nothing around them."""

    def __init__(self, data: bytes, address: int) -> None:
        self.data = data
        self.address = address

    def read(self, address: int, size: int) -> bytes | None:
        start = address - self.address
        inside = start >= 0 and start + size <= len(self.data)
        return self.data[start : start + size] if inside else None


@pytest.mark.parametrize("name", [*CUBINS, *FATBINS])
def test_how_large_an_image_is_it_says_itself(name: str) -> None:
    data = image(name)
    memory = Memory(data + bytes(100), 0x10000)
    fetched = fetch(memory.read, 0x10000)
    assert fetched[: len(data)] == data
    assert len(fetched) <= len(data) + 8
    memory.data = data[:-9]
    with pytest.raises(ImageError):
        fetch(memory.read, 0x10000)


def test_text_ends_by_its_zero_and_may_end_a_page() -> None:
    text = b".version 7.0 " + b"/" * 9000
    memory = Memory(bytes(100) + text + b"\0" + b"x" * 5000, 0x10000)
    assert fetch(memory.read, 0x10000 + 100) == text
    memory = Memory(bytes(4095 - 12) + b".version 7.0\0", 0x10000)
    assert fetch(memory.read, 0x10000 + 4095 - 12) == b".version 7.0"
    with pytest.raises(ImageError):
        fetch(Memory(b"." * 4096, 0x10000).read, 0x10000)


def test_the_wrapper_of_a_fatbin() -> None:
    data = stored("zstd.fatbin")
    wrapper = struct.pack("<IIQQ", 0x466243B1, 1, 0x10000 + 24, 0)
    assert fetch(Memory(wrapper + data, 0x10000).read, 0x10000) == data
    for target in (0, 0x10000, 1 << 60):
        wrapper = struct.pack("<IIQQ", 0x466243B1, 1, target, 0)
        with pytest.raises(ImageError):
            fetch(Memory(wrapper + data, 0x10000).read, 0x10000)


def test_what_is_written_is_read() -> None:
    found = loaded(ptx(PARAMETERS + ".global .u32 v = 3; .const .f64 c = 1.0;"), (9, 0))
    again = loaded(write(found, Architecture((9, 0))), (9, 0))
    for name, kernel in found.kernels.items():
        other = again.kernels[name]
        assert layout(again, name) == layout(found, name)
        figures = ("registers", "shared", "local", "max_threads", "block", "cluster", "max_cluster")
        assert [getattr(other, f) for f in figures] == [getattr(kernel, f) for f in figures]
    assert {n: (v.size, v.data, v.constant) for n, v in again.variables.items()} == {
        n: (v.size, v.data, v.constant) for n, v in found.variables.items()
    }


def test_linking() -> None:
    target = Target((8, 0), 13000)
    caller = ".extern .func helper();\n.entry k { call helper; }"
    (user,) = parts(ptx(caller), target)
    (helper,) = parts(ptx(".visible .func helper() { ret; }"), target)
    assert list(merged([("a", user), ("b", helper)]).kernels) == ["k"]
    with pytest.raises(ImageError, match="Undefined reference to 'helper' in 'a'"):
        merged([("a", user)])
    with pytest.raises(ImageError, match="Multiple definition of 'k' in 'b'"):
        merged([("a", user), ("b", user), ("c", helper)])


@pytest.mark.parametrize(
    ("mangled", "plain"),
    [
        ("saxpy", "saxpy"),
        ("_Z5saxpyifPKfPf", "saxpy"),
        ("_ZN3lab5saxpyIfEEvT_", "lab::saxpy"),
        ("_ZN12_GLOBAL__N_15saxpyEv", "(anonymous namespace)::saxpy"),
        ("_ZN30_GLOBAL__N__00000000_4_x_cu_cl2tkIfEEvPT_S1_", "(anonymous namespace)::tk"),
        ("_ZL3topPf", "top"),
        ("_ZN3labL5scaleEPf", "lab::scale"),
        ("_ZN6cudapy8__main__5scaleB2v1B3abcE5ArrayIfE", "cudapy::__main__::scale"),
        ("_Z", "_Z"),
        ("_Z99", ""),
    ],
)
def test_names_of_cpp(mangled: str, plain: str) -> None:
    assert plain_name(mangled) == (plain or mangled)


ANY = [stored(name) for name in (*CUBINS, *FATBINS, "ptx")]


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    data = bytearray(draw(st.sampled_from(ANY)))
    for _ in range(draw(st.integers(1, 6))):
        place = draw(st.integers(0, len(data) - 1))
        data[place] = draw(st.integers(0, 255))
    return bytes(data[: draw(st.integers(0, len(data)))] if draw(st.booleans()) else data)


@settings(max_examples=400, suppress_health_check=list(HealthCheck))
@given(data=damaged(), device=st.sampled_from([(8, 0), (9, 0), (10, 0)]))
def test_damaged_images_are_read_or_refused(data: bytes, device: tuple[int, int]) -> None:
    found, code = Image(), 0
    try:
        found = load(fetch(Memory(data + b"\0", 0x10000).read, 0x10000), Target(device, 13000))
    except ImageError as error:
        code = error.code
    assert code in {
        *(0, status.INVALID_IMAGE, status.INVALID_PTX, status.NO_BINARY_FOR_GPU),
        status.UNSUPPORTED_PTX_VERSION,
    }
    for kernel in found.kernels.values():
        assert kernel.argument_size <= 32764
    for variable in found.variables.values():
        assert len(variable.data) <= variable.size


PRIVATE = """.global .align 1 .b8 $str[4] = {1, 2, 3};
.func slow() { ret; }
.weak .func both() { ret; }
"""


def test_images_may_have_the_same_private_and_weak_names() -> None:
    first = loaded(ptx(PRIVATE + ".visible .global .u32 v; .visible .entry a() { ret; }"), (8, 0))
    second = loaded(ptx(PRIVATE + ".visible .entry b() { ret; }"), (8, 0))
    whole = merged([("a", first), ("b", second)])
    assert (list(whole.kernels), list(whole.variables)) == (["a", "b"], ["$str", "v"])
    target = Target((8, 0), 13000)
    for text, problem in (
        (".visible .global .u32 v;", "Multiple definition of 'v'"),
        (".extern .func slow(); .visible .entry c() { call slow; }", "reference to 'slow'"),
    ):
        (other,) = parts(ptx(text), target)
        with pytest.raises(ImageError, match=problem):
            merged([("a", first), ("b", second), ("c", other)])
    (user,) = parts(ptx(".extern .func both(); .visible .entry c() { call both; }"), target)
    assert "c" in merged([("a", first), ("c", user)]).kernels


def test_a_part_of_an_address_is_no_number() -> None:
    text = ".global .align 1 .u8 s[3] = {1, 0xFF(generic(x)), 0xFF00(generic(x)+4)};"
    assert loaded(ptx(text), (8, 0)).variables["s"].data == b"\1\0\0"


#: Bodies that ptxas 13.0 takes, and what it names where it does not.
BODIES = {
    "ret;": "",
    "{ret;}": "",
    "L1: L2 : ret; L3:": "",
    "ret; .loc 1 2 3": "",
    ".loc 1 2 3, function_name $L, inlined_at 1 2 3\nret;": "",
    "@ ! %p1 bra L; @!%p1 ret; L: @%p1 exit;": "",
    "{.reg .b32 %x; mov.b32 %x, WARP_SZ;}\nret;": "",
    "ld .global .u32 %r1, [ %rd1 + 0 ];": "",
    "mov.u32 %r1, (1) ? 3 : - 4;": "",
    "setp.lt.u32 %p1 | %p2, %r1, %r2;": "",
    "call.uni (%r1), f, (\n%r2\n);": "",
    "P: .callprototype (.param .b32 _) _ (.param .b64 _);": "",
    "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%r1], [%rd1], 4, [q];": "",
    '.pragma "nounroll";': "",
    "ret": "}",
    "{ret}": "}",
    "ret; garbage": "}",
    "this is wrong;": "wrong",
    "add.u32 %r1, %r2 %r3;": "%r3",
    "@%p1 add.u32 %r1 %r2, %r3;": "%r2",
    "L: call (%r1), foo bar;": "bar",
}


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("form", [".visible .entry k() {{ {} }}", ".func f() {{ {}\n}}"])
def test_bodies_of_ptx(body: str, form: str) -> None:
    data = ptx(form.format(body))
    if not BODIES[body]:
        loaded(data, (9, 0))
        return
    with pytest.raises(ImageError) as caught:
        loaded(data, (9, 0))
    assert caught.value.code == status.INVALID_PTX
    assert f"Parsing error near '{BODIES[body]}'" in caught.value.text


def test_a_bound_of_registers() -> None:
    data = ptx(".visible .entry k() .maxntid 128 { .reg .b32 %r<99>; ret; }")
    registers = [
        load(data, Target((9, 0), 13000, registers=most)).kernels["k"].registers
        for most in (0, 32, 4, 999)
    ]
    assert registers == [99, 32, 8, 99]
