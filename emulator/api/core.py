"""An API as a whole: its declarations, the handlers written for it, its state in this process."""

from __future__ import annotations

from .ctype import Types
from .declaration import Function
from .handle import SIZE, Handles

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any, Callable, Iterable, Mapping, Optional, Sequence, TypeVar, Union

    from ..machine import Device, Machine
    from .declaration import Parameter

    Decorated = TypeVar("Decorated", bound=Callable[..., Any])

__all__ = ["Api", "ApiError", "Codes", "Handler", "Library"]


class ApiError(Exception):
    """Raised by a handler: the call returns `code` and writes nothing."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class Codes:
    """The status codes that an API returns for what can go wrong in any of its functions.

    `failed` has the code of each failure of a device that a call with its handle returns.
    """

    __slots__ = (
        "failed",
        "insufficient_size",
        "invalid_argument",
        "invalid_handle",
        "no_permission",
        "not_supported",
        "uninitialized",
        "unknown",
        "version_mismatch",
    )

    def __init__(  # noqa: PLR0913  (a declaration, all of it by name)
        self,
        *,
        uninitialized: int,
        invalid_argument: int,
        invalid_handle: dict[str, int],
        insufficient_size: int,
        version_mismatch: int,
        no_permission: int,
        not_supported: int,
        unknown: int,
        failed: Mapping[str, int],
    ) -> None:
        self.uninitialized = uninitialized
        self.invalid_argument = invalid_argument
        self.invalid_handle = invalid_handle  # by handle type; others: invalid_argument
        self.insufficient_size = insufficient_size
        self.version_mismatch = version_mismatch
        self.no_permission = no_permission
        self.not_supported = not_supported
        self.unknown = unknown
        self.failed = failed


class Handler:
    """The Python function that answers one or more API functions."""

    __slots__ = ("answer", "anytime", "given", "keys", "nullable", "raw", "sizes")

    def __init__(
        self,
        answer: Callable[..., Any],
        *,
        anytime: bool,
        sizes: bool,
        nullable: Sequence[str],
        raw: Sequence[str],
        given: Mapping[str, Union[str, int, None]],
    ) -> None:
        code = answer.__code__
        self.answer = answer
        self.anytime = anytime
        self.sizes = sizes
        self.nullable = nullable
        self.raw = raw
        self.given = given
        self.keys = code.co_varnames[: code.co_argcount]


class Library:
    """An API's state in this process: the machine behind it and the handles it gave out."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.machine: Machine
        self.plan: Mapping[str, Any] = {}
        self.devices: list[Device] = []  # those that clients see, since initialisation
        self.ready = False
        self.asked = False  # whether an init was called, whatever came of it
        self.observer: Optional[Callable[..., None]] = None  # as `note`
        # The Python function of what the plan has under `run`.
        self.find_function: Callable[[Any], Callable[..., Any]]
        self.say_once: Callable[[str], None] = lambda text: None  # one line on stderr
        # Says once that a scenario's function, as the plan has it, failed with an error; False if
        # not it is to blame but a signal handler of the host.
        self.blames: Callable[[str, Any, BaseException], bool] = lambda text, what, error: True
        # Remembers what was asked for and not done, which a strict scenario fails on.
        self.miss: Callable[[str], None] = lambda name: None
        # Where the loaded stub has a function; 0 for a name that it does not export.
        self.symbol_address: Callable[[str], int] = lambda name: 0
        self._handles: dict[str, Handles] = {}

    def note(
        self, function: str, arguments: dict[str, Any], code: int, began: Optional[int] = None
    ) -> None:
        """Tell the trace of a call that came by no slot: of a function in a private table, say.

        `began` is when it began, in nanoseconds of the system's clock; None for right now.
        """
        if self.observer is not None:
            self.observer(self, function, arguments, code, began)

    def handles(self, type_name: str) -> Handles:
        """The handles of one type, such as `nvmlDevice_t`."""
        known = self._handles.get(type_name)
        if known is None:
            known = self._handles[type_name] = Handles(self.api.handle_size)
        return known

    def reset(self, machine: Machine, plan: Mapping[str, Any]) -> None:
        """Stand in front of `machine`, built from `plan`, as a library that was just loaded."""
        self.machine = machine
        self.plan = plan
        self.devices = []
        self.ready = False
        self.asked = False
        for handles in self._handles.values():
            handles.clear()

    def early_checks(self, function: str) -> Iterable[tuple[Sequence[str], str, int, bool]]:
        """What `function` looks at before it asks whether the library is initialised.

        Parameters by their C names; "=" when the code is returned because all are zero, "~"
        because they are no number and no handle that could be right, uninitialised; the code; and
        whether only from the first init on (`asked`). Without parameters: the code that stands for
        "not initialised".
        """
        return ()

    def decoder(self, type_name: str, function: str) -> Optional[Callable[[int], Any]]:
        """What makes an object of a handle of this type in a call of `function`, or raises.

        None: the object is looked up among `handles`.
        """
        return None

    def constants(self, function: str) -> Mapping[str, str]:
        """What handlers of `function` may take beside its parameters: name -> Python literal."""
        return {}

    def failures(self, function: str) -> Mapping[str, int]:
        """What `function` answers for a device that has failed, by what is the matter with it."""
        return self.api.codes.failed

    def failed_with(self, function: str, code: int) -> None:
        """A fault of the scenario has answered `function` with `code`: what follows from that."""

    def describe(self, obj: Any, value: int) -> str:
        """How a trace names the object behind a handle; `obj` is None when there is none."""
        return hex(value) if obj is None else str(obj)

    def forked(self) -> None:
        """This process is the child of a fork: what does not survive one is dropped here."""


