"""The command `nvemu`: one module for each command, imported when it is used."""

from __future__ import annotations

import signal
import sys

import click

from ..version import __version__
from .ending import refuse
from .groups import LazyGroup

__all__ = ["cli", "main"]

COMMANDS = {
    "compare": "Compare a recorded machine with what nvemu knows of its products.",
    "ctl": "Look at what running programs find, and change it.",
    "devices": "Show the GPUs that a program finds here through NVML and CUDA.",
    "doctor": "Say why a program did not find its GPU, or what is wrong here.",
    "fuzz": "Find scenarios that break a program, by drawing them.",
    "import": "Make a scenario of what somebody wrote down of a machine.",
    "install": "Lay a machine with scripted GPUs out in a folder, for an image.",
    "record": "Record this machine's driver and GPUs as a scenario.",
    "run": "Run a program on a machine with scripted GPUs.",
    "scenarios": "List, show, check and resolve scenarios.",
    "stubs": "Where the stub libraries are, to put on LD_LIBRARY_PATH by hand.",
    "symbols": "List recorded symbol tables and compare libraries with them.",
    "trace": "Run a program and write down its calls, as strace does.",
}

# What a user's mistake raises, by the module that declares it.
MISTAKES = {
    "emulator.control": "JournalError",
    "emulator.doctor.syscalls": "StraceMissingError",
    "emulator.recording.following": "CallerError",
    "emulator.scenario": "ScenarioError",
    "emulator.stubfiles": "StubsMissingError",
    "emulator.symbols": "SymbolsError",
    "emulator.testbed": "TestbedError",
    "emulator.testbed.running": "NotRunningError",
}


@click.group(
    cls=LazyGroup,
    lines=COMMANDS,
    modules={"import": "import_"},  # a keyword
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, prog_name="nvemu")
def cli() -> None:
    """Scripted NVIDIA GPUs on machines that have none."""


def main() -> None:
    """Run the command line; a user's mistake is one line on stderr and exit status 2."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # a Ctrl-C ends nvemu as it ends others
    try:
        status = cli.main(prog_name="nvemu", standalone_mode=False)
    except click.ClickException as error:
        refuse(_sentence(error))
    except OSError as error:
        refuse(": ".join(str(part) for part in (error.filename, error.strerror) if part))
    except Exception as error:
        if not _is_mistake(error):
            raise
        refuse(str(error))
    sys.exit(status)


def _sentence(error: click.ClickException) -> str:
    text = error.format_message()
    text = text.rstrip(".")
    if not text[1:2].isupper():  # the name of an argument: LIBRARY
        text = text[:1].lower() + text[1:]
    context = error.ctx if isinstance(error, click.UsageError) else None
    return f"{text} (see `{context.command_path} --help`)" if context else text


def _is_mistake(error: Exception) -> bool:
    """Whether a user caused it; what is not loaded has not raised it, and stays so."""
    return any(
        isinstance(error, getattr(sys.modules[module], name))
        for module, name in MISTAKES.items()
        if module in sys.modules
    )
