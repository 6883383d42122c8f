"""Debian's packages, fetched by apt with a state of its own in a temporary folder.

The system's sources, lists and cache are neither read nor written, and nothing is installed.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

__all__ = ["unpack"]

_MIRROR = "http://deb.debian.org/debian"
_KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


def unpack(
    packages: Sequence[str], suite: str, component: str, work: Path, *, dependencies: bool = False
) -> Path:
    """Fetch and unpack packages (`NAME` or `NAME=VERSION`) of a suite for amd64.

    With `dependencies`, all that they depend on too, down to the C library. The result is a root
    folder with `usr` in it, below `work`. Raises CalledProcessError where apt or dpkg-deb fails.
    """
    work = work.resolve()  # apt takes other paths as below the root folder
    apt = ["apt-get", "--quiet=2", *_state(suite, component, work)]
    subprocess.run([*apt, "update"], check=True, cwd=work)
    if dependencies:
        command = ["install", "--yes", "--download-only", "--no-install-recommends"]
    else:
        command = ["download"]
    subprocess.run([*apt, *command, *packages], check=True, cwd=work)
    root = work / "root"
    for package in (*work.glob("*.deb"), *work.glob("archives/*.deb")):
        subprocess.run(["dpkg-deb", "--extract", str(package), str(root)], check=True)
    return root


def _state(suite: str, component: str, work: Path) -> list[str]:
    """apt options that keep all of its state under `work`, where nothing is installed yet."""
    for name in ("lists/partial", "archives/partial", "parts"):
        (work / name).mkdir(parents=True)
    (work / "status").touch()
    source = f"deb [arch=amd64 signed-by={_KEYRING}] {_MIRROR} {suite} {component}"
    (work / "sources.list").write_text(source + "\n")
    options = {
        "Dir::Etc::SourceList": work / "sources.list",
        "Dir::Etc::SourceParts": work / "parts",
        "Dir::Etc::Preferences": work / "preferences",
        "Dir::Etc::PreferencesParts": work / "parts",
        "Dir::State": work,
        "Dir::State::Lists": work / "lists",
        "Dir::State::Status": work / "status",
        "Dir::Cache": work,
        "Dir::Cache::Archives": work / "archives",
        "APT::Architecture": "amd64",
        "APT::Architectures": "amd64",
        "Acquire::Languages": "none",
        # apt as root would drop to a user that may not enter `work`.
        "APT::Sandbox::User": "root",
    }
    return [word for key, value in options.items() for word in ("-o", f"{key}={value}")]
