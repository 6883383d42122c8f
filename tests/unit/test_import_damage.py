"""Files of nvidia-smi's output that are cut, torn, mixed up or nothing of the kind.

What comes of each is all that it tells, or one error with the line; never a part of a machine.
"""

from __future__ import annotations

import contextlib
import gzip
import os
import re
import subprocess
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from smi_text import LOG, log_in_xml

from emulator.imports.facts import Facts
from emulator.imports.making import scenario_of
from emulator.imports.smi import reading
from emulator.imports.smi.reading import parse, read
from emulator.imports.smi.trees import opening
from emulator.scenario import ScenarioError, ScenarioFileError

XML = log_in_xml()
TEXTS = {"xml": XML, "text": LOG}
WANTED = "expected the output of `nvidia-smi -q -x`, or of `nvidia-smi -q`, found "

Done = subprocess.CompletedProcess[str]
Refused = Callable[[bytes | str], ScenarioFileError]


def facts(text: str) -> Facts:
    return parse(text, "box").facts


def told(text: str) -> list[dict[tuple[str, ...], object]]:
    """What a text tells of each GPU."""
    return [{each.path: each.value for each in gpu} for gpu in facts(text).gpus]


def problem(text: str) -> ScenarioFileError:
    """The error that parsing a text ends with."""
    with pytest.raises(ScenarioFileError) as caught:
        parse(text, "box")
    return caught.value


@pytest.fixture
def refused(tmp_path: Path) -> Refused:
    """`refused(content)`: the error that reading a file ends with."""

    def run(content: bytes | str) -> ScenarioFileError:
        file = tmp_path / "box"
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        with pytest.raises(ScenarioFileError) as caught:
            read(file)
        assert caught.value.file == str(file)
        assert "\n" not in str(caught.value)
        assert len(caught.value.problem) < 400
        return caught.value

    return run


@pytest.mark.parametrize("form", TEXTS)
def test_the_whole_is_two_gpus(form: str):
    first, second = told(TEXTS[form])
    assert (first[("name",)], second[("name",)]) == ("NVIDIA A100-SXM4-80GB", "Tesla T4")
    assert first[("memory", "total")] == 81920 << 20
    assert second[("temperature", "gpu")] == 36
    assert facts(TEXTS[form]).driver == "550.163.01"


def test_both_forms_tell_the_same():
    assert told(LOG) == told(XML)


class TestEncodings:
    @pytest.mark.parametrize("form", TEXTS)
    @pytest.mark.parametrize(
        "encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "latin-1"]
    )
    def test_it_is_read_in_any(self, tmp_path: Path, form: str, encoding: str):
        """PowerShell's > writes UTF-16."""
        file = tmp_path / "box"
        file.write_bytes(TEXTS[form].encode(encoding))
        assert read(file).facts.gpus == facts(TEXTS[form]).gpus

    @pytest.mark.parametrize("form", TEXTS)
    def test_bytes_that_are_no_text(self, tmp_path: Path, form: str):
        """A process's name is in whatever encoding its machine has."""
        file = tmp_path / "box"
        file.write_bytes(TEXTS[form].encode().replace(b"Xorg", b"X\xe9\x80g"))
        [found] = [each.value for each in read(file).facts.gpus[1] if each.path == ("processes",)]
        assert [process["pid"] for process in found] == [77, 4242]

    def test_half_of_a_character_is_cut(self, refused: Refused):
        assert refused(XML.encode("utf-16")[:-7]).line

    @pytest.mark.parametrize("form", TEXTS)
    def test_a_bus_id_that_is_none(self, form: str):
        """A Jetson's nvidia-smi prints bytes of memory that nobody wrote, where it would be."""
        text = TEXTS[form].replace('id="00000000:07:00.0"', 'id="\x01\x1f"')
        text = text.replace("GPU 00000000:07:00.0", "GPU \x01\x1f")
        first, second = told(text.replace("00000000:07:00.0", "N/A"))
        assert ("pci_bus_id",) not in first
        assert second == told(TEXTS[form])[1]


