"""GPU instances and compute instances in NVML: profiles, places, creating, destroying.

What is expected of an A100 are the MIG user guide's examples, and those published by users.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from ctypes import byref, c_uint, c_void_p
from typing import Any

import pynvml
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nvml_client import A100, H100, RTX_4090, library, playing, refused

from emulator import Gpu
from emulator.machine.mig.products import PRODUCTS
from emulator.nvml import api

#: Profile ids on products with eight memory slices.
ONE, ONE_ME, WIDE, TWO, THREE, FOUR, SEVEN = 19, 20, 15, 14, 9, 5, 0
INSUFFICIENT = "INSUFFICIENT_RESOURCES"


def enabled(product: str = A100, **figures: Any) -> Gpu:
    return Gpu(product, figures={"mig": {"current": True, "pending": True}, **figures})


def gi_info(instance: Any) -> Any:
    return pynvml.nvmlGpuInstanceGetInfo(instance)


def created(handle: Any, *profiles: int) -> list[Any]:
    return [pynvml.nvmlDeviceCreateGpuInstance(handle, each) for each in profiles]


def placed(handle: Any, *profiles: int) -> list[tuple[int, int]]:
    """The id and start of instances as they are created."""
    infos = [gi_info(each) for each in created(handle, *profiles)]
    return [(info.id, info.placement.start) for info in infos]


def capacity(handle: Any, profile: int) -> int:
    answer = pynvml.nvmlDeviceGetGpuInstanceRemainingCapacity(handle, profile)
    return int(getattr(answer, "value", answer))


class TestProfiles:
    def test_by_number(self):
        with playing(enabled()) as (_, [handle]):
            numbers = {}
            for number in range(17):
                try:
                    info = pynvml.nvmlDeviceGetGpuInstanceProfileInfo(handle, number, version=2)
                    numbers[number] = (info.id, info.name)
                except pynvml.NVMLError_NotSupported:
                    pass
            assert numbers == {
                0: (19, "MIG 1g.10gb"),
                1: (14, "MIG 2g.20gb"),
                2: (9, "MIG 3g.40gb"),
                3: (5, "MIG 4g.40gb"),
                4: (0, "MIG 7g.80gb"),
                7: (20, "MIG 1g.10gb+me"),
                9: (15, "MIG 1g.20gb"),
            }
            with refused("INVALID_ARGUMENT"):
                pynvml.nvmlDeviceGetGpuInstanceProfileInfo(handle, 17)

    @pytest.mark.parametrize(("driver", "count"), [("470.256.02", 8), ("535.261.03", 10)])
    def test_a_driver_knows_those_of_its_header(self, driver: str, count: int):
        with playing(enabled()) as (machine, [handle]):
            machine.driver = driver  # a process has but one stub
            pynvml.nvmlDeviceGetGpuInstanceProfileInfo(handle, 7)
            with refused("INVALID_ARGUMENT"):
                pynvml.nvmlDeviceGetGpuInstanceProfileInfo(handle, count)

    def test_what_one_has(self):
        with playing(enabled(H100)) as (_, [handle]):
            info = pynvml.nvmlDeviceGetGpuInstanceProfileInfo(handle, 9)
            assert (info.sliceCount, info.instanceCount, info.memorySizeMB) == (1, 4, 20096)
            assert (info.multiprocessorCount, info.decoderCount, info.jpegCount) == (26, 1, 1)
            assert (info.copyEngineCount, info.isP2pSupported) == (1, 0)

    def test_all_versions_of_the_struct(self):
        with playing(enabled()) as (_, [handle]):
            for version, kind in (
                (2, pynvml.c_nvmlGpuInstanceProfileInfo_v2_t),
                (3, _ProfileInfoV3),
            ):
                for name, which in (("V", 2), ("ByIdV", THREE)):
                    info = kind()
                    info.version = ctypes.sizeof(kind) | version << 24
                    call = getattr(library(), "nvmlDeviceGetGpuInstanceProfileInfo" + name)
                    assert call(handle, which, byref(info)) == 0
                    name_of = info.name.decode() if version == 3 else info.name
                    assert (info.id, name_of) == (9, "MIG 3g.40gb")
            info.version = 1
            mismatch = pynvml.NVML_ERROR_ARGUMENT_VERSION_MISMATCH
            assert call(handle, THREE, byref(info)) == mismatch

    def test_while_the_mode_is_off_newer_drivers_tell_them(self):
        with playing(A100) as (machine, [handle]):
            assert pynvml.nvmlDeviceGetGpuInstanceProfileInfo(handle, 0).id == ONE
            assert capacity(handle, ONE) == 0
            machine.driver = "535.261.03"
            with refused("NOT_SUPPORTED"):
                pynvml.nvmlDeviceGetGpuInstanceProfileInfo(handle, 0)

    def test_a_product_without_mig_has_none(self):
        with playing(RTX_4090) as (_, [handle]), refused("NOT_SUPPORTED"):
            pynvml.nvmlDeviceGetGpuInstanceProfileInfo(handle, 0)

    def test_places(self):
        with playing(enabled()) as (_, [handle]):
            call = library().nvmlDeviceGetGpuInstancePossiblePlacements_v2
            count = c_uint(0)
            assert call(handle, TWO, None, byref(count)) == 0
            places = (pynvml.c_nvmlGpuInstancePlacement_t * count.value)()
            count.value = 0  # what stands there is not looked at
            assert call(handle, TWO, places, byref(count)) == 0
            assert [(each.start, each.size) for each in places] == [(0, 2), (2, 2), (4, 2)]
            assert call(handle, TWO, places, None) == pynvml.NVML_ERROR_INVALID_ARGUMENT
            assert call(handle, 99, None, byref(count)) == pynvml.NVML_ERROR_INVALID_ARGUMENT


class _ProfileInfoV3(ctypes.Structure):
    _fields_ = [
        *((name, c_uint) for name in ("version", "id", "slices", "instances", "sm")),
        *((name, c_uint) for name in ("copies", "decoders", "encoders", "jpegs", "ofas")),
        ("memory", ctypes.c_ulonglong),
        ("name", ctypes.c_char * 96),
        ("capabilities", c_uint),
    ]


class TestCreating:
    @pytest.mark.parametrize(
        ("profiles", "found"),
        [
            ([ONE] * 7, [(13, 6), (11, 4), (12, 5), (7, 0), (8, 1), (9, 2), (10, 3)]),
            ([THREE] * 2, [(2, 4), (1, 0)]),
            ([ONE, TWO, FOUR], [(13, 6), (5, 4), (1, 0)]),
            ([THREE, ONE, TWO, ONE], [(2, 4), (7, 0), (4, 2), (8, 1)]),
            ([TWO, ONE, ONE, ONE, ONE, ONE], [(5, 4), (13, 6), (7, 0), (8, 1), (9, 2), (10, 3)]),
            ([TWO, TWO, TWO, ONE_ME], [(5, 4), (3, 0), (4, 2), (13, 6)]),
            ([WIDE] * 4, [(5, 4), (3, 0), (4, 2), (6, 6)]),
            ([SEVEN], [(0, 0)]),
        ],
    )
    def test_the_driver_places_them(self, profiles: list[int], found: list[tuple[int, int]]):
        with playing(enabled()) as (_, [handle]):
            assert placed(handle, *profiles) == found

    def test_of_four_slices(self):
        """As users have published it of an RTX PRO 6000 Blackwell."""
        mig = {"current": True, "max_instances": 4}
        gpu = Gpu("rtx-pro-6000-blackwell", figures={"mig": mig})
        with playing(gpu, gpu) as (_, [first, second]):
            one, two, all_media, no_media = 14, 5, 65, 67
            assert [identity for identity, _ in placed(first, *[one] * 4)] == [3, 4, 5, 6]
            assert [identity for identity, _ in placed(second, two, one, one)] == [1, 5, 6]
        with playing(gpu) as (_, [handle]):
            created(handle, all_media)
            assert [capacity(handle, each) for each in (one, two, no_media)] == [0, 0, 3]

    def test_the_order_matters(self):
        """The user guide's example of one that finds no room."""
        with playing(enabled()) as (_, [handle]):
            assert placed(handle, ONE, ONE, TWO) == [(13, 6), (11, 4), (3, 0)]
            with refused(INSUFFICIENT):
                created(handle, THREE)

    def test_of_some_there_is_one_at_most(self):
        with playing(enabled()) as (_, [handle]):
            created(handle, ONE_ME)
            with refused(INSUFFICIENT):
                created(handle, ONE_ME)

    def test_at_a_place(self):
        with playing(enabled()) as (_, [handle]):
            place = pynvml.c_nvmlGpuInstancePlacement_t(start=2, size=1)
            made = pynvml.nvmlDeviceCreateGpuInstanceWithPlacement(handle, ONE, byref(place))
            assert (gi_info(made).id, gi_info(made).placement.start) == (9, 2)
            with refused(INSUFFICIENT):
                pynvml.nvmlDeviceCreateGpuInstanceWithPlacement(handle, ONE, byref(place))
            for start, size in ((7, 1), (0, 2)):
                wrong = pynvml.c_nvmlGpuInstancePlacement_t(start=start, size=size)
                with refused("INVALID_ARGUMENT"):
                    pynvml.nvmlDeviceCreateGpuInstanceWithPlacement(handle, ONE, byref(wrong))

    def test_how_many_there_is_room_for(self):
        with playing(enabled()) as (_, [handle]):
            known = (ONE, ONE_ME, WIDE, TWO, THREE, FOUR, SEVEN)
            assert [capacity(handle, each) for each in known] == [7, 1, 4, 3, 2, 1, 1]
            created(handle, THREE)
            assert [capacity(handle, each) for each in known] == [4, 1, 2, 2, 1, 1, 0]

    def test_an_id_is_given_again(self):
        with playing(enabled()) as (_, [handle]):
            first, second = created(handle, THREE, THREE)
            pynvml.nvmlGpuInstanceDestroy(first)
            [again] = created(handle, THREE)
            assert gi_info(again).id == 2
            assert gi_info(second).id == 1

    @pytest.mark.parametrize("product", [A100, H100])
    @pytest.mark.parametrize("profile", [ONE, WIDE, TWO, THREE, FOUR, SEVEN])
    def test_what_there_is_room_for_can_be_created(self, product: str, profile: int):
        with playing(enabled(product)) as (_, [handle]):
            created(handle, *[profile] * capacity(handle, profile))
            assert capacity(handle, profile) == 0
            with refused(INSUFFICIENT):
                created(handle, profile)

    def test_what_is_refused(self):
        with playing(enabled(), A100) as (_, [on, off]):
            with refused("NOT_SUPPORTED"):
                created(off, ONE)
            with refused("INVALID_ARGUMENT"):
                created(on, 99)

    def test_only_root_may(self):
        with playing(enabled(), user="unprivileged") as (_, [handle]):
            with refused("NO_PERMISSION"):
                created(handle, ONE)
            with refused("NO_PERMISSION"):
                pynvml.nvmlDeviceGetGpuInstanceById(handle, 0)
            assert capacity(handle, ONE) == 7

    def test_a_virtual_gpu_s_are_for_its_host(self):
        """nvml.h: not in a vGPU's guest, which has but compute instances to make."""
        mig = {"current": True, "instances": [{"profile": "3g.40gb", "compute": []}]}
        gpu = Gpu(A100, figures={"mig": mig, "virtualization_mode": "VGPU"})
        with playing(gpu) as (_, [handle]):
            with refused("NOT_SUPPORTED"):
                created(handle, ONE)
            place = pynvml.c_nvmlGpuInstancePlacement_t(start=0, size=1)
            with refused("NOT_SUPPORTED"):
                pynvml.nvmlDeviceCreateGpuInstanceWithPlacement(handle, ONE, byref(place))
            pynvml.nvmlGpuInstanceCreateComputeInstance(
                pynvml.nvmlDeviceGetGpuInstanceById(handle, 2), 0
            )


