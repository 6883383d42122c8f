"""Arrays: their shapes, and copies into them and out of them."""

from __future__ import annotations

import ctypes
from ctypes import byref, c_size_t
from typing import Any

import pytest
from cuda_client import Client, refused

from emulator.cuda import _constants as c
from emulator.cuda import api

HOST, DEVICE, ARRAY, UNIFIED = 1, 2, 3, 4


def describe(
    width: int, height: int = 0, depth: int = 0, form: int = 1, channels: int = 1, flags: int = 0
) -> Any:
    return api.types["CUDA_ARRAY3D_DESCRIPTOR"](
        Width=width, Height=height, Depth=depth, Format=form, NumChannels=channels, Flags=flags
    )


def create(client: Client, *arguments: int, **named: int) -> c_size_t:
    descriptor = describe(*arguments, **named)
    return c_size_t(client.handle("cuArray3DCreate_v2", byref(descriptor)))


def free(client: Client) -> int:
    value = c_size_t()
    client.cuMemGetInfo_v2(byref(value), None)
    return value.value


def test_a_descriptor_is_given_back(client: Client) -> None:
    array = create(
        client, 4, 5, 6, form=c.AD_FORMAT_FLOAT, channels=2, flags=c.ARRAY3D_SURFACE_LDST
    )
    found = describe(0)
    client.cuArray3DGetDescriptor_v2(byref(found), array)
    assert [getattr(found, name) for name, _ in found._fields_] == [4, 5, 6, 32, 2, 2]
    flat = api.types["CUDA_ARRAY_DESCRIPTOR"](Width=9, Height=7, Format=1, NumChannels=4)
    array = c_size_t(client.handle("cuArrayCreate_v2", byref(flat)))
    seen = api.types["CUDA_ARRAY_DESCRIPTOR"]()
    client.cuArrayGetDescriptor_v2(byref(seen), array)
    assert bytes(seen) == bytes(flat)


def test_arrays_take_memory_until_they_are_destroyed(client: Client) -> None:
    before = free(client)
    array = create(client, 1024, 1024, 4, form=c.AD_FORMAT_FLOAT)
    assert before - free(client) == 16 << 20
    client.cuArrayDestroy(array)
    assert free(client) == before
    with refused("INVALID_HANDLE"):
        client.cuArrayDestroy(array)
    array = create(client, 10)
    client.cuCtxDestroy_v2(c_size_t(client.handle("cuCtxGetCurrent")))
    client.handle("cuCtxCreate_v2", 0, 0)
    with refused("INVALID_HANDLE"):
        client.cuArrayDestroy(array)


@pytest.mark.parametrize(
    "wrong",
    [
        {"width": 0},
        {"width": 4, "height": 0, "depth": 4},
        {"width": 4, "height": 4, "channels": 3},
        {"width": 4, "height": 5, "depth": 6, "flags": c.ARRAY3D_CUBEMAP},
        {"width": 4, "height": 4, "depth": 5, "flags": c.ARRAY3D_CUBEMAP},
        {"width": 4, "height": 4, "flags": c.ARRAY3D_LAYERED},
        {"width": 4, "flags": c.ARRAY3D_TEXTURE_GATHER},
        {"width": 1 << 30},
        {"width": 4, "flags": 1 << 20},
    ],
)
def test_shapes_that_are_none(client: Client, wrong: dict[str, int]) -> None:
    with refused("INVALID_VALUE"):
        create(client, **wrong)


def test_sparse_arrays_are_refused(client: Client) -> None:
    with refused("NOT_SUPPORTED"):
        create(client, 64, 64, flags=c.ARRAY3D_SPARSE)
    array = create(client, 64, 64)
    with refused("INVALID_VALUE"):
        client.cuArrayGetSparseProperties(byref(api.types["CUDA_ARRAY_SPARSE_PROPERTIES"]()), array)


def test_bytes_in_one_piece(client: Client) -> None:
    first, second = create(client, 16), create(client, 4, form=c.AD_FORMAT_UNSIGNED_INT32)
    size = c_size_t
    client.cuMemcpyHtoA_v2(first, size(0), b"0123456789abcdef", size(16))
    own = ctypes.create_string_buffer(4)
    client.cuMemcpyAtoH_v2(own, first, size(10), size(4))
    assert own.raw == b"abcd"
    pointer = c_size_t(client.handle("cuMemAlloc_v2", size(16)))
    client.cuMemcpyAtoD_v2(pointer, first, size(4), size(8))
    client.cuMemcpyDtoA_v2(first, size(0), c_size_t(pointer.value + 2), size(2))
    third = create(client, 16)
    client.cuMemcpyAtoA_v2(third, size(1), first, size(0), size(6))
    client.cuMemcpyAtoHAsync_v2(own, third, size(1), size(4), None)
    assert own.raw == b"6723"
    client.cuMemcpyHtoAAsync_v2(third, size(1), b"Z", size(1), None)
    client.cuMemcpyAtoH_v2(own, third, size(1), size(4))
    assert own.raw == b"Z723"
    with refused("INVALID_VALUE"):
        client.cuMemcpyAtoH_v2(own, first, size(13), size(4))
    with refused("INVALID_VALUE"):
        client.cuMemcpyAtoA_v2(second, size(0), first, size(0), size(4))
    with refused("INVALID_HANDLE"):
        client.cuMemcpyAtoH_v2(own, size(0x1234000), size(0), size(4))


