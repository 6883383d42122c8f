"""The pytest plugin: the fixtures `gpu` and `gpu_gallery`, their markers, a default scenario.

pytest loads this in each of its processes, also where no test has to do with GPUs: of nvemu only
`emulator.machine`, for the header, is imported before a test, or an option, asks for more.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from .scenario import Scenario
    from .testing.gpus import EmulatedGpus

__all__ = ["gpu", "gpu_gallery"]

MARKERS = (
    "gpu_scenario(scenario=None, *, in_process=None, **changes): what the GPUs of the test are: a "
    "Scenario, the name of a built-in one, or a file, TOML or Python, relative to the test's own; "
    "`changes` replace fields of it (driver=..., gpus=[...], strict=True). in_process=False: only "
    "for programs that gpu.run runs.",
    "gpu_gallery(*patterns, exclude=(), in_process=False): run the test once under each built-in "
    "scenario with such a name, all if there is no pattern. in_process=True: only under those that "
    "can be played in pytest's own process.",
)

_DEFAULT = pytest.StashKey["Scenario"]()
_GPUS = pytest.StashKey["EmulatedGpus"]()

_OTHER_DRIVER = (
    "\nA process has one driver. Run tests of another one in a pytest of their own, or with "
    "pytest-forked's --forked; or mark them gpu_scenario(..., in_process=False) and start the code "
    "under test with gpu.run."
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --gpu-scenario and the ini option of the same name."""
    text = "the GPUs of tests that name no scenario: a built-in scenario, or a file, TOML or Python"
    group = parser.getgroup("nvemu", "nvemu")
    group.addoption("--gpu-scenario", metavar="NAME|FILE", help=text)
    parser.addini("gpu_scenario", f"{text}; the file relative to this one", default="")


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers; load the default scenario, if one is chosen, to refuse a wrong one."""
    for line in MARKERS:
        config.addinivalue_line("markers", line)
    chosen, ini = config.getoption("gpu_scenario"), config.getini("gpu_scenario")
    if chosen is not None:
        config.stash[_DEFAULT] = _checked(chosen, config.invocation_params.dir, "--gpu-scenario")
    elif ini:
        folder = config.inipath.parent if config.inipath else config.rootpath
        config.stash[_DEFAULT] = _checked(ini, folder, "gpu_scenario")


def pytest_report_header(config: pytest.Config) -> str:
    """Say what plays where a test names no scenario."""
    from .machine.drivers import NEWEST  # noqa: PLC0415
    from .version import __version__  # noqa: PLC0415

    chosen = config.stash.get(_DEFAULT, None)
    name, driver = (chosen.name or "unnamed", chosen.driver) if chosen else ("default", NEWEST)
    return f"nvemu {__version__}: gpu scenario {name}, driver {driver}"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test of the gallery once under each scenario."""
    marker = metafunc.definition.get_closest_marker("gpu_gallery")
    if marker is None and "gpu_gallery" not in metafunc.fixturenames:
        return
    from .scenario import ScenarioError  # noqa: PLC0415
    from .testing.choice import gallery  # noqa: PLC0415

    try:
        names = gallery(marker, _default(metafunc.config).driver)
    except ScenarioError as error:
        raise _failure(str(error)) from None
    if "gpu_gallery" not in metafunc.fixturenames:
        metafunc.fixturenames.append("gpu_gallery")
    metafunc.parametrize("gpu_gallery", names, indirect=True)


def pytest_itemcollected(item: pytest.Item) -> None:
    """Have a marked test that does not take `gpu` play its scenario all the same."""
    names = getattr(item, "fixturenames", None)
    if names is None or "gpu" in names:
        return
    if item.get_closest_marker("gpu_scenario") or item.get_closest_marker("gpu_gallery"):
        item.fixturenames = _with_gpu(item, names)  # type: ignore[attr-defined]


def _with_gpu(item: Any, names: list[str]) -> list[str]:
    """A test's fixtures with `gpu` before all others that are made for this test alone."""
    known = item._fixtureinfo.name2fixturedefs
    own = (
        at for at, name in enumerate(names) if name in known and known[name][-1].scope == "function"
    )
    first = next(own, len(names))
    return [*names[:first], "gpu", *names[first:]]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """Fail a test that did what its scenario does not allow."""
    try:
        result = yield
    finally:
        gpus = item.stash.get(_GPUS, None)
        problem = gpus.problem() if gpus else None
    if problem:
        raise _failure(problem)
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the last calls of a test that failed."""
    report = yield
    gpus = item.stash.get(_GPUS, None)
    if report.failed and gpus is not None:
        report.sections.append(("nvemu", gpus.report()))
        del item.stash[_GPUS]  # said once, if the teardown fails, too
    return report


@pytest.fixture
def gpu(request: pytest.FixtureRequest) -> Iterator[EmulatedGpus]:
    """Emulated GPUs: those of the test's scenario, in this process and for programs (`gpu.run`)."""
    from .emulation import EmulationError  # noqa: PLC0415
    from .scenario import ScenarioError  # noqa: PLC0415
    from .testing.choice import choose  # noqa: PLC0415
    from .testing.gpus import EmulatedGpus  # noqa: PLC0415

    try:
        chosen = choose(request.node, _default(request.config))
        gpus = EmulatedGpus(chosen.scenario, apart=chosen.apart, decoy=chosen.decoy)
    except (ScenarioError, EmulationError) as error:
        hint = _OTHER_DRIVER if "cannot change to" in str(error) else ""
        raise _failure(f"{error}{hint}") from None
    request.node.stash[_GPUS] = gpus
    yield gpus
    try:
        gpus.close()
    except EmulationError as error:
        raise _failure(str(error)) from None


@pytest.fixture
def gpu_gallery(request: pytest.FixtureRequest) -> Scenario:
    """The built-in scenario that the test is run under this time."""
    from .scenario import load  # noqa: PLC0415

    return load(request.param)


def _default(config: pytest.Config) -> Scenario:
    """The scenario of tests that name none."""
    from .plans import find_scenario  # noqa: PLC0415

    return config.stash.setdefault(_DEFAULT, find_scenario(None))


def _checked(named: str, folder: Path, where: str) -> Scenario:
    """The scenario that an option names; a wrong one ends pytest with a sentence."""
    from .scenario import ScenarioError  # noqa: PLC0415
    from .testing.choice import checked  # noqa: PLC0415

    try:
        return checked(named, folder)
    except ScenarioError as error:
        raise pytest.UsageError(f"{where}: {error}") from None


def _failure(text: str) -> BaseException:
    """A test's failure that is told by this text alone, without a traceback."""
    return pytest.fail.Exception(text, pytrace=False)