class TestGpuInstances:
    def test_the_machine_has_them(self):
        with playing(enabled()) as (machine, [handle]):
            created(handle, THREE)
            [row] = machine.devices[0].mig.instances
            assert (row.profile, row.start, row.id, row.compute) == ("3g.40gb", 4, 2, [])

    def test_those_of_the_scenario_are_found(self):
        gpu = Gpu(A100, figures={"mig": {"current": True, "instances": [{"profile": "2g.20gb"}]}})
        with playing(gpu) as (_, [handle]):
            found = pynvml.nvmlDeviceGetGpuInstanceById(handle, 5)
            info = gi_info(found)
            assert (info.id, info.profileId) == (5, TWO)
            assert (info.placement.start, info.placement.size) == (4, 2)
            assert pynvml.nvmlDeviceGetUUID(info.device) == pynvml.nvmlDeviceGetUUID(handle)
            with refused("NOT_FOUND"):
                pynvml.nvmlDeviceGetGpuInstanceById(handle, 3)

    def test_the_list_of_a_profile(self):
        with playing(enabled()) as (_, [handle]):
            created(handle, ONE, ONE, TWO)
            found = (c_void_p * 7)()
            count = c_uint(0)
            call = library().nvmlDeviceGetGpuInstances
            assert call(handle, ONE, found, byref(count)) == 0
            ids = [gi_info(c_void_p(each)).id for each in found[: count.value]]
            assert ids == [11, 13]
            assert call(handle, ONE, None, byref(count)) == pynvml.NVML_ERROR_INVALID_ARGUMENT

    def test_a_handle_ends_with_it(self):
        with playing(enabled()) as (_, [handle]):
            [made] = created(handle, ONE)
            pynvml.nvmlGpuInstanceDestroy(made)
            for ask in (gi_info, pynvml.nvmlGpuInstanceDestroy):
                with refused("INVALID_ARGUMENT"):
                    ask(made)

    def test_and_with_the_mode(self):
        with playing(enabled()) as (_, [handle]):
            [made] = created(handle, ONE)
            pynvml.nvmlDeviceSetMigMode(handle, 0)
            with refused("INVALID_ARGUMENT"):
                gi_info(made)

    def test_it_is_in_use_while_it_has_compute_instances(self):
        with playing(enabled()) as (_, [handle]):
            [made] = created(handle, THREE)
            inner = pynvml.nvmlGpuInstanceCreateComputeInstance(made, 2)
            with refused("IN_USE"):
                pynvml.nvmlGpuInstanceDestroy(made)
            pynvml.nvmlComputeInstanceDestroy(inner)
            pynvml.nvmlGpuInstanceDestroy(made)


