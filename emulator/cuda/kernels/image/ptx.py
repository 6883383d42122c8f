"""PTX: what a module's text declares. Bodies are not compiled.

So of a kernel compiled from PTX the registers are an estimate: as many as it declares for itself,
but not so many that a block of the size that it is written for would not fit. All else follows from
the text.
"""

from __future__ import annotations

from ... import _status as status
from .architecture import Architecture, newest_ptx
from .error import ImageError
from .model import LARGEST_ARGUMENTS, Image, Kernel, Variable
from .provided import is_provided
from .ptxbody import check_body
from .ptxdata import Declaration, addresses, initial, number
from .ptxkernel import direct, parameters
from .ptxtext import Statement, declared, mentions, plain, statements, syntax_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional

__all__ = ["is_text", "read"]

#: Directives that end without a semicolon -> how many words follow, beside more behind commas.
HEADERS = {".version": 1, ".target": 1, ".address_size": 1, ".file": 2}

COMMENTS = {b"//": b"\n", b"/*": b"*/"}  # what begins one -> what ends it
SPACE = b" \t\r\n\v\f"

LINKAGE = (".visible", ".weak", ".common", ".extern")
REGISTER_FILE = 65536  # 32-bit registers of a block, on all architectures since sm_30 but two
MOST_REGISTERS, LEAST_REGISTERS = 255, 8
MOST_THREADS = 1024
TOO_NEW = "SM version specified by .target is higher than default SM version assumed"


def is_text(data: bytes) -> bool:
    """Whether it begins as PTX does: with its version, behind space and comments.

    Text that begins with another directive is no image to a real driver (lupinemachines/lupine,
    issue 440).
    """
    place = 0
    while place < len(data):
        mark = data[place : place + 2]
        if mark in COMMENTS:
            place = data.find(COMMENTS[mark], place + 2)
            if place < 0:
                return False
            place += len(COMMENTS[mark])
        elif mark[0] in SPACE:
            place += 1
        else:
            break
    return data.startswith(b".version", place)


def read(data: bytes, device: tuple[int, int], cuda_version: int, registers: int = 0) -> Image:
    """The kernels and variables of a module compiled for a device; its threads take at most so many
    registers, if a bound is given.

    Raises:
        ImageError: UNSUPPORTED_PTX_VERSION for PTX newer than the driver, NO_BINARY_FOR_GPU for a
            later architecture, INVALID_PTX for what cannot be read.
    """
    text = data.decode("utf-8", "replace")
    return _Reader(text, device, cuda_version, registers or MOST_REGISTERS).image


