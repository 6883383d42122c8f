"""Tensor maps: every documented requirement, and what a map is made of."""

from __future__ import annotations

from ctypes import addressof, c_int, c_size_t, c_uint32, c_uint64, create_string_buffer, string_at
from typing import Any

import pytest
from cuda_client import Client, refused

import emulator
from emulator import Gpu, Scenario

UINT8, UINT32, FLOAT16, FLOAT32 = 0, 2, 6, 7
U4_ALIGN8, U4_ALIGN16, U6_ALIGN16 = 13, 14, 15
ADDRESS = 0x7F0000000000


class Map:
    """128 bytes, aligned as the API wants them."""

    def __init__(self) -> None:
        self._memory = create_string_buffer(256)
        self.address = (addressof(self._memory) + 63) & ~63

    @property
    def pointer(self) -> c_size_t:
        return c_size_t(self.address)

    @property
    def data(self) -> bytes:
        return string_at(self.address, 128)


TILED: dict[str, Any] = {
    "type": FLOAT16,
    "rank": 2,
    "address": ADDRESS,
    "dims": (1024, 512),
    "strides": (2048,),
    "box": (64, 128),
    "steps": (1, 1),
    "interleave": 0,
    "swizzle": 3,
    "promotion": 2,
    "fill": 0,
}
CUBE = {"rank": 3, "dims": (256, 64, 8), "strides": (512, 32768), "steps": (1, 1, 1)}


def encode(client: Client, into: Map | None = None, **changed: Any) -> bytes:
    given = TILED | changed
    made = into or Map()
    client.cuTensorMapEncodeTiled(
        made.pointer,
        given["type"],
        given["rank"],
        c_size_t(given["address"]),
        (c_uint64 * 5)(*given["dims"]),
        (c_uint64 * 5)(*given["strides"]),
        (c_uint32 * 5)(*given["box"]),
        (c_uint32 * 5)(*given["steps"]),
        *(given[name] for name in ("interleave", "swizzle", "promotion", "fill")),
    )
    return made.data


def test_a_map_says_whose_it_is_and_what_was_asked(client: Client) -> None:
    data = encode(client)
    assert data.startswith(b"nvemuTM")
    assert data[16:24] == ADDRESS.to_bytes(8, "little")
    assert data == encode(client)
    for changed in ({"address": ADDRESS + 16}, {"dims": (1024, 511)}, {"fill": 1}, {"box": (8, 1)}):
        assert encode(client, **changed) != data


@pytest.mark.parametrize(
    "changed",
    [
        {"rank": 1, "strides": ()},
        {"rank": 5, "dims": (64, 2, 2, 2, 2), "strides": (128,) * 4, "box": (64, 1, 1, 1, 1)}
        | {"steps": (1,) * 5},
        {"steps": (0, 8)},
        {"dims": (1 << 31, 1)},
        {"strides": ((1 << 40) - 16,)},
        {"type": UINT8, "box": (128, 256)},
        {"type": FLOAT32, "box": (256, 1), "swizzle": 0, "fill": 1},
        CUBE | {"interleave": 2, "swizzle": 1, "box": (8, 8, 8)},
        CUBE | {"interleave": 1, "swizzle": 0, "box": (3, 8, 8)},
        {"type": U4_ALIGN16, "box": (128, 4), "swizzle": 0},
        {"type": U4_ALIGN8, "box": (64, 4), "swizzle": 0},
        {"type": U6_ALIGN16, "box": (128, 4), "swizzle": 6},
    ],
)
def test_what_can_be_asked(client: Client, changed: dict[str, Any]) -> None:
    assert encode(client, **changed)[7:9] == bytes((0, changed.get("type", FLOAT16)))


@pytest.mark.parametrize(
    "changed",
    [
        {"type": 16},
        {"rank": 0},
        {"rank": 6},
        {"address": 0},
        {"address": ADDRESS + 8},
        {"dims": (0, 512)},
        {"dims": (1024, (1 << 31) + 1)},
        {"strides": (2040,)},
        {"strides": (1 << 40,)},
        {"box": (0, 128)},
        {"box": (64, 257)},
        {"box": (7, 1)},  # 14 bytes
        {"box": (128, 1)},  # 256 bytes do not fit a swizzle of 128
        {"box": (32, 1), "swizzle": 1},
        {"steps": (1, 0)},
        {"steps": (1, 9)},
        {"interleave": 1},  # of two dimensions
        {"interleave": 3},
        {"swizzle": 7},
        {"promotion": 4},
        {"fill": 2},
        {"type": UINT32, "box": (32, 1), "fill": 1},
        CUBE | {"interleave": 2, "swizzle": 0, "box": (8, 8, 8)},
        CUBE | {"interleave": 2, "swizzle": 1, "box": (8, 8, 8), "address": ADDRESS + 16},
        CUBE | {"interleave": 2, "swizzle": 1, "box": (8, 8, 8), "strides": (528, 32768)},
        {"type": U4_ALIGN16, "box": (64, 4), "swizzle": 0},
        {"type": U4_ALIGN16, "box": (128, 4), "swizzle": 6},
        {"type": U4_ALIGN16, "box": (128, 4), "swizzle": 0, "dims": (64, 1)},
        {"type": U4_ALIGN16, "box": (128, 4), "swizzle": 0, "address": ADDRESS + 16},
        {"type": U4_ALIGN8, "box": (64, 4), "swizzle": 0, "dims": (1023, 1)},
    ],
)
def test_what_cannot(client: Client, changed: dict[str, Any]) -> None:
    with refused("INVALID_VALUE"):
        encode(client, **changed)