class TestComputeInstances:
    def test_profiles(self):
        with playing(enabled()) as (_, [handle]):
            [whole] = created(handle, SEVEN)
            found = {}
            for number in range(8):
                try:
                    info = pynvml.nvmlGpuInstanceGetComputeInstanceProfileInfo(
                        whole, number, 0, version=2
                    )
                    found[info.id] = (info.name, info.instanceCount, info.multiprocessorCount)
                except pynvml.NVMLError_NotSupported:
                    pass
            assert found == {
                0: ("MIG 1c.7g.80gb", 7, 14),
                1: ("MIG 2c.7g.80gb", 3, 28),
                2: ("MIG 3c.7g.80gb", 2, 42),
                3: ("MIG 4c.7g.80gb", 1, 56),
                4: ("MIG 7g.80gb", 1, 98),
            }
            for number, engines in ((8, 0), (0, 1)):
                with refused("INVALID_ARGUMENT"):
                    pynvml.nvmlGpuInstanceGetComputeInstanceProfileInfo(whole, number, engines)

    def test_one_slice_with_the_memory_of_two_has_a_profile_of_its_own(self):
        with playing(enabled()) as (_, [handle]):
            [wide] = created(handle, WIDE)
            assert pynvml.nvmlGpuInstanceGetComputeInstanceProfileInfo(wide, 7, 0).id == 7
            with refused("NOT_SUPPORTED"):
                pynvml.nvmlGpuInstanceGetComputeInstanceProfileInfo(wide, 0, 0)
            pynvml.nvmlGpuInstanceCreateComputeInstance(wide, 7)

    def test_ids_and_places(self):
        with playing(enabled()) as (_, [handle]):
            [parent] = created(handle, FOUR)
            make = pynvml.nvmlGpuInstanceCreateComputeInstance
            one, two, three = make(parent, 0), make(parent, 0), make(parent, 1)
            infos = [pynvml.nvmlComputeInstanceGetInfo(each) for each in (one, two, three)]
            places = [(x.id, x.placement.start, x.placement.size, x.profileId) for x in infos]
            assert places == [(0, 0, 1, 0), (1, 1, 1, 0), (2, 2, 2, 1)]
            assert gi_info(infos[0].gpuInstance).id == gi_info(parent).id
            with refused(INSUFFICIENT):
                make(parent, 0)
            pynvml.nvmlComputeInstanceDestroy(one)
            again = pynvml.nvmlComputeInstanceGetInfo(make(parent, 0))
            assert (again.id, again.placement.start) == (0, 0)

    def test_at_a_place(self):
        with playing(enabled()) as (_, [handle]):
            [parent] = created(handle, FOUR)
            make = pynvml.nvmlGpuInstanceCreateComputeInstanceWithPlacement
            place = pynvml.c_nvmlComputeInstancePlacement_t(start=3, size=1)
            wrong = pynvml.c_nvmlComputeInstancePlacement_t(start=4, size=1)
            info = pynvml.nvmlComputeInstanceGetInfo(make(parent, 0, byref(place)))
            assert (info.id, info.placement.start) == (0, 3)
            with refused(INSUFFICIENT):
                make(parent, 0, byref(place))
            with refused("INVALID_ARGUMENT"):
                make(parent, 0, byref(wrong))

    def test_how_many_there_is_room_for(self):
        def room(parent: Any, profile: int) -> int:
            call = pynvml.nvmlGpuInstanceGetComputeInstanceRemainingCapacity
            answer = call(parent, profile)
            return int(getattr(answer, "value", answer))

        with playing(enabled()) as (_, [handle]):
            [parent] = created(handle, FOUR)
            assert [room(parent, each) for each in (0, 1, 3)] == [4, 2, 1]
            pynvml.nvmlGpuInstanceCreateComputeInstance(parent, 0)
            assert [room(parent, each) for each in (0, 1, 3)] == [3, 1, 0]

    def test_places(self):
        with playing(enabled()) as (_, [handle]):
            [parent] = created(handle, THREE)
            call = library().nvmlGpuInstanceGetComputeInstancePossiblePlacements
            count, places = c_uint(), (pynvml.c_nvmlComputeInstancePlacement_t * 3)()
            assert call(parent, 0, places, byref(count)) == 0
            assert [(each.start, each.size) for each in places] == [(0, 1), (1, 1), (2, 1)]

    def test_the_list_of_a_profile_and_by_id(self):
        with playing(enabled()) as (_, [handle]):
            [parent] = created(handle, THREE)
            for profile in (0, 1):
                pynvml.nvmlGpuInstanceCreateComputeInstance(parent, profile)
            found, count = (c_void_p * 3)(), c_uint()
            call = library().nvmlGpuInstanceGetComputeInstances
            assert call(parent, 1, found, byref(count)) == 0
            assert count.value == 1
            assert pynvml.nvmlComputeInstanceGetInfo(c_void_p(found[0])).id == 1
            by_id = pynvml.nvmlGpuInstanceGetComputeInstanceById(parent, 1)
            assert pynvml.nvmlComputeInstanceGetInfo(by_id).id == 1
            with refused("NOT_FOUND"):
                pynvml.nvmlGpuInstanceGetComputeInstanceById(parent, 2)

    def test_a_handle_ends_with_it(self):
        with playing(enabled()) as (_, [handle]):
            [parent] = created(handle, THREE)
            made = pynvml.nvmlGpuInstanceCreateComputeInstance(parent, 2)
            mig = pynvml.nvmlDeviceGetMigDeviceHandleByIndex(handle, 0)
            pynvml.nvmlComputeInstanceDestroy(made)
            for ask in (pynvml.nvmlComputeInstanceGetInfo, pynvml.nvmlComputeInstanceDestroy):
                with refused("INVALID_ARGUMENT"):
                    ask(made)
            with refused("INVALID_ARGUMENT"):
                pynvml.nvmlDeviceGetUUID(mig)

    def test_one_made_again_has_the_uuid_it_had(self):
        with playing(enabled()) as (_, [handle]):
            [parent] = created(handle, THREE)
            uuids = []
            for _ in range(2):
                made = pynvml.nvmlGpuInstanceCreateComputeInstance(parent, 2)
                mig = pynvml.nvmlDeviceGetMigDeviceHandleByIndex(handle, 0)
                uuids.append(pynvml.nvmlDeviceGetUUID(mig))
                pynvml.nvmlComputeInstanceDestroy(made)
            assert uuids[0] == uuids[1]

    def test_it_is_in_use_while_a_process_is_there(self):
        process = {"pid": 7, "name": "x", "type": "C", "gpu_instance": 2, "compute_instance": 0}
        with playing(enabled(processes=[process])) as (machine, [handle]):
            [parent] = created(handle, THREE)
            made = pynvml.nvmlGpuInstanceCreateComputeInstance(parent, 2)
            with refused("IN_USE"):
                pynvml.nvmlComputeInstanceDestroy(made)
            machine.devices[0].processes.clear()
            pynvml.nvmlComputeInstanceDestroy(made)


