"""Scenarios written in Python: scripts with functions that play a part in them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pynvml
import pytest

from emulator import Emulation, Fault, Gpu, Scenario, ScenarioError, Testbed
from emulator.scenario import dumps, load, loads

Done = subprocess.CompletedProcess[str]

SCRIPT = '''"""Two T4s; the second gets hot and then is lost.

More about it.
"""

from emulator import Fault, Gpu, Scenario, at, fault

STEP = 5
scenario = Scenario(clock="manual", gpus=[Gpu("t4", count=2)], faults=[Fault("cuInit", 3)])


@fault("nvmlDeviceGetTemperature", device=1, calls="2-")
def hot(call):
    return {"temp": warmer(call.number)}


def warmer(number):
    return 60 + STEP * number


@at("30 s")
@at("60 s", device=0)
def lose(machine):
    machine.devices[1].failure = "lost"
'''

CLIENT = """
import pynvml, sys
pynvml.nvmlInit()
handle = pynvml.nvmlDeviceGetHandleByIndex(1)
for line in sys.stdin:
    try:
        print(pynvml.nvmlDeviceGetTemperature(handle, 0), flush=True)
    except pynvml.NVMLError as error:
        print(error, flush=True)
"""


#: The same in C, for GPU 0 and once.
C_CLIENT = """
#include <dlfcn.h>
#include <stdio.h>

