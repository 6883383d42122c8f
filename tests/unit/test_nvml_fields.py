"""nvmlDeviceGetFieldValues: quantities by number."""

from __future__ import annotations

from typing import Any

import pynvml
import pytest
from nvml_client import A100, H100, T4, library, playing

from emulator import Gpu
from emulator.nvml import _constants as constants
from emulator.nvml import fieldtable


def ask(handle: object, *fields: Any) -> list[Any]:
    return pynvml.nvmlDeviceGetFieldValues(handle, list(fields))


def value(handle: object, *field: int) -> int | None:
    """The value of one field (a number, or number and scope); None if not supported."""
    [answer] = ask(handle, field if len(field) > 1 else field[0])
    if answer.nvmlReturn == pynvml.NVML_ERROR_NOT_SUPPORTED:
        return None
    assert answer.nvmlReturn == 0
    member = {1: "uiVal", 3: "ullVal", 5: "siVal"}[answer.valueType]
    return int(getattr(answer.value, member))


def test_several_at_once_each_with_its_own_status():
    with playing(T4) as (_, [handle]):
        power, memory_temperature, unheard = ask(
            handle, pynvml.NVML_FI_DEV_POWER_INSTANT, pynvml.NVML_FI_DEV_MEMORY_TEMP, 9999
        )
        assert (power.nvmlReturn, power.value.uiVal) == (0, 9520)
        assert memory_temperature.nvmlReturn == pynvml.NVML_ERROR_NOT_SUPPORTED
        assert unheard.nvmlReturn == pynvml.NVML_ERROR_NOT_SUPPORTED
        assert power.timestamp > 0


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        (pynvml.NVML_FI_DEV_ECC_CURRENT, 1),
        (pynvml.NVML_FI_DEV_ECC_DBE_VOL_TOTAL, 0),
        (pynvml.NVML_FI_DEV_RETIRED_SBE, None),
        (pynvml.NVML_FI_DEV_REMAPPED_PENDING, 0),
        (pynvml.NVML_FI_DEV_MEMORY_TEMP, 39),
        (pynvml.NVML_FI_DEV_NVLINK_LINK_COUNT, 18),
        (pynvml.NVML_FI_DEV_NVSWITCH_CONNECTED_LINK_COUNT, 18),
        (pynvml.NVML_FI_DEV_NVLINK_SPEED_MBPS_COMMON, 26562),
        (pynvml.NVML_FI_DEV_POWER_MAX_LIMIT, 700_000),
        (pynvml.NVML_FI_DEV_TEMPERATURE_SHUTDOWN_TLIMIT, -8),
        (pynvml.NVML_FI_DEV_PCIE_OUTBOUND_ATOMICS_MASK, 0b0111111),
        (pynvml.NVML_FI_DEV_PCIE_INBOUND_ATOMICS_MASK, 0b0111111),
        (pynvml.NVML_FI_DEV_RESET_STATUS, 0),
    ],
)
def test_an_h100_s(field: int, expected: int | None):
    with playing(H100) as (_, [handle]):
        assert value(handle, field) == expected


def test_retired_pages_are_counted():
    with playing(Gpu(T4, figures={"retired_pages": {"double_bit": [1 << 16]}})) as (_, [handle]):
        assert value(handle, pynvml.NVML_FI_DEV_RETIRED_DBE) == 1


def test_the_scope_is_a_link():
    with playing(A100) as (machine, [handle]):
        machine.devices[0].nvlinks[5].replay_errors = 3
        replays = pynvml.NVML_FI_DEV_NVLINK_ERROR_DL_REPLAY
        assert value(handle, replays, 5) == 3
        assert value(handle, replays, 4) == 0
        assert value(handle, replays, 0xFFFFFFFF) == 3
        assert value(handle, pynvml.NVML_FI_DEV_NVLINK_REPLAY_ERROR_COUNT_L5) == 3
        assert value(handle, pynvml.NVML_FI_DEV_NVLINK_REPLAY_ERROR_COUNT_TOTAL) == 3
        assert value(handle, replays, 12) is None