class Api:
    """An API: `nvml` or `cuda`.

    `functions` is the generated module with FINGERPRINT and FUNCTIONS;
    `handle_types` are the types whose values stand for objects of ours, `device_types` those of
    devices; `device_keys` are the parameters that devices are looked up by, and what they hold of
    one: "index", "uuid", "serial" or "pci". `truncates_text` says that a string too long for the
    client's buffer is cut off rather than refused. `handle_size` is the bytes of memory behind a
    handle. `variants` are suffixes of functions that are answered as those without it.
    """

    def __init__(  # noqa: PLR0913  (a declaration, all of it by name)
        self,
        *,
        name: str,
        soname: str,
        status: str,
        prefix: str,
        functions: ModuleType,
        handle_types: frozenset[str],
        device_types: frozenset[str],
        device_keys: Mapping[str, str],
        codes: Codes,
        truncates_text: bool = False,
        handle_size: int = SIZE,
        variants: Sequence[str] = (),
    ) -> None:
        self.name = name
        self.soname = soname
        self.package = functions.__name__.rpartition(".")[0]
        self.status = status
        self.prefix = prefix
        self.handle_types = handle_types
        self.device_types = device_types
        self.device_keys = device_keys
        self.codes = codes
        self.truncates_text = truncates_text
        self.handle_size = handle_size
        self.variants = variants
        self.fingerprint: str = functions.FINGERPRINT
        self._types: Optional[Types] = None
        self.handlers: dict[str, Handler] = {}  # those imported so far
        self.modules: dict[str, str] = {}  # function -> module that has its handler
        self._placed: Optional[Mapping[str, str]] = None
        self._rows: dict[str, str] = functions.FUNCTIONS
        self._names: list[str] = []
        self._functions: dict[int, Function] = {}  # those read so far, by slot
        self._status_names: dict[int, str] = {}

    @property
    def types(self) -> Types:
        """The API's C types; their tables are imported now, as simple functions need none."""
        if self._types is None:
            tables = __import__(self.package + "._types", fromlist=["STRUCTS"])
            self._types = Types(tables.NAMES, tables.STRUCTS, tables.ENUMS)
        return self._types

    def questions(self, struct: str) -> Sequence[str]:
        """Which fields of a struct that both sides fill in are the client's question."""
        declared = __import__(self.package + ".questions", fromlist=["STRUCT_INPUTS"])
        fields: Sequence[str] = declared.STRUCT_INPUTS.get(self.types.resolve(struct), ())
        return fields

    def place(self, modules: Mapping[str, str]) -> None:
        """Say which modules of the package have handlers: each with its functions' names."""
        if modules is not self._placed:
            self._placed = modules
            self.modules = {
                name: module for module, names in modules.items() for name in names.split()
            }

    def is_handled(self, name: str) -> bool:
        """Whether some module has a handler for this function."""
        return name in self.modules

    def is_anytime(self, name: str) -> bool:
        """Whether the handler that was imported for this function works uninitialised."""
        known = self.handlers.get(name)
        return known is not None and known.anytime

    def handler(self, name: str) -> Optional[Handler]:
        """The handler of this function, its module imported now; None when there is none."""
        if name not in self.handlers and name in self.modules:
            __import__(self.package + "." + self.modules[name])
        return self.handlers.get(name)

    @property
    def names(self) -> list[str]:
        """All functions of the API, in the order of their slots."""
        if not self._names:
            self._names = list(self._rows)
        return self._names

    def function(self, slot: int) -> Function:
        """The function that a slot belongs to."""
        known = self._functions.get(slot)
        if known is None:
            name = self.names[slot]
            known = self._functions[slot] = Function(name, slot, self._rows[name])
        return known

    def find(self, name: str) -> Function:
        """The function of this name; ValueError when the API has none."""
        return self.function(self.names.index(name))

    def status_name(self, code: int) -> str:
        """`GPU_IS_LOST` for 15; the number itself when the header has no name for it."""
        if not self._status_names:
            for name, value in self.types.members(self.status).items():
                self._status_names.setdefault(value, self.short(name))
        return self._status_names.get(code) or str(code)

    def device_parameter(self, function: Function) -> Optional[Parameter]:
        """The parameter that says which device a call is about; None when there is none.

        That is the device's handle, or, in a function that answers one, what it is looked up by.
        """
        parameters = function.parameters or ()
        found = [p for p in parameters if p.type in self.device_types and not p.is_pointer]
        if not found and any(p.type in self.device_types and p.is_output for p in parameters):
            found = [p for p in parameters if p.name in self.device_keys]
        return found[0] if found else None

    @property
    def prefixes(self) -> tuple[str, str]:
        """What the names of status codes begin with, the longer one first."""
        return self.prefix + "ERROR_", self.prefix

    def short(self, name: str) -> str:
        """A status code's name without the API's prefix."""
        for prefix in self.prefixes:
            if name.startswith(prefix):
                return name[len(prefix) :]
        return name

    def implements(
        self,
        *names: str,
        anytime: bool = False,
        sizes: bool = False,
        nullable: Sequence[str] = (),
        raw: Sequence[str] = (),
        given: Mapping[str, Union[str, int, None]] = {},
    ) -> Callable[[Decorated], Decorated]:
        """Answer the functions `names` with the decorated one.

        Its parameters are named after the C parameters, in snake_case, and it takes those it needs,
        decoded; one with the API's own name (`nvml`, `cuda`) is the API's state in this process. It
        returns what the function puts out: nothing, one value, or a tuple in the order of the
        declaration; a struct as a dict of fields, an array as a list. None, also as a field, is
        what the device does not have: NOT_SUPPORTED.

        Args:
            names: the functions, which may be versions of one that differ in what else they take.
            anytime: it may be called before initialisation.
            sizes: without an array to fill, the call succeeds and says how many elements there are.
            nullable: C parameters that may be NULL; an input is None then, an output not written.
            raw: C parameters that are handed over as the words they are, unchecked; an output is
                the handler's to write.
            given: what the handler takes by names of its own, where it answers functions that are
                alike: a number, None, or a C parameter.

        Raises:
            LookupError: the API has no such function, or another module has its handler.
        """

        def register(answer: Decorated) -> Decorated:
            handler = Handler(
                answer, anytime=anytime, sizes=sizes, nullable=nullable, raw=raw, given=given
            )
            for name in names:
                if name not in self._rows:
                    raise LookupError(f"{name} is not a function of {self.name}")
                for variant in ("", *self.variants):
                    if name + variant in self._rows:
                        self._add(name + variant, handler)
            return answer

        return register

    def _add(self, name: str, handler: Handler) -> None:
        """Which of two modules would answer is else a matter of the order of imports. A module
        whose import was broken off is imported again."""
        known = self.handlers.get(name)
        if known is not None and known.answer.__module__ != handler.answer.__module__:
            raise LookupError(f"{name} has a handler in {known.answer.__module__}")
        self.handlers[name] = handler
