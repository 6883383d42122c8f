"""What a program shows in a terminal, once it shows what is awaited or has ended.

    python terminal_client.py PATTERN COMMAND...

PATTERN is a regular expression, looked for in the lines of the screen. The screen is printed in
the end, whether it was found or not; a program that goes on is killed.
"""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import sys
import termios
import time

import pyte

LINES, COLUMNS = 60, 200
LIMIT = 40  # seconds after which what is awaited does not come
#: ncurses draws lines in UTF-8, which is what the terminal reads.
VARIABLES = {"TERM": "xterm-256color", "LC_ALL": "C.UTF-8", "NCURSES_NO_UTF8_ACS": "1"}


def start(command: list[str]) -> tuple[int, int]:
    """Start a program in a terminal of its own; its process id and the terminal's other end."""
    ready, go = os.pipe()
    process, terminal = pty.fork()
    if process == 0:
        os.read(ready, 1)  # programs ask for the terminal's size at once
        os.execvpe(command[0], command, os.environ | VARIABLES)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
    os.write(go, b"!")
    return process, terminal


def read(terminal: int) -> bytes:
    """What came within a moment; nothing where the program has ended."""
    if not select.select([terminal], [], [], LIMIT)[0]:
        return b""
    try:
        return os.read(terminal, 1 << 16)
    except OSError:  # EIO: nobody has the other end any more
        return b""


def watch(terminal: int, awaited: re.Pattern[str]) -> str:
    """The screen when it has what is awaited, or when no more comes."""
    screen = pyte.Screen(COLUMNS, LINES)
    stream = pyte.ByteStream(screen)
    end = time.monotonic() + LIMIT
    shown = ""
    while time.monotonic() < end and (written := read(terminal)):
        stream.feed(written)
        shown = "\n".join(line.rstrip() for line in screen.display)
        if awaited.search(shown):
            break
    return shown


def main(pattern: str, *command: str) -> None:
    """Show the screen."""
    process, terminal = start(list(command))
    try:
        print(watch(terminal, re.compile(pattern, re.MULTILINE)))
    finally:
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)


if __name__ == "__main__":
    main(*sys.argv[1:])
