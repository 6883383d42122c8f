"""Scenario files with mistakes: the message always says where, and what was expected."""

from __future__ import annotations

import random
import re
import string
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from emulator.plans import plan_of
from emulator.scenario import ScenarioError, loads

GALLERY = Path(__file__).parents[2] / "emulator" / "scenario" / "gallery"

#: Whatever a scenario can say.
EVERYTHING = """
name = "everything"
description = "all that a scenario can say"
origin = ["https://example.org/1", "https://example.org/2"]
sees = "a lot"
driver = "550.163.01"
clock = "60x"
strict = true
environment = { CUDA_VISIBLE_DEVICES = "0,1", CUDA_DEVICE_ORDER = "PCI_BUS_ID" }

[loader]
cuda = "absent"
nvml = ["wrong-class", { state = "missing-symbols", symbols = ["nvmlDeviceGetMemoryInfo_v2"] }]

[[gpu]]
profile = "h100-sxm5-80gb"
count = 2
memory_used = "10 GiB"
temperature = 80
power_usage = "312.5 W"

[[gpu]]
profile = "t4"
uuid = "GPU-ee7954ec-da95-fd7a-ddfd-c6b32cc2f8aa"
serial = "1234567890"
pci_bus_id = "0000:e1:00.0"
failure = "lost"
figures.clocks.graphics.current = "1.5 GHz"
figures.ecc.current = "N/A"

[[fault]]
name = "hot"
function = ["nvmlDeviceGetTemperature", "nvmlDeviceGetMemoryInfo*"]
device = [0, "t4"]
calls = [1, "3-5", "every 7"]
after = "nvmlInit*"
process = "python*"
thread = "main"
time = "10 s-20 s"
probability = 0.25
seed = 7
delay = "20 ms"
returns = "GPU_IS_LOST"

[[fault]]
function = "nvmlDeviceGetMemoryInfo"
writes = { memory = { total = 1, free = 0 } }
corrupt = { "memory.used" = "max" }

[[fault]]
function = "cuInit"
library = "cuda"
signal = "SIGSEGV"

[[change]]
at = "30 s"
every = "1 s"
until = "2 min"
device = 1
add = { memory_used = "1 GiB" }

[[change]]
at = 5
set = { failure = "reset_required", temperature = 95 }
"""

FILES = [EVERYTHING, *(path.read_text(encoding="utf-8") for path in sorted(GALLERY.glob("*.toml")))]

#: What a value may be mistaken for.
VALUES = (
    *("0", "-1", "1.5", "nan", "inf", "true", '""', '"x"', "[]", "{}", "[[]]", "[1, [2]]"),
    *("{ a = { b = 1 } }", "1979-05-27", "07:32:00", '"""a\nb"""', f"{1 << 64}", f"-{1 << 70}"),
    *('"N/A"', '"\\u0000"', '"é"', f'"{"x" * 2000}"', "[0, 0, 0]", '["", 1]', "1e400", '"every 0"'),
)
HEADERS = ("[gpu]", "[[gpu]]", "[fault]", "[[change]]", "[[x]]", "[loader]", "[[name]]")
KEYS = (*("x", "gpu", "fault", "returns", "count", "uuid", "at", "set", "state", "function", '""'),)

Mutation = Callable[[str, random.Random], str]


def other_value(text: str, dice: random.Random) -> str:
    places = list(re.finditer(r"(?m)= (.+)$", text))
    place = dice.choice(places)
    return text[: place.start(1)] + dice.choice(VALUES) + text[place.end(1) :]


def value_of_another_key(text: str, dice: random.Random) -> str:
    places = list(re.finditer(r"(?m)= (.+)$", text))
    here, there = dice.choice(places), dice.choice(places)
    return text[: here.start(1)] + there[1] + text[here.end(1) :]


def other_key(text: str, dice: random.Random) -> str:
    places = list(re.finditer(r"(?m)^([\w.]+) =", text))
    place = dice.choice(places)
    known = [*KEYS, *(other[1] for other in places)]
    return text[: place.start(1)] + dice.choice(known) + text[place.end(1) :]


def without_a_line(text: str, dice: random.Random) -> str:
    lines = text.splitlines(keepends=True)
    del lines[dice.randrange(len(lines))]
    return "".join(lines)


def a_line_elsewhere(text: str, dice: random.Random) -> str:
    lines = text.splitlines(keepends=True)
    lines.insert(dice.randrange(len(lines)), dice.choice(lines))
    return "".join(lines)


def other_header(text: str, dice: random.Random) -> str:
    places = list(re.finditer(r"(?m)^\[+(\w+)\]+$", text))
    if not places:
        return text + "[gpu]\n"
    place = dice.choice(places)
    header = dice.choice(HEADERS)
    return text[: place.start()] + header + text[place.end() :]