def test_the_scope_is_the_gpu_its_module_or_its_memory():
    with playing(Gpu(H100, figures={"power": {"memory_usage": "40 W"}})) as (_, [handle]):
        average = pynvml.NVML_FI_DEV_POWER_AVERAGE
        assert value(handle, average, pynvml.NVML_POWER_SCOPE_GPU) == 67_740
        assert value(handle, average, pynvml.NVML_POWER_SCOPE_MODULE) is None
        assert value(handle, average, pynvml.NVML_POWER_SCOPE_MEMORY) == 40_000


@pytest.mark.parametrize(("product", "averaged"), [(T4, False), (A100, False), ("a10", True)])
def test_power_is_averaged_since_ampere_but_not_by_ga100(product: str, averaged: bool):
    with playing(product) as (machine, [handle]):
        usage = machine.devices[0].power.usage
        assert value(handle, pynvml.NVML_FI_DEV_POWER_INSTANT) == usage
        average = value(handle, pynvml.NVML_FI_DEV_POWER_AVERAGE)
        assert average == (usage if averaged else None)


def test_every_row_can_be_read_on_every_product():
    with playing(H100, A100, T4, "rtx-4090") as (_, handles):
        for handle in handles:
            for answer in ask(handle, *[(field, 0) for field in fieldtable.READERS]):
                assert answer.nvmlReturn in (0, pynvml.NVML_ERROR_NOT_SUPPORTED)


def test_every_number_of_the_header_has_a_reader_or_a_reason():
    numbers = {
        number
        for name, number in vars(constants).items()
        if name.startswith("FI_") and name != "FI_MAX"
    }
    assert numbers == set(range(1, constants.FI_MAX))
    read = fieldtable.READERS.keys() | fieldtable.JOINT.keys()
    assert read | fieldtable.UNREAD.keys() == numbers
    assert not read & fieldtable.UNREAD.keys()


class TestClearing:
    REPLAYS, TOTAL = (
        pynvml.NVML_FI_DEV_NVLINK_ERROR_DL_REPLAY,
        pynvml.NVML_FI_DEV_NVLINK_REPLAY_ERROR_COUNT_TOTAL,
    )

    def clear(self, handle: Any, *fields: tuple[int, int]) -> list[int]:
        asked = (pynvml.c_nvmlFieldValue_t * len(fields))()
        for value_, (number, scope) in zip(asked, fields, strict=True):
            value_.fieldId, value_.scopeId = number, scope
        assert library().nvmlDeviceClearFieldValues(handle, len(fields), asked) == 0
        return [int(value_.nvmlReturn) for value_ in asked]

    def test_the_errors_of_a_link_or_of_all(self):
        with playing(A100) as (machine, [handle]):
            for link in machine.devices[0].nvlinks:
                link.replay_errors = 2
            assert self.clear(handle, (self.REPLAYS, 3)) == [0]
            assert value(handle, self.REPLAYS, 3) == 0
            assert value(handle, self.TOTAL) == 22
            assert self.clear(handle, (self.TOTAL, 3)) == [0]
            assert value(handle, self.TOTAL) == 0

    def test_each_field_has_its_own_code(self):
        with playing(A100) as (_, [handle]):
            power = pynvml.NVML_FI_DEV_POWER_AVERAGE
            codes = self.clear(handle, (self.REPLAYS, 0), (power, 0), (9999, 0), (self.REPLAYS, 12))
            unsupported = pynvml.NVML_ERROR_NOT_SUPPORTED
            assert codes == [0, unsupported, pynvml.NVML_ERROR_INVALID_ARGUMENT, unsupported]


def test_errors_on_the_slot_are_counted_by_kind():
    pci = {"errors": {"bad_tlps": 3}, "rx_bytes": 7}
    with playing(Gpu(T4, figures={"pci": pci})) as (_, [handle]):
        assert value(handle, pynvml.NVML_FI_DEV_PCIE_COUNT_BAD_TLP) == 3
        assert value(handle, pynvml.NVML_FI_DEV_PCIE_COUNT_BAD_DLLP) == 0
        assert value(handle, pynvml.NVML_FI_DEV_PCIE_COUNT_RX_BYTES) == 7
