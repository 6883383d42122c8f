"""The audit module in programs: it changes nothing that they do, and says what they did."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from emulator import Testbed
from emulator.testbed.audit import variables

Compile = Callable[..., Path]
Record = dict[str, Any]
HERE = Path(__file__).parent

#: A library that asks for functions for itself, or for the next one of a name.
ASKING = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <unistd.h>
int access(const char *path, int mode) { return 7; }
int ask_next(void) {
    int (*next)(const char *, int) = dlsym(RTLD_NEXT, "access");
    return next != access && next("/dev/nvidia-next", F_OK) < 0;
}
void *ask(void *library, const char *name) { void *found = dlsym(library, name); return found; }
"""

#: A library with thread-local variables of its own, whose room is taken before main.
ROOMY = """
static __thread char room[3000] __attribute__((tls_model("initial-exec")));
char *room_at(int index) { return room + index; }
"""

#: Another audit module.
OTHER = """
#define _GNU_SOURCE
#include <link.h>
unsigned la_version(unsigned version) { return version; }
unsigned la_objopen(struct link_map *map, Lmid_t id, uintptr_t *cookie) { return 3; }
uintptr_t la_symbind64(ElfW(Sym) *symbol, unsigned number, uintptr_t *from, uintptr_t *to,
                       unsigned *flags, const char *name) { return symbol->st_value; }
"""

LIBRARY = "int cuInit(unsigned flags) { return 77; }"


class Case(NamedTuple):
    """What audit_host.c does, and some of the records of it; `{name}` is a place (see `places`)."""

    does: tuple[str, ...]
    seen: tuple[Record, ...] = ()


def looked(path: str, **more: Any) -> Record:
    return {"event": "file", "path": path, "found": False} | more


def started(path: str, found: bool, *argv: str) -> Record:
    return {"event": "exec", "path": path, "found": found, "argv": list(argv)}