class _Reader:
    """Reads one module."""

    def __init__(
        self, text: str, device: tuple[int, int], cuda_version: int, registers: int
    ) -> None:
        self.image = Image()
        self._line = text[: text.find(".version")].count("\n") + 1
        self._device = device
        self._cuda_version = cuda_version
        self._most_registers = min(registers, MOST_REGISTERS)
        self._target: Optional[Architecture] = None
        self._shared: dict[str, int] = {}
        self._functions: dict[str, bool] = {}  # name -> whether it has a body
        self._bodies: list[str] = []
        for statement in statements(plain(text)):
            self._strip_headers(statement)
            self._take(statement)
        if self._target is None:
            raise syntax_error(".target")
        self.image.functions = [name for name, has_body in self._functions.items() if has_body]
        self.image.undefined = [
            name
            for name, has_body in self._functions.items()
            if not has_body
            and not is_provided(name)
            and any(mentions(body, name) for body in self._bodies)
        ]

    # ---- the module's own directives

    def _strip_headers(self, statement: Statement) -> None:
        words = statement.words
        while words and words[0] in HEADERS:
            count = HEADERS[words[0]]
            while words[count + 1 : count + 2] == [","]:
                count += 2
            values = words[1 : count + 1]
            if len(values) < count:
                raise syntax_error(words[0], self._line)
            if words[0] == ".version":
                self._check_version(values[0])
            elif words[0] == ".target":
                self._set_target(values[0])
            words = words[count + 1 :]
        statement.words = words

    def _check_version(self, text: str) -> None:
        parts = text.split(".")
        if len(parts) != 2 or not all(part.isdecimal() for part in parts):
            raise syntax_error(text, self._line)
        newest = newest_ptx(self._cuda_version)
        if (int(parts[0]), int(parts[1])) > newest:
            where = f"ptxas application ptx input, line {self._line}; fatal   : "
            current = "{}.{}".format(*newest)
            problem = f"Unsupported .version {text}; current version is '{current}'"
            raise ImageError(status.UNSUPPORTED_PTX_VERSION, where + problem)

    def _set_target(self, text: str) -> None:
        self._target = Architecture.parse(text)
        if self._target is None:
            raise syntax_error(text, self._line)
        if not self._target.runs_ptx(self._device):
            raise ImageError(status.NO_BINARY_FOR_GPU, f"ptxas fatal   : {TOO_NEW}")

    # ---- what it declares

    def _take(self, statement: Statement) -> None:
        words = statement.words
        if not statement.is_ended:
            if words:
                raise syntax_error(words[0])
        elif ".entry" in words:
            self._take_kernel(words, statement.block)
        elif ".func" in words:
            self._take_function(words, statement.block)
        elif statement.block is None:
            is_extern = ".extern" in words
            linkage, words = words, [word for word in words if word not in LINKAGE]
            if words[:1] and words[0] in (".global", ".const", ".tex"):
                self._note_linkage(
                    self._take_variable(words, statement.initial, is_extern), linkage
                )
            elif words[:1] == [".shared"] and not is_extern:
                made = Declaration(words)
                self._shared[made.name] = made.size
            elif words and words[0][0] != ".":
                raise syntax_error(words[0])
        elif words[:1] != [".section"]:
            raise syntax_error(words[0] if words else "{")

    def _note_linkage(self, name: str, words: list[str]) -> None:
        if ".weak" in words or ".common" in words:
            self.image.weak.add(name)
        elif ".visible" not in words:
            self.image.private.add(name)

    def _take_variable(self, words: list[str], text: str, is_extern: bool) -> str:
        made = Declaration(words)
        if ".texref" in words or words[0] == ".tex":
            self.image.textures.append(made.name)
        elif ".surfref" in words:
            self.image.surfaces.append(made.name)
        elif not is_extern and ".samplerref" not in words:
            data = initial(text, made) if text else b""
            size = len(data) if made.open else made.size
            variable = self.image.variables[made.name] = Variable(
                made.name,
                size,
                data[:size],
                align=made.align,
                constant=words[0] == ".const",
                managed=".managed" in words,
            )
            if text:
                variable.addresses = addresses(text, made)
        return made.name

    def _take_function(self, words: list[str], block: Optional[str]) -> None:
        behind = words[words.index(".func") + 1 :]
        if behind[:1] == ["("] and ")" in behind:  # what it returns
            behind = behind[behind.index(")") + 1 :]
        while behind[:1] and behind[0].startswith("."):
            behind = behind[1:]
        if not behind:
            raise syntax_error(".func")
        self._functions[behind[0]] = self._functions.get(behind[0], False) or block is not None
        if block is not None:
            self._note_linkage(behind[0], words)
            self._take_body(block)

    def _take_kernel(self, words: list[str], block: Optional[str]) -> None:
        behind = words[words.index(".entry") + 1 :]
        if not behind or not (behind[0][0].isalpha() or behind[0][0] in "_$%"):
            raise syntax_error(behind[0] if behind else ".entry")
        if block is None:
            return  # declared only
        binary = self._device[0] * 10 + self._device[1]
        target = self._target.number if self._target else binary
        kernel = Kernel(behind[0], binary, target)
        behind = behind[1:]
        if behind[:1] == ["("]:
            if ")" not in behind:
                raise syntax_error("(")
            close = behind.index(")")
            kernel.parameters = parameters(behind[1:close])
            if kernel.argument_size > LARGEST_ARGUMENTS:
                raise syntax_error(kernel.name)
            behind = behind[close + 1 :]
        direct(kernel, behind)
        self._measure(kernel, block, behind)
        self.image.kernels[kernel.name] = kernel
        self._take_body(block)

    def _take_body(self, body: str) -> None:
        check_body(body)
        self._bodies.append(body)

    def _measure(self, kernel: Kernel, body: str, directives: list[str]) -> None:
        """What a thread and a block of a kernel take."""
        kernel.local = sum(Declaration(words).size for words in declared(body, ".local"))
        own = sum(Declaration(words).size for words in declared(body, ".shared"))
        named = sum(size for name, size in self._shared.items() if mentions(body, name))
        kernel.shared = own + named
        kernel.constant = sum(v.size for v in self.image.variables.values() if v.constant)
        registers = [Declaration(words) for words in declared(body, ".reg")]
        count = sum(-(-each.unit // 4) * each.count for each in registers)
        most = min(self._most_registers, REGISTER_FILE // (kernel.max_threads or MOST_THREADS))
        if ".maxnreg" in directives[:-1]:
            most = min(most, number(directives[directives.index(".maxnreg") + 1]))
        kernel.registers = max(LEAST_REGISTERS, min(count, most))
