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

The checks come in the order of the parameters. A function without a handler gets the same checks
and then answers NOT_SUPPORTED.
"""

from __future__ import annotations

import ctypes

from ..api import ApiError
from . import convert

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Optional

    from ..api import Api, Function, Handler, Library, Parameter

__all__ = ["Binder", "prototype"]

NULL_PAGE = 4096  # no address below it is ever mapped
WORDS = 12  # what a function without a prototype forwards


def prototype(api: Api, function: Function) -> Any:
    """The ctypes callback type of a function."""
    return ctypes.CFUNCTYPE(_result_type(api, function), *_argument_types(api, function))


def _result_type(api: Api, function: Function) -> Any:
    if function.returns == "void":
        return None
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
        self.lines: list[str] = []
        self.values: dict[str, str] = {}  # handler's parameter name -> expression
        self.names: dict[str, Any] = {name: getattr(convert, name) for name in convert.__all__}
        self.names.update(library=library, ApiError=ApiError, escaped=escaped)

    def bind(self) -> Callable[..., Any]:
        """The function to call with the C arguments; it never raises."""
        exec(compile(self.source(), f"<{self.function.name}>", "exec"), self.names)
        return self.names["call"]  # type: ignore[no-any-return]

    def source(self) -> str:
        count = len(self.parameters) if self.function.parameters is not None else WORDS
        arguments = ", ".join(f"a{index}" for index in range(count))
        self._check_ready()
        for index, parameter in enumerate(self.parameters):
            self._decode(index, parameter)
        self._answer()
        body = "\n".join("        " + line for line in self.lines)
        return (
            f"def call({arguments}):\n    try:\n{body}\n"
            "    except ApiError as error: return error.code\n"
            "    except BaseException as error: return escaped(error)\n"
        )

    def _check_ready(self) -> None:
        if self._returns_status and not (self.handler and self.handler.anytime):
            self.lines.append(f"if not library.ready: return {self.codes.uninitialized}")

    @property
    def _returns_status(self) -> bool:
        return self.function.returns == self.api.status

    # ---- the way in

    def _decode(self, index: int, parameter: Parameter) -> None:
        self.values[parameter.key] = f"a{index}"
        if not parameter.is_pointer:
            self._decode_value(index, parameter)
        elif parameter.type == "void" or not self._returns_status:
            return  # an address: the handler knows what lies there
        elif parameter.direction == "out" and parameter.counts:
            return  # NULL is fine for a client that only asks how many there are
        else:
            self._check_null(f"a{index} < {NULL_PAGE}")
            if parameter.is_input:
                self._decode_pointer(index, parameter)

    def _check_null(self, condition: str) -> None:
        self.lines.append(f"if {condition}: return {self.codes.invalid_argument}")

    def _decode_value(self, index: int, parameter: Parameter) -> None:
        if self._is_handle(parameter.type):
            code = self.codes.invalid_handle.get(parameter.type, self.codes.invalid_argument)
            self.names[f"objects{index}"] = self.library.handles(parameter.type).objects
            self.lines.append(f"v{index} = objects{index}.get(a{index})")
            self.lines.append(f"if v{index} is None: return {code}")
            self.values[parameter.key] = f"v{index}"
        elif self.api.types.is_enum(parameter.type):
            self.names[f"members{index}"] = frozenset(
                self.api.types.members(parameter.type).values()
            )
            self.lines.append(
                f"if a{index} not in members{index}: return {self.codes.invalid_argument}"
            )

    def _decode_pointer(self, index: int, parameter: Parameter) -> None:
        kind = self.names[f"type{index}"] = self.api.types[parameter.type]
        value = f"type{index}.from_address(a{index})"
        if parameter.length == "nul":
            value = f"read_text(a{index})"
        elif parameter.length:
            value = f"read_array(a{index}, type{index}, {self._length(parameter)})"
        elif not self.api.types.is_struct(parameter.type):
            value += ".value"
        self.values[parameter.key] = value
        if self.api.types.is_struct(parameter.type) and not parameter.length:
            self._check_version(index, parameter, kind)

    def _check_version(self, index: int, parameter: Parameter, kind: Any) -> None:
        if self.api.types.version(parameter.type) and hasattr(kind, "version"):
            self.lines.append(
                f"if type{index}.from_address(a{index}).version != "
                f"{self.api.types.tag(parameter.type)}: return {self.codes.version_mismatch}"
            )

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
        self.values["library"] = "library"
        arguments = ", ".join(self.values[key] for key in self.handler.keys)
        outputs = self._outputs() if self._returns_status else []
        if not self._returns_status:
            self.lines.append(f"return answer({arguments})")
        elif not outputs:
            self.lines += [f"answer({arguments})", "return 0"]
        else:
            names = ", ".join(f"r{index}" for index, _ in outputs)
            self.lines.append(f"{names} = answer({arguments})")
            for index, parameter in outputs:
                self._write(index, parameter)
            self.lines.append("return 0")

    def _outputs(self) -> list[tuple[int, Parameter]]:
        """The parameters that a handler answers: not the counts, which follow from the lists."""
        counts = {parameter.counts for parameter in self.parameters}
        return [
            (index, parameter)
            for index, parameter in enumerate(self.parameters)
            if parameter.is_output and parameter.name not in counts and parameter.type != "void"
        ]

    def _write(self, index: int, parameter: Parameter) -> None:
        self.names[f"type{index}"] = self.api.types[parameter.type]
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
            self.lines.append(f"write_count({count}, r{index}, {code})")
            self._check_null(f"r{index} and a{index} < {NULL_PAGE}")
        writer = "write_array" if parameter.direction == "out" else "update_array"
        extra = f"type{index}"
        if parameter.type == "char":
            writer, extra = "write_text", str(self.api.truncates_text)
        self.lines.append(f"{writer}(a{index}, r{index}, {length}, {extra}, {code})")
