"""Redacted captures tell of the same machine, and not whose it is."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any
from uuid import UUID

import pytest
from asked_machine import capture_of
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from emulator import Gpu, Scenario
from emulator.imports.captures.format import Call, Capture, Header, dumps, loads
from emulator.imports.deriving.reading import facts_of
from emulator.imports.facts import Facts, GpuFacts, Note, Told
from emulator.imports.making import scenario_of
from emulator.imports.redaction import Redaction, redact, redact_facts
from emulator.machine import Machine
from emulator.plans import find_scenario, plan_of
from emulator.scenario.tree import check

KEY = b"a key of a test's"

UUID_TEXT = "GPU-b6854a8b-fde2-0c7d-245a-c77d8e272050"
CLUSTER = "00112233-4455-6677-8899-aabbccddeeff"
SERIAL = "1324918273645"
CHASSIS = ",".join(map(str, b"CHASSIS4711"))


def names(*rows: tuple[int, str]) -> list[dict[str, Any]]:
    return [{"pid": pid, "name": name, "type": "C", "used_memory": 1 << 28} for pid, name in rows]


MACHINE = Scenario(
    user="root",
    gpus=[
        Gpu(
            "gb200-186gb",
            uuid=UUID_TEXT,
            serial=SERIAL,
            figures={
                "hostname": "alices-box.example.org",
                "processes": names((71, "/home/alice/train.py"), (72, "python3")),
                "fabric": {"state": "COMPLETED", "status": "SUCCESS", "cluster_uuid": CLUSTER},
                "platform": {
                    "peer_type": "SWITCH",
                    "chassis_serial_number": "CHASSIS4711",
                    "ib_guid": "0a1b2c3d4e5f6071",
                },
            },
        ),
        Gpu(
            "a100-sxm4-80gb",
            figures={
                "processes": names((73, "python3")),
                "mig": {"current": True, "pending": True, "instances": [{"profile": "3g.40gb"}]},
            },
        ),
    ],
)

#: What is no secret of MACHINE's: it is the same before and after.
KEPT = ("name", "pci_bus_id", "pci", "memory", "brand", "board", "power", "clocks", "ecc")


@cache
def recorded() -> Capture:
    """What MACHINE answers."""
    return capture_of(MACHINE)


def secrets(scenario: Scenario) -> Iterator[str]:
    """What must not be found of a machine, however it is written."""
    for device in Machine(plan_of(scenario)).devices:
        yield from written(device.uuid[4:])
        yield from (device.serial or "-none-", device.hostname or "-none-")
        yield from (process.name for process in device.processes)
        for part in device.partitions:
            yield from written(part.uuid[4:])
        for text in (device.fabric.cluster_uuid, device.platform.ib_guid):
            yield from written(text) if text else ()
        chassis = device.platform.chassis_serial_number or "-none-"
        yield from (chassis, ",".join(map(str, chassis.encode())))


def written(text: str) -> Iterator[str]:
    """A UUID's ways: as text, without dashes, as bytes, as the number that it begins with."""
    digits = text.replace("-", "")
    yield text
    yield digits
    yield ",".join(map(str, bytes.fromhex(digits)))
    yield str(int(digits[:16], 16))


def content(capture: Capture) -> str:
    return dumps(capture).decode().lower()


def test_no_secret_is_left_and_each_was_there():
    capture = recorded()
    before, after = content(capture), content(redact(capture))
    found = [each for each in secrets(MACHINE) if each.lower() in before]
    assert {UUID_TEXT[4:], SERIAL, "/home/alice/train.py", CHASSIS} <= set(found)
    assert len(found) > 15
    assert [each for each in secrets(MACHINE) if each.lower() in after] == []


def test_the_machine_is_the_same_otherwise():
    capture = recorded()
    before, after = facts_of(capture), facts_of(redact(capture))
    assert (after.driver, after.cuda, len(after.gpus)) == (before.driver, before.cuda, 2)
    for gpu, other in zip(before.gpus, after.gpus, strict=True):
        assert [told.path for told in gpu] == [told.path for told in other]
        assert [told for told in gpu if told.path[0] in KEPT] == [
            told for told in other if told.path[0] in KEPT
        ]
    processes = [process for gpu in after.gpus for process in gpu.value("processes")]
    assert [(process["pid"], process["name"]) for process in processes] == [
        (71, "process-1"),
        (72, "process-2"),
        (73, "process-2"),
    ]


def test_a_redacted_capture_makes_the_scenario():
    scenario = scenario_of(facts_of(redact(recorded()))).scenario
    assert [gpu.profile for gpu in scenario.gpus] == ["gb200-186gb", "a100-sxm4-80gb"]
    assert [len(device.partitions) for device in Machine(plan_of(scenario)).devices] == [0, 1]
    assert scenario.gpus[0].uuid != UUID_TEXT


