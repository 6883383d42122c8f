"""A state machine for what looks for GPUs: the machine changes under it, and it must bear it.

class Finder(DiscoveryMachine):
    def discover(self):
        return find_gpus()

TestFinder = Finder.TestCase
"""

from __future__ import annotations

from collections.abc import Sized
from functools import cache
from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from ..emulation import Emulation
from ..machine import NEWEST
from ..scenario import Fault, Scenario
from .failing import faults
from .whole import scenarios

__all__ = ["DiscoveryMachine"]

_PLACES = st.integers(0, 63)


class DiscoveryMachine(RuleBasedStateMachine):
    """Looks for GPUs again and again while GPUs die and come back, faults come and go.

    A subclass has `discover`, and may have `check` and `refused` of its own, and rules and
    invariants of hypothesis. Scenarios have a clock that stands but for the rule that advances it.

    Attributes:
        driver: the driver version.
        scenarios: what scenarios are drawn from; machines without faults and with changes over
            time, if not given.
        emulation: the scenario that is played, with `machine`, `control` and `calls`.
    """

    driver: ClassVar[str] = NEWEST
    scenarios: ClassVar[st.SearchStrategy[Scenario] | None] = None

    emulation: Emulation

    # ---- what a subclass says

    def discover(self) -> Any:
        """Look for GPUs, as the program does that is tested."""
        raise NotImplementedError(f"{type(self).__name__} has no discover()")

    def check(self, found: Any) -> None:
        """Look at what `discover` returned; by default, that it is no more than there are GPUs."""
        if isinstance(found, Sized):
            there = len(self.emulation.machine.devices)
            assert len(found) <= there, f"discover() found {len(found)} GPUs of {there}"

    def refused(self, error: Exception) -> None:
        """Decide on what `discover` raised; by default, that it must never raise."""
        raise error

    # ---- what happens

    @initialize(scenario=st.runner().flatmap(lambda self: self.drawn_scenarios()))
    def begin(self, scenario: Scenario) -> None:
        """Play the first scenario."""
        self._enter(scenario)

    @rule(scenario=st.runner().flatmap(lambda self: self.drawn_scenarios()))
    def change_scenario(self, scenario: Scenario) -> None:
        """Play another scenario, with libraries as if they were just loaded."""
        self._leave()
        self._enter(scenario)

    @rule()
    def look(self) -> None:
        """Call `discover`, and check what comes of it."""
        try:
            found = self.discover()
        except Exception as error:
            self.refused(error)
        else:
            self.check(found)

    @precondition(lambda self: self.emulation.machine.devices)
    @rule(place=_PLACES)
    def kill(self, place: int) -> None:
        """Have a GPU fall off the bus."""
        self.emulation.control.kill(self._index(place))

    @precondition(lambda self: self.emulation.machine.devices)
    @rule(place=_PLACES)
    def restore(self, place: int) -> None:
        """Have a GPU work again."""
        self.emulation.control.restore(self._index(place))

    @rule(fault=st.runner().flatmap(lambda self: self.drawn_faults()))
    def add_fault(self, fault: Fault) -> None:
        """Have calls fail from here on."""
        self.emulation.control.fail(fault)

    @rule()
    def clear_faults(self) -> None:
        """Have all calls work again, those that the scenario has fail, too."""
        self.emulation.control.clear()

    @rule(seconds=st.sampled_from([1, 10, 60, 3600]))
    def advance(self, seconds: float) -> None:
        """Put the scenario's clock forward."""
        self.emulation.control.advance(seconds)

    def teardown(self) -> None:
        """Leave the scenario."""
        self._leave()

    # ---- what it is drawn from

    def drawn_scenarios(self) -> st.SearchStrategy[Scenario]:
        """The scenarios of `change_scenario`."""
        if self.scenarios is not None:
            return self.scenarios
        return _default_scenarios(self.driver)

    def drawn_faults(self) -> st.SearchStrategy[Fault]:
        """The faults of `add_fault`."""
        return _default_faults(len(self.emulation.machine.devices))

    def _enter(self, scenario: Scenario) -> None:
        self.emulation = Emulation(scenario).__enter__()

    def _leave(self) -> None:
        if hasattr(self, "emulation"):
            self.emulation.__exit__(None, None, None)
            del self.emulation

    def _index(self, place: int) -> int:
        return place % len(self.emulation.machine.devices)


@cache
def _default_scenarios(driver: str) -> st.SearchStrategy[Scenario]:
    return scenarios(driver=driver, max_faults=0, max_changes=2)


@cache
def _default_faults(devices: int) -> st.SearchStrategy[Fault]:
    return faults(devices=devices)