def test_where_a_map_can_lie(client: Client) -> None:
    made = Map()
    made.address += 16
    with refused("INVALID_VALUE"):
        encode(client, made)
    made.address = 0
    with refused("INVALID_VALUE"):
        encode(client, made)


def test_another_address(client: Client) -> None:
    made = Map()
    before = encode(client, made)
    client.cuTensorMapReplaceAddress(made.pointer, c_size_t(ADDRESS + 64))
    assert made.data == before[:16] + (ADDRESS + 64).to_bytes(8, "little") + before[24:]
    for address in (ADDRESS + 8, 0):
        with refused("INVALID_VALUE"):
            client.cuTensorMapReplaceAddress(made.pointer, c_size_t(address))
    with refused("INVALID_VALUE"):
        client.cuTensorMapReplaceAddress(Map().pointer, c_size_t(ADDRESS))


IM2COL: dict[str, Any] = {
    "rank": 4,
    "dims": (64, 56, 56, 8),
    "strides": (128, 128 * 56, 128 * 56 * 56),
    "lower": (-1, -1),
    "upper": (-1, -1),
    "channels": 64,
    "pixels": 128,
}


def im2col(client: Client, **changed: Any) -> bytes:
    given = IM2COL | changed
    made = Map()
    client.cuTensorMapEncodeIm2col(
        made.pointer,
        FLOAT16,
        given["rank"],
        c_size_t(ADDRESS),
        (c_uint64 * 5)(*given["dims"]),
        (c_uint64 * 5)(*given["strides"]),
        (c_int * 3)(*given["lower"]),
        (c_int * 3)(*given["upper"]),
        given["channels"],
        given["pixels"],
        (c_uint32 * 5)(1, 1, 1, 1, 1),
        *(0, 3, 2, 0),
    )
    return made.data


def test_images_by_columns(client: Client) -> None:
    data = im2col(client)
    assert data.startswith(b"nvemuTM\1")
    assert im2col(client, lower=(-2, -1)) != data


@pytest.mark.parametrize(
    "changed",
    [
        {"rank": 2},
        {"lower": (-129, 0)},
        {"upper": (128, 0)},
        {"lower": (57, 0), "upper": (0, 0)},
        {"channels": 0},
        {"channels": 257},
        {"channels": 128},  # 256 bytes do not fit a swizzle of 128
        {"pixels": 0},
        {"pixels": 1025},
    ],
)
def test_columns_that_cannot_be(client: Client, changed: dict[str, Any]) -> None:
    with refused("INVALID_VALUE"):
        im2col(client, **changed)


def wide(client: Client, mode: int = 0, lower: int = 0, pixels: int = 128) -> bytes:
    made = Map()
    client.cuTensorMapEncodeIm2colWide(
        made.pointer,
        *(FLOAT16, 4),
        c_size_t(ADDRESS),
        (c_uint64 * 5)(*IM2COL["dims"]),
        (c_uint64 * 5)(*IM2COL["strides"]),
        *(lower, 0, 64, pixels),
        (c_uint32 * 5)(1, 1, 1, 1, 1),
        *(0, mode, 3, 2, 0),
    )
    return made.data


def test_wide_columns(client: Client) -> None:
    assert wide(client).startswith(b"nvemuTM\2")
    assert wide(client, mode=1, pixels=0) != wide(client)
    for changed in ({"pixels": 0}, {"lower": 56}, {"lower": 1 << 15}, {"mode": 2}):
        with refused("INVALID_VALUE"):
            wide(client, **changed)


def test_it_needs_a_context() -> None:
    with emulator.emulate(Scenario(gpus=[Gpu("h100-sxm5-80gb")])):
        client = Client()
        client.cuInit(0)
        with refused("INVALID_CONTEXT"):
            encode(client)
