"""Why a mount namespace is refused, and what a user can do about it."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

__all__ = ["explained"]

_SUDO = "run nvemu as root (sudo)"
_CONTAINER = (
    "run the container with --privileged, or with "
    "--cap-add SYS_ADMIN --security-opt apparmor=unconfined"
)


class _Setting(NamedTuple):
    """A sysctl, the value that forbids user namespaces, and one that allows them."""

    name: str
    forbids: str
    allows: str


_SETTINGS = (
    _Setting("user.max_user_namespaces", "0", "10000"),
    _Setting("user.max_mnt_namespaces", "0", "10000"),
    _Setting("kernel.unprivileged_userns_clone", "0", "1"),  # Debian's kernels
    _Setting("kernel.apparmor_restrict_unprivileged_userns", "1", "0"),  # Ubuntu from 23.10 on
)

_REASONS = {
    errno.ENOSPC: "there are as many namespaces as user.max_user_namespaces and "
    "user.max_mnt_namespaces allow, here or in a namespace around",
    errno.EINVAL: "this kernel has no user namespaces",
    errno.ENOSYS: "this kernel has no namespaces",
}


def explained(number: int, step: str) -> tuple[str, str]:
    """Why a step failed with an error number, and what to do."""
    if _is_root() and step.startswith("mount"):  # no user namespace was needed
        reason = f"{os.strerror(number)}, as AppArmor or SELinux have it in a container"
        advice = _CONTAINER
    else:
        reason, advice = _sysctl() or _seccomp() or _other(number)
    return f"{step} is refused: {reason}", advice


def _sysctl() -> tuple[str, str] | None:
    for setting in _SETTINGS:
        file = Path("/proc/sys", *setting.name.split("."))
        with suppress(OSError):
            if file.read_text(encoding="ascii").strip() == setting.forbids:
                change = f"sysctl -w {setting.name}={setting.allows}"
                sudo = "" if _is_root() else f"{_SUDO}, or "
                return f"{setting.name} is {setting.forbids}", f"{sudo}as root: {change}"
    return None


def _seccomp() -> tuple[str, str] | None:
    status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    if "\nSeccomp:\t2\n" in status:
        return "a seccomp filter forbids it, as in a container", _CONTAINER
    return None


def _other(number: int) -> tuple[str, str]:
    if number in _REASONS:
        return _REASONS[number], _SUDO
    advice = _CONTAINER if _is_root() else _SUDO
    return os.strerror(number), f"in a container, {advice}" if _is_root() else advice


def _is_root() -> bool:
    return os.geteuid() == 0