class TestPacked:
    """As nvidia-bug-report.sh packs its report."""

    def test_it_is_unpacked(self, tmp_path: Path):
        file = tmp_path / "nvidia-bug-report.log.gz"
        file.write_bytes(gzip.compress(f"{LOG}____\nXorg.log\n".encode()))
        assert read(file).facts.gpus == facts(LOG).gpus

    @pytest.mark.parametrize("cut", [slice(0, 400), slice(0, 3), slice(200, None)])
    def test_a_part_of_it_is_refused(self, refused: Refused, cut: slice):
        packed = gzip.compress(LOG.encode())
        head = b"" if cut.start == 0 else packed[:20]
        assert "cannot be unpacked" in refused(head + packed[cut]).problem

    def test_what_unpacks_without_end(self, refused: Refused):
        packed = gzip.compress(b"\0" * (opening.LARGEST + 1), compresslevel=1)
        assert "more than" in refused(packed).problem


class TestNoSuchFile:
    @pytest.mark.parametrize("content", ["", "\n \r\n\t\n", "\ufeff"])
    def test_empty(self, refused: Refused, content: str):
        assert "empty" in refused(content).problem

    @pytest.mark.parametrize("content", [b"\0" * 4096, b"\x7fELF\2\1\1\0\0", b"GPU\n\n\0\1\2"])
    def test_binary(self, refused: Refused, content: bytes):
        error = refused(content)
        assert "expected text" in error.problem
        assert error.line == content[: content.index(0)].count(b"\n") + 1

    def test_too_large(self, tmp_path: Path):
        file = tmp_path / "box"
        with file.open("wb") as stream:
            stream.truncate(100 << 20)
        with pytest.raises(ScenarioFileError, match=f"more than {opening.LARGEST >> 20} MiB"):
            read(file)

    def test_without_end(self):
        with pytest.raises(ScenarioFileError, match=r"/dev/zero: .* more than"):
            read(Path("/dev/zero"))

    def test_a_folder(self, tmp_path: Path):
        with pytest.raises(ScenarioFileError, match="cannot be read: Is a directory"):
            read(tmp_path)

    def test_none(self, tmp_path: Path):
        with pytest.raises(ScenarioFileError, match="cannot be read: No such file"):
            read(tmp_path / "none")

    def test_no_path(self):
        with pytest.raises(ScenarioFileError, match="expected a path"):
            read(Path("a\0b"))

    @pytest.mark.skipif(os.geteuid() == 0, reason="root reads every file")
    def test_not_to_be_read(self, tmp_path: Path):
        file = tmp_path / "box"
        file.touch(mode=0)
        with pytest.raises(ScenarioFileError, match="cannot be read: Permission denied"):
            read(file)