@pytest.mark.parametrize("words", PRODUCTS)
def test_ids_and_numbers_are_a_profile_s_own(words: str):
    profiles = PRODUCTS[words]
    for of in ("id", "number", "name"):
        assert len({getattr(each, of) for each in profiles}) == len(profiles)


#: Create a GPU instance, or a compute instance in the n-th, or destroy the n-th of either.
ACTS = st.tuples(
    st.sampled_from(("create", "share", "empty", "destroy")),
    st.sampled_from((ONE, ONE_ME, WIDE, TWO, THREE, FOUR, SEVEN)),
    st.integers(0, 6),
)


def _act(device: Any, handle: Any, act: str, profile: int, place: int) -> None:
    ids = [each.id for each in device.gpu_instances]
    if act == "create":
        pynvml.nvmlDeviceCreateGpuInstance(handle, profile)
    elif place < len(ids):
        parent = pynvml.nvmlDeviceGetGpuInstanceById(handle, ids[place])
        if act == "share":
            pynvml.nvmlGpuInstanceCreateComputeInstance(parent, profile % 5)
        elif act == "empty":
            inner = pynvml.nvmlGpuInstanceGetComputeInstanceById(parent, 0)
            pynvml.nvmlComputeInstanceDestroy(inner)
        else:
            pynvml.nvmlGpuInstanceDestroy(parent)