def test_rows(client: Client) -> None:
    array = create(client, 3, 4, form=c.AD_FORMAT_UNSIGNED_INT16)
    source = ctypes.create_string_buffer(bytes(range(24)), 24)
    copy = api.types["CUDA_MEMCPY2D"](
        srcMemoryType=HOST,
        srcHost=ctypes.addressof(source),
        srcPitch=6,
        dstMemoryType=ARRAY,
        dstArray=array.value,
        WidthInBytes=6,
        Height=4,
    )
    client.cuMemcpy2D_v2(byref(copy))
    own = ctypes.create_string_buffer(4)
    back = api.types["CUDA_MEMCPY2D"](
        srcMemoryType=ARRAY,
        srcArray=array.value,
        srcXInBytes=2,
        srcY=1,
        dstMemoryType=UNIFIED,
        dstDevice=ctypes.addressof(own),
        dstPitch=2,
        WidthInBytes=2,
        Height=2,
    )
    client.cuMemcpy2DAsync_v2(byref(back), None)
    assert list(own.raw) == [8, 9, 14, 15]
    for field, value in (("srcXInBytes", 1), ("srcXInBytes", 6), ("srcY", 3)):
        wrong = type(back).from_buffer_copy(back)
        setattr(wrong, field, value)
        with refused("INVALID_VALUE"):
            client.cuMemcpy2D_v2(byref(wrong))
    back.srcArray = 0x1234000
    with refused("INVALID_HANDLE"):
        client.cuMemcpy2D_v2(byref(back))


def test_levels_of_a_mipmap(client: Client) -> None:
    mipmap = c_size_t(client.handle("cuMipmappedArrayCreate", byref(describe(16, 8)), 99))
    sizes = []
    for number in range(5):
        level = c_size_t(client.handle("cuMipmappedArrayGetLevel", mipmap, number))
        found = describe(0)
        client.cuArray3DGetDescriptor_v2(byref(found), level)
        sizes.append((found.Width, found.Height))
        with refused("INVALID_VALUE"):
            client.cuArrayDestroy(level)
    assert sizes == [(16, 8), (8, 4), (4, 2), (2, 1), (1, 1)]
    with refused("INVALID_VALUE"):
        client.handle("cuMipmappedArrayGetLevel", mipmap, 5)
    client.cuMipmappedArrayDestroy(mipmap)
    with refused("INVALID_HANDLE"):
        client.cuArray3DGetDescriptor_v2(byref(describe(0)), level)


def test_planes_of_a_video_format(client: Client) -> None:
    array = create(client, 8, 4, form=c.AD_FORMAT_NV12, channels=3)
    shapes = []
    for number in range(2):
        plane = c_size_t(client.handle("cuArrayGetPlane", array, number))
        found = describe(0)
        client.cuArray3DGetDescriptor_v2(byref(found), plane)
        shapes.append((found.Width, found.Height, found.Format, found.NumChannels))
    assert shapes == [(8, 4, 1, 1), (4, 2, 1, 2)]
    with refused("INVALID_VALUE"):
        client.handle("cuArrayGetPlane", array, 2)
    with refused("INVALID_VALUE"):
        client.handle("cuArrayGetPlane", create(client, 8, 8), 0)


def test_no_array_is_made_during_a_capture(client: Client) -> None:
    """It takes memory, as cuMemAlloc does."""
    stream, graph = c_size_t(client.handle("cuStreamCreate", 0)), c_size_t()
    shape = api.types["CUDA_ARRAY3D_DESCRIPTOR"](Width=4, Format=1, NumChannels=1)
    array = c_size_t(client.handle("cuArray3DCreate_v2", byref(shape)))
    for call in (
        lambda: client.handle("cuArray3DCreate_v2", byref(shape)),
        lambda: client.handle("cuMipmappedArrayCreate", byref(shape), 1),
        lambda: client.cuArrayDestroy(array),
    ):
        client.cuStreamBeginCapture_v2(stream, 0)
        with refused("STREAM_CAPTURE_UNSUPPORTED"):
            call()
        with refused("STREAM_CAPTURE_INVALIDATED"):
            client.cuStreamEndCapture(stream, byref(graph))
    client.cuArrayDestroy(array)