class TestForeign:
    """Each other output is told by its name, with what to run in its place."""

    @pytest.mark.parametrize(
        ("text", "line", "found"),
        [
            ("+----+\n| NVIDIA-SMI 535.1  Driver Version: 535.1 |\n", 2, "nvidia-smi's table"),
            ("\nGPU 0: Tesla T4 (UUID: GPU-1)\n", 2, "a list of GPUs, as of `nvidia-smi -L`"),
            ("pid, process_name\n1, a\n", 1, "a table of --query-compute-apps"),
            (
                "\n=====NVSMI LOG=====\n\nAttached Units    : 0\n",
                4,
                "the output of `nvidia-smi -q -u`",
            ),
            ("=====NVSMI LOG=====\nDriver Version : 550\n", 1, "its first lines alone"),
            ("\tGPU0\tGPU1\tCPU Affinity\n", 1, "the output of `nvidia-smi topo -m`"),
            ("name, pci.bus_id, driver_version\nTesla T4, 1, 2\n", 1, "a table of --query-gpu"),
            (
                "# gpu   pwr gtemp\n# Idx     W     C\n",
                1,
                "the output of `nvidia-smi dmon` or pmon",
            ),
            ('driver = "550"\n[[gpu]]\nprofile = "t4"\n', 2, "a scenario"),
            (
                "    FB Memory Usage\n        Total          : 15360 MiB\n",
                2,
                "a part of `nvidia-smi -q` without the line of its GPU",
            ),
            ("hello\nworld", 1, "'hello'"),
            ("<html>\n<gpu/></html>", 1, "'<html>'"),
            ("x" * 500_000, 1, repr("x" * 40)),
        ],
    )
    def test_what_it_is(self, refused: Refused, text: str, line: int, found: str):
        error = refused(text)
        assert error.problem == f"{WANTED}{found}; run `nvidia-smi -q -x > FILE` on that machine"
        assert error.line == line

    @pytest.mark.parametrize("text", ["<nvidia_smi_log/>", "==NVSMI LOG==\nAttached GPUs : 0"])
    def test_no_gpu_in_it(self, refused: Refused, text: str):
        assert "expected a GPU in it, found none" in refused(text).problem

    @pytest.mark.parametrize(
        "text",
        [
            f"<nvidia_smi_log><gpu><new>{'<a/>' * 301}</new></gpu></nvidia_smi_log>",
            "Attached GPUs : 1\nGPU 00000000:07:00.0\n    New\n" + "        a : b\n" * 301,
        ],
        ids=["xml", "text"],
    )
    def test_more_fields_than_any_machine_has(
        self, monkeypatch: pytest.MonkeyPatch, refused: Refused, text: str
    ):
        monkeypatch.setattr(reading, "MOST", 300)
        assert "more than 300 of them" in refused(text).problem

    def test_a_part_that_does_not_say_what_gpu_it_is(self, refused: Refused):
        """`nvidia-smi -q -d CLOCK`."""
        head = "Attached GPUs   : 1\nGPU 00000000:07:00.0\n"
        error = refused(f"{head}    Clocks\n        SM         : 1230 MHz\n")
        assert error.line == 2
        assert error.problem.startswith(
            "gpu: expected product_name or pci/pci_device_id, found neither, as in the output of"
        )
        assert "run `nvidia-smi -q -x > FILE`" in error.problem

    @pytest.mark.parametrize("form", TEXTS)
    def test_two_outputs(self, refused: Refused, form: str):
        """`nvidia-smi -l` into a file, or two files put together."""
        error = refused(TEXTS[form] * 2)
        assert "a second output of nvidia-smi begins here" in error.problem
        assert error.line is not None
        assert error.line > TEXTS[form].count("\n")

    @pytest.mark.parametrize("form", TEXTS)
    def test_nvidia_smi_s_table_may_stand_before(self, form: str):
        table = (
            "$ nvidia-smi\n+---+\n| NVIDIA-SMI 550.163.01   Driver Version: 550.163.01 |\n+---+\n"
        )
        assert told(table + TEXTS[form]) == told(TEXTS[form])


