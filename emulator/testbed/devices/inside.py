"""Runs a program with a testbed's device files among those of the system.

    python -I -S inside.py SPEC [PATH ARGV0 ARGUMENT...]

This is a process of its own, between the launcher and the program: it goes into a mount namespace,
builds there what SPEC says, and becomes the program at PATH, with the same process id. Nothing that
it mounts is seen outside, and it is gone with the last process of the program. Without a PATH it
ends when all is built. It is run as a file, so it imports the standard library alone.

A folder of the system that gets new entries (/dev, /sys/bus/pci/devices) is covered by a tmpfs that
has the system's entries bound into it, and the new ones. The tmpfs is put together on the folder
`stage` and moved from there.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import signal
import stat
import sys

TYPE_CHECKING = False  # typing takes its time
if TYPE_CHECKING:
    from typing import Any, NoReturn, TypeAlias

    Tree: TypeAlias = "dict[str, Tree | tuple[str, str]]"

__all__ = ["ASIDE", "UNABLE", "main"]

#: What stands before the names of variables that are meant for the program's loader alone.
ASIDE = "NVEMU_INSIDE_"
#: The exit status when it cannot be built; the last line on stderr then says `errno step`.
UNABLE = 2

# <sched.h>, <sys/mount.h>, <linux/prctl.h>
_NEWNS, _NEWUSER = 0x00020000, 0x10000000
_RDONLY, _NOSUID, _NODEV, _NOEXEC = 1, 2, 4, 8
_REMOUNT, _BIND, _MOVE, _REC, _SLAVE = 32, 4096, 8192, 16384, 1 << 19
_DETACH = 2
_PR_CAPBSET_DROP = 24

# What Python ignores for itself, and a program would inherit.
_IGNORED_BY_PYTHON = (signal.SIGPIPE, signal.SIGXFSZ)

_libc = ctypes.CDLL(None, use_errno=True)


class UnableError(Exception):
    """A step that the kernel refused."""

    def __init__(self, number: int, step: str) -> None:
        super().__init__(f"{number} {step}")
        self.number, self.step = number, step


def main() -> None:
    """Build, and become the program."""
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    environment = _environment()
    spec, *program = sys.argv[1:]
    umask = os.umask(0)
    try:
        _build(spec)
    except UnableError as error:
        _fail(error, quiet=not program)
    os.umask(umask)
    if program:
        _become(program[0], program[1:], environment)


def _environment() -> dict[bytes, bytes]:
    """The program's: not os.environ, in which Python may have set LC_CTYPE."""
    with open("/proc/self/environ", "rb") as file:
        pairs = (line.partition(b"=") for line in file.read().split(b"\0") if line)
        return {name.removeprefix(os.fsencode(ASIDE)): value for name, _, value in pairs}


def _fail(error: UnableError, quiet: bool) -> NoReturn:
    reason = f"{error.step}: {os.strerror(error.number)}"
    print(error if quiet else f"nvemu: the device nodes cannot be shown: {reason}", file=sys.stderr)
    sys.exit(UNABLE)


def _build(path: str) -> None:
    with open(path, encoding="utf-8") as file:
        spec = json.load(file)
    _separate()
    try:
        Builder(spec["stage"], set(spec["hidden"])).graft("", _tree(spec))
    except OSError as error:
        raise UnableError(error.errno or 0, f"building {error.filename}") from error


def _separate() -> None:
    """Go into a mount namespace; where this process may not, into a user namespace first."""
    if _libc.unshare(_NEWNS) != 0:
        bounding = _bounding()
        user, group = os.geteuid(), os.getegid()
        _call("unshare", _NEWUSER | _NEWNS)
        _write("/proc/self/setgroups", "deny")
        _write("/proc/self/uid_map", f"{user} {user} 1")
        _write("/proc/self/gid_map", f"{group} {group} 1")
        _bound(bounding)
    # Not private: what is unmounted outside must not stay in use because of a program in here.
    _mount(None, "/", None, _REC | _SLAVE)


def _bounding() -> int:
    """The capabilities that this process, or a program that it starts, can ever have, as bits."""
    with open("/proc/self/status", encoding="ascii", errors="replace") as file:
        return next(int(line.split()[1], 16) for line in file if line.startswith("CapBnd"))


def _bound(kept: int) -> None:
    """Give up what a user namespace has added: root without capabilities stays without."""
    for capability in range((_bounding() & ~kept).bit_length()):
        if not kept >> capability & 1:
            _call("prctl", _PR_CAPBSET_DROP, capability, 0, 0, 0)


def _write(path: str, content: str) -> None:
    try:
        with open(path, "w", encoding="ascii") as file:
            file.write(content)
    except OSError as error:
        raise UnableError(error.errno or 0, f"write {path}") from error


def _call(name: str, *arguments: Any, about: str = "") -> None:
    if getattr(_libc, name)(*arguments) != 0:
        raise UnableError(ctypes.get_errno(), f"{name} {about}".rstrip())


def _mount(source: str | None, target: str, kind: str | None, flags: int, data: str = "") -> None:
    words = [None if word is None else os.fsencode(word) for word in (source, target, kind)]
    _call("mount", *words, ctypes.c_ulong(flags), os.fsencode(data), about=target)


