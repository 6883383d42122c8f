"""What a capture is compared with: nvemu's own machine, or the driver itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from ..imports.captures.format import Call, Capture
from ..imports.captures.playing import scenario_of_capture
from ..scenario import Scenario
from ..testbed import Testbed
from .bare import bare
from .calls import Question
from .comparing import Comparison, compare
from .following import Fatal
from .recorder import answered, key_of
from .safety import candidates, reason_against

__all__ = ["compared", "own_machine"]


def own_machine(capture: Capture) -> Scenario:
    """The machine of a capture as nvemu has it without the capture's figures.

    Raises:
        ScenarioError: the capture does not tell what machine it is.
    """
    return bare(scenario_of_capture(capture, "recorded.capture").scenario)


def compared(capture: Capture, scenario: Scenario | None) -> tuple[Comparison, Sequence[Fatal]]:
    """Make the calls of a capture of a scenario, or of this machine's driver where it is None.

    Raises:
        CallerError: no call could be made.
        ScenarioError: the scenario cannot be played.
        TestbedError: there is no real driver.
    """
    calls, skipped = _callable(capture)
    questions = [Question(call.library, call.function, call.inputs) for call in calls]
    with Testbed(scenario, real=scenario is None, trace=True, capture=True) as testbed:
        recording = answered(testbed, questions)
    return compare(calls, recording.calls, skipped), recording.fatal


def _callable(capture: Capture) -> tuple[list[Call], Counter[str]]:
    """Each call once that may be made by itself, and the functions of the others."""
    safe = {
        name
        for library in ("nvml", "cuda")
        for name in candidates(library)
        if not reason_against(library, name)
    }
    skipped = Counter(call.function for call in capture.calls if call.function not in safe)
    once = {key_of(call): call for call in reversed(capture.calls) if call.function in safe}
    return list(reversed(once.values())), skipped
