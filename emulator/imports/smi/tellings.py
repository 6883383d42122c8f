"""What is told of one GPU as its fields are read: figures, notes and faults, with their places."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NoReturn

from ...scenario import Fault, ScenarioError, ScenarioFileError, UnknownNameError
from ..facts import Note, Told
from ..figures import checked
from .behind import texts_of
from .states import has_failed, silent_fields
from .trees.tree import Node
from .units import Reader

__all__ = ["Telling"]


@dataclass
class Telling:
    """What is told of one GPU so far.

    Attributes:
        gpu: the element <gpu>.
        index: its place among those in the file.
        file: what messages call the file.
        driver: the machine's driver version, empty if it is not told.
    """

    gpu: Node
    index: int
    file: str
    driver: str = ""
    told: list[Told] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)

    @cached_property
    def has_failed(self) -> bool:
        """Whether the GPU was lost or needed a reset, so that most functions failed."""
        return has_failed(self.gpu)

    @cached_property
    def _silent(self) -> tuple[str, ...]:
        return silent_fields(self.gpu)

    @cached_property
    def _texts(self) -> Mapping[tuple[str, ...], set[str]]:
        return texts_of(self.gpu)

    def says_nothing(self, path: str) -> bool:
        """Whether "N/A" of a field says nothing of the product: it is the GPU's state that does."""
        return self.has_failed or any(f"{path}/".startswith(f"{each}/") for each in self._silent)

    def answered_alike(self, functions: tuple[str, ...]) -> bool:
        """Whether all that functions answered is the same: then it is they that failed."""
        return len(self._texts.get(functions, ())) <= 1

    def where(self, path: str, node: Node) -> str:
        """A field's place, as notes have it."""
        return f"line {node.line}, gpu {self.gpu.attributes.get('id', self.index)}, {path}"

    def read(self, reader: Reader, text: str, node: Node) -> tuple[Any, int]:
        """Return what a reader makes of a text of this element, and how exact that is.

        Raises:
            ScenarioFileError: it is no text that nvidia-smi prints there, with the line.
            UnknownNameError: it is a word that newer drivers may print there.
        """
        try:
            return reader(text)
        except UnknownNameError:
            raise
        except ScenarioError as error:
            self.refuse(error.problem, node)

    def tell(self, figure: str, value: Any, path: str, node: Node, step: int = 0) -> None:
        """Say what a figure is: "power.limit".

        Raises:
            ScenarioFileError: a machine cannot have that value, with the line.
        """
        parts = tuple(figure.split("."))
        try:
            value = checked(parts, value)
        except ScenarioError as error:
            self.refuse(error.problem, node)
        self.told.append(Told(parts, value, step, self.where(path, node)))

    def note(self, text: str, path: str, node: Node) -> None:
        """Say something that the user must know."""
        self.notes.append(Note(self.where(path, node), text))

    def refuse(self, problem: str, node: Node) -> NoReturn:
        """Raise what is wrong with an element."""
        problem = f"{node.tag}: {problem}"
        raise ScenarioFileError(problem, file=self.file, line=node.line) from None

    def find(self, figure: str) -> Told | None:
        """What was told of a figure last, None if nothing was."""
        path = tuple(figure.split("."))
        return next((told for told in reversed(self.told) if told.path == path), None)

    def value(self, figure: str) -> Any:
        """What a figure was told to be; None also if nothing was told of it."""
        told = self.find(figure)
        return None if told is None else told.value

    def forget(self, figure: str) -> None:
        """Take back what was told of a figure."""
        path = tuple(figure.split("."))
        self.told = [told for told in self.told if told.path != path]

    def change(self, figure: str, value: Any, step: int) -> None:
        """Say that a figure, of which something was told, is otherwise, and how exactly."""
        told = self.find(figure)
        if told is not None:
            self.forget(figure)
            self.told.append(Told(told.path, value, step, told.where))