def _status_of(call: Callable[[], None]) -> str:
    try:
        call()
    except pynvml.NVMLError as error:
        return api.status_name(error.value)
    return "SUCCESS"


def _slices(device: Any) -> list[int]:
    return [each.start + place for each in device.gpu_instances for place in range(each.kind.size)]


@given(st.lists(ACTS, max_size=20))
@settings(max_examples=60)
def test_whatever_is_done_instances_fit_side_by_side(acts: list[tuple[str, int, int]]):
    with playing(enabled()) as (machine, [handle]):
        [device] = machine.devices
        for act in acts:
            room = {profile: capacity(handle, profile) for profile in (ONE, TWO, THREE, FOUR)}
            seats = {each.uuid: each.place for each in device.partitions}
            answer = _status_of(lambda: _act(device, handle, *act))  # noqa: B023
            allowed = {"SUCCESS", INSUFFICIENT, "IN_USE", "NOT_FOUND", "NOT_SUPPORTED"}
            assert answer in allowed
            if act[0] == "create" and act[1] in room:
                assert (answer == "SUCCESS") == (room[act[1]] > 0)
            slices = _slices(device)
            assert len(set(slices)) == len(slices)
            assert all(each < 8 for each in slices)
            now = {each.uuid: each.place for each in device.partitions}
            assert len(set(now.values())) == len(now)
            assert all(now[uuid] == seats[uuid] for uuid in now.keys() & seats.keys())
            for each in device.gpu_instances:
                assert sum(inner.slices for inner in each.compute_instances) <= each.kind.slices