def test_a_redacted_capture_is_one_and_says_so():
    redacted = redact(recorded())
    assert redacted.header.redacted
    assert loads(dumps(redacted)) == redacted


def test_a_redacted_capture_is_replayed(tmp_path):
    redacted = redact(recorded())
    file = tmp_path / "box.capture"
    file.write_bytes(dumps(redacted))
    again = capture_of(find_scenario(file))
    assert steady(again) == steady(redacted)


def steady(capture: Capture) -> dict[str, tuple[int, Any]]:
    """Each question with its answer."""
    return {f"{call.function} {call.inputs}": (call.code, call.outputs) for call in capture.calls}


def test_the_uuid_is_the_same_in_all_its_ways():
    capture = redact(recorded())
    (text,) = {
        call.outputs["uuid"]
        for call in capture.of("nvmlDeviceGetUUID")
        if call.inputs == {"device": "GPU-0"} and call.outputs
    }
    raw = next(call.outputs for call in capture.of("cuDeviceGetUuid") if call.outputs)
    asked = next(call.inputs for call in capture.of("nvmlDeviceGetHandleByUUID"))
    pdi = next(call.outputs for call in capture.of("nvmlDeviceGetPdi") if call.outputs)
    assert bytes(raw["uuid"]["bytes"]) == UUID(text[4:]).bytes
    assert asked["uuid"] == text
    assert pdi["pdi"]["value"] == UUID(text[4:]).int >> 64


def test_each_redaction_has_a_key_of_its_own():
    capture = recorded()
    assert redact(capture) != redact(capture)
    assert Redaction(KEY).capture(capture) == Redaction(KEY).capture(capture)


# ---- kinds


@pytest.mark.parametrize(
    "text",
    [
        UUID_TEXT,
        UUID_TEXT.upper(),
        UUID_TEXT[4:],
        f"MIG-{UUID_TEXT[4:]}",
        f"MIG-{UUID_TEXT}/2/0",
        UUID_TEXT[4:].replace("-", ""),
    ],
)
def test_a_uuid_keeps_its_form(text):
    redaction = Redaction(KEY)
    whole = redaction.uuid(UUID_TEXT)
    replaced = redaction.text(text)
    assert UUID(whole[4:])
    assert replaced.lower() == text.lower().replace(UUID_TEXT[4:], whole[4:]).replace(
        UUID_TEXT[4:].replace("-", ""), whole[4:].replace("-", "")
    )
    assert replaced != text
    assert (replaced == replaced.upper()) == (text == text.upper())


def test_the_beginning_of_a_known_uuid_stays_one():
    redaction = Redaction(KEY)
    whole = redaction.uuid(UUID_TEXT)
    assert redaction.uuid(UUID_TEXT[:16]) == whole[:16]


def test_no_uuid_stays_none():
    nothing = "00000000-0000-0000-0000-000000000000"
    assert Redaction(KEY).uuid(nothing) == nothing


@pytest.mark.parametrize("text", [SERIAL, "0", "SN-12ab", "Ünïcode 7"])
def test_a_serial_keeps_its_form(text):
    replaced = Redaction(KEY).serial(text)
    assert len(replaced) == len(text)
    assert [c.isdigit() for c in replaced] == [c.isdigit() for c in text]
    assert replaced != text


def test_names_are_numbered_and_the_same_by_the_same():
    redaction = Redaction(KEY)
    assert [redaction.process(name) for name in ("a", "b", "a", "")] == [
        *("process-1", "process-2", "process-1", "")
    ]
    assert redaction.host("a") == "host-1"
    assert redaction.file("/home/alice/kernel.cubin") == "file-1"


def test_the_beginnings_of_others_are_found_too_but_the_longest_first():
    redaction = Redaction(KEY)
    redaction.process("trainer")
    redaction.process("trainer-2")
    assert redaction.text("of TRAINER-2 and trainer") == "of process-2 and process-1"


# ---- what stays


@pytest.mark.parametrize(
    ("function", "outputs"),
    [
        ("nvmlDeviceGetName", {"name": "NVIDIA A100-SXM4-80GB"}),
        ("nvmlDeviceGetPciInfo_v3", {"pci": {"busId": "00000000:19:00.0", "bus": 25}}),
        ("nvmlSystemGetDriverVersion", {"version": "550.163.01"}),
        ("nvmlDeviceGetVbiosVersion", {"version": "92.00.45.00.05"}),
    ],
)
def test_products_addresses_and_versions_stay(function, outputs):
    """Also where a host or a process is called as a part of them."""
    hidden = [
        Call("nvml", "nvmlSystemGetProcessName", {"pid": 7}, 0, {"name": name})
        for name in ("NVIDIA", "00000000", "550.163.01", "GPU-0", "92.00.45.00.05")
    ]
    call = Call("nvml", function, {"device": "GPU-0"}, 0, outputs)
    assert redact(Capture(Header(), (*hidden, call))).calls[-1] == call