int main(void)
{
    void *library = dlopen("libnvidia-ml.so.1", RTLD_NOW);
    int (*init)(void) = (int (*)(void))dlsym(library, "nvmlInit_v2");
    int (*handle)(unsigned, void **) =
        (int (*)(unsigned, void **))dlsym(library, "nvmlDeviceGetHandleByIndex_v2");
    int (*temperature)(void *, int, unsigned *) =
        (int (*)(void *, int, unsigned *))dlsym(library, "nvmlDeviceGetTemperature");
    unsigned read = 0;
    void *device;
    if (init() || handle(0, &device))
        return 1;
    int status = temperature(device, 0, &read);
    printf("%d %u\\n", status, read);
    return 0;
}
"""

HEAD = """
from emulator import Change, Fault, Gpu, Scenario, at, fault
scenario = Scenario(clock="manual", gpus=[Gpu("t4", count=2)])
"""

TEMPERATURE = "nvmlDeviceGetTemperature"
COOL = 36  # an idle T4


@pytest.fixture
def script(tmp_path: Path) -> Callable[[str], Path]:
    """`script(text)`: a file `lab.py` with it."""

    def write(text: str) -> Path:
        path = tmp_path / "lab.py"
        path.write_text(text)
        return path

    return write


def test_has_its_functions_as_faults_and_changes(script: Callable[[str], Path]) -> None:
    found = load(script(SCRIPT))
    assert (found.name, found.clock) == ("lab", "manual")
    assert found.description == "Two T4s; the second gets hot and then is lost."
    assert [fault.function for fault in found.faults] == ["cuInit", "nvmlDeviceGetTemperature"]
    assert [fault.calls for fault in found.faults] == [None, "2-"]
    assert [(change.at, change.device) for change in found.changes] == [("30 s", None), ("60 s", 0)]


def test_its_functions_run_in_the_programs(script: Callable[[str], Path]) -> None:
    with Testbed(script(SCRIPT)) as testbed:
        program = subprocess.Popen(
            [sys.executable, "-c", CLIENT],
            env=testbed.environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert program.stdin is not None
        assert program.stdout is not None
        answers = []
        for step in range(3):
            print(file=program.stdin, flush=True)
            answers.append(program.stdout.readline())
            testbed.control.advance(10 * step)
        testbed.control.clear("fault[1]")
        print(file=program.stdin, flush=True)
        answers.append(program.stdout.readline())
        program.communicate()
    assert answers == ["36\n", "70\n", "75\n", "GPU is lost\n"]


def test_becomes_toml_that_names_its_functions(script: Callable[[str], Path]) -> None:
    path = script(SCRIPT)
    text = dumps(load(path))
    assert f'run = "{path}:hot"' in text
    assert loads(text).changes[0].run == f"{path}:lose"


def test_a_toml_file_may_name_a_script_beside_it(script: Callable[[str], Path]) -> None:
    path = script("def warm(call):\n    return {'temp': 99}\n").with_name("lab.toml")
    path.write_text(
        "[[gpu]]\nprofile = 't4'\n[[fault]]\nfunction = 'nvmlDeviceGetTemperature'\n"
        "run = 'lab.py:warm'\n"
    )
    with Testbed(path) as testbed:
        assert testbed.plan["faults"][0]["run"] == [str(path.with_name("lab.py")), "warm"]


AT_TOP = "expected a function at the top of a file, as other processes run it; found"

MISTAKES: list[tuple[str, str]] = [
    ("x = ", "lab.py:1: expected Python, but: invalid syntax"),
    ("x = 1\ny = 1 / 0\n", "lab.py:2: ZeroDivisionError: division by zero"),
    ("import sys\nsys.exit(3)\n", "lab.py:2: SystemExit: 3"),
    ("scenario = 3\n", "lab.py: expected a Scenario called 'scenario', found int"),
    (
        "from emulator import Gpu\nGpu('t4', count=0)\n",
        "lab.py:2: count: expected a number of GPUs from 1 to 256, found 0",
    ),
    (
        "from emulator import fault\n@fault('nvmlInit', returs=3)\ndef f(call): pass\n",
        "lab.py:2: TypeError: Unexpected keyword argument 'returs'",
    ),
    ("import sib\n", "lab.py:1: ModuleNotFoundError: No module named 'sib'"),
    ("raise KeyboardInterrupt\n", "lab.py:1: KeyboardInterrupt"),
    (
        "from emulator import fault\n@fault\ndef f(call): pass\n",
        'lab.py:2: expected arguments, such as @fault("nvmlInit*"), found the function itself',
    ),
    (
        "from emulator import at\n@at\ndef f(machine): pass\n",
        'lab.py:2: expected arguments, such as @at("30 s"), found the function itself',
    ),
    (
        HEAD + "class C:\n    @staticmethod\n    @fault('cuInit')\n    def f(call): pass\n",
        f"lab.py:6: fault[0].run: {AT_TOP} 'f' inside the class 'C'",
    ),
    (
        HEAD
        + "def make():\n    @at('1 s')\n    def f(machine): pass\n    return f\nmade = make()\n",
        f"lab.py:5: change[0].run: {AT_TOP} 'f' inside the function 'make'",
    ),
    (
        HEAD + "@fault('cuInit')\nasync def f(call): return 3\n",
        f"lab.py:4: fault[0].run: {AT_TOP} an async function",
    ),
    (
        HEAD + "@fault('cuInit')\ndef f(call): yield 3\n",
        f"lab.py:4: fault[0].run: {AT_TOP} a function with 'yield'",
    ),
    (
        HEAD + "scenario = Scenario(faults=[\n Fault('cuInit', 3),\n Fault('cuInit',\n"
        "  run=lambda call: 3)])\n",
        f"lab.py:7: fault[1].run: {AT_TOP} a lambda",
    ),
    (
        HEAD + "@fault('cuInit')\ndef f(call): return 3\ndef f(call): return 4\n",
        "lab.py:4: expected a function of its own name, found another 'f' later",
    ),
]


@pytest.mark.parametrize(("text", "message"), MISTAKES)
def test_mistakes_have_one_line_with_their_place(
    text: str, message: str, script: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(script(text).parent)
    # As in `nvemu`, where a Ctrl-C is no exception.
    monkeypatch.setattr(signal, "getsignal", lambda number: signal.SIG_DFL)
    with pytest.raises(ScenarioError) as caught:
        load("lab.py")
    assert str(caught.value) == message


def test_the_command_line_takes_scripts(
    script: Callable[[str], Path], nvemu: Callable[..., Any]
) -> None:
    path = script(SCRIPT)
    done = nvemu("run", "--scenario", path, "--", sys.executable, "-c", CLIENT, input="\n\n")
    assert done.stdout == "36\n70\n"
    script("1 / 0")
    done = nvemu("run", "--scenario", path, "--", "true")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"nvemu: {path}:1: ZeroDivisionError: division by zero\n"


def test_nothing_of_the_hosts_own_emulator_is_touched(
    script: Callable[[str], Path], run_in: Callable[..., Done], tmp_path: Path
) -> None:
    """A host may have a module `emulator` of its own; the script's imports are not its."""
    path = script(SCRIPT)
    (tmp_path / "emulator.py").write_text("raise SystemExit('imported')")
    done = run_in(path, [sys.executable, "-c", CLIENT], "\n\n", PYTHONPATH=str(tmp_path))
    assert (done.stdout, done.stderr) == ("36\n70\n", "")


