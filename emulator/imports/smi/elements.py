"""Figures that several fields tell together: event reasons, retired pages, licences and more."""

from __future__ import annotations

from ...machine.words import WORDS
from .answers import NOTHING, plain
from .tellings import Telling
from .trees.tree import Node
from .units import count, expiry, hexadecimal, percent, switched

__all__ = ["bridges", "event_reasons", "fans", "licence", "minor_number", "retired"]

#: nvidia-smi's name of an event reason, where it is not the header's.
_REASONS = {"display_clocks_setting": "display_clock_setting"}

#: A product that vGPU software needs a licence for -> the feature's name in nvml.h.
_FEATURES = {
    "NVIDIA RTX Virtual Workstation": "NVIDIA_RTX",
    "Quadro Virtual Data Center Workstation": "NVIDIA_RTX",
    "NVIDIA Cloud Gaming": "GAMING",
    "NVIDIA Virtual Compute Server": "COMPUTE",
    "NVIDIA vGPU for Compute": "COMPUTE",
}


def event_reasons(telling: Telling, node: Node) -> None:
    """Tell what holds the clocks down: the reasons that are active."""
    active = []
    for leaf in node.children:
        tag = leaf.tag.partition("_reason_")[2]
        name = _REASONS.get(tag, tag)
        if name in WORDS["EventReason"] and plain(leaf.text) not in NOTHING:
            active += [name] * telling.read(switched, leaf.text, leaf)[0]
    if node.children:
        telling.tell("clocks.event_reasons", active, node.tag, node)


def fans(telling: Telling, node: Node) -> None:
    """Tell the speed of the fans, of which nvidia-smi shows one; "N/A": there are none."""
    if plain(node.text) in NOTHING:
        telling.tell("fans", [], node.tag, node)
    else:
        speed, step = telling.read(percent, node.text, node)
        telling.tell("fans.all.speed", speed, node.tag, node, step)


def minor_number(telling: Telling, node: Node) -> None:
    """A GPU's minor number is its index: another one is not kept, nor that Windows has none."""
    text = plain(node.text)
    if text in NOTHING or telling.read(count, text, node)[0] != telling.index:
        telling.note(f"minor number {text} is not kept: it is the index", node.tag, node)


def retired(telling: Telling, node: Node) -> None:
    """Tell the addresses of the pages that were retired for one cause.

    The text of `nvidia-smi -q` has their number alone; then addresses are made up, for a number is
    what most programs ask for.
    """
    cause = "double_bit" if node.tag.startswith("double") else "single_bit"
    path = f"retired_pages/{node.tag}"
    number = plain(node.told("retired_count"))
    if number in NOTHING:
        telling.tell(f"retired_pages.{cause}", None, path, node)
        return
    pages = list(node.all("retired_pagelist/retired_page/retired_page_address"))
    found = [telling.read(hexadecimal, page.text, page)[0] for page in pages]
    if number.isdecimal() and len(number) < 6 and int(number) > len(found):
        missing = int(number) - len(found)
        telling.note(f"{missing} addresses are not told: they are made up", path, node)
        found += [(0x10000 + place) << 16 for place in range(missing)]
    telling.tell(f"retired_pages.{cause}", found, path, node)


def bridges(telling: Telling, node: Node) -> None:
    """Tell the firmware of the board's bridge, of which nvidia-smi shows the first."""
    firmware = node.find("bridge_chip_fw")
    if firmware is None:
        return
    text = plain(firmware.text)
    found = None if text in NOTHING else [telling.read(hexadecimal, text, firmware)[0]]
    telling.tell("board.bridges", found, f"pci/{node.tag}", firmware)


def licence(telling: Telling, node: Node) -> None:
    """Tell the licence of a vGPU guest's driver: "Licensed (Expiry: 2027-1-31 12:0:0 GMT)"."""
    product = node.told("licensed_product_name") or node.told("product_name")
    status = node.told("license_status")
    if not product or plain(product) in NOTHING:
        return
    row = {
        "feature": _FEATURES.get(product, "VGPU"),
        "product": product,
        "enabled": True,
        "licensed": status.startswith("Licensed"),
        "expires": telling.read(expiry, status, node)[0] if "Expiry:" in status else None,
    }
    telling.tell("licensing.licenses", [row], node.tag, node)
