"""`nvemu install`: a machine with scripted GPUs as a folder, for programs that nobody wraps."""

from __future__ import annotations

import ctypes
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from emulator.cli.install import doubts, in_dockerfile
from emulator.machine import NEWEST
from emulator.plans import plan_of
from emulator.scenario import loads
from emulator.symbols import read_library, recorded_tables
from emulator.testbed import boot_of
from emulator.testbed.libpython import find_libpython

Done = subprocess.CompletedProcess[str]
Nvemu = Callable[..., Done]

HOST = Path(__file__).resolve().parent.parent / "abi" / "host.c"
LIBPYTHON = find_libpython()

#: Prints the number of GPUs, the driver, and where what answers was loaded from.
CLIENT = """
import ctypes, sys
nvml = ctypes.CDLL("libnvidia-ml.so.1")
nvml.nvmlInit_v2()
count, version = ctypes.c_uint(), ctypes.create_string_buffer(80)
nvml.nvmlDeviceGetCount_v2(ctypes.byref(count))
nvml.nvmlSystemGetDriverVersion(version, 80)
print(count.value, version.value.decode())
for name, module in sorted(sys.modules.items()):
    if name.startswith("_nvemu."):
        print(module.__file__)
"""
SHELL = "ENV LD_LIBRARY_PATH="


def run(command: list[object], path: Path | str, **options: object) -> Done:
    """Run a program with nothing but a library path in its environment."""
    chosen: dict[str, object] = {"env": {"LD_LIBRARY_PATH": str(path)}, "timeout": 60} | options
    command = [str(part) for part in command]
    return subprocess.run(command, capture_output=True, text=True, check=False, **chosen)  # type: ignore[call-overload,no-any-return]


def what_nvemu_sees(path: Path) -> Done:
    return run([sys.executable, "-I", "-c", CLIENT], path)


def modes(folder: Path) -> set[tuple[str, str]]:
    """Kind and mode of what lies in a folder, links aside."""
    found = [path for path in (folder, *folder.rglob("*")) if not path.is_symlink()]
    return {
        ("folder" if path.is_dir() else path.suffix or path.name, oct(path.stat().st_mode & 0o7777))
        for path in found
    }


@pytest.fixture
def prefix(tmp_path: Path) -> Path:
    return tmp_path / "opt" / "nvemu"


@pytest.fixture
def host(compile_c: Callable[..., Path]) -> Path:
    """A program without Python, see host.c."""
    return compile_c(HOST.read_text(), "-ldl", "-lpthread")