def test_an_empty_script_s_scenario_is_complete(script: Callable[[str], Path]) -> None:
    found = load(script("from emulator import Scenario\nscenario = Scenario(name='mine')\n"))
    assert found == Scenario(name="mine")


class TestWhereFunctionsAre:
    def test_inside_a_statement_is_told(self, script: Callable[[str], Path]) -> None:
        path = script(HEAD + "if True:\n    @fault('cuInit')\n    def f(call): return 3\n")
        message = f"{path}:5: fault[0].run: expected a function at the top of {path}, found 'f' "
        with pytest.raises(ScenarioError) as caught:
            load(path)
        assert str(caught.value) == message + "inside something else"

    def test_validate_refuses_what_programs_cannot_run(
        self, script: Callable[[str], Path], nvemu: Callable[..., Any]
    ) -> None:
        path = script(HEAD + "@fault('cuInit')\nasync def f(call): return 3\n")
        done = nvemu("scenarios", "validate", path)
        assert (done.returncode, done.stderr) == (1, "")
        assert done.stdout == f"{path}:4: fault[0].run: {AT_TOP} an async function\n"

    def test_a_toml_file_names_no_async_function(self, script: Callable[[str], Path]) -> None:
        path = script("async def f(call): return 3\n")
        text = f"[[fault]]\nfunction = 'cuInit'\nrun = '{path}:f'\n"
        with pytest.raises(ScenarioError, match=r"fault\[0\]\.run: .* found an async function 'f'"):
            Testbed(loads(text))

    def test_a_testbed_names_the_fault_and_its_line(self) -> None:
        faults = [Fault("cuInit", 3), Fault("cuInit", run=lambda call: 1)]
        line = sys._getframe().f_lineno - 1
        message = f"{__file__}:{line}: fault[1].run: {AT_TOP} a lambda"
        with pytest.raises(ScenarioError) as caught:
            Testbed(Scenario(faults=faults))
        assert str(caught.value) == message

    def test_one_s_name_that_nothing_has_is_told_with_its_line(
        self, script: Callable[[str], Path], nvemu: Callable[..., Any]
    ) -> None:
        text = HEAD + "@at('1 s')\n@fault('cuInit')\n@fault('cuInitt')\ndef f(call): pass\n"
        done = nvemu("run", "--scenario", script(text), "--", "true")
        assert done.returncode == 2
        assert done.stderr.startswith(f"nvemu: {script(text)}:6: fault[1].function: expected an")
        assert done.stderr.count("\n") == 1

    def test_the_scenario_s_own_mistakes_name_the_file(
        self, script: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        text = "from emulator import Gpu, Scenario\nscenario = Scenario(gpus=[Gpu('t5')])\n"
        monkeypatch.chdir(script(text).parent)
        with pytest.raises(ScenarioError, match=r"^lab\.py: gpu\[0\]\.profile: expected a GPU"):
            Testbed("lab.py")

    def test_files_that_it_names_are_beside_it(self, script: Callable[[str], Path]) -> None:
        text = "def warm(call): return 3\n" + HEAD.replace(
            "count=2)]", "count=2)], faults=[Fault('cuInit', run='lab.py:warm')]"
        )
        path = script(text)
        assert Testbed(path).plan["faults"][0]["run"] == [str(path), "warm"]


def test_a_ctrl_c_while_a_script_runs_is_not_the_script_s(script: Callable[[str], Path]) -> None:
    path = script("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\nwhile True: pass\n")
    with pytest.raises(KeyboardInterrupt):
        load(path)


def test_a_ctrl_c_ends_nvemu_while_a_script_runs(
    script: Callable[[str], Path], nvemu: Callable[..., Any]
) -> None:
    text = "import os, signal\nos.kill(os.getpid(), signal.SIGINT)\nwhile True: pass\n"
    done = nvemu("run", "--scenario", script(text), "--", "true")
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, "", "")


