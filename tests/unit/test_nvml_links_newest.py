"""NVLink as only the newest headers have it: firmware, encryption, remap tables, ports, cliques."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

from nvml_newest import values

from emulator import Gpu

Run = Callable[..., subprocess.CompletedProcess[str]]

H100, B200, T4 = "h100-sxm5-80gb", "b200-180gb", "t4"

INFO = """(lambda info: [code("{function}", h[{gpu}], info), info.isNvleEnabled,
    info.firmwareInfo.numValidEntries, info.firmwareInfo.firmwareVersion[1].minor])
    (struct("{kind}"))"""


def info(function: str, kind: str, gpu: int) -> str:
    return INFO.format(function=function, kind=kind, gpu=gpu).replace("\n", " ")


def test_firmware_and_encryption(run_in: Run) -> None:
    found = values(
        run_in,
        [Gpu(B200), Gpu(H100)],
        info("nvmlDeviceGetNvLinkInfo", "nvmlNvLinkInfo_v2_t", 0),
        info("nvmlDeviceGetNvLinkInfo_v3", "nvmlNvLinkInfo_v3_t", 0),
        'field("nvmlDeviceGetNvLinkInfo", "nvmlNvLinkInfo_v1_t", "isNvleEnabled")(h[0])',
        'code("nvmlDeviceGetNvLinkInfo", h[1], struct("nvmlNvLinkInfo_v1_t"))',
    )
    assert found == [["SUCCESS", 0, 5, 2014], ["SUCCESS", 0, 5, 2014], 0, "NOT_SUPPORTED"]


READY = 'field("nvmlDeviceGetNvLinkInfo_v3", "nvmlNvLinkInfo_v3_t", "isNvleReady")(h[0])'
SET_READY = """code("nvmlDeviceSetNvlinkNvleReady_v1", h[{}],
    struct("nvmlNvlinkSetNvleReady_v1_t", bNvleReady=1))"""
KEY = """code("nvmlDeviceSetupNvlinkNvleEncryptionKey_v1", h[0],
    struct("nvmlNvlinkSetupNvleEncryptionKey_v1_t", localGpuAlid={}))"""
PRIVATE = """(lambda info: [code("nvmlDeviceGetNvlinkNvlePrivateInfo_v1", h[0], info),
    bytes(info.data[:info.size]).hex()])(struct("nvmlNvlinkNvlePrivateInfo_v1_t"))"""
TABLE = """(lambda info: [code("nvmlDeviceGetNvlinkRemapTableInfo_v1", h[0], info), info.alid,
    list(info.flaRemapTabAddr[:info.remapTabSize]),
    list(info.gpaRemapTabAddr[:info.remapTabSize])])(struct("nvmlNvlinkGetRemapTableInfo_v1_t"))"""
LOCK = """(lambda info: [code("nvmlDeviceLockNvlinkRemapTable_v1", h[0], info),
    info.bRemapTableLocked, info.bRemapTableLockDisabled])
    (struct("nvmlNvlinkLockRemapTable_v1_t"))"""


def line(expression: str, *given: object) -> str:
    return expression.format(*given).replace("\n", " ") if given else expression.replace("\n", " ")


def secure(**more: object) -> Gpu:
    settings = {
        "encryption": True,
        "encryption_info": "0a0b",
        "fabric_address": 6,
        "remap_table": [[1, 2], [3, 4]],
        **more,
    }
    return Gpu(B200, figures={"nvlink": settings})


def test_encryption_is_set_up(run_in: Run) -> None:
    found = values(
        run_in,
        [secure(), Gpu(T4)],
        READY,
        line(SET_READY, 0),
        READY,
        line(SET_READY, 1),
        line(KEY, 6),
        line(KEY, 7),
        line(PRIVATE),
        line(TABLE),
        line(LOCK),
        user="root",
    )
    assert found == [
        *(0, "SUCCESS", 1, "NOT_SUPPORTED"),
        *("SUCCESS", "INVALID_ARGUMENT"),
        ["SUCCESS", "0a0b"],
        ["SUCCESS", 6, [1, 3], [2, 4]],
        ["SUCCESS", 1, 0],
    ]


def test_it_is_for_root(run_in: Run) -> None:
    asked = [line(SET_READY, 0), line(KEY, 6), line(PRIVATE), line(TABLE), line(LOCK)]
    found = values(run_in, [secure()], *asked, user="unprivileged")
    codes = [each[0] if isinstance(each, list) else each for each in found]
    assert codes == ["NO_PERMISSION"] * 5


def test_a_lock_that_is_disabled_does_not_close(run_in: Run) -> None:
    found = values(run_in, [secure(remap_lock_disabled=True)], line(LOCK), user="root")
    assert found == [["SUCCESS", 0, 1]]


def test_products_that_do_not_encrypt(run_in: Run) -> None:
    asked = [line(KEY, 0), line(PRIVATE), line(TABLE), line(LOCK)]
    found = values(run_in, [Gpu(H100)], *asked, user="root")
    codes = [each[0] if isinstance(each, list) else each for each in found]
    assert codes == ["NOT_SUPPORTED"] * 4


CLIQUES = """(lambda info: [code("nvmlDeviceGetGpuFabricInfo_v4", h[{0}], info), info.state,
    [[each.type, each.id] for each in info.cliques[:info.numCliques]]])
    (struct("nvmlGpuFabricInfo_v4_t"))"""


def test_cliques_of_the_fabric(run_in: Run) -> None:
    joined = {"fabric": {"clique_id": 4}}
    gpus = [Gpu(H100, figures=joined), Gpu(B200, figures=joined), Gpu(T4)]
    gpus = [
        Gpu(gpu.profile, pci_bus_id=f"0{place}:00", figures=gpu.figures)
        for place, gpu in enumerate(gpus, 1)
    ]
    found = values(run_in, gpus, *(line(CLIQUES, index) for index in range(3)))
    assert found == [
        ["SUCCESS", 3, [[0, 4], [1, 4]]],
        ["SUCCESS", 3, [[0, 4], [1, 4], [2, 4], [3, 4]]],
        ["SUCCESS", 0, []],
    ]


COUNTERS = """(lambda one, two: (lambda rows: [code("nvmlDeviceReadPRMCounters_v1", h[{0}],
    struct("nvmlPRMCounterList_v1_t", numCounters=2, counters=address(rows))),
    [[row.counterValue.status, row.counterValue.outputValue.ullVal] for row in rows]])
    ((type(one) * 2)(one, two)))
    (struct("nvmlPRMCounter_v1_t", counterId=301, inData=port({1})),
     struct("nvmlPRMCounter_v1_t", counterId={2}, inData=port(1)))"""
NAMES = (
    ("address(rows)", "__import__('ctypes').addressof(rows)"),
    ("port({1})", "struct('nvmlPRMCounterInput_v1_t', localPort={1})"),
    ("port(1)", "struct('nvmlPRMCounterInput_v1_t', localPort=1)"),
)


def counters(gpu: int, port: int, number: int) -> str:
    expression = COUNTERS
    for name, meaning in NAMES:
        expression = expression.replace(name, meaning)
    return line(expression, gpu, port, number)


def test_counters_of_ports(run_in: Run) -> None:
    counted = {"nvlinks": {"2": {"port_counters": {"PPCNT_PLR_RCV_CODES": 77}}}}
    gpus = [Gpu(B200, pci_bus_id="01:00", figures=counted), Gpu(H100, pci_bus_id="02:00")]
    asked = [counters(0, 3, 302), counters(0, 19, 999), counters(1, 1, 302)]
    found = values(run_in, gpus, *asked, user="root")
    assert found[:2] == [["SUCCESS", [[0, 77], [0, 0]]], ["SUCCESS", [[2, 0], [2, 0]]]]
    assert found[2][0] == "NOT_SUPPORTED"


#: An operation (its block, the register, the method, a transaction) and the register's block.
REQUEST = "08040000{number:04x}{method:02x}01{zeros:016x}180200000000{data:04x}"
REGISTER = """(lambda given: (lambda asked: [
    code("nvmlDeviceReadWritePRM_v1", h[0], asked), asked.status,
    bytes(asked._anonymous0.outData[:asked.dataSize])[20:].hex()])
    ((lambda made: (made._anonymous0.inData.__setitem__(slice(0, len(given)), list(given)),
    made)[1])(struct("nvmlPRMTLV_v1_t", dataSize={1}))))(bytes.fromhex("{0}"))"""


def register(number: int, method: int, data: int = 0, size: int = 24) -> str:
    request = REQUEST.format(number=number, method=method, zeros=0, data=data)
    return line(REGISTER, request, size)


def test_registers_of_ports(run_in: Run) -> None:
    held = {"nvlink": {"registers": [{"number": 0x5008, "data": "00001234"}]}}
    found = values(
        run_in,
        [Gpu(B200, figures=held)],
        register(0x5008, 1),
        register(0x5008, 2, 0xABCD),
        register(0x5008, 1),
        register(0x6000, 1),
        register(0x5008, 3),
        register(0x5008, 1, size=3),
        user="root",
    )
    assert found[:3] == [
        ["SUCCESS", 0, "00001234"],
        ["SUCCESS", 0, "0000abcd"],
        ["SUCCESS", 0, "0000abcd"],
    ]
    assert [each[:2] for each in found[3:5]] == [["SUCCESS", 4], ["SUCCESS", 6]]
    assert found[5][0] == "INVALID_ARGUMENT"


def test_what_is_rubin_s(run_in: Run) -> None:
    asked = [
        'code("nvmlDeviceSetNvlinkBwModeAsync_v1", h[0], struct("nvmlNvlinkSetBwModeAsync_v1_t"))',
        'code("nvmlDeviceGetNvLinkTelemetrySamples_v1", h[0],'
        ' struct("nvmlNvlinkTelemetrySamples_v1_t"))',
    ]
    assert values(run_in, [Gpu(B200)], *asked, user="root") == ["NOT_SUPPORTED"] * 2
