"""What every handler owes to the declarations of the functions that it answers."""

from __future__ import annotations

import pytest

from emulator import Machine, Scenario, cuda, nvml
from emulator.plans import plan_of
from emulator.runtime.binding import Binder, prototype
from emulator.vocabulary import apis, handlers

STATES = {"nvml": nvml.State, "cuda": cuda.State}
ANSWERED = [(name, function) for name in apis() for function in handlers()[name]]


@pytest.mark.parametrize(("library", "name"), ANSWERED)
def test_its_parameters_are_the_functions(library: str, name: str) -> None:
    api = apis()[library]
    handler = api.handlers[name]
    parameters = api.find(name).parameters or ()
    constants = STATES[library]().constants(name)
    known = {p.key for p in parameters} | {library, *constants, *handler.given}
    assert set(handler.keys) <= known


@pytest.mark.parametrize("library", apis())
def test_what_it_says_of_parameters_is_of_one_that_exists(library: str) -> None:
    api = apis()[library]
    known: dict[object, set[str]] = {}
    for name, handler in api.handlers.items():
        names = {parameter.name for parameter in api.find(name).parameters or ()}
        known.setdefault(handler, set()).update(names)
    for handler, names in known.items():
        assert {*handler.nullable, *handler.raw} <= names  # type: ignore[attr-defined]


@pytest.mark.parametrize("library", apis())
def test_every_function_of_the_api_can_be_bound(library: str) -> None:
    """A type that the tables lack, or a length that names nothing, shows here."""
    api = apis()[library]
    state = STATES[library]()
    plan = plan_of(Scenario())
    state.reset(Machine(plan), plan)
    for slot in range(len(api.names)):
        function = api.function(slot)
        prototype(api, function)
        binder = Binder(state, function, api.handler(function.name), escaped=lambda error: 0)
        compile(binder.source(), function.name, "exec")


@pytest.mark.parametrize("library", apis())
def test_no_two_modules_answer_one_function(library: str) -> None:
    api = apis()[library]
    name, place = next(iter(handlers()[library].items()))
    with pytest.raises(LookupError, match=f"{name} has a handler in {api.package}.{place}"):
        api.implements(name)(lambda: None)