NUMBERS = list("12345678")
CASES = {
    "wild": Case(
        ("wild",), (started("/nowhere/nvidia-smi", False), looked("/dev/nvidia-after"))
    ),
    "errno": Case(
        ("errno",), tuple(looked("/dev/nvidia-none", call=call) for call in ("access", "fopen"))
    ),
    "in-place": Case(("in-place", "{link}")),
    "versions": Case(("versions",)),
    "fortified": Case(("fortified",), (looked("/dev/nvidia-fortified"),)),
    "limited": Case(("limited",)),
    "no-files": Case(("no-files",)),
    "closed": Case(("closed",), (looked("/dev/nvidia-closed"),)),
    "confined": Case(("confined",)),
    "confined-too": Case(("confined-too",)),
    "strict": Case(("strict",)),
    "cancelled": Case(("cancelled",), (looked("/dev/nvidia-cancelled"),)),
    "waiting": Case(("waiting", "{pipe}")),
    "small": Case(
        ("small",), (looked("/dev/nvidia-small"), started("nvidia-none", False, "nvidia-none"))
    ),
    "handlers": Case(
        ("handlers",),
        (*[looked("/dev/nvidia-busy")] * 400, *[looked("/dev/nvidia-handler")] * 10,
         *[looked("/dev/nvidia-child")] * 10, *[{"event": "fork"}] * 10),
    ),
    "lists": Case(
        ("lists",),
        (started("/bin/echo", True, "echo", *NUMBERS), started("echo", True, "echo", *NUMBERS),
         started("/usr/bin/env", True, "env"), started("nvidia-none", False, "nvidia-none", "-L"),
         started("nvidia-none", False, "A=b")),
    ),
    "path": Case(("path", "{host}"), ({"event": "exec", "path": "{name}", "found": True},)),
    "long": Case(
        ("long",),
        ({"event": "exec", "path": "/bin/true"}, {"event": "start", "argv": ["x"] * 10_000}),
    ),
    "next": Case(("next", "{asking}"), (looked("/dev/nvidia-next"),)),
    "symbols": Case(
        ("symbols", "{asking}"),
        ({"event": "symbol", "name": "cuInit", "found": True, "by": "{asking}"},
         {"event": "symbol", "name": "cuNothing", "found": False, "by": "{asking}"},
         {"event": "symbol", "name": "cuDeviceGet", "found": True, "by": None}),
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the program audit_host.c, in both ways of binding."""
    folder = tmp_path_factory.mktemp("audit")
    for name, binding in (("lazy", "lazy"), ("now", "now")):
        command = ["cc", "-w", f"-Wl,-z,{binding}", "-o", folder / name, HERE / "audit_host.c"]
        subprocess.run([*command, "-ldl", "-pthread"], check=True)
    return folder


@pytest.fixture
def watched() -> Iterator[Testbed]:
    with Testbed(watch=True) as testbed:
        yield testbed


@pytest.fixture
def places(built: Path, compile_c: Compile, tmp_path: Path) -> Mapping[str, str]:
    """What the cases name."""
    (tmp_path / "link").symlink_to("/dev/nvidia-of-a-link")
    os.mkfifo(tmp_path / "pipe")
    asking = compile_c(ASKING, "-shared", "-fPIC", "-Wl,-Bsymbolic")
    named = {"host": built / "lazy", "link": tmp_path / "link", "pipe": tmp_path / "pipe"}
    return {"name": "lazy", "asking": str(asking)} | {k: str(path) for k, path in named.items()}


def records(testbed: Testbed) -> list[Record]:
    """What was seen; every line is JSON."""
    return [json.loads(line) for line in testbed.evidence_file.read_bytes().splitlines()]


def filled(record: Record, places: Mapping[str, str]) -> Record:
    return {k: v.format(**places) if isinstance(v, str) else v for k, v in record.items()}


def matches(record: Record, expected: Record) -> bool:
    """Whether a record says this; of a list, whether it begins so."""
    return all(
        record.get(k, 0)[: len(v)] == v if v and isinstance(v, list) else record.get(k, 0) == v
        for k, v in expected.items()
    )


def done(command: list[str], environment: Mapping[str, str] | None = None) -> tuple[Any, ...]:
    """What can be seen of a program: its status and what it said."""
    options: dict[str, Any] = {"env": environment, "capture_output": True, "timeout": 60}
    ended = subprocess.run(command, check=False, **options)
    return ended.returncode, ended.stdout, ended.stderr


@pytest.mark.parametrize("binding", ["lazy", "now"])
@pytest.mark.parametrize("name", CASES)
def test_a_program_does_the_same_and_is_seen(
    name: str, binding: str, built: Path, places: Mapping[str, str], watched: Testbed
) -> None:
    command = [str(built / binding), *(word.format(**places) for word in CASES[name].does)]
    with Testbed() as unwatched:
        expected = done(command, unwatched.environment())
    assert done(command, watched.environment()) == expected
    seen = records(watched)
    assert next(each["argv"] for each in seen if each["event"] == "start") == command
    wanted = [filled(each, places) for each in CASES[name].seen]
    for each in wanted:
        number = sum(matches(record, each) for record in seen)
        assert number >= wanted.count(each), each


def test_what_a_link_says_is_not_taken_for_its_path(
    built: Path, places: Mapping[str, str], watched: Testbed
) -> None:
    done([str(built / "lazy"), "in-place", places["link"]], watched.environment())
    assert not [each for each in records(watched) if each["event"] == "file"]


def test_a_long_path_leaves_room_for_the_rest(watched: Testbed) -> None:
    long = "/x" * 60_000
    own = {"LD_LIBRARY_PATH": long, "CUDA_VISIBLE_DEVICES": '\x01"\\3'}
    done(["/bin/true", "one"], watched.environment() | own)
    [start] = [each for each in records(watched) if each["event"] == "start"]
    assert start["argv"] == ["/bin/true", "one"]
    assert start["environment"]["CUDA_VISIBLE_DEVICES"] == '\x01"\\3'
    assert start["environment"]["LD_LIBRARY_PATH"].endswith("...")


def test_bytes_that_are_no_text(watched: Testbed) -> None:
    words = [b"/bin/true", b"\xff", b"\xed\xa0\x80", "\u2028\x7f\U0001f600".encode(), b""]
    subprocess.run(words, env=watched.environment(), check=True)
    [start] = [each for each in records(watched) if each["event"] == "start"]
    assert start["argv"][1:] == ["\ufffd", "\ufffd" * 3, "\u2028\x7f\U0001f600", ""]


def test_libraries_with_thread_local_variables(compile_c: Compile, watched: Testbed) -> None:
    library = compile_c(ROOMY, "-shared", "-fPIC")
    source = "char *room_at(int); int main(void) { return *room_at(2999); }"
    program = compile_c(source, str(library))
    assert done([str(program)], watched.environment()) == (0, b"", b"")


def test_tunables_of_the_user_stay(watched: Testbed) -> None:
    chosen = {"GLIBC_TUNABLES": "glibc.malloc.check=1"}
    made = variables(watched.folder, chosen)["GLIBC_TUNABLES"]
    assert made.startswith("glibc.malloc.check=1:glibc.rtld.optional_static_tls=")
    chosen = {"GLIBC_TUNABLES": "glibc.rtld.optional_static_tls=9000"}
    assert variables(watched.folder, chosen)["GLIBC_TUNABLES"] == chosen["GLIBC_TUNABLES"]


def test_another_audit_module(compile_c: Compile, built: Path, watched: Testbed) -> None:
    other = {"LD_AUDIT": str(compile_c(OTHER, "-shared", "-fPIC"))}
    environment = watched.environment(os.environ | other)
    assert done([str(built / "lazy"), "errno"], environment)[2] == b""
    assert [each for each in records(watched) if matches(each, looked("/dev/nvidia-none"))]


def test_evidence_that_is_gone(built: Path, watched: Testbed) -> None:
    environment = watched.environment()
    watched.evidence_file.unlink()
    command = [str(built / "lazy"), "errno"]
    assert done(command, environment) == done(command)


def test_a_folder_whose_name_begins_as_the_testbeds(built: Path, watched: Testbed) -> None:
    beside = f"{watched.folder}-b/libcuda.so.1"
    done(["ls", beside, f"{watched.folder}/lib/libcuda.so.1"], watched.environment())
    looks = {each["path"] for each in records(watched) if each["event"] == "file"}
    assert looks == {beside}


class TestRedirected:
    @pytest.fixture
    def opener(self, compile_c: Compile) -> Path:
        """A program that opens libraries and says where they lie."""
        source = """
        #define _GNU_SOURCE
        #include <dlfcn.h>
        #include <link.h>
        #include <stdio.h>
        int main(int unused, char **name) {
            while (*++name) {
                struct link_map *map = dlopen(*name, RTLD_NOW);
                puts(map ? map->l_name : dlerror());
            }
        }
        """
        return compile_c(source, "-ldl")

    @pytest.fixture
    def own(self, compile_c: Compile, tmp_path: Path) -> Path:
        """A folder with a library of the program's own."""
        (tmp_path / "own").mkdir()
        library = compile_c(LIBRARY, "-shared", "-fPIC", "-Wl,-soname,libcuda.so.1")
        for name in ("libcuda.so.1", "mine.so"):
            (tmp_path / "own" / name).write_bytes(library.read_bytes())
        return tmp_path / "own"

    @pytest.mark.parametrize(
        "name",
        ["{own}/libcuda.so.1", "./libcuda.so.1", "libcuda.so.1", "/nowhere/libcuda.so.550.163.01"],
    )
    @pytest.mark.parametrize("watch", [True, False])
    def test_to_the_testbed(self, watch: bool, name: str, opener: Path, own: Path) -> None:
        with Testbed(redirect=True, watch=watch) as testbed:
            command = [str(opener), *[name.format(own=own)] * 2]
            options: dict[str, Any] = {"env": testbed.environment(), "cwd": own}
            said = subprocess.run(command, check=True, capture_output=True, text=True, **options)
            assert said.stdout.split() == [str(testbed.libraries / "libcuda.so.1")] * 2

    def test_not_what_has_another_name(self, opener: Path, own: Path) -> None:
        with Testbed(redirect=True, watch=True) as testbed:
            said = done([str(opener), f"{own}/mine.so"], testbed.environment())
            assert said == (0, f"{own}/mine.so\n".encode(), b"")
            loads = [each for each in records(testbed) if each["event"] == "load"]
            assert [(each["path"], each["soname"]) for each in loads] == [
                (f"{own}/mine.so", "libcuda.so.1")
            ]

    def test_what_lies_beside_the_testbed_is_not_in_it(self, opener: Path) -> None:
        with Testbed(redirect=True) as testbed:
            said = done([str(opener), f"{testbed.folder}-b/libcuda.so.1"], testbed.environment())
            assert said == (0, f"{testbed.libraries}/libcuda.so.1\n".encode(), b"")
