"""From C arguments to a handler and back: one Python function per bound API function.

The declaration decides everything, so the function is written out as source and compiled, as
`dataclasses` does: a getter then costs little more than the bare ctypes callback, where walking
the declaration on every call would cost ten times that. For `nvmlDeviceGetTemperature`:

    def call(a0, a1, a2):
        try:
            if not library.ready: return 1
            v0 = objects0.get(a0)
            if v0 is None: return 2
            if a1 not in members1: return 2
            if a2 < 4096: return 2
            result = answer(v0, a1)
            type2.from_address(a2).value = result
            return 0
        except ApiError as error: return error.code
        except BaseException as error: return escaped(error)

The checks come in the order of the parameters, after those few that a function makes even before
it is known to be initialised (`Library.early_checks`). A function without a handler gets the same
checks and then answers NOT_SUPPORTED.
"""

from __future__ import annotations

import ctypes

from ..api import NULL_PAGE, ApiError, snake_case
from . import convert

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Optional

    from ..api import Api, Function, Handler, Library, Parameter

__all__ = ["Binder", "prototype"]

WORDS = 12  # what a function without a prototype forwards


def prototype(api: Api, function: Function) -> Any:
    """The ctypes callback type of a function."""
    return ctypes.CFUNCTYPE(_result_type(api, function), *_argument_types(api, function))


def _result_type(api: Api, function: Function) -> Any:
    if function.returns == api.status:
        return ctypes.c_int  # known without loading the tables of types
    return ctypes.c_size_t if "*" in function.returns else api.types[function.returns]


def _argument_types(api: Api, function: Function) -> list[Any]:
    if function.parameters is None:
        return [ctypes.c_size_t] * WORDS
    return [ctypes.c_size_t if p.is_pointer else api.types[p.type] for p in function.parameters]


