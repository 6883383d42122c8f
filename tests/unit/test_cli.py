"""The command line as a whole: help, mistakes, and ends that are nobody's mistake."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable

import pytest

from emulator.cli import COMMANDS
from emulator.version import __version__

Nvemu = Callable[..., subprocess.CompletedProcess[str]]

SUBCOMMANDS = [
    ["devices"],
    ["run"],
    ["scenarios", "list"],
    ["scenarios", "resolve"],
    ["scenarios", "show"],
    ["scenarios", "validate"],
    ["stubs", "path"],
    ["symbols", "diff"],
    ["symbols", "list"],
]


class TestHelp:
    @pytest.mark.parametrize("command", SUBCOMMANDS, ids=" ".join)
    def test_says_what_a_command_does(self, nvemu: Nvemu, command: list[str]) -> None:
        done = nvemu(*command, "--help")
        assert done.returncode == 0
        usage, _, purpose, *_ = done.stdout.splitlines()
        assert usage.startswith(f"Usage: nvemu {' '.join(command)} ")
        assert purpose.startswith("  ")

    @pytest.mark.parametrize("group", [[], ["scenarios"], ["stubs"], ["symbols"]])
    def test_is_what_a_group_without_a_command_shows(self, nvemu: Nvemu, group: list[str]) -> None:
        done = nvemu(*group)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr == nvemu(*group, "--help").stdout

    def test_lists_every_command(self, nvemu: Nvemu) -> None:
        listed = nvemu("--help").stdout.partition("Commands:\n")[2]
        assert [row.split()[0] for row in listed.splitlines()] == sorted(COMMANDS)

    def test_of_a_group_is_not_cut_short(self, nvemu: Nvemu) -> None:
        for group in ("scenarios", "stubs", "symbols"):
            assert "..." not in nvemu(group, "--help").stdout.partition("Commands:")[2]

    @pytest.mark.parametrize("command", [[], ["scenarios"], *SUBCOMMANDS], ids=" ".join)
    def test_may_be_asked_for_with_one_letter(self, nvemu: Nvemu, command: list[str]) -> None:
        done = nvemu(*command, "-h")
        assert (done.returncode, done.stdout) == (0, nvemu(*command, "--help").stdout)

    def test_says_the_same_of_a_group_in_the_list_and_its_own(self, nvemu: Nvemu) -> None:
        for group in ("scenarios", "stubs", "symbols"):
            assert nvemu(group, "-h").stdout.splitlines()[2].strip() == COMMANDS[group]

    def test_version(self, nvemu: Nvemu) -> None:
        assert nvemu("--version").stdout == f"nvemu, version {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["devises"], "no such command 'devises'"),
        (["--no-such-option"], "no such option '--no-such-option'"),
        (["scenarios", "shw"], "no such command 'shw'"),
        (
            ["symbols", "list", "--driver", "550.163.01", "/dev/null"],
            "LIBRARY and --driver exclude each other",
        ),
        (["devices", "argument"], "got unexpected extra argument"),
    ],
)
def test_a_mistake_is_one_line(nvemu: Nvemu, arguments: list[str], complaint: str) -> None:
    done = nvemu(*arguments)
    assert done.stderr.startswith(f"nvemu: {complaint}")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)


def test_a_folder_that_cannot_be_written_is_one_line(nvemu_command: list[str]) -> None:
    command = [*prepared(nvemu_command, "import tempfile; tempfile.tempdir = '/proc'"), "run", "sh"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stderr.startswith("nvemu: /proc/nvemu-")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)


def prepared(nvemu_command: list[str], statements: str) -> list[str]:
    """`nvemu` with something done in its process first."""
    python, option, program = nvemu_command
    return [python, option, program.replace("main()", f"{statements}; main()")]


class TestEnds:
    def test_ctrl_c_is_quiet_and_ends_nvemu_as_it_ends_others(
        self, nvemu_command: list[str]
    ) -> None:
        hangs = "lambda: (print('ready', flush=True), signal.pause())"
        statements = f"import emulator.cli.devices as d, signal; d.nvml_client.find = {hangs}"
        command = prepared(nvemu_command, statements)
        with subprocess.Popen(
            [*command, "devices"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as nvemu:
            assert nvemu.stdout is not None
            nvemu.stdout.readline()
            nvemu.send_signal(signal.SIGINT)
            assert nvemu.communicate(timeout=60) == ("", "")
        assert nvemu.returncode == -signal.SIGINT  # a shell's 130

    @pytest.mark.parametrize("command", ["scenarios list", "symbols list", "devices", "--help"])
    def test_a_reader_that_left_is_no_mistake(self, nvemu: Nvemu, command: str) -> None:
        reading, writing = os.pipe()
        os.close(reading)
        done = nvemu(*command.split(), capture_output=False, stdout=writing, stderr=subprocess.PIPE)
        os.close(writing)
        assert (done.returncode, done.stderr) == (1, "")