def _tree(spec: dict[str, Any]) -> Tree:
    """The entries as folders in folders; those that something is hidden in are there, too."""
    root: Tree = {}
    for path, entry in spec["entries"].items():
        *folders, name = path.split("/")[1:]
        _folder(root, folders)[name] = tuple(entry)
    for path in spec["hidden"]:
        _folder(root, path.split("/")[1:-1])
    return root


def _folder(root: Tree, names: list[str]) -> Tree:
    for name in names:
        inner = root.setdefault(name, {})
        assert isinstance(inner, dict), f"{name} is a file and a folder"
        root = inner
    return root


class Builder:
    """Puts entries among those of the system."""

    def __init__(self, stage: str, hidden: set[str]) -> None:
        self.stage = stage
        self.hidden = hidden

    def graft(self, folder: str, entries: Tree) -> None:
        """Make a folder of the system have entries; "" is /."""
        present = set(os.listdir(folder or "/"))
        gone = {name for name in present if f"{folder}/{name}" in self.hidden}
        kept = present - gone
        if gone or not entries.keys() <= present:
            self._rebuild(folder, sorted(kept), {n: e for n, e in entries.items() if n not in kept})
        for name in sorted(entries.keys() & kept):
            entry = entries[name]
            if isinstance(entry, dict):
                self.graft(f"{folder}/{name}", entry)
            elif entry[0] == "over":
                self._cover(f"{folder}/{name}", entry)

    def _rebuild(self, folder: str, kept: list[str], fresh: Tree) -> None:
        if folder in ("", "/proc"):  # these cannot be covered: where is what is expected in them?
            raise UnableError(errno.ENOENT, f"building {folder}/{min(fresh)}")
        is_dev = folder == "/dev" or folder.startswith("/dev/")
        flags = _NOSUID if is_dev else _NOSUID | _NODEV | _NOEXEC
        _mount("tmpfs", self.stage, "tmpfs", flags, "mode=0755")
        for name in kept:
            _adopt(f"{folder}/{name}", f"{self.stage}/{name}")
        for name, entry in fresh.items():
            _make(f"{self.stage}/{name}", entry)
        if not is_dev:  # nor can anybody make a file in /sys or /proc
            _mount(None, self.stage, None, _REMOUNT | _BIND | _RDONLY | flags)
        _mount(self.stage, folder, None, _MOVE)
        # Where the stage is in this folder (in /dev/shm), what was bound has a copy of it: EINVAL
        # everywhere else.
        _libc.umount2(os.fsencode(self.stage), _DETACH)

    def _cover(self, path: str, entry: tuple[str, str]) -> None:
        flags = _NOSUID | _NODEV | _NOEXEC
        _mount("tmpfs", self.stage, "tmpfs", flags, "mode=0755")
        _make(f"{self.stage}/file", entry)
        _mount(f"{self.stage}/file", path, None, _BIND)
        _mount(None, path, None, _REMOUNT | _BIND | _RDONLY | flags)
        _call("umount2", os.fsencode(self.stage), _DETACH, about=self.stage)


def _adopt(path: str, place: str) -> None:
    """Have an entry of the system at another place; one that has gone meanwhile is left out."""
    try:
        mode = os.lstat(path).st_mode
        if stat.S_ISLNK(mode):
            os.symlink(os.readlink(path), place)
            return
    except FileNotFoundError:
        return
    is_folder = stat.S_ISDIR(mode)
    if is_folder:
        os.mkdir(place, stat.S_IMODE(mode))
    else:
        _touch(place)
    try:
        _mount(path, place, None, _BIND | _REC)
    except UnableError as error:
        if error.number != errno.ENOENT:
            raise
        (os.rmdir if is_folder else os.unlink)(place)


def _make(place: str, entry: Tree | tuple[str, str]) -> None:
    if isinstance(entry, dict):
        os.mkdir(place, 0o755)
        for name, inner in entry.items():
            _make(f"{place}/{name}", inner)
        return
    kind, content = entry
    if kind == "link":
        os.symlink(content, place)
    elif kind == "node":
        _touch(place)
        _mount("/dev/null", place, None, _BIND)
        # So that a chmod by root does not change /dev/null; opening for writing is not concerned.
        flags = os.statvfs(place).f_flag & (_NOSUID | _NODEV | _NOEXEC)
        _mount(None, place, None, _REMOUNT | _BIND | _RDONLY | flags)
    else:
        data = bytes.fromhex(content) if kind == "binary" else content.encode()
        _touch(place, data)


def _touch(place: str, data: bytes = b"") -> None:
    with open(os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o444), "wb") as file:
        file.write(data)


def _become(path: str, arguments: list[str], environment: dict[bytes, bytes]) -> NoReturn:
    for number in _IGNORED_BY_PYTHON:
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execve(path, arguments, environment)
    except OSError as error:
        failure = _program().explained(path, error)
    print(f"nvemu: {failure}", file=sys.stderr)
    sys.exit(failure.status)


def _program() -> Any:
    """The module that words why a program cannot be started, by its file."""
    from importlib import util  # noqa: PLC0415  (takes its time)

    file = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "program.py")
    spec = util.spec_from_file_location("program", file)
    assert spec is not None
    assert spec.loader is not None
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    main()
