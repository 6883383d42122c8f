"""The instances of a GPU in MIG mode."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from ...machine.mig.places import number
from ...machine.mig.profiles import profiles
from ..facts import Told
from .asked import Answers, AskedGpu

__all__ = ["mig_instances"]

#: The end of a MIG device's name: "NVIDIA A100-SXM4-80GB MIG 1c.3g.40gb".
_MIG_NAME = re.compile(r" MIG (?:(\d)c\.)?(\S+)$")


def mig_instances(gpu: AskedGpu, product: str) -> Iterator[Told]:
    """The GPU instances of a GPU in MIG mode, whose profile in the catalogue is `product`."""
    if not gpu.output("currentMode", "nvmlDeviceGetMigMode"):
        return
    ids = sorted({*gpu.instances, *(instance for instance, _ in gpu.mig_devices)})
    rows = [_instance(gpu, product, each) for each in ids]
    if all(rows):
        yield Told(("mig", "instances"), rows, where="nvmlDeviceGetMigDeviceHandleByIndex")


def _instance(gpu: AskedGpu, product: str, identity: int) -> dict[str, Any]:
    own = gpu.instances.get(identity, Answers())
    devices = {
        compute: answers
        for (instance, compute), answers in gpu.mig_devices.items()
        if instance == identity
    }
    kind = own.output("info.profileId", "nvmlGpuInstanceGetInfo")
    names = [name for name, profile in profiles(product).items() if profile.id == kind]
    names += [found[2] for each in devices.values() if (found := _mig_name(each))]
    if not names:
        return {}
    row = {"profile": names[0], "id": identity, "start": _start(product, names[0], identity)}
    row["compute"] = [_compute(devices[each], each) for each in sorted(devices)]
    return {name: value for name, value in row.items() if value is not None}


def _start(product: str, name: str, identity: int) -> int | None:
    """The memory slice that a GPU instance begins at, which its id follows from."""
    known = profiles(product)
    starts = known[name].starts if name in known else ()
    return next((each for each in starts if number(known, known[name], each) == identity), None)


def _compute(answers: Answers, number: int) -> dict[str, Any]:
    found = _mig_name(answers)
    attributes = "attributes.computeInstanceSliceCount"
    slices = answers.output(attributes, "nvmlDeviceGetAttributes_v2", "nvmlDeviceGetAttributes")
    if slices is None and found is not None and found[1]:
        slices = int(found[1])
    row = {"id": number, "slices": slices, "uuid": answers.output("uuid", "nvmlDeviceGetUUID")}
    return {name: value for name, value in row.items() if value is not None}


def _mig_name(answers: Answers) -> re.Match[str] | None:
    return _MIG_NAME.search(answers.output("name", "nvmlDeviceGetName") or "")
