"""Textures and surfaces: what is said of one is checked, and given back."""

from __future__ import annotations

import ctypes
from ctypes import byref, c_float, c_int, c_size_t, c_uint, c_ulonglong
from typing import Any

from cuda_client import Client, refused

from emulator.cuda import _constants as c
from emulator.cuda import api


def array(client: Client, flags: int = 0) -> int:
    desc = api.types["CUDA_ARRAY3D_DESCRIPTOR"](
        Width=8, Height=8, Format=c.AD_FORMAT_FLOAT, NumChannels=1, Flags=flags
    )
    return client.handle("cuArray3DCreate_v2", byref(desc))


def of_array(handle: int) -> Any:
    desc = api.types["CUDA_RESOURCE_DESC"](resType=c.RESOURCE_TYPE_ARRAY)
    desc.res.array.hArray = handle
    return desc


def of_memory(pointer: int, size: int) -> Any:
    desc = api.types["CUDA_RESOURCE_DESC"](resType=c.RESOURCE_TYPE_LINEAR)
    linear = desc.res.linear
    linear.devPtr, linear.sizeInBytes = pointer, size
    linear.format, linear.numChannels = c.AD_FORMAT_FLOAT, 1
    return desc


def test_texture_objects(client: Client) -> None:
    resource = of_array(array(client))
    texture = api.types["CUDA_TEXTURE_DESC"](filterMode=1, maxAnisotropy=4, mipmapLevelBias=0.5)
    view = api.types["CUDA_RESOURCE_VIEW_DESC"](format=c.RES_VIEW_FORMAT_FLOAT_1X32, width=8)
    arguments = (byref(resource), byref(texture), byref(view))
    made = c_ulonglong(client.handle("cuTexObjectCreate", *arguments))
    for name, given in (("Resource", resource), ("Texture", texture), ("ResourceView", view)):
        found = type(given)()
        getattr(client, f"cuTexObjectGet{name}Desc")(byref(found), made)
        assert bytes(found) == bytes(given)
    client.cuTexObjectDestroy(made)
    with refused("INVALID_HANDLE"):
        client.cuTexObjectDestroy(made)
    plain = c_ulonglong(client.handle("cuTexObjectCreate", *arguments[:2], None))
    with refused("INVALID_VALUE"):
        client.cuTexObjectGetResourceViewDesc(byref(view), plain)
    client.cuCtxDestroy_v2(c_size_t(client.handle("cuCtxGetCurrent")))
    with refused("INVALID_HANDLE"):
        client.cuTexObjectGetTextureDesc(byref(texture), plain)


def test_textures_of_memory(client: Client) -> None:
    pointer = client.handle("cuMemAlloc_v2", c_size_t(4096))
    texture = byref(api.types["CUDA_TEXTURE_DESC"]())
    desc = of_memory(pointer, 4096)
    client.handle("cuTexObjectCreate", byref(desc), texture, None)
    for wrong in (of_memory(pointer, 4097), of_memory(pointer + 4, 8), of_memory(pointer, 0)):
        with refused("INVALID_VALUE"):
            client.handle("cuTexObjectCreate", byref(wrong), texture, None)
    desc.resType = 9
    with refused("INVALID_VALUE"):
        client.handle("cuTexObjectCreate", byref(desc), texture, None)
    with refused("INVALID_HANDLE"):
        client.handle("cuTexObjectCreate", byref(of_array(0x1234000)), texture, None)


def test_surface_objects(client: Client) -> None:
    desc = of_array(array(client, c.ARRAY3D_SURFACE_LDST))
    made = c_ulonglong(client.handle("cuSurfObjectCreate", byref(desc)))
    found = type(desc)()
    client.cuSurfObjectGetResourceDesc(byref(found), made)
    assert bytes(found) == bytes(desc)
    client.cuSurfObjectDestroy(made)
    with refused("INVALID_HANDLE"):
        client.cuSurfObjectDestroy(made)
    with refused("INVALID_VALUE"):
        client.handle("cuSurfObjectCreate", byref(of_array(array(client))))


