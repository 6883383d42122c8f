"""The checkup of this installation of nvemu."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from checkup_machines import named, seen_elsewhere

from emulator import stubfiles
from emulator.checkup import INSTALLATION, Check, installation
from emulator.machine import DRIVERS
from emulator.testbed import damage

TOOLS = {"PATH": os.environ.get("PATH", os.defpath)}

OWN_NAMESPACE = ["unshare", "--user", "--map-root-user", "--mount"]


def see(environment: dict[str, str] = TOOLS) -> list[Check]:
    return installation.checks(environment)


@pytest.fixture
def stubs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the stubs, in place of the installed ones."""
    copy = tmp_path / "stubs"
    shutil.copytree(stubfiles.FOLDER, copy)
    monkeypatch.setattr(stubfiles, "FOLDER", copy)
    return copy


class TestStubs:
    def test_are_there_and_can_be_loaded(self, stubs: Path) -> None:
        found = named(see(), "stubs")
        assert found.state == "ok"
        assert found.text == f"{2 * len(DRIVERS)} in {stubs}, all can be loaded"
        assert found.area == INSTALLATION

    @pytest.mark.parametrize(
        ("content", "reason"),
        [
            (None, "not there"),
            (damage.EMPTY, "an empty file"),
            (damage.wrong_class(), "for 32-bit programs (wrong ELF class)"),
        ],
    )
    def test_unusable_one_is_named(self, stubs: Path, content: bytes | None, reason: str) -> None:
        file = stubs / "535.261.03" / "libcuda.so.1"
        file.unlink()
        if content is not None:
            file.write_bytes(content)
        found = named(see(), "stubs")
        assert found.state == "failed"
        assert found.details == (f"{file}: {reason}",)
        assert "pip install" in found.next

    def test_one_for_another_processor_is_named(self, stubs: Path) -> None:
        file = stubs / "535.261.03" / "libcuda.so.1"
        content = bytearray(file.read_bytes())
        content[18:20] = (243).to_bytes(2, "little")  # RISC-V
        file.write_bytes(content)
        assert named(see(), "stubs").details == (f"{file}: for another kind of processor",)

    def test_one_that_the_loader_refuses_is_named(self, stubs: Path) -> None:
        file = stubs / "550.163.01" / "libnvidia-ml.so.1"
        file.write_bytes(damage.with_dependency(file.read_bytes(), "libnowhere.so"))
        found = named(see(), "stubs")
        assert found.state == "failed"
        assert found.details[0].startswith("libnowhere.so: cannot open shared object file")


class TestAuditModule:
    def test_is_there(self, stubs: Path) -> None:
        found = named(see(), "audit module")
        assert (found.state, found.text) == ("ok", str(stubs / "audit.so"))

    def test_missing(self, stubs: Path) -> None:
        (stubs / "audit.so").unlink()
        found = named(see(), "audit module")
        assert found.state == "failed"
        assert "audit.so: not there" in found.text


class TestLibpython:
    def test_is_there(self) -> None:
        assert named(see(), "libpython").state == "ok"

    def test_none(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(installation, "find_libpython", lambda: None)
        found = named(see(), "libpython")
        assert found.state == "warning"
        assert "programs without a Python of their own" in found.text


class TestTemporaryFolder:
    def test_is_fine(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
        found = named(see(), "temporary folder")
        assert (found.state, found.text) == ("ok", str(tmp_path))

    def test_noexec(self, tmp_path: Path) -> None:
        mount = f'mount -t tmpfs -o noexec tmpfs "{tmp_path}" && TMPDIR="{tmp_path}" exec "$@"'
        before = [*OWN_NAMESPACE, "sh", "-c", mount, "sh"]
        if subprocess.run([*before, "true"], check=False, capture_output=True).returncode:
            pytest.skip("nothing can be mounted here")
        line = seen_elsewhere(Path("/"), "temporary folder", TOOLS, before)
        assert line["state"] == "failed"
        assert line["text"].startswith(f"{tmp_path} is mounted noexec")
        assert "TMPDIR" in line["next"]

    def test_no_folder_at_all(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(tempfile, "tempdir", "/nowhere")
        found = named(see(), "temporary folder")
        assert found.state == "failed"
        assert "/nowhere" in found.text


class TestCLibrary:
    @pytest.mark.parametrize(
        ("version", "state"), [("glibc 2.35", "ok"), ("glibc 2.31", "warning"), (None, "warning")]
    )
    def test_version_decides(
        self, monkeypatch: pytest.MonkeyPatch, version: str | None, state: str
    ) -> None:
        monkeypatch.setattr(os, "confstr", lambda name: version)
        assert named(see(), "C library").state == state

    def test_one_that_does_not_know_the_question(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(name: str) -> str:
            raise ValueError("unrecognized configuration name")

        monkeypatch.setattr(os, "confstr", refuse)
        assert "musl" in named(see(), "C library").text


class TestNamespaces:
    """In a user namespace of its own, whose root may forbid further ones."""

    FORBID = (
        'for kind in user mnt; do echo 0 > /proc/sys/user/max_${kind}_namespaces; done; exec "$@"'
    )

    def test_forbidden(self, tmp_path: Path) -> None:
        before = [*OWN_NAMESPACE, "sh", "-c", self.FORBID, "sh"]
        done = subprocess.run([*before, "true"], check=False, capture_output=True, text=True)
        if done.returncode or done.stderr:
            pytest.skip("no user namespace can be made here")
        line = seen_elsewhere(tmp_path, "namespaces", TOOLS, before)
        assert line["state"] == "warning"
        assert line["text"] == (
            "--devices does not work: unshare is refused: user.max_user_namespaces is 0"
        )
        assert line["next"] == "as root: sysctl -w user.max_user_namespaces=10000"


class TestTools:
    def test_are_optional(self, tmp_path: Path) -> None:
        found = see({"PATH": str(tmp_path)})
        assert named(found, "strace").state == "ok"
        assert "not installed" in named(found, "strace").text
        assert named(found, "C compiler").state == "warning"
        assert "to install nvemu only" in named(found, "C compiler").text

    def test_compiler_is_the_one_that_cc_names(self, tmp_path: Path) -> None:
        compiler = tmp_path / "mycc"
        compiler.write_text("")
        compiler.chmod(0o755)
        environment = {"PATH": str(tmp_path), "CC": "mycc -m64"}
        assert named(see(environment), "C compiler").text.startswith(str(compiler))
