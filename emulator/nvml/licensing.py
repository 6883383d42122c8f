"""Licences of vGPU software, where a guest's driver has some to tell."""

from __future__ import annotations

import time

from . import _constants as constants
from .library import implements

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Optional

    from ..machine import Device
    from ..machine.licensing import License

__all__ = ["expiry"]

TIME = ("year", "month", "day", "hour", "min", "sec")  # as time.gmtime has them


@implements(
    "nvmlDeviceGetGridLicensableFeatures",
    "nvmlDeviceGetGridLicensableFeatures_v2",
    "nvmlDeviceGetGridLicensableFeatures_v3",
    "nvmlDeviceGetGridLicensableFeatures_v4",
)
def licensable_features(device: Device) -> dict[str, Any]:
    """NOT_SUPPORTED is none of the documented answers: without any, licensing is not supported."""
    features = [feature(each) for each in device.licensing.licenses]
    return {
        "isGridLicenseSupported": bool(features),
        "licensableFeaturesCount": len(features),
        "gridLicensableFeatures": features[: constants.GRID_LICENSE_FEATURE_MAX_COUNT],
    }


def feature(license: License) -> dict[str, Any]:  # noqa: A002 (what it is)
    return {
        "featureCode": getattr(constants, "GRID_LICENSE_FEATURE_CODE_" + license.feature),
        "featureState": license.licensed,
        "productName": license.product,
        "featureEnabled": license.enabled,
        "licenseExpiry": expiry(
            license.expires, license.licensed, constants.GRID_LICENSE_EXPIRY_NOT_APPLICABLE
        ),
    }


def expiry(expires: Optional[int], licensed: bool, without: int) -> dict[str, int]:
    """The fields of an expiry, in UTC; `without` is its status where there is no licence."""
    kind, moment = constants.GRID_LICENSE_EXPIRY_PERMANENT, (0,) * len(TIME)
    if not licensed:
        kind = without
    elif expires is not None:
        kind, moment = constants.GRID_LICENSE_EXPIRY_VALID, time.gmtime(expires)[: len(TIME)]
    return {**dict(zip(TIME, moment)), "status": kind}