def test_texture_references(client: Client) -> None:
    reference = c_size_t(client.handle("cuTexRefCreate"))
    handle = array(client)
    with refused("INVALID_VALUE"):
        client.handle("cuTexRefGetArray", reference)
    client.cuTexRefSetArray(reference, c_size_t(handle), c.TRSA_OVERRIDE_FORMAT)
    assert client.handle("cuTexRefGetArray", reference) == handle
    form, channels = c_uint(), c_int()
    client.cuTexRefGetFormat(byref(form), byref(channels), reference)
    assert (form.value, channels.value) == (c.AD_FORMAT_FLOAT, 1)
    client.cuTexRefSetAddressMode(reference, 1, c.TR_ADDRESS_MODE_MIRROR)
    assert client.integer("cuTexRefGetAddressMode", reference, 1) == c.TR_ADDRESS_MODE_MIRROR
    with refused("INVALID_VALUE"):
        client.cuTexRefSetAddressMode(reference, 3, 0)
    client.cuTexRefSetMipmapLevelBias(reference, c_float(1.5))
    assert client.get("cuTexRefGetMipmapLevelBias", c_float, reference) == 1.5
    client.cuTexRefSetBorderColor(reference, (c_float * 4)(1, 2, 3, 4))
    assert list(client.get("cuTexRefGetBorderColor", c_float * 4, reference)) == [1, 2, 3, 4]
    pointer = client.handle("cuMemAlloc_v2", c_size_t(4096))
    offset = c_size_t()
    client.cuTexRefSetAddress_v2(byref(offset), reference, c_size_t(pointer + 16), c_size_t(100))
    assert offset.value == 16
    assert client.handle("cuTexRefGetAddress_v2", reference) == pointer + 16
    with refused("INVALID_VALUE"):
        client.cuTexRefSetAddress_v2(None, reference, c_size_t(pointer), c_size_t(4097))
    client.cuTexRefDestroy(reference)
    with refused("INVALID_HANDLE"):
        client.cuTexRefDestroy(reference)


def test_the_widest_texture_of_memory(client: Client) -> None:
    widths = [
        client.size("cuDeviceGetTexture1DLinearMaxWidth", c.AD_FORMAT_FLOAT, channels, 0)
        for channels in (1, 4)
    ]
    assert 0 < widths[1] <= widths[0]
    with refused("INVALID_VALUE"):
        client.size("cuDeviceGetTexture1DLinearMaxWidth", c.AD_FORMAT_FLOAT, 3, 0)


def copy_attributes(order: int) -> Any:
    return api.types["CUmemcpyAttributes"](srcAccessOrder=order)


def test_several_copies_by_one_call(client: Client) -> None:
    stream = c_size_t(client.handle("cuStreamCreate", 0))
    pointer = client.handle("cuMemAlloc_v2", c_size_t(8))
    own = ctypes.create_string_buffer(b"abcdefgh", 8)
    back = ctypes.create_string_buffer(4)
    start = ctypes.addressof(own)
    dsts = (c_size_t * 3)(pointer, pointer + 4, ctypes.addressof(back))
    srcs = (c_size_t * 3)(start + 4, start, pointer + 2)
    sizes = (c_size_t * 3)(4, 4, 4)
    attributes = (api.types["CUmemcpyAttributes"] * 2)(copy_attributes(2), copy_attributes(1))
    firsts = (c_size_t * 2)(0, 2)
    failed = c_size_t(99)

    def batch(stream: c_size_t | None = stream) -> None:
        client.cuMemcpyBatchAsync(
            dsts,
            srcs,
            sizes,
            c_size_t(3),
            attributes,
            firsts,
            c_size_t(2),
            byref(failed),
            stream,
        )

    batch()
    client.cuStreamSynchronize(stream)
    assert back.raw == b"ghab"
    assert failed.value == 99
    with refused("INVALID_VALUE"):
        batch(None)
    sizes[1] = 5
    with refused("INVALID_VALUE"):
        batch()
    assert failed.value == 1
    sizes[1], firsts[1] = 4, 3
    with refused("INVALID_VALUE"):
        batch()
    assert failed.value == 2**64 - 1


def test_boxes_by_one_call(client: Client) -> None:
    stream = c_size_t(client.handle("cuStreamCreate", 0))
    handle = array(client)
    own = (c_float * 6)(1, 2, 3, 4, 5, 6)
    op = api.types["CUDA_MEMCPY3D_BATCH_OP"](srcAccessOrder=1)
    op.src.type, op.src.op.ptr.ptr = c.MEMCPY_OPERAND_TYPE_POINTER, ctypes.addressof(own)
    op.dst.type, op.dst.op.array.array = c.MEMCPY_OPERAND_TYPE_ARRAY, handle
    op.dst.op.array.offset.x, op.dst.op.array.offset.y = 2, 3
    op.extent.width, op.extent.height, op.extent.depth = 3, 2, 1
    failed = c_size_t(99)
    arguments = (c_size_t(1), byref(op), byref(failed), c_ulonglong(0), stream)
    client.cuMemcpy3DBatchAsync(*arguments)
    seen = (c_float * 64)()
    client.cuMemcpyAtoH_v2(seen, c_size_t(handle), c_size_t(0), c_size_t(256))
    assert seen[26:29] == [1, 2, 3]
    assert seen[34:37] == [4, 5, 6]
    op.dst.op.array.offset.x = 6
    with refused("INVALID_VALUE"):
        client.cuMemcpy3DBatchAsync(*arguments)
    assert failed.value == 0
