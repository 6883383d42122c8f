"""Several processes on one machine: what each holds, all see, and what one held goes with it."""

from __future__ import annotations

import fcntl
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)
from workers import RefusedError, Worker

from emulator import Gpu, Machine, Scenario, Testbed
from emulator.plans import plan_of

DEVICES = 2
MIB = 1 << 20
SCENARIO = Scenario(gpus=[Gpu("t4", count=DEVICES, memory_used="1 GiB")])
#: What a context takes on each device.
CONTEXT = [device.context_memory for device in Machine(plan_of(SCENARIO)).devices]

SETTINGS = settings(
    max_examples=40 if "NVEMU_STRESS" in os.environ else 4,
    stateful_step_count=40,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.generate, Phase.shrink],
)


class Held:
    """What a worker holds in one context."""

    def __init__(self, worker: Worker, device: int, context: int) -> None:
        self.worker, self.device, self.context = worker, device, context
        self.blocks: dict[int, tuple[int, str]] = {}  # pointer -> size, digest of its content


def is_unlocked(path: Path) -> bool:
    """Whether no process holds a lock anywhere in a file."""
    with path.open("r+b") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
    return True


class Machines(RuleBasedStateMachine):
    """Processes come and go, hold memory of two GPUs, and copy within it."""

    contexts = Bundle("contexts")
    blocks = Bundle("blocks")

    @initialize()
    def begin(self) -> None:
        self.testbed = Testbed(SCENARIO)
        self.testbed.__enter__()
        self.observer = Worker(self.testbed)
        self.workers: list[Worker] = []
        self.held: list[Held] = []
        self.base = [self.observer.used(device) for device in range(DEVICES)]
        self.seed = 0

    @precondition(lambda self: len(self.workers) < 4)
    @rule(target=contexts, device=st.integers(0, DEVICES - 1))
    def enter(self, device: int) -> Held:
        worker = Worker(self.testbed)
        worker.start()
        self.workers.append(worker)
        return self._held(worker, device, worker.create(device))

    @rule(target=contexts, at=contexts, device=st.integers(0, DEVICES - 1))
    def another_context(self, at: Held, device: int) -> Any:
        if at not in self.held:
            return multiple()
        return self._held(at.worker, device, at.worker.create(device))

    def _held(self, worker: Worker, device: int, context: int) -> Held:
        self.held.append(Held(worker, device, context))
        return self.held[-1]

    @rule(target=blocks, at=contexts, size=st.integers(1, 10).map(lambda n: n * 2 * MIB))
    def allocate(self, at: Held, size: int) -> Any:
        if at not in self.held:
            return multiple()
        pointer = at.worker.allocate(at.context, size)
        self.seed += 1
        at.blocks[pointer] = size, at.worker.fill(at.context, pointer, size, self.seed)
        return at, pointer

    @rule(at=contexts)
    def allocate_too_much(self, at: Held) -> None:
        if at in self.held:
            free, _ = at.worker.information(at.context)
            with pytest.raises(RefusedError, match="OUT_OF_MEMORY"):
                at.worker.allocate(at.context, free + 2 * MIB)

    @rule(block=consumes(blocks))
    def free(self, block: tuple[Held, int]) -> None:
        at, pointer = block
        if at in self.held:
            at.worker.free(at.context, pointer)
            del at.blocks[pointer]
            with pytest.raises(RefusedError, match="INVALID_VALUE"):
                at.worker.free(at.context, pointer)

    @rule(block=blocks, other=blocks)
    def copy(self, block: tuple[Held, int], other: tuple[Held, int]) -> None:
        (at, to), (there, source) = block, other
        if at.worker is not there.worker or to not in at.blocks or source not in there.blocks:
            return
        size, _ = at.blocks[to]
        length, content = there.blocks[source]
        if size == length and at in self.held and there in self.held:
            at.worker.copy(at.context, to, source, size)
            at.blocks[to] = size, content

    @rule(at=consumes(contexts))
    def destroy(self, at: Held) -> None:
        if at in self.held:
            at.worker.destroy(at.context)
            self.held.remove(at)

    @precondition(lambda self: self.workers)
    @rule(data=st.data(), number=st.sampled_from([None, signal.SIGKILL, signal.SIGTERM]))
    def leave(self, data: st.DataObject, number: int | None) -> None:
        worker = data.draw(st.sampled_from(self.workers))
        self.workers.remove(worker)
        self.held = [held for held in self.held if held.worker is not worker]
        worker.end(number)

    @invariant()
    def all_agree(self) -> None:
        """NVML's figure is the sum of what all hold, and lists who holds it."""
        for device in range(DEVICES):
            here = [held for held in self.held if held.device == device]
            by_process: dict[int, int] = {}
            for held in here:
                size = CONTEXT[device] + sum(size for size, _ in held.blocks.values())
                by_process[held.worker.pid] = by_process.get(held.worker.pid, 0) + size
            assert self.observer.used(device) - self.base[device] == sum(by_process.values())
            listed = self.observer.processes(device)
            assert listed == sorted([pid, size] for pid, size in by_process.items())

    @rule(at=contexts)
    def look(self, at: Held) -> None:
        """What was written is there."""
        if at in self.held:
            for pointer, (size, content) in at.blocks.items():
                assert at.worker.digest(at.context, pointer, size) == content

    def teardown(self) -> None:
        for worker in self.workers:
            worker.end(signal.SIGKILL)
        for device in range(DEVICES):
            assert self.observer.used(device) == self.base[device]
            assert self.observer.processes(device) == []
        self.observer.end()
        assert is_unlocked(self.testbed.folder / "ledger")
        self.testbed.__exit__(None, None, None)


def test_processes_that_come_and_go() -> None:
    run_state_machine_as_test(Machines, settings=SETTINGS)
