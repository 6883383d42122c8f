"""What is known only when all of a GPU was read: figures that several fields share between them."""

from __future__ import annotations

from ..facts import Note, Told
from .answers import NOTHING, is_value, plain
from .sizes import settle_memory
from .tellings import Telling
from .trees.tree import Node
from .units import count, hexadecimal

__all__ = ["ADJUSTED", "adjust"]

#: The fields that are read here, below <gpu>.
ADJUSTED = frozenset(
    {
        "pci/pci_gpu_link_info/pcie_gen/max_link_gen",
        "platformInfo/gpu_fabric_guid",
        "ecc_errors/volatile/sram_uncorrectable",
        "ecc_errors/aggregate/sram_uncorrectable",
    }
)


def adjust(telling: Telling) -> None:
    """Settle what the fields say together."""
    for settle in (settle_memory, _used, _power, _limits, _link, _parts, _guid, _sram):
        settle(telling)


def _text(node: Node, path: str) -> str | None:
    """What a field says; None if it is not there or says nothing."""
    text = plain(node.told(path))
    return text if is_value(text) else None


def _lacks(telling: Telling, path: str, node: Node) -> bool:
    """Whether a field says that the product has none of it."""
    return plain(node.text) in NOTHING and not telling.says_nothing(path)


def _used(telling: Telling) -> None:
    """What the processes have is in use by itself."""
    used, listed = telling.value("memory.used"), telling.value("processes") or ()
    have = sum(process["used_memory"] or 0 for process in listed)
    if have and used == have:
        telling.forget("memory.used")


def _power(telling: Telling) -> None:
    """Products without an average have one reading, which is printed as the instant one."""
    instant = telling.find("power.instant")
    average = telling.find("power.usage")
    if instant and average and average.value is None:
        telling.change("power.usage", instant.value, instant.step)
        telling.forget("power.instant")


def _limits(telling: Telling) -> None:
    """The limit in force is the one that was asked for, where one can be."""
    asked, enforced = telling.value("power.limit"), telling.find("power.firmware_limit")
    if asked is None or enforced is None:
        return
    if enforced.value not in (None, asked):
        text = "the power limit in force is not the one asked for: nvemu enforces what is asked for"
        telling.notes.append(Note(enforced.where, text))
    telling.forget("power.firmware_limit")


def _link(telling: Telling) -> None:
    """Before 525 the generation that GPU and slot reach together is printed alone."""
    path = "pci/pci_gpu_link_info/pcie_gen/max_link_gen"
    node = telling.gpu.find(path)
    text = _text(telling.gpu, path)
    if node is None or telling.gpu.find(path.replace("max_link", "max_host_link")):
        return
    if text:
        telling.tell("pci.host_max_generation", telling.read(count, text, node)[0], path, node)
    elif _lacks(telling, path, node):
        telling.tell("pci.device_max_generation", None, path, node)


def _parts(telling: Telling) -> None:
    """Before 525 the board's part number is printed as the GPU's."""
    told = telling.find("board.gpu_part_number")
    if told and telling.gpu.find("board_part_number") is None:
        telling.forget("board.gpu_part_number")
        telling.told.append(Told(("board", "part_number"), told.value, told.step, told.where))


def _guid(telling: Telling) -> None:
    """The platform's GUID has 8 bytes (nvmlPlatformInfo_v2_t); all zero is what none looks like."""
    path = "platformInfo/gpu_fabric_guid"
    node = telling.gpu.find(path)
    text = _text(telling.gpu, path)
    if node and text and telling.read(hexadecimal, text, node)[0]:
        telling.tell("platform.ib_guid", text.removeprefix("0x").zfill(16), path, node)


def _sram(telling: Telling) -> None:
    """Turing's uncorrectable SRAM errors, and all products' before 535, are printed as one number:
    parity and SEC-DED errors together."""
    for lifetime in ("volatile", "aggregate"):
        path = f"ecc_errors/{lifetime}/sram_uncorrectable"
        counts = f"ecc.{lifetime}.sram_uncorrectable"
        node = telling.gpu.find(path)
        text = _text(telling.gpu, path)
        if node and text:
            number = telling.read(count, text, node)[0]
            telling.tell(f"{counts}_secded", number, path, node)
            telling.tell(f"{counts}_parity", 0, path, node)
        elif node and _lacks(telling, path, node):
            telling.tell(f"{counts}_secded", None, path, node)
            telling.tell(f"{counts}_parity", None, path, node)
