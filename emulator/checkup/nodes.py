"""The device nodes: whether they are there, and whether this user can open them."""

from __future__ import annotations

import errno
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..testbed.asking import ask
from .facts import Facts
from .result import Check

__all__ = ["check"]

_NO_DRIVER = (
    "no driver answers for it",
    "the kernel module is not loaded, or the node is a left-over: `sudo modprobe nvidia`",
)
#: errno -> why a device node that is there cannot be opened, and what to do.
_OPENING = {
    errno.EACCES: ("this user may not", "join the node's group, or correct its mode and group"),
    errno.EPERM: (
        "the system forbids it: a container's device rules",
        "restart the container and name the device (--device), or use CDI",
    ),
    errno.ENXIO: _NO_DRIVER,
    errno.ENODEV: _NO_DRIVER,
    errno.EIO: (
        "the driver cannot start the GPU",
        "`dmesg | grep -E 'NVRM|RmInitAdapter|Xid'` says why; restart the machine",
    ),
}


def check(facts: Facts, environment: Mapping[str, str], limit: float) -> Check:
    """The line about the device nodes. They are opened, and nothing is done with them."""
    name = "device nodes"
    if not facts.nodes:
        return _no_nodes(name, facts)
    opened = ask(["open", *map(str, facts.nodes)], environment, limit)
    results = [(path, opened.result(str(path))) for path in facts.nodes]
    lines = tuple(_opening(path, result) for path, result in results)
    if opened.stuck:
        text = f"opening {opened.stuck} {opened.ending}"
        advice = "`dmesg | grep -E 'NVRM|Xid'`; restart the machine"
        return Check(name, "failed", text, lines, advice)
    bad = [(path, result) for path, result in results if result.get("code")]
    if bad:
        return _unopened(name, bad, lines, facts)
    return _lacking(name, facts, lines)


def _opening(path: Path, result: Mapping[str, object]) -> str:
    if "code" not in result:
        return f"/dev/{path.name}: not tried"
    said = "can be opened" if not result["code"] else str(result["text"]).lower()
    return f"/dev/{path.name}: {said}"


def _unopened(
    name: str,
    bad: Sequence[tuple[Path, Mapping[str, object]]],
    lines: tuple[str, ...],
    facts: Facts,
) -> Check:
    path, result = bad[0]
    reason, advice = _OPENING.get(int(str(result["code"])), ("", "see `dmesg | tail`"))
    text = f"/dev/{path.name} cannot be opened: {str(result['text']).lower()}"
    state = "failed" if facts.has_hardware or facts.kernel_line else "warning"
    return Check(name, state, f"{text}{': ' * bool(reason)}{reason}", lines, advice)


def _no_nodes(name: str, facts: Facts) -> Check:
    if facts.platform:
        return Check(name, "ok", f"{facts.platform} has none of these names")
    if not (facts.gpus or facts.kernel_line):
        return Check(name, "ok", "none, as is right without a GPU")
    advice = "`sudo nvidia-modprobe -u -c 0` makes them"
    if facts.container:
        advice = "start the container with the GPUs (`--gpus all`)"
    return Check(name, "failed", "there is no /dev/nvidiactl and no /dev/nvidia0", (), advice)


def _lacking(name: str, facts: Facts, lines: tuple[str, ...]) -> Check:
    """Nodes that can be opened; those that are missing beside them."""
    there = {path.name for path in facts.nodes}
    numbered = sorted(name for name in there if name[6:].isdigit())
    text = f"{len(there)}, all can be opened"
    if "nvidiactl" not in there or not numbered:
        missing = "/dev/nvidia0" if "nvidiactl" in there else "/dev/nvidiactl"
        advice = "`sudo nvidia-modprobe -c 0`; in a container, name the device (--device)"
        return Check(name, "failed", f"{text}, but there is no {missing}", lines, advice)
    if "nvidia-uvm" not in there:
        advice = "`sudo nvidia-modprobe -u`; in a container, name the device (--device)"
        text += ", but there is no /dev/nvidia-uvm: NVML works, cuInit fails with 999"
        return Check(name, "failed", text, lines, advice)
    return Check(name, "ok", text, lines)