def test_raises_a_ctrl_c_of_its_own_in_one_line(
    script: Callable[[str], Path], nvemu: Callable[..., Any]
) -> None:
    path = script("raise KeyboardInterrupt")
    done = nvemu("run", "--scenario", path, "--", "true")
    assert (done.returncode, done.stderr) == (2, f"nvemu: {path}:1: KeyboardInterrupt\n")


#: The rest of a script: a function that needs `sib`, a file beside it.
HOT = """
scenario = Scenario(gpus=[Gpu("t4", count=2)])

@fault("nvmlDeviceGetTemperature")
def hot(call):
    import sib
    return {"temp": sib.warm(57)}
"""

#: What scripts do before that.
TOPS: dict[str, str] = {
    "star": "from os import path\nfrom emulator import *\nassert path.sep\n",
    "dataclass": (
        "from __future__ import annotations\nimport dataclasses, pickle\nfrom emulator import *\n"
        "@dataclasses.dataclass\nclass Point:\n    x: int = 3\n"
        "assert pickle.loads(pickle.dumps(Point())) == Point()\n"
    ),
    "beside": "from emulator import *\nimport sib, sub\nassert sib.sub is sub and sub.N == 3\n",
    "package": (
        "import emulator.scenario\nfrom emulator import *\nfrom emulator import __version__\n"
    ),
    "values": (
        "from emulator import *\ncount = 0\n"
        "mine = Scenario(gpus=[Gpu('t4', count=2)])\n"
        "for gpu in mine.gpus: count += gpu.count + 1\n"
        "assert mine.gpus[0].count == 2 and 1 < mine.gpus[0].count * 2 and len(mine.gpus) < 2\n"
        "names = [f'{gpu.profile:>5}' for gpu in mine.gpus] + list(range(mine.gpus[0].count))\n"
        "class Mine(Scenario): pass\n"
    ),
}


@pytest.mark.parametrize("top", TOPS)
def test_a_script_may_do_what_scripts_do(
    top: str, script: Callable[[str], Path], run_in: Callable[..., Done]
) -> None:
    path = script(TOPS[top] + HOT)
    path.with_name("sib.py").write_text("import sub\ndef warm(temp): return temp + sub.N\n")
    path.with_name("sub.py").write_text("import sib\nN = 3\n")
    client = "import sys\n" + CLIENT + "print('sib' in sys.modules)"
    done = run_in(path, [sys.executable, "-c", client], "\n")
    assert (done.stdout, done.stderr) == ("60\nFalse\n", "")
    assert "sib" not in sys.modules


