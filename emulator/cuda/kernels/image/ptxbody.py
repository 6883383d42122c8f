"""PTX bodies: a light look at what stands in them, which is not compiled.

It finds prose and what is cut off, and refuses nothing that ptxas takes: statements end with a
semicolon, and between the operands of an instruction are commas. What opcodes there are is not
asked, as compilers write some that no manual has.
"""

from __future__ import annotations

from .ptxtext import syntax_error

__all__ = ["check_body"]

PREPROCESSOR = "#"  # bodies with such lines are taken as they are
LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_$%")


def check_body(body: str) -> None:
    """Check a body without comments and with empty strings; INVALID_PTX."""
    if PREPROCESSOR in body:
        return
    if ".loc" in body:
        lines = (line for line in body.split("\n") if not line.lstrip().startswith(".loc"))
        body = "\n".join(lines)
    *statements, rest = body.split(";")
    for statement in statements:
        _check(statement)
    left = _instruction(rest.replace("}", " } ").split())
    if left and left[0][0] != ".":
        raise syntax_error("}")


def _check(statement: str) -> None:
    words = statement.split()
    if len(words) < 3:
        return  # an opcode and its operands
    words = _instruction(words)
    if not words or words[0][0] == ".":
        return  # a directive
    before = ","
    for word in words[1:]:
        if before[-1] in LETTERS and word[0] in LETTERS and before[0] != ".":
            raise syntax_error(word.rstrip(",")[:40])
        before = word


def _instruction(words: list[str]) -> list[str]:
    """The words of a statement behind the blocks that begin or end there, its labels and guard."""
    place, end = 0, len(words)
    while place < end:
        word = words[place].lstrip("{}")
        if not word or word == ":" or (word[-1] == ":" and word[-2:] != "::"):
            place += 1
        elif words[place + 1 : place + 2] == [":"]:
            place += 2
        elif word[0] == "@":
            place += 1
            while not word.strip("@!") and place < end:  # the predicate stands apart
                word = words[place]
                place += 1
        else:
            return [word, *words[place + 1 :]]
    return []
