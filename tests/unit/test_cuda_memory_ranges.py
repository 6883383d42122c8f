"""The bookkeeping under device memory: free ranges, and what a client's memory allows."""

from __future__ import annotations

import ctypes
import mmap
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.cuda.memory import mapping
from emulator.cuda.memory.marks import Marks
from emulator.cuda.memory.ranges import Ranges

TOTAL = 64


@given(
    st.lists(st.tuples(st.booleans(), st.integers(1, 20)), max_size=60),
    st.sets(st.integers(0, TOTAL)),
)
def test_pieces_never_overlap_and_all_come_back(
    steps: list[tuple[bool, int]], walls: set[int]
) -> None:
    ranges = Ranges(walls=walls)
    edges = sorted({0, TOTAL, *walls})
    for start, end in pairwise(edges):
        ranges.give(start, end - start)
    taken: list[tuple[int, int]] = []
    for take, number in steps:
        if take:
            start = ranges.take(number)
            if start >= 0:
                assert start >= 0
                assert start + number <= TOTAL
                assert all(
                    start + number <= first or first + size <= start for first, size in taken
                )
                assert not any(start < wall < start + number for wall in walls)
                taken.append((start, number))
        elif taken:
            ranges.give(*taken.pop(number % len(taken)))
    for piece in taken:
        ranges.give(*piece)
    for start, end in pairwise(edges):
        assert ranges.size_at(start) == end - start


@given(
    st.lists(st.tuples(st.integers(0, 30), st.integers(1, 30), st.integers(0, 3)), max_size=20),
    st.integers(0, 30),
    st.integers(1, 30),
)
def test_marks_are_as_if_kept_for_each_address(
    steps: list[tuple[int, int, int]], start: int, size: int
) -> None:
    marks, model = Marks(0, 60, 0), [0] * 60
    for first, count, value in steps:
        marks.put(first, first + count, value)
        model[first : first + count] = [value] * count
    seen = model[start : start + size]
    assert set(marks.values(start, start + size)) == set(seen)
    expected = seen[0] if len(set(seen)) == 1 else None
    assert marks.common(start, start + size, None) == expected


@pytest.mark.parametrize("advice", [None, 9999], ids=["this kernel", "a kernel before 5.14"])
def test_what_a_program_s_memory_allows(
    monkeypatch: pytest.MonkeyPatch, advice: int | None
) -> None:
    if advice is not None:
        monkeypatch.setattr(mapping, "MADV_POPULATE_READ", advice)
        monkeypatch.setattr(mapping, "MADV_POPULATE_WRITE", advice + 1)
    size = mapping.PAGE
    memory = mmap.mmap(-1, 4 * size)
    start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    assert mapping.protect(start + size, size, mapping.READ)
    assert mapping.protect(start + 2 * size, size, mapping.NONE)
    assert mapping.writable(start + 5, size - 5)
    assert not mapping.writable(start, size + 1)
    assert mapping.readable(start, 2 * size)
    assert not mapping.readable(start, 2 * size + 1)
    assert mapping.readable(start + 3 * size, size)
    assert not mapping.readable(0, 1)
    assert not mapping.readable(16 * size, 1)
    assert not mapping.readable(start, 1 << 62)
    mapping.protect(start, 4 * size, mapping.READ | mapping.WRITE)


def test_memory_of_a_device_is_the_program_s() -> None:
    """Where the kernel cannot say (VM_IO, VM_PFNMAP), a plain copy would do."""
    with open("/proc/self/maps", encoding="ascii") as maps:
        found = [line for line in maps if line.rstrip().endswith("[vvar]")]
    if not found:
        pytest.skip("this kernel maps no page of its own")
    start = int(found[0].partition("-")[0], 16)
    assert mapping.readable(start, 8)
    assert not mapping.writable(start, 8)
