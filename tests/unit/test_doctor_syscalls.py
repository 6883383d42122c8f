"""What strace writes, as evidence."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import pytest

from emulator.doctor.events import Event, Exec, File
from emulator.doctor.syscalls import NAMES, PLACES, events
from emulator.stubfiles import SONAMES

Seen = Callable[..., list[Event]]

T = 1700000000_123456000

CONCERN = Path(__file__).parent.parent.parent / "stubs/src/audit/concern.c"


@pytest.fixture
def seen(tmp_path: Path) -> Seen:
    """`seen(*lines)`: the events of a file with these lines."""

    def read(*lines: str) -> list[Event]:
        (tmp_path / "strace").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        return list(events(tmp_path / "strace"))

    return read


class TestFiles:
    LINES: ClassVar = {
        'access("/dev/nvidia0", F_OK) = -1 ENOENT (No such file or directory)': File(
            T, 7, 7, "access", "/dev/nvidia0", False
        ),
        'openat(AT_FDCWD, "/dev/nvidiactl", O_RDWR) = 3': File(
            T, 7, 7, "openat", "/dev/nvidiactl", True
        ),
        'openat(AT_FDCWD</home/me>, "/dev/nvidiactl", O_RDWR|O_CLOEXEC) = 3</dev/nvidiactl>': File(
            T, 7, 7, "openat", "/dev/nvidiactl", True
        ),
        'openat(5</dev>, "nvidia0", O_RDWR) = -1 ENOENT (No such file or directory)': File(
            T, 7, 7, "openat", "/dev/nvidia0", False
        ),
        'readlink("/sys/class/drm/card0", "../../devices, \\"x\\"", 99) = 20': File(
            T, 7, 7, "readlink", "/sys/class/drm/card0", True
        ),
        'stat("/opt/a, \\"b\\"/libcuda.so.1", 0x7ffe) = -1 ELOOP (Too many levels)': File(
            T, 7, 7, "stat", '/opt/a, "b"/libcuda.so.1', False
        ),
        'access("nvidia-smi", X_OK) = -1 ENOENT (No such file or directory)': File(
            T, 7, 7, "access", "nvidia-smi", False
        ),
        'open("/opt/libcufft.so.11", O_RDONLY) = 3': File(
            T, 7, 7, "open", "/opt/libcufft.so.11", True
        ),
        'access("/opt/\\303\\251/libcuda.so.1", F_OK) = 0': File(
            T, 7, 7, "access", "/opt/é/libcuda.so.1", True
        ),
    }

    @pytest.mark.parametrize("line", LINES)
    def test_one_that_tells(self, seen: Seen, line: str) -> None:
        assert seen(f"7 1700000000.123456 {line}") == [self.LINES[line]]

    def test_others_do_not(self, seen: Seen) -> None:
        lines = ('access("/etc/passwd", F_OK) = 0', "exit_group(0) = ?", "+++ exited with 0 +++")
        assert seen(*(f"7 1700000000.123456 {line}" for line in lines)) == []

    def test_of_threads_whose_calls_interleave(self, seen: Seen) -> None:
        assert seen(
            '7 1700000000.123456 access("/dev/nvidia0", F_OK <unfinished ...>',
            '8 1700000000.123456 openat(AT_FDCWD, "/dev/nvidia1", O_RDWR <unfinished ...>',
            "7 1700000000.123460 <... access resumed>) = -1 ENOENT (No such file or directory)",
            "8 1700000000.123461 <... openat resumed>) = 3",
        ) == [
            File(T, 7, 7, "access", "/dev/nvidia0", False),
            File(T, 8, 8, "openat", "/dev/nvidia1", True),
        ]

    def test_a_call_that_never_ends_is_left_out(self, seen: Seen) -> None:
        assert seen('7 1700000000.123456 access("/dev/nvidia0", F_OK <unfinished ...>') == []


class TestPrograms:
    LINES: ClassVar = {
        'execve("/bin/a", ["a", "b[0]", "c, \\"d\\""], 0x7f /* 9 vars */) = 0': Exec(
            T, 7, 7, "/bin/a", True, ["a", "b[0]", 'c, "d"']
        ),
        'execve("/bin/a", ["a", "bbb"..., ...], 0x7f /* 9 vars */) = 0': Exec(
            T, 7, 7, "/bin/a", True, ["a", "bbb"]
        ),
        'execve("/usr/bin/nvidia-smi", ["nvidia-smi"], 0x7f) = -1 ENOENT (No such file)': Exec(
            T, 7, 7, "/usr/bin/nvidia-smi", False, ["nvidia-smi"]
        ),
    }

    @pytest.mark.parametrize("line", LINES)
    def test_one_that_is_started(self, seen: Seen, line: str) -> None:
        assert seen(f"7 1700000000.123456 {line}") == [self.LINES[line]]

    def test_others_that_are_not_there_do_not_tell(self, seen: Seen) -> None:
        assert seen('7 1700000000.123456 execve("/bin/a", ["a"], 0x7f) = -1 ENOENT (No)') == []


@pytest.mark.parametrize(
    ("table", "known"),
    [
        ("telling", NAMES),
        ("places", PLACES),
        ("libraries", sum(((name.removesuffix(".1"), name) for name in SONAMES.values()), ())),
    ],
)
def test_the_audit_module_looks_for_the_same(table: str, known: tuple[str, ...]) -> None:
    source = CONCERN.read_text(encoding="utf-8")
    [words] = re.findall(rf"\b{table}\[\] = {{(.*?)}};", source, re.DOTALL)
    assert tuple(re.findall(r'"([^"]+)"', words)) == known


def test_strace_that_could_not_begin_saw_nothing(tmp_path: Path) -> None:
    assert list(events(tmp_path / "none")) == []