class Binder:
    """Writes the Python function behind one API function."""

    def __init__(
        self,
        library: Library,
        function: Function,
        handler: Optional[Handler],
        escaped: Callable[[BaseException], int],
    ) -> None:
        self.library = library
        self.api = library.api
        self.codes = library.api.codes
        self.function = function
        self.handler = handler
        self.parameters = function.parameters or ()
        self.nullable = handler.nullable if handler else ()
        self.raw = handler.raw if handler else ()
        self.lines: list[str] = []
        # handler's parameter name -> expression
        self.values: dict[str, str] = {**library.constants(function.name)}
        self.names: dict[str, Any] = {name: getattr(convert, name) for name in convert.__all__}
        self.names.update(library=library, ApiError=ApiError, escaped=escaped)

    def bind(self) -> Callable[..., Any]:
        """The function to call with the C arguments; it never raises."""
        exec(compile(self.source(), f"<{self.function.name}>", "exec"), self.names)
        return self.names["call"]  # type: ignore[no-any-return]

    def source(self) -> str:
        """The Python source of the function."""
        count = len(self.parameters) if self.function.parameters is not None else WORDS
        arguments = ", ".join(f"a{index}" for index in range(count))
        self._check_early()
        self._check_ready()
        for index, parameter in enumerate(self.parameters):
            self._decode(index, parameter)
        self._check_privilege()
        self._answer()
        body = "\n".join("        " + line for line in self.lines)
        return (
            f"def call({arguments}):\n    try:\n{body}\n"
            "    except ApiError as error: return error.code\n"
            "    except BaseException as error: return escaped(error)\n"
        )

    def _check_early(self) -> None:
        """Some functions look at arguments before they ask whether the library is initialised."""
        for names, mark, code, asked in self.library.early_checks(self.function.name):
            conditions = ["library.asked"] if asked else []
            if mark == "~" or not names:
                conditions.append("not library.ready")
            conditions += [
                self._far(index, parameter) if mark == "~" else self._zero(index, parameter)
                for index, parameter in enumerate(self.parameters)
                if parameter.name in names
            ]
            self.lines.append(f"if {' and '.join(conditions)}: return {code}")

    def _zero(self, index: int, parameter: Parameter) -> str:
        return f"a{index} < {NULL_PAGE}" if parameter.is_pointer else f"not a{index}"

    def _far(self, index: int, parameter: Parameter) -> str:
        """A forked child has handles that this library did give out."""
        condition = f"not 0 <= a{index} < {NULL_PAGE}"
        if not self._is_handle(parameter.type):
            return condition
        self.names[f"given{index}"] = self.library.handles(parameter.type).objects
        return f"{condition} and a{index} not in given{index}"

    def _check_ready(self) -> None:
        if self._returns_status and not (self.handler and self.handler.anytime):
            self.lines.append(f"if not library.ready: return {self.codes.uninitialized}")

    def _check_privilege(self) -> None:
        if self.function.privileged:
            code = self.codes.no_permission
            self.lines.append(f"if not library.machine.privileged: return {code}")

    @property
    def _returns_status(self) -> bool:
        return self.function.returns == self.api.status

    # ---- the way in

    def _decode(self, index: int, parameter: Parameter) -> None:
        self.values[parameter.key] = f"a{index}"
        if parameter.name in self.raw:
            if parameter.is_pointer and self._returns_status:
                self._refuse_if(f"0 < a{index} < {NULL_PAGE}")
            return
        if not parameter.is_pointer:
            self._decode_value(index, parameter)
        elif parameter.type == "void" or not self._returns_status:
            return  # an address: the handler knows what lies there
        elif parameter.direction == "out" and parameter.counts:
            return  # NULL is fine for a client that only asks how many there are
        elif parameter.name in self.nullable:
            self._refuse_if(f"0 < a{index} < {NULL_PAGE}")
            self._unless_null(index, parameter, self._decode_pointer)
            self.values[parameter.key] += f" if a{index} else None"
        else:
            self._refuse_if(f"a{index} < {NULL_PAGE}")
            self._decode_pointer(index, parameter)

    def _unless_null(
        self, index: int, parameter: Parameter, step: Callable[[int, Parameter], None]
    ) -> None:
        before = len(self.lines)
        step(index, parameter)
        lines = [f"    {line}" for line in self.lines[before:]]
        if lines:
            self.lines[before:] = [f"if a{index}:", *lines]

    def _refuse_if(self, condition: str) -> None:
        self.lines.append(f"if {condition}: return {self.codes.invalid_argument}")

    def _decode_value(self, index: int, parameter: Parameter) -> None:
        if self._is_handle(parameter.type):
            if self._decode_by_library(index, parameter):
                return
            code = self.codes.invalid_handle.get(parameter.type, self.codes.invalid_argument)
            self.names[f"objects{index}"] = self.library.handles(parameter.type).objects
            self.lines.append(f"v{index} = objects{index}.get(a{index})")
            given = f" and a{index}" if parameter.name in self.nullable else ""
            self.lines.append(f"if v{index} is None{given}: return {code}")
            self.values[parameter.key] = f"v{index}"
            if parameter.type in self.api.device_types and self.codes.failed:
                self.names["failed"] = self.library.failures(self.function.name)
                failure = f"v{index}.failure"
                self.lines.append(f"if {failure} and {failure} in failed: return failed[{failure}]")
                self._check_supported(f"v{index}.{self.api.name}_functions")
        elif self._returns_status and self.api.types.is_enum(parameter.type):
            self.names[f"members{index}"] = frozenset(
                self.api.types.members(parameter.type).values()
            )
            self.lines.append(
                f"if a{index} not in members{index}: return {self.codes.invalid_argument}"
            )

    def _check_supported(self, known: str) -> None:
        """Some devices have but a few functions of an API, by their names."""
        unsupported = f"{known} is not None and {self.function.name!r} not in {known}"
        self.lines.append(f"if {unsupported}: return {self.codes.not_supported}")

    def _decode_by_library(self, index: int, parameter: Parameter) -> bool:
        decoder = self.library.decoder(parameter.type, self.function.name)
        if decoder is not None:
            self.names[f"decode{index}"] = decoder
            self.lines.append(f"v{index} = decode{index}(a{index})")
            self.values[parameter.key] = f"v{index}"
            if parameter.type in self.api.device_types and self.codes.failed:  # or a part of one
                functions = f"{self.api.name}_functions"
                self._check_supported(f"getattr(v{index}, {functions!r}, None)")
        return decoder is not None

    def _decode_pointer(self, index: int, parameter: Parameter) -> None:
        self.names[f"type{index}"] = self.api.types[parameter.type]
        value = f"type{index}.from_address(a{index})"
        if parameter.length == "nul":
            value = f"read_text(a{index})"
        elif parameter.length:
            length = self._length(parameter)
            self._refuse_if(f"{length} < 0")
            value = f"read_array(a{index}, type{index}, {length})"
        elif self.api.types.is_struct(parameter.type):
            self._check_version(index, parameter)
        else:
            value += ".value"
        self.values[parameter.key] = value

    def _check_version(self, index: int, parameter: Parameter) -> None:
        """The client says by the tag which version of the struct it has."""
        versions = self.api.types.versions(parameter.versions)
        if versions:
            self.names[f"versions{index}"] = versions
            self.lines.append(f"type{index} = versions{index}.get(int_at(a{index}))")
            self.lines.append(f"if type{index} is None: return {self.codes.version_mismatch}")

    def _is_handle(self, type_name: str) -> bool:
        return type_name in self.library.api.handle_types

    def _length(self, parameter: Parameter) -> str:
        """The expression of how many elements a client's array has."""
        length = parameter.length or "1"
        name = length.lstrip("*")
        for index, other in enumerate(self.parameters):
            if other.name == name:
                return f"a{index}" if length == name else f"int_at(a{index})"
        return length

    # ---- the way out

    def _answer(self) -> None:
        if self.handler is None:
            code = self.codes.not_supported if self._returns_status else 0
            self.lines.append(f"return {code}")
            return
        self.names["answer"] = self.handler.answer
        self.values[self.api.name] = "library"
        for key, what in self.handler.given.items():
            known = self.values[snake_case(what)] if isinstance(what, str) else str(what)
            self.values[key] = known
        arguments = ", ".join(self.values[key] for key in self.handler.keys)
        outputs = self._outputs() if self._returns_status else []
        if not self._returns_status:
            self.lines.append(f"return answer({arguments})")
        elif not outputs:
            self.lines += [f"answer({arguments})", "return 0"]
        else:
            names = ", ".join(f"r{index}" for index, _ in outputs)
            self.lines.append(f"{names} = answer({arguments})")
            self._check_known(outputs)
            for index, parameter in outputs:
                if parameter.name in self.nullable:
                    self._unless_null(index, parameter, self._write)
                else:
                    self._write(index, parameter)
            self.lines.append("return 0")

    def _check_known(self, outputs: list[tuple[int, Parameter]]) -> None:
        """None is a quantity that the device does not have, be it alone or a struct's field."""
        unknown = [f"r{index} is None" for index, _ in outputs]
        unknown += [
            f"None in r{index}.values()"
            for index, parameter in outputs
            if self.api.types.is_struct(parameter.type) and not parameter.length
        ]
        self.lines.append(f"if {' or '.join(unknown)}: return {self.codes.not_supported}")

    def _outputs(self) -> list[tuple[int, Parameter]]:
        """The parameters that a handler answers: not the counts, which follow from the lists."""
        counts = {parameter.counts for parameter in self.parameters}
        return [
            (index, parameter)
            for index, parameter in enumerate(self.parameters)
            if parameter.is_output
            and parameter.type != "void"
            and parameter.name not in counts
            and parameter.name not in self.raw
        ]

    def _write(self, index: int, parameter: Parameter) -> None:
        self.names.setdefault(f"type{index}", self.api.types[parameter.type])
        if self._is_handle(parameter.type):
            give = self.library.handles(parameter.type).give
            self.names[f"give{index}"] = give
            many = f"r{index} = [give{index}(x) for x in r{index}]"
            self.lines.append(many if parameter.length else f"r{index} = give{index}(r{index})")
        if parameter.length:
            self._write_array(index, parameter)
        elif self.api.types.is_struct(parameter.type):
            self.lines.append(f"fill(type{index}.from_address(a{index}), r{index})")
        else:
            self.lines.append(f"type{index}.from_address(a{index}).value = r{index}")

    def _write_array(self, index: int, parameter: Parameter) -> None:
        length = self._length(parameter)
        code = self.codes.insufficient_size
        if parameter.counts:
            count = length[length.index("(") + 1 : -1]
            kind = f"kind{index}"
            self.names[kind] = self.api.types[self.function.parameter(parameter.counts).type]
            if self.handler and self.handler.sizes:
                self.lines.append(f"if not a{index}: return write_size({count}, r{index}, {kind})")
            self.lines.append(f"write_count({count}, r{index}, {code}, {kind})")
            self._refuse_if(f"r{index} and a{index} < {NULL_PAGE}")
        writer = "write_array" if parameter.direction == "out" else "update_array"
        extra = f"type{index}"
        if parameter.type == "char":
            writer, extra = "write_text", str(self.api.truncates_text)
        self.lines.append(f"{writer}(a{index}, r{index}, {length}, {extra}, {code})")
