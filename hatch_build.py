"""The wheel's build hook: it compiles the stubs into the package."""

from __future__ import annotations

import sys
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class StubsBuildHook(BuildHookInterface[Any]):
    """Compiles emulator/_stubs, and marks the wheel as one for this platform."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called by hatchling before it gathers the wheel's files."""
        root = Path(self.root)
        sys.path.insert(0, self.root)
        from stubs.build import BuildError, build  # noqa: PLC0415  (found by the line above)

        try:
            build(root / "emulator" / "_stubs")
        except BuildError as error:
            sys.exit(f"nvemu: {error}")  # pip shows it; a traceback would bury it
        platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        build_data["tag"] = f"py3-none-{platform}"
