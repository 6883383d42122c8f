"""Licences of vGPU software."""

from __future__ import annotations

import ctypes
from typing import Any

import pynvml
import pytest
from nvml_asking import code, struct
from nvml_client import T4, playing

from emulator import Gpu
from emulator.nvml import _constants as constants
from emulator.scenario import ScenarioError

LICENSE: dict[str, Any] = {
    "feature": "VWORKSTATION",
    "product": "NVIDIA RTX Virtual Workstation",
    "enabled": True,
    "licensed": True,
}


def features(*licenses: dict[str, Any]) -> Any:
    gpu = Gpu(T4, figures={"licensing": {"licenses": list(licenses)}})
    with playing(gpu) as (_, [handle]):
        return pynvml.nvmlDeviceGetGridLicensableFeatures_v4(handle)


def test_without_vgpu_software_nothing_needs_one():
    with playing(T4) as (_, [handle]):
        found = pynvml.nvmlDeviceGetGridLicensableFeatures_v4(handle)
        assert (found.isGridLicenseSupported, found.licensableFeaturesCount) == (0, 0)


def test_a_licence_until_a_moment():
    found = features({**LICENSE, "expires": 1_767_225_600})  # 2026-01-01, midnight
    assert (found.isGridLicenseSupported, found.licensableFeaturesCount) == (1, 1)
    feature = found.gridLicensableFeatures[0]
    assert feature.featureCode == constants.GRID_LICENSE_FEATURE_CODE_VWORKSTATION
    assert feature.productName == "NVIDIA RTX Virtual Workstation"
    assert (feature.featureState, feature.featureEnabled) == (1, 1)
    expiry = feature.licenseExpiry
    assert (expiry.year, expiry.month, expiry.day, expiry.hour) == (2026, 1, 1, 0)
    assert expiry.status == constants.GRID_LICENSE_EXPIRY_VALID


@pytest.mark.parametrize("expires", [-1, 10**12])
def test_what_is_no_moment(expires: int):
    with pytest.raises(ScenarioError, match="an integer from 0 to 253402300799"):
        features({**LICENSE, "expires": expires})


def test_without_an_end_there_is_no_date():
    info = struct("nvmlGridLicensableFeatures_t")
    ctypes.memset(ctypes.addressof(info), 0xAA, ctypes.sizeof(info))
    gpu = Gpu(T4, figures={"licensing": {"licenses": [LICENSE]}})
    with playing(gpu) as (_, [handle]):
        assert code("nvmlDeviceGetGridLicensableFeatures_v4", handle, info) == "SUCCESS"
    expiry = info.gridLicensableFeatures[0].licenseExpiry
    assert (expiry.year, expiry.month, expiry.day, expiry.hour) == (0, 0, 0, 0)


def test_one_that_does_not_end_and_one_that_is_not_there():
    found = features(LICENSE, {**LICENSE, "licensed": False}).gridLicensableFeatures
    assert found[0].licenseExpiry.status == constants.GRID_LICENSE_EXPIRY_PERMANENT
    assert found[1].licenseExpiry.status == constants.GRID_LICENSE_EXPIRY_NOT_APPLICABLE
    assert found[1].featureState == 0