class TestFolder:
    def test_is_a_machine_without_a_wrapper(self, nvemu: Nvemu, prefix: Path, host: Path) -> None:
        done = nvemu("install", "--prefix", prefix, "--gpus", "t4:3", "--driver", "550.163.01")
        assert (done.returncode, done.stdout) == (0, f"ENV LD_LIBRARY_PATH={prefix}/lib\n")
        said = run([host, "init", "count", "cuinit", "cucount"], prefix / "lib")
        assert (said.stderr, said.returncode) == ("", 0)
        assert said.stdout == "init: 0\ncount: 0 3\ncuinit: 0\ncucount: 0 3\n"

    def test_has_all_that_is_loaded(self, nvemu: Nvemu, prefix: Path) -> None:
        nvemu("install", "--prefix", prefix, "--gpus", "t4:2", "--driver", "535.261.03")
        first, *files = what_nvemu_sees(prefix / "lib").stdout.splitlines()
        assert first == "2 535.261.03"
        assert len(files) > 10
        assert all(file.startswith(f"{prefix}/emulator/") for file in files)

    def test_holds_the_libraries_the_runtime_and_the_plan(self, nvemu: Nvemu, prefix: Path) -> None:
        nvemu("install", "--prefix", prefix, "--scenario", "no-devices")
        assert sorted(path.name for path in prefix.iterdir()) == [
            "boot",
            "emulator",
            "lib",
            "plan.json",
        ]
        assert sorted(path.name for path in (prefix / "emulator").iterdir()) == [
            "__init__.py",
            "__pycache__",
            "api",
            "cuda",
            "machine",
            "nvml",
            "runtime",
            "scriptfile.py",
        ]
        assert json.loads((prefix / "plan.json").read_text())["name"] == "no-devices"
        assert boot_of(prefix)["root"] == str(prefix)
        table = read_library(prefix / "lib" / "libcuda.so.1")
        assert table.symbols == recorded_tables("cuda")[NEWEST].symbols

    def test_starts_as_fast_as_it_can(self, nvemu: Nvemu, prefix: Path) -> None:
        nvemu("install", "--prefix", prefix)
        for source in (prefix / "emulator").rglob("*.py"):
            compiled = Path(source.parent, "__pycache__").glob(f"{source.stem}.*.pyc")
            assert len(list(compiled)) == 1, source

    def test_is_for_all_to_read_whatever_the_umask(
        self, nvemu: Nvemu, prefix: Path, tmp_path: Path
    ) -> None:
        before = os.umask(0o077)
        try:
            nvemu("install", "--prefix", prefix)
        finally:
            os.umask(before)
        assert {mode for kind, mode in modes(tmp_path / "opt") if kind == "folder"} == {"0o755"}
        files = {mode for kind, mode in modes(prefix) if kind in (".py", ".pyc", "boot", ".json")}
        assert files == {"0o644"}

    def test_is_all_that_is_written(self, nvemu: Nvemu, prefix: Path, tmp_path: Path) -> None:
        (tmp_path / "empty").mkdir()
        empty = str(tmp_path / "empty")
        variables = dict.fromkeys(["HOME", "TMPDIR", "XDG_CACHE_HOME"], empty)
        variables |= {"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"}
        done = nvemu("install", "--prefix", prefix, env=variables, cwd=empty)
        assert done.returncode == 0
        assert os.listdir(empty) == []
        assert os.listdir(tmp_path / "opt") == ["nvemu"]

    def test_may_be_relative(self, nvemu: Nvemu, tmp_path: Path) -> None:
        done = nvemu("install", "--prefix", "here/../gpus", cwd=tmp_path)
        assert done.stdout == f"ENV LD_LIBRARY_PATH={tmp_path}/gpus/lib\n"
        assert what_nvemu_sees(tmp_path / "gpus" / "lib").stdout.startswith(f"1 {NEWEST}\n")

    def test_serves_several_processes_that_may_not_write_to_it(
        self, nvemu: Nvemu, prefix: Path, host: Path
    ) -> None:
        """Both libraries called first at the same time start one Python, see python.c."""
        nvemu("install", "--prefix", prefix)
        (prefix / "boot").chmod(0o444)
        for _ in range(5):
            said = run([host, "both"], prefix / "lib", preexec_fn=without_privilege)
            assert (said.stdout, said.stderr) == ("both: 0 0\n", "")


def without_privilege() -> None:
    """In a child: root for whom modes count."""
    if os.geteuid() == 0 and ctypes.CDLL(None).prctl(24, 1, 0, 0, 0):  # drop CAP_DAC_OVERRIDE
        raise OSError("the capability cannot be dropped")