def other_characters(text: str, dice: random.Random) -> str:
    start = dice.randrange(len(text))
    end = start + dice.randrange(4)
    new = "".join(dice.choices(string.printable + "é\0", k=dice.randrange(4)))
    return text[:start] + new + text[end:]


def other_digits(text: str, dice: random.Random) -> str:
    places = list(re.finditer(r"\d+", text)) or [re.match("", text)]
    place = dice.choice(places)
    digits = dice.choice(["0", "99999", "18446744073709551616", "", "9" * 5000, "0x10", "1_0"])
    return text[: place.start()] + digits + text[place.end() :]


def word_misspelt(text: str, dice: random.Random) -> str:
    place = dice.choice(list(re.finditer(r"\w{4,}", text)))
    middle = dice.randrange(place.start(), place.end() - 1)
    return text[:middle] + text[middle + 1] + text[middle] + text[middle + 2 :]


MUTATIONS: tuple[Mutation, ...] = (
    *(other_value, other_value, value_of_another_key, other_key, without_a_line),
    *(a_line_elsewhere, other_header, other_characters, other_digits, word_misspelt),
)


def mutations(number: int, seed: str) -> Iterator[str]:
    """Valid files, each with one to three mistakes; the same ones in each run."""
    dice = random.Random(seed)
    for _ in range(number):
        text = EVERYTHING if dice.random() < 0.6 else dice.choice(FILES)
        for _ in range(dice.choice([1, 1, 1, 2, 3])):
            text = dice.choice(MUTATIONS)(text, dice)
        yield text


def verdict(text: str) -> str:
    """The message with which a file is refused, "" if it is not; anything else is raised."""
    try:
        plan_of(loads(text, "mine.toml"))
    except ScenarioError as error:
        return str(error)
    return ""


def test_the_files_are_valid() -> None:
    for text in FILES:
        assert verdict(text) == ""


def test_each_mistake_is_told_with_its_file_its_place_and_what_was_expected() -> None:
    refused = 0
    for text in mutations(600, "malformed"):
        problem = verdict(text)
        if not problem:
            continue
        refused += 1
        assert "\n" not in problem, (problem, text)
        assert problem.startswith("mine.toml:"), (problem, text)
        assert re.search(
            r"expected|no such key|no figure|no field|needs driver|did you mean|cannot", problem
        ), (problem, text)
        if tomlable(text):
            assert re.match(r"mine\.toml(:\d+)?: [\w\"'.\[\]-]+: ", problem), (problem, text)
    assert refused >= 200


def tomlable(text: str) -> bool:
    try:
        tomllib.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def test_the_command_says_each_in_one_line(nvemu, tmp_path) -> None:
    files = []
    for number, text in enumerate(mutations(40, "validate")):
        file = tmp_path / f"{number}.toml"
        file.write_text(text, encoding="utf-8")
        if verdict(text):
            files.append(file)
    assert len(files) >= 20
    done = nvemu("scenarios", "validate", *files)
    lines = done.stdout.splitlines()
    assert (done.returncode, done.stderr) == (1, "")
    assert [line.partition(".toml")[0] for line in lines] == [
        str(file.with_suffix("")) for file in files
    ]


@pytest.mark.parametrize("seed", ["run-a", "run-b", "run-c"])
def test_a_program_is_not_started_under_one(seed, nvemu, tmp_path) -> None:
    text = next(text for text in mutations(40, seed) if verdict(text))
    file = tmp_path / "mine.toml"
    file.write_text(text, encoding="utf-8")
    done = nvemu("run", "--scenario", file, "--", "echo", "started")
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(rf"nvemu: {re.escape(str(file))}.*\n", done.stderr)


class TestBusIds:
    """Of GPUs that stand between ones with bus ids of their own; found by drawing scenarios."""

    def test_those_after_a_low_one_get_others_than_those_before(self) -> None:
        text = '[[gpu]]\nprofile = "t4"\n[[gpu]]\nprofile = "t4"\npci_bus_id = "00:00"\n'
        plan = plan_of(loads(text + '[[gpu]]\nprofile = "t4"\ncount = 3\n'))
        addresses = [(gpu["pci"]["domain"], gpu["pci"]["bus"]) for gpu in plan["gpus"]]
        assert len(set(addresses)) == 5

    def test_none_is_left_behind_the_last_one(self) -> None:
        text = '[[gpu]]\nprofile = "t4"\npci_bus_id = "FFFFFFFF:FF:1F.0"\n[[gpu]]\nprofile = "t4"\n'
        assert verdict(text).startswith("mine.toml:4: gpu[1].pci_bus_id: expected a bus id")