def test_an_image_has_what_scripts_need(
    script: Callable[[str], Path], nvemu: Callable[..., Any], tmp_path: Path
) -> None:
    path = script(TOPS["star"] + HOT)
    prefix = tmp_path / "image"
    done = nvemu("install", "--prefix", prefix, "--scenario", path)
    assert f"the scenario runs functions of {path}: the image must have it" in done.stderr
    path.with_name("sib.py").write_text("def warm(temp): return temp\n")
    done = subprocess.run(
        [sys.executable, "-c", CLIENT],
        env=os.environ | {"LD_LIBRARY_PATH": str(prefix / "lib")},
        input="\n",
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("57\n", "")


def test_resolve_names_the_script_s_functions(
    script: Callable[[str], Path], nvemu: Callable[..., Any]
) -> None:
    done = nvemu("scenarios", "resolve", script(SCRIPT))
    plan = json.loads(done.stdout)
    assert plan["faults"][1]["run"] == [str(script(SCRIPT)), "hot"]
    assert plan["changes"][0]["run"] == [str(script(SCRIPT)), "lose"]


def test_decorated_functions_of_files_beside_it_are_its_own(
    script: Callable[[str], Path], run_in: Callable[..., Done]
) -> None:
    path = script(HEAD + "import sib\n")
    sibling = path.with_name("sib.py")
    sibling.write_text("from emulator import fault\n@fault('cuInit')\ndef f(call): return 3\n")
    client = "import ctypes\nprint(ctypes.CDLL('libcuda.so.1').cuInit(0))"
    done = run_in(path, [sys.executable, "-c", client])
    assert (done.stdout, done.stderr) == ("3\n", "")


class TestFunctionsAtWork:
    """What they return and raise, and what they call."""

    @pytest.mark.parametrize(
        ("returned", "message"),
        [
            ({"nope": 1}, f"expected an out-parameter of {TEMPERATURE} (temp), found 'nope'"),
            ({1: 2}, f"expected an out-parameter of {TEMPERATURE} (temp), found 1"),
            (True, "expected a code of nvml, None or a dict, found True"),
            (1 << 32, "expected a code of nvml, None or a dict, found 4294967296"),
            (-1 << 32, "expected a code of nvml, None or a dict, found -4294967296"),
        ],
    )
    def test_return_nonsense(
        self, returned: Any, message: str, capfd: pytest.CaptureFixture[str]
    ) -> None:
        assert answer(lambda call: returned) == 999
        assert f"UNKNOWN: ValueError: {message} (" in capfd.readouterr().err

    def test_write_what_is_not_there(self, capfd: pytest.CaptureFixture[str]) -> None:
        assert answer(lambda call: call.write(no_such=1)) == 999
        assert f"out-parameter of {TEMPERATURE} (temp), found 'no_such'" in capfd.readouterr().err

    @pytest.mark.filterwarnings("error")
    def test_are_async_or_generators(self, capfd: pytest.CaptureFixture[str]) -> None:
        async def later(call: Any) -> int:
            return 3

        def by_and_by(call: Any) -> Any:
            yield 3

        assert (answer(later), answer(by_and_by)) == (999, 999)
        said = capfd.readouterr().err.splitlines()
        assert len(said) == 2
        assert "found an async function (" in said[0]
        assert "found a function with `yield` (" in said[1]

    @pytest.mark.parametrize("name", ["gpu_is_lost", "Gpu_Is_Lost", "nvml_error_gpu_is_lost"])
    def test_name_codes_in_any_case(self, name: str) -> None:
        assert answer(lambda call: name) == 15

    def test_have_nothing_to_say_where_no_code_is_returned(
        self, capfd: pytest.CaptureFixture[str]
    ) -> None:
        with Emulation(Scenario(faults=[Fault("nvmlErrorString", run=lambda call: 3)])):
            pynvml.nvmlInit()
            assert pynvml.nvmlErrorString(15) is None
        assert "expected None, as the call returns no code, found 3 (" in capfd.readouterr().err

    def test_raise_texts_of_many_lines(self, capfd: pytest.CaptureFixture[str]) -> None:
        def fail(call: Any) -> None:
            raise ValueError("one\n\n  two\r\nthree")

        assert answer(fail) == 999
        said = capfd.readouterr().err
        assert "ValueError: one two three (test_script.py:" in said
        assert said.count("\n") == 1

    def test_do_not_end_the_host(self, capfd: pytest.CaptureFixture[str]) -> None:
        assert answer(lambda call: sys.exit(9)) == 999
        assert "UNKNOWN: SystemExit: 9 (test_script.py:" in capfd.readouterr().err

    def test_do_not_end_other_hosts(
        self,
        script: Callable[[str], Path],
        run_in: Callable[..., Done],
        compile_c: Callable[[str], Path],
    ) -> None:
        path = script(
            HEAD + "import sys\n@fault('nvmlDeviceGetTemperature')\ndef f(call): sys.exit(9)\n"
            "@at(0)\ndef g(machine): sys.exit(8)\n"
        )
        for command in ([sys.executable, "-c", CLIENT], [compile_c(C_CLIENT)]):
            done = run_in(path, command, "\n")
            assert (done.returncode, done.stdout) in [(0, "Unknown Error\n"), (0, "999 0\n")]
            assert done.stderr.splitlines() == [
                "nvemu: a change of the machine: the scenario's function failed: "
                "SystemExit: 8 (lab.py:8)",
                f"nvemu: {TEMPERATURE}, fault[0]: the scenario's function failed, "
                "the call answers UNKNOWN: SystemExit: 9 (lab.py:6)",
            ]

    def test_leave_the_host_s_signal_handlers_alone(
        self, script: Callable[[str], Path], run_in: Callable[..., Done]
    ) -> None:
        path = script(
            HEAD + "import os, signal, time\n@fault('nvmlDeviceGetTemperature')\n"
            "def f(call):\n    os.kill(os.getpid(), signal.SIGTERM)\n    time.sleep(5)\n"
        )
        client = "import signal, sys\nsignal.signal(signal.SIGTERM, lambda *_: sys.exit(7))\n"
        done = run_in(path, [sys.executable, "-c", client + CLIENT], "\n")
        assert (done.returncode, done.stdout, done.stderr) == (7, "", "")

    def test_get_the_real_answer_when_they_call_themselves(self) -> None:
        seen = []

        def warmer(call: Any) -> dict[str, int]:
            handle = pynvml.nvmlDeviceGetHandleByIndex(0)
            seen.append((call.number, pynvml.nvmlDeviceGetTemperature(handle, 0)))
            return {"temp": seen[-1][1] + 10}

        assert [answer(warmer), answer(warmer)] == [COOL + 10] * 2
        assert seen == [(1, COOL), (1, COOL)]

    def test_in_c_get_the_real_answer_when_they_call_themselves(
        self,
        script: Callable[[str], Path],
        run_in: Callable[..., Done],
        compile_c: Callable[[str], Path],
    ) -> None:
        path = script(
            HEAD + "import ctypes\n@fault('nvmlDeviceGetTemperature')\ndef f(call):\n"
            "    nvml, device, read = ctypes.CDLL('libnvidia-ml.so.1'), ctypes.c_void_p(), "
            "ctypes.c_uint()\n"
            "    nvml.nvmlDeviceGetHandleByIndex_v2(0, ctypes.byref(device))\n"
            "    nvml.nvmlDeviceGetTemperature(device, 0, ctypes.byref(read))\n"
            "    return {'temp': read.value + call.number}\n"
        )
        done = run_in(path, [compile_c(C_CLIENT)])
        assert (done.stdout, done.stderr) == (f"0 {COOL + 1}\n", "")


def answer(function: Callable[..., Any]) -> Any:
    """What GPU 0's temperature is when a function of a scenario answers; or the error's code."""
    with Emulation(Scenario(gpus=[Gpu("t4")], faults=[Fault(TEMPERATURE, run=function)])):
        pynvml.nvmlInit()
        try:
            return pynvml.nvmlDeviceGetTemperature(pynvml.nvmlDeviceGetHandleByIndex(0), 0)
        except pynvml.NVMLError as error:
            return error.value