class TestOwnership:
    @pytest.fixture
    def public(self) -> Iterator[Path]:
        """A folder that others may enter."""
        folder = Path(tempfile.mkdtemp(prefix="nvemu-public-"))
        folder.chmod(0o755)
        yield folder
        shutil.rmtree(folder)

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user too")
    def test_of_root_serves_everybody(self, nvemu: Nvemu, public: Path) -> None:
        nvemu("install", "--prefix", public / "nvemu", "--gpus", "t4:4")
        python = shutil.which("python3", path="/usr/bin:/usr/local/bin")
        assert python is not None
        nobody: dict[str, object] = {"user": 65534, "group": 65534, "extra_groups": []}
        done = run([python, "-I", "-c", CLIENT], public / "nvemu" / "lib", **nobody)
        assert (done.stderr, done.stdout.splitlines()[0]) == ("", f"4 {NEWEST}")

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
    def test_of_another_user_is_not_believed(self, nvemu: Nvemu, public: Path) -> None:
        nvemu("install", "--prefix", public / "nvemu")
        os.chown(public / "nvemu" / "boot", 65534, 65534)
        done = what_nvemu_sees(public / "nvemu" / "lib")
        assert done.stderr.startswith("nvemu: no testbed: ")

    def test_is_told(self, nvemu: Nvemu, prefix: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        nvemu("install", "--prefix", prefix)
        plan = json.loads((prefix / "plan.json").read_text())
        monkeypatch.setattr(os, "geteuid", lambda: 1000)
        assert list(doubts(prefix, plan)) == [
            f"{prefix} serves your own programs only: what another user's program loads must be "
            "that user's or root's (install as root for all)"
        ]
        monkeypatch.setattr(os, "geteuid", lambda: 0)
        prefix.chmod(0o700)
        [line] = doubts(prefix, plan)
        assert line.endswith("is closed to other users, whose programs will find no GPUs")

    def test_of_libpython_is_told(
        self, public: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(os, "geteuid", lambda: 0)
        plan = plan_of(loads(""))
        tmp_path.chmod(0o755)
        closed = tmp_path / "closed"
        closed.mkdir(mode=0o700)
        (public / "boot").write_text(f"libpython={closed}/libpython3.11.so.1.0\n")
        lines = list(doubts(public, plan))
        assert len(lines) == 1
        assert "where the libpython is, is closed to other users" in lines[0]
        (public / "boot").write_text("libpython=/usr/lib/libpython3.11.so.1.0\n")
        assert list(doubts(public, plan)) == []


class TestOtherFiles:
    def test_of_its_own_are_made_anew(self, nvemu: Nvemu, prefix: Path) -> None:
        nvemu("install", "--prefix", prefix, "--gpus", "t4:2", "--driver", "470.256.02")
        (prefix / "emulator" / "runtime" / "old.py").touch()
        done = nvemu("install", "--prefix", prefix, "--gpus", "t4", "--driver", "555.58.02")
        assert done.returncode == 0
        assert what_nvemu_sees(prefix / "lib").stdout.startswith("1 555.58.02\n")
        assert [path.name for path in (prefix / "lib").glob("libcuda.so.*.*")] == [
            "libcuda.so.555.58.02"
        ]
        assert not (prefix / "emulator" / "runtime" / "old.py").exists()

    def test_are_refused(self, nvemu: Nvemu, prefix: Path) -> None:
        prefix.mkdir(parents=True)
        (prefix / "precious").write_text("mine")
        done = nvemu("install", "--prefix", prefix)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr == (
            f"nvemu: invalid value for '--prefix': {prefix} has other files: choose another "
            "folder, or --force (see `nvemu install --help`)\n"
        )
        assert os.listdir(prefix) == ["precious"]

    def test_are_kept_by_force(self, nvemu: Nvemu, prefix: Path) -> None:
        prefix.mkdir(parents=True)
        (prefix / "precious").write_text("mine")
        for _ in range(2):
            done = nvemu("install", "--prefix", prefix, "--gpus", "t4:2", "--force")
            assert done.returncode == 0
            assert (prefix / "precious").read_text() == "mine"
        assert what_nvemu_sees(prefix / "lib").stdout.startswith("2 ")

    @pytest.mark.parametrize("name", ["lib/libcuda.so.1", "lib.0/x", "boot", "plan.json"])
    def test_are_never_replaced(self, nvemu: Nvemu, prefix: Path, name: str) -> None:
        file = prefix / name
        file.parent.mkdir(parents=True)
        file.write_text("root=/\n")
        done = nvemu("install", "--prefix", prefix, "--force")
        assert done.returncode == 2
        problem = f"{prefix / Path(name).parts[0]} is there already, and not nvemu's"
        assert f"{problem}: choose another folder" in done.stderr
        assert [path for path in prefix.rglob("*") if path.is_file()] == [file]
        assert file.read_text() == "root=/\n"

    def test_of_a_copy_from_elsewhere_are_not_its_own(self, nvemu: Nvemu, prefix: Path) -> None:
        nvemu("install", "--prefix", prefix)
        moved = prefix.with_name("moved")
        prefix.rename(moved)
        assert "is there already" in nvemu("install", "--prefix", moved).stderr

    @pytest.mark.parametrize("boot", [None, "", "root=\n", "root=.\n", "mine"])
    @pytest.mark.parametrize("spelled", [".", "", "lib/..", "{}"])
    def test_of_the_working_directory_are_kept(
        self, nvemu: Nvemu, tmp_path: Path, spelled: str, boot: str | None
    ) -> None:
        """An empty root would be the working directory."""
        files = {"lib/a.rb": "mine", "emulator/b.py": "mine", "plan.json": "{}"}
        files |= {} if boot is None else {"boot": boot}
        for name, text in files.items():
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text(text)
        for options in ((), ("--force",)):
            named = spelled.format(tmp_path)
            done = nvemu("install", "--prefix", named, *options, cwd=tmp_path)
            assert (done.returncode, done.stdout) == (2, "")
            problem = "is there already, and not nvemu's" if named else "found an empty name"
            assert problem in done.stderr
        found = [path for path in tmp_path.rglob("*") if path.is_file()]
        assert {str(path.relative_to(tmp_path)): path.read_text() for path in found} == files

    @pytest.mark.parametrize(
        ("name", "problem"),
        [
            ("a:b", "cannot go on LD_LIBRARY_PATH"),
            ("a;b", "cannot go on LD_LIBRARY_PATH"),
            ("a\nb", "cannot go on LD_LIBRARY_PATH"),
            (os.fsdecode(b"p\xff"), "its name is not UTF-8"),
        ],
    )
    def test_under_a_name_that_cannot_be_used(
        self, nvemu: Nvemu, tmp_path: Path, name: str, problem: str
    ) -> None:
        done = nvemu("install", "--prefix", tmp_path / name / "in" / "it")
        assert (done.returncode, done.stderr.count("\n")) == (2, 1)
        assert problem in done.stderr
        assert os.listdir(tmp_path) == []

    def test_in_place_of_the_folder(self, nvemu: Nvemu, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        done = nvemu("install", "--prefix", tmp_path / "file")
        assert (done.returncode, done.stderr) == (2, f"nvemu: {tmp_path}/file: File exists\n")


SCENARIO = """
strict = true
loader = { cuda = ["absent", "not-elf"], nvml = ["wrong-class", "present"] }
[environment]
CUDA_VISIBLE_DEVICES = "0, 1"
[[gpu]]
profile = "t4"
count = 2
"""


class TestScenario:
    @pytest.fixture
    def file(self, tmp_path: Path) -> Path:
        file = tmp_path / "lab.toml"
        file.write_text(SCENARIO)
        return file

    def test_has_its_loader_states_and_variables(
        self, nvemu: Nvemu, prefix: Path, file: Path
    ) -> None:
        done = nvemu("install", "--prefix", prefix, "--scenario", file)
        assert done.stdout == (
            f'ENV LD_LIBRARY_PATH={prefix}/lib.0:{prefix}/lib\nENV CUDA_VISIBLE_DEVICES="0, 1"\n'
        )
        assert "nvemu: the scenario is strict: only `nvemu run` and tests report" in done.stderr
        path = done.stdout.splitlines()[0].removeprefix(SHELL)
        assert what_nvemu_sees(Path(path)).stdout.startswith(f"2 {NEWEST}\n")
        cuda = run([sys.executable, "-c", "import ctypes; ctypes.CDLL('libcuda.so.1')"], path)
        assert f"OSError: {prefix}/lib/libcuda.so.1: invalid ELF header\n" in cuda.stderr

    def test_is_laid_out_anew_without_the_copies_of_before(
        self, nvemu: Nvemu, prefix: Path, file: Path
    ) -> None:
        nvemu("install", "--prefix", prefix, "--scenario", file)
        nvemu("install", "--prefix", prefix, "--scenario", "default")
        assert not (prefix / "lib.0").exists()
        assert (prefix / "lib" / "libcuda.so.1").exists()

    def test_with_functions_says_what_the_image_must_have(self, tmp_path: Path) -> None:
        (tmp_path / "hooks.py").write_text("def answer(call): ...\n")
        text = f'[[fault]]\nfunction = "nvmlInit*"\nrun = "{tmp_path}/hooks.py:answer"\n'
        lines = list(doubts(tmp_path, plan_of(loads(text))))
        assert lines[-1] == (
            f"the scenario runs functions of {tmp_path}/hooks.py: the image must have it in the "
            "same place"
        )

    def test_with_a_mistake_leaves_no_folder(self, nvemu: Nvemu, prefix: Path, file: Path) -> None:
        file.write_text("[loader]\nnvml = { state = 'missing-symbols', symbols = 'x*' }\n")
        done = nvemu("install", "--prefix", prefix, "--scenario", file)
        assert done.returncode == 2
        assert done.stderr.startswith(f"nvemu: {file}:2: loader.nvml.symbols[0]: expected a func")
        assert not prefix.exists()


class TestAdvice:
    @pytest.mark.skipif(LIBPYTHON is None, reason="no libpython to embed")
    def test_for_a_shell_does_what_it_says(self, nvemu: Nvemu, tmp_path: Path, host: Path) -> None:
        prefix = tmp_path / "my gpus"
        done = nvemu("install", "--prefix", prefix, "--gpus", "t4:2", "--print", "shell")
        script = f"{done.stdout}echo $LD_LIBRARY_PATH; {shlex.quote(str(host))} init count"
        said = run(["sh", "-c", script], "/mine")
        assert said.stdout == f"{prefix}/lib:/mine\ninit: 0\ncount: 0 2\n"
        alone = run(["sh", "-c", f"{done.stdout}echo $LD_LIBRARY_PATH"], "")
        assert alone.stdout == f"{prefix}/lib\n"

    @pytest.mark.parametrize(
        ("value", "written"),
        [
            ("/opt/nvemu/lib", "/opt/nvemu/lib"),
            ("/opt/my gpus/lib", '"/opt/my gpus/lib"'),
            ('a"b\\c$d', '"a\\"b\\\\c\\$d"'),
            ("", '""'),
        ],
    )
    def test_for_a_dockerfile_is_quoted(self, value: str, written: str) -> None:
        assert in_dockerfile(value) == written

    def test_for_ldconfig_puts_it_into_the_cache(
        self, nvemu: Nvemu, prefix: Path, tmp_path: Path
    ) -> None:
        done = nvemu("install", "--prefix", prefix, "--print", "ldconfig")
        command = done.stdout.strip()
        assert command.endswith(" > /etc/ld.so.conf.d/000-nvemu.conf && ldconfig")
        conf, cache = tmp_path / "conf", tmp_path / "cache"
        command = command.partition(" > ")[0]
        conf.write_text(run(["sh", "-c", command], "").stdout)
        ldconfig = shutil.which("ldconfig", path="/usr/sbin:/sbin:/usr/bin")
        assert ldconfig is not None
        run([ldconfig, "-X", "-f", conf, "-C", cache], "")
        listing = run([ldconfig, "-C", cache, "-p"], "").stdout
        assert f"=> {prefix}/lib/libcuda.so.1\n" in listing
        assert f"=> {prefix}/lib/libnvidia-ml.so.1\n" in listing
        before = self.links(prefix / "lib")
        assert len(before) == 4
        run([ldconfig, "-n", prefix / "lib"], "")
        assert self.links(prefix / "lib") == before

    def links(self, folder: Path) -> dict[str, str]:
        return {path.name: os.readlink(path) for path in folder.iterdir() if path.is_symlink()}

    @pytest.mark.parametrize(
        ("states", "problem"),
        [
            ('"empty"', "ldconfig leaves out a cuda library that is empty: use LD_LIBRARY_PATH"),
            ('["present", "present"]', "ldconfig keeps one copy of the cuda library"),
        ],
    )
    def test_for_ldconfig_is_refused_where_it_would_not_do(
        self, nvemu: Nvemu, prefix: Path, tmp_path: Path, states: str, problem: str
    ) -> None:
        file = tmp_path / "lab.toml"
        file.write_text(f"[loader]\ncuda = {states}\n")
        done = nvemu("install", "--prefix", prefix, "--scenario", file, "--print", "ldconfig")
        assert done.returncode == 2
        assert problem in done.stderr
        assert not prefix.exists()