class TestXml:
    def test_it_is_refused_wherever_it_is_cut(self):
        begin, end = XML.index("<gpu id"), XML.rindex("</nvidia_smi_log>")
        for cut in [*range(begin, end, 7), *range(end - 60, end + len("</nvidia_smi_log"))]:
            error = problem(XML[:cut])
            assert error.line is not None
            assert error.line <= XML.count("\n", 0, cut) + 1

    def test_it_says_where(self):
        cut = XML.index("Tesla T4")
        assert "gpu 00000000:3B:00.0" in problem(XML[:cut]).problem

    @pytest.mark.parametrize(
        ("element", "figure"), [("serial", ("serial",)), ("gpu_temp", ("temperature", "gpu"))]
    )
    def test_an_element_that_is_missing_is_not_told(self, element: str, figure: tuple[str, ...]):
        begin = XML.rindex(f"<{element}>")
        end = XML.index(f"</{element}>", begin) + len(f"</{element}>")
        first, second = told(XML[:begin] + XML[end:])
        whole = told(XML)
        assert first == whole[0]
        assert second == {path: value for path, value in whole[1].items() if path != figure}

    def test_tags_are_swapped(self):
        place = XML.index("</pending_mig>")
        both = XML[place : XML.index("</mig_mode>") + len("</mig_mode>")]
        error = problem(XML.replace(both, "</mig_mode></pending_mig>", 1))
        assert error.line == XML.count("\n", 0, place) + 1
        assert "mismatched tag within gpu 00000000:07:00.0/mig_mode/pending_mig" in error.problem

    def test_the_tags_between_two_gpus_are_missing(self):
        begin = XML.index("\t</gpu>")
        end = XML.index("\n", XML.index("<gpu id", begin)) + 1
        error = problem(XML[:begin] + XML[end:])
        assert "product_name stands a second time in 00000000:07:00.0" in error.problem

    @pytest.mark.parametrize(
        "text",
        [
            pytest.param("\n".join(f"> {line}" for line in XML.split("\n")), id="quote"),
            pytest.param("\n".join(f"    {line}" for line in XML.split("\n")), id="code block"),
            pytest.param(f"see\n```xml\n{XML}```\nbye", id="fence"),
            pytest.param(XML.replace("\n", "\r\n"), id="CRLF"),
            pytest.param(XML.replace("\n", "").replace("\t", ""), id="one line"),
            pytest.param(XML[XML.index("<nvidia_smi_log") :], id="no declaration"),
            pytest.param(XML.replace("&", "&amp;").replace("<", "&lt;"), id="escaped"),
            pytest.param(f"\x1b[1m{XML}\x1b[0m", id="colours around"),
        ],
    )
    def test_pasted(self, text: str):
        assert told(text) == told(XML)

    def test_an_entity_bomb(self):
        lines = [f'<!ENTITY e{n + 1} "{f"&e{n};" * 10}">' for n in range(30)]
        kind = "<!DOCTYPE nvidia_smi_log [" + '<!ENTITY e0 "ha">' + "".join(lines) + "]>"
        text = f"<?xml version='1.0'?>{kind}<nvidia_smi_log><gpu>&e30;</gpu></nvidia_smi_log>"
        assert problem(text).line == 1

    def test_no_file_is_read_for_it(self, tmp_path: Path):
        secret = tmp_path / "secret"
        secret.write_text("550.163.01")
        kind = f'<!DOCTYPE nvidia_smi_log [<!ENTITY s SYSTEM "file://{secret}">]>'
        text = XML.replace("550.163.01", "&s;")
        assert problem(f"{kind}{text[text.index('<nvidia_smi_log') :]}").line

    def test_nothing_is_fetched_for_it(self):
        asked: list[str] = []

        class Server(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.append(self.path)
                self.send_error(404)

        with HTTPServer(("127.0.0.1", 0), Server) as server:
            thread = threading.Thread(target=server.serve_forever, args=(0.01,))
            thread.start()
            address = f"http://127.0.0.1:{server.server_port}/nvsmi_device_v12.dtd"
            assert facts(XML.replace("nvsmi_device_v12.dtd", address)).gpus == facts(XML).gpus
            server.shutdown()
            thread.join()
        assert asked == []

    def test_elements_too_deep_in_one_another(self):
        assert "deep" in problem("<nvidia_smi_log>" + "<gpu>" * 100_000).problem


@pytest.mark.parametrize("form", TEXTS)
@pytest.mark.parametrize(
    ("value", "nonsense"),
    [
        ("550.163.01", "550"),
        ("12.4", "twelve"),
        ("81920 MiB", "abc MiB"),
        ("81920 MiB", "-5 MiB"),
        ("81920 MiB", "81920"),
        ("81920 MiB", "9" * 30 + " MiB"),
        ("81920 MiB", "9" * 5000 + " MiB"),
        ("36 C", "warm"),
        ("36 C", "36 F"),
        ("93 %", "930 %"),
        ("93 %", "\u0669 %"),
        ("5 MiB", "5"),
        ("4242", "x4242"),
        ("20B210DE", "20B2 10DE"),
        ("GPU-66666666-2222-3333-4444-555555555555", "GPU-666"),
    ],
)
def test_a_value_of_nonsense_is_refused(form: str, value: str, nonsense: str):
    """With the line where it stands, and in words that show it."""
    lines = TEXTS[form].split("\n")
    place = max(index for index, line in enumerate(lines) if value in line)
    lines[place] = lines[place].replace(value, nonsense)
    error = problem("\n".join(lines))
    assert error.line == place + 1
    assert len(error.problem) < 300


class TestCommand:
    @pytest.mark.parametrize(
        "content",
        [
            pytest.param(XML[:3000], id="cut XML"),
            pytest.param(LOG[:3000], id="cut text"),
            pytest.param(XML.replace("81920 MiB", "many"), id="a value of nonsense"),
            pytest.param("", id="empty"),
            pytest.param("| NVIDIA-SMI 550 |", id="nvidia-smi's table"),
        ],
    )
    def test_one_line_and_nothing_is_written(
        self, nvemu: Callable[..., Done], tmp_path: Path, content: str
    ):
        file, target = tmp_path / "box", tmp_path / "box.toml"
        file.write_text(content)
        target.write_text("before")
        done = nvemu("import", "nvidia-smi", file, "-o", target)
        assert (done.returncode, done.stdout) == (2, "")
        assert re.fullmatch(rf"nvemu: {re.escape(str(file))}(:\d+)?: .*\n", done.stderr)
        assert target.read_text() == "before"


def damaged(text: str) -> st.SearchStrategy[str]:
    """A text with a few places cut out, doubled, moved or written over."""
    place = st.integers(0, len(text))
    stroke = st.one_of(
        st.tuples(st.just("cut"), place, st.integers(0, 400)),
        st.tuples(st.just("double"), place, st.integers(0, 400)),
        st.tuples(st.just("end"), place, st.just(0)),
        st.tuples(st.just("begin"), place, st.just(0)),
        st.tuples(st.text(max_size=8), place, st.integers(0, 8)),
    )
    return st.lists(stroke, min_size=1, max_size=4).map(lambda strokes: _struck(text, strokes))


def _struck(text: str, strokes: list[tuple[str, int, int]]) -> str:
    for kind, place, size in strokes:
        head, part, rest = text[:place], text[place : place + size], text[place + size :]
        text = {
            "cut": head + rest,
            "double": head + part + part + rest,
            "end": head,
            "begin": part + rest,
        }.get(kind, head + kind + rest)
    return text


def outcome(text: str) -> Facts | ScenarioFileError:
    """What comes of a text; any other exception is a defect."""
    try:
        found = parse(text, "box").facts
    except ScenarioFileError as error:
        return error
    with contextlib.suppress(ScenarioError):  # it is of no product that is known
        scenario_of(found)
    return found


class TestAtRandom:
    """Either facts of all GPUs, or one error with its line."""

    def check(self, text: str) -> None:
        found = outcome(text)
        if isinstance(found, Facts):
            whole = len(found.gpus) == 2 or "ttached" not in text
            assert whole or found.notes
        else:
            assert found.file == "box"
            assert found.line is not None
            assert 1 <= found.line <= len(text.splitlines()) + 1

    @given(damaged(LOG))
    @settings(max_examples=150)
    def test_of_text(self, text: str):
        self.check(text)

    @given(damaged(XML))
    @settings(max_examples=150)
    def test_of_xml(self, text: str):
        self.check(text)

    @given(st.text(max_size=300))
    @settings(max_examples=50)
    def test_of_anything(self, text: str):
        self.check(text)
