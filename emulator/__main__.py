"""`python -m emulator` is `nvemu`."""

from .cli import main

main()