def test_sealed_reports_and_keys_are_left_out():
    report = {"gpuCert": {"certChain": [1, 2, 3]}}
    key = {"encryptionKey": {"nvleKey": [7] * 32}}
    calls = [
        Call("nvml", "nvmlDeviceSetupNvlinkNvleEncryptionKey_v1", {"device": "GPU-0"} | key, 0),
        Call("nvml", "nvmlDeviceGetConfComputeGpuCertificate", {"device": "GPU-0"}, 0, report),
        Call("nvml", "nvmlDeviceGetHandleByUUIDV", {"uuid": {"type": 2, "value": {"str": "x"}}}, 0),
    ]
    assert redact(Capture(Header(), tuple(calls))).calls == ()


def test_a_hostname_that_is_set_is_redacted():
    told = {"device": "GPU-0", "hostname": {"value": "alices-box"}}
    (call,) = redact(Capture(Header(), (Call("nvml", "nvmlDeviceSetHostname_v1", told, 0),))).calls
    assert call.inputs["hostname"] == {"value": "host-1"}


# ---- facts


def test_facts_are_redacted_as_captures_are():
    figures = {
        "uuid": UUID_TEXT,
        "serial": SERIAL,
        "hostname": "alices-box",
        "processes": names((71, "/home/alice/train.py")),
        "mig": {"instances": [{"profile": "1g.10gb", "compute": [{"uuid": f"MIG-{CLUSTER}"}]}]},
    }
    told = [Told((name,), value, where="line 4") for name, value in figures.items()]
    notes = (Note("line 9", f"{UUID_TEXT} of /home/alice/train.py is not known"),)
    told += [Told(("name",), "Tesla T4"), Told(("serial",), None)]
    facts = redact_facts(Facts("550.163.01", (GpuFacts(tuple(told)),), notes=notes))
    (gpu,) = facts.gpus
    text = repr(facts)
    for secret in (UUID_TEXT[4:], SERIAL, "alice", CLUSTER):
        assert secret not in text
    assert gpu.value("name") == "Tesla T4"
    assert gpu.value("serial") is None
    assert facts.notes[0].text == f"{gpu.value('uuid')} of process-1 is not known"
    check({name: gpu.value(name) for name in ("hostname", "processes", "mig")})


# ---- drawn

TEXTS = st.text("abcdefghijklmnopqrstuvwxyzABC0123456789/._- ", min_size=6, max_size=40)


@given(
    uuid=st.uuids(),
    serial=st.text("0123456789", min_size=7, max_size=20),
    process=TEXTS,
    host=TEXTS,
    forms=st.lists(
        st.sampled_from(["plain", "upper", "digits", "inside", "old"]), min_size=1, max_size=5
    ),
)
@settings(max_examples=100)
def test_no_drawn_secret_is_left(uuid, serial, process, host, forms):
    forms_of = {
        "plain": f"GPU-{uuid}",
        "upper": f"GPU-{uuid}".upper(),
        "digits": uuid.hex,
        "inside": f"{process} on {host} has {serial} as GPU-{uuid}",
        "old": f"MIG-GPU-{uuid}/1/0",
    }
    assume(uuid.int >> 32)
    handle = {"device": "GPU-0"}
    asked = [
        Call("nvml", "nvmlDeviceGetHandleByUUID", {"uuid": forms_of[form]}, 0, handle)
        for form in forms
    ]
    told = [
        Call("nvml", "nvmlDeviceGetUUID", handle, 0, {"uuid": f"GPU-{uuid}"}),
        Call("nvml", "nvmlDeviceGetSerial", handle, 0, {"serial": serial}),
        Call("nvml", "nvmlSystemGetProcessName", {"pid": 7}, 0, {"name": process}),
        Call("nvml", "nvmlDeviceGetHostname_v1", handle, 0, {"hostname": {"value": host}}),
        Call("cuda", "cuDeviceGetUuid", {"dev": "GPU-0"}, 0, {"uuid": {"bytes": [*uuid.bytes]}}),
    ]
    redacted = redact(Capture(Header(driver="550.163.01"), (*asked, *told)))
    words = list(texts([call.inputs for call in redacted.calls]))
    words += texts([call.outputs for call in redacted.calls])
    for word in words:
        for secret in (str(uuid), uuid.hex, serial, process, host):
            assert secret.lower() not in word.lower()
    assert [*uuid.bytes] not in [
        call.outputs["uuid"]["bytes"] for call in redacted.of("cuDeviceGetUuid") if call.outputs
    ]


def texts(value: Any) -> Iterator[str]:
    """All texts in it."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, (dict, list)):
        for each in value.values() if isinstance(value, dict) else value:
            yield from texts(each)
