"""A machine that does not exist, as nvidia-smi would print it: two GPUs, one of them divided."""

from __future__ import annotations

from xml.sax.saxutils import escape

from emulator.imports.smi.trees.texttree import text_tree
from emulator.imports.smi.trees.tree import Node

__all__ = ["LOG", "log_in_xml"]

LOG = """
==============NVSMI LOG==============

Timestamp                                 : Mon Mar  2 10:20:30 2026
Driver Version                            : 550.163.01
CUDA Version                              : 12.4

Attached GPUs                             : 2
GPU 00000000:07:00.0
    Product Name                          : NVIDIA A100-SXM4-80GB
    Product Brand                         : NVIDIA
    MIG Mode
        Current                           : Enabled
        Pending                           : Enabled
    MIG Device
        Index                             : 0
        GPU Instance ID                   : 1
        Compute Instance ID               : 0
        Device Attributes
            Shared
                Multiprocessor count      : 42
                Copy Engine count         : 3
        ECC Errors
            Volatile
                SRAM Uncorrectable        : 0
        FB Memory Usage
            Total                         : 40192 MiB
        BAR1 Memory
            Total                         : 65535 MiB
    MIG Device
        Index                             : 1
        GPU Instance ID                   : 5
        Compute Instance ID               : 0
    Serial Number                         : 1320000000001
    GPU UUID                              : GPU-11111111-2222-3333-4444-555555555555
    Module ID                             : 1
    Inforom Version
        Image Version                     : G506.0210.00.03
        Power Management Object           : N/A
    PCI
        Bus                               : 0x07
        Device Id                         : 0x20B210DE
        Bus Id                            : 00000000:07:00.0
        GPU Link Info
            PCIe Generation
                Max                       : 4
                Device Max                : 4
            Link Width
                Current                   : 16x
        Tx Throughput                     : 12 KB/s
    Clocks Event Reasons
        Idle                              : Not Active
        HW Slowdown                       : Active
            HW Thermal Slowdown           : Active
            HW Power Brake Slowdown       : Not Active
        Display Clock Setting             : Not Active
    FB Memory Usage
        Total                             : 81920 MiB
        Used                              : 61 MiB
    Utilization
        Gpu                               : 93 %
    ECC Errors
        Volatile
            SRAM Uncorrectable SEC-DED    : 0
        Aggregate
            SRAM Uncorrectable SEC-DED    : 3
    Retired Pages
        Single Bit ECC                    : N/A
        Double Bit ECC                    : N/A
        Pending Page Blacklist            : N/A
    Remapped Rows
        Correctable Error                 : 1
        Bank Remap Availability Histogram
            Max                           : 640 bank(s)
    GPU Memory Power Readings
    Clocks
        Memory                            : 1593 MHz
    Processes                             : None

GPU 00000000:3B:00.0
    Product Name                          : Tesla T4
    Product Brand                         : NVIDIA
    MIG Mode
        Current                           : N/A
        Pending                           : N/A
    Serial Number                         : 1320000000002
    GPU UUID                              : GPU-66666666-2222-3333-4444-555555555555
    Retired Pages
        Single Bit ECC                    : 2
        Double Bit ECC                    : 0
    Remapped Rows                         : N/A
    Temperature
        GPU Current Temp                  : 36 C
        GPU T.Limit Temp                  : N/A
    Clocks
        Memory                            : 405 MHz
    Processes
        GPU instance ID                   : N/A
        Compute instance ID               : N/A
        Process ID                        : 77
            Type                          : G
            Name                          : /usr/bin/Xorg
            Used GPU Memory               : 5 MiB
        GPU instance ID                   : N/A
        Compute instance ID               : N/A
        Process ID                        : 4242
            Type                          : C
            Name                          : python3 train.py : all
            Used GPU Memory               : 3072 MiB

"""


def xml_of(node: Node, depth: int = 0) -> str:
    """A tree as nvidia-smi -q -x writes it, below its document type."""
    tabs = "\t" * depth
    attributes = "".join(f' {name}="{escape(text)}"' for name, text in node.attributes.items())
    if not node.children:
        return f"{tabs}<{node.tag}{attributes}>{escape(node.text)}</{node.tag}>\n"
    inner = "".join(xml_of(child, depth + 1) for child in node.children)
    return f"{tabs}<{node.tag}{attributes}>\n{inner}{tabs}</{node.tag}>\n"


def log_in_xml() -> str:
    """The same machine as `nvidia-smi -q -x` would print it."""
    root = text_tree(LOG, "LOG")
    assert root is not None
    kind = '<!DOCTYPE nvidia_smi_log SYSTEM "nvsmi_device_v12.dtd">'
    return f'<?xml version="1.0" ?>\n{kind}\n{xml_of(root)}'
