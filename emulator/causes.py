"""What usually is behind a code of nvmlInit or cuInit, and what to do about it.

The causes are those of public reports; the addresses are where they were read. A code that is not
in the tables has its name and no advice.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import import_module

__all__ = ["Causes", "causes", "code_name"]

_HEADER = "nvml.h"


@dataclass(frozen=True)
class Causes:
    """What a code of init usually comes from (`text`), and what to do (`next`), a line each.

    `name` is the code's in the header, without the library's prefix. `origin` has the addresses of
    reports.
    """

    name: str
    text: str = ""
    next: str = ""
    origin: tuple[str, ...] = ()


_NVML = {
    3: (
        "this NVML does not know the platform: a Jetson before JetPack 6, WSL with an old driver, "
        "or a GPU in passthrough or vGPU mode that its guest driver cannot manage",
        "use the NVML that belongs to this platform's driver, and update that driver",
        ("https://github.com/gpuopenanalytics/pynvml/issues/26",),
    ),
    4: (
        "this user may not open /dev/nvidiactl or /dev/nvidia0: modes and groups of the nodes, "
        "SELinux, or a rootless container",
        "compare `ls -l /dev/nvidia*` with `id`: join the nodes' group (often video or render), or "
        "let the container have the devices",
        (
            "https://github.com/NVIDIA/nvidia-container-toolkit/issues/210",
            "https://github.com/containerd/containerd/issues/6042",
        ),
    ),
    8: (
        "a GPU's external power cables are not attached, or not all of them",
        "switch the machine off and check the card's power connectors, then `dmesg | grep NVRM`",
        (_HEADER,),
    ),
    9: (
        "the kernel module nvidia is not loaded, or does not answer: it was not built for the "
        "running kernel, Secure Boot refused it, nouveau or vfio-pci has the GPU, there is no GPU, "
        "the container was given no devices, or under WSL a Linux driver's library is in the way",
        "`lsmod | grep nvidia`; `sudo modprobe nvidia` and `dmesg | tail` say why not; in a "
        "container, start it with the GPUs (`--gpus all`)",
        (
            "https://github.com/wookayin/gpustat/issues/110",
            "https://github.com/ollama/ollama/issues/1888",
        ),
    ),
    10: (
        "the driver did not answer in time: a GPU is hung or being reset",
        "`dmesg | grep -E 'NVRM|Xid'`; reset the GPU (`nvidia-smi -r`) or restart the machine",
        (_HEADER,),
    ),
    11: (
        "the kernel found a fault in a GPU's interrupts: its line, MSI, or the machine's firmware",
        "`dmesg | grep NVRM`; update the machine's firmware, try the slot or `pci=nomsi`",
        (_HEADER,),
    ),
    12: (
        "the library in front found no other library that it passes calls to: a wrapper or shim "
        "is installed as libnvidia-ml.so.1 and the driver's own is not there",
        "install the driver's libraries, or in a container ask for the capability utility",
        ("https://github.com/NVIDIA/dcgm-exporter/pull/717",),
    ),
    15: (
        "a GPU fell off the PCI bus (Xid 79): power, heat, a riser, or the driver after a crash",
        "`dmesg | grep Xid`, then restart the machine; if it comes back, power supply and cooling",
        (
            "https://github.com/NVIDIA/k8s-device-plugin/issues/2038",
            "https://github.com/NVIDIA/open-gpu-kernel-modules/issues/888",
        ),
    ),
    16: (
        "a GPU must be reset before it can be used again, mostly after a memory error",
        "end what uses it, then `nvidia-smi -r -i <index>`, or restart the machine",
        ("https://github.com/leptonai/gpud/pull/1133",),
    ),
    17: (
        "the operating system blocks the GPU: WSL without a way to the Windows driver (virtual "
        "machine platform, TCC mode, an old kernel), or a cgroup that denies the device",
        "under WSL, `wsl --update` and a current Windows driver; else check the container's device "
        "rules",
        (
            "https://github.com/microsoft/WSL/issues/9938",
            "https://github.com/microsoft/WSL/issues/12835",
        ),
    ),
    18: (
        "the libraries were updated and the kernel module was not (or the reverse): it stays "
        "loaded until the next restart",
        "restart the machine, or end what uses the GPU and load the nvidia modules anew; "
        "containers then need a restart too",
        (
            "https://github.com/NVIDIA/k8s-device-plugin/issues/1431",
            "https://github.com/NVIDIA/ubuntu-packaging-nvidia-driver/issues/3",
        ),
    ),
    20: (
        "the process or its cgroup has no memory left",
        "check `free -m`, `ulimit -v` and the container's memory limit",
        (_HEADER,),
    ),
    23: (
        "the driver has no more of some resource, such as memory or handles for clients",
        "end other programs that use the GPU; `dmesg | grep NVRM`",
        (_HEADER,),
    ),
    27: (
        "the machine is not ready yet: confidential computing waits for attestation",
        "`nvidia-smi conf-compute -grs`, and set it ready (`-srs 1`) when attested",
        (_HEADER,),
    ),
    999: (
        "something that NVML has no code for; most often a container that lost its devices (on "
        "`systemctl daemon-reload`), or device nodes that are there and cannot be opened",
        "restart the container, and name its devices (--device /dev/nvidiactl ...) or use CDI; "
        "`dmesg | grep NVRM`",
        (
            "https://github.com/NVIDIA/nvidia-docker/issues/1671",
            "https://github.com/NVIDIA/nvidia-container-toolkit/issues/48",
        ),
    ),
}

_CUDA = {
    1: (
        "cuInit's argument was not 0, or the library is not one that this program can talk to",
        "call cuInit(0); check which libcuda.so.1 is loaded",
        ("cuda.h",),
    ),
    2: (
        "cuInit got no memory from the system: a limit on address space (`ulimit -v`, which CUDA "
        "needs much of), a container's memory limit, or WSL with several GPUs",
        "`ulimit -v unlimited`, and raise the container's limit",
        (
            "https://github.com/NVIDIA/cudf/issues/14699",
            "https://github.com/NVIDIA/libnvidia-container/issues/107",
        ),
    ),
    3: (
        "libcuda cannot start with this kernel module: HMM in nvidia_uvm, the open module where "
        "the proprietary one works, or a process that used CUDA and then forked",
        "`options nvidia_uvm uvm_disable_hmm=1` in /etc/modprobe.d, or the other kind of module; "
        "in a fork, use `spawn`",
        (
            "https://github.com/ollama/ollama/issues/11593",
            "https://github.com/NVIDIA/open-gpu-kernel-modules/issues/947",
        ),
    ),
    34: (
        "the CUDA toolkit's stub of libcuda was loaded, which is there to link with: a folder "
        "`.../lib64/stubs` is on the search path, or the file was copied from one",
        "take the stubs folder off LD_LIBRARY_PATH, so that the driver's libcuda.so.1 is found",
        (
            "https://github.com/numba/numba/issues/9732",
            "https://github.com/NVIDIA/warp/issues/219",
        ),
    ),
    35: (
        "the driver is older than the program's CUDA runtime needs",
        "update the driver, or use a build for the CUDA version that nvidia-smi shows",
        ("https://github.com/nagadomi/nunif/issues/702",),
    ),
    36: (
        "the call needs a newer driver than the one installed",
        "update the driver",
        ("cuda.h",),
    ),
    46: (
        "every GPU is taken: compute mode EXCLUSIVE_PROCESS with another process on it, or "
        "PROHIBITED",
        "`nvidia-smi -q -d COMPUTE`; end the other process, or `nvidia-smi -c DEFAULT`",
        (
            "https://github.com/NVIDIA/DIGITS/issues/2005",
            "https://github.com/cwpearson/stencil/issues/11",
        ),
    ),
    100: (
        "CUDA finds no GPU: the kernel module is not loaded, /dev/nvidia* is not there or may not "
        "be opened, CUDA_VISIBLE_DEVICES hides all, or MIG is on without an instance",
        "look at `nvidia-smi -L`, `ls -l /dev/nvidia*` and CUDA_VISIBLE_DEVICES",
        (
            "https://github.com/bentoml/BentoML/issues/4940",
            "https://github.com/NVIDIA/k8s-device-plugin/issues/253",
            "https://github.com/ollama/ollama/pull/3282",
        ),
    ),
    101: (
        "a device that was asked for is not there: CUDA_VISIBLE_DEVICES names one beyond the "
        "last, or MIG is on and the instance cannot be used",
        "`nvidia-smi -L`, and name one of its UUIDs in CUDA_VISIBLE_DEVICES",
        (
            "https://github.com/NVIDIA/gpu-feature-discovery/issues/11",
            "https://github.com/pytorch/pytorch/issues/104152",
        ),
    ),
    205: (
        "memory could not be mapped: a container or sandbox that keeps the driver from mapping "
        "its devices",
        "try it outside the container, then with `--security-opt seccomp=unconfined`",
        ("https://github.com/ollama/ollama/issues/12352",),
    ),
    304: (
        "the system refused a call that libcuda needs: seccomp or Landlock (memfd_create and "
        "others), a cgroup that denies /dev/nvidia-uvm, or a limit on locked memory",
        "try it outside the sandbox, then with `--security-opt seccomp=unconfined`; "
        "`strace -f -e trace=all` shows the call that fails",
        (
            "https://github.com/NVIDIA/OpenShell/issues/1696",
            "https://github.com/abetlen/llama-cpp-python/issues/645",
            "https://github.com/NVIDIA/NemoClaw/issues/4016",
        ),
    ),
    802: (
        "an NVSwitch machine whose fabric is not up: nvidia-fabricmanager does not run, or is of "
        "another version than the driver; or a GPU that waits for attestation",
        "`systemctl status nvidia-fabricmanager`; install the one of the driver's exact version "
        "and start it",
        (
            "https://github.com/pytorch/pytorch/issues/35710",
            "https://github.com/ollama/ollama/issues/12173",
        ),
    ),
    803: (
        "libcuda and the kernel module are of different versions: an update without a restart, or "
        "a container that brings its own libcuda",
        "restart the machine; in a container, remove the image's libcuda (also cuda-compat) or "
        "update the host's driver",
        (
            "https://github.com/NVIDIA/nvidia-docker/issues/1256",
            "https://github.com/NVIDIA/k8s-device-plugin/issues/221",
        ),
    ),
    804: (
        "cuda-compat's libcuda, newer than the kernel module, on a GPU that forward "
        "compatibility is not for (it is for data-centre GPUs)",
        "take the folder `cuda/compat` off the search path, or update the driver",
        (
            "https://github.com/NVIDIA/libnvidia-container/issues/131",
            "https://github.com/mistralai/mistral-inference/issues/144",
        ),
    ),
    805: (
        "this process is to use MPS and cannot reach its daemon",
        "start nvidia-cuda-mps-control, share its pipe folder (CUDA_MPS_PIPE_DIRECTORY) and IPC "
        "with the container, or set the compute mode to DEFAULT",
        ("https://github.com/NVIDIA/nvidia-container-toolkit/issues/714",),
    ),
    999: (
        "something that CUDA has no code for; most often nvidia_uvm is not loaded or broken after "
        "a suspend, /dev/nvidia-uvm is missing in the container, or a GPU is lost",
        "`sudo modprobe nvidia_uvm` (after a suspend: `sudo rmmod nvidia_uvm` first); check "
        "/dev/nvidia-uvm; `dmesg | grep -E 'NVRM|Xid'`",
        (
            "https://github.com/ggml-org/llama.cpp/issues/7218",
            "https://github.com/ollama/ollama/issues/5464",
            "https://github.com/NVIDIA/nvidia-container-toolkit/issues/1246",
        ),
    ),
}

#: Codes of the CUDA runtime that programs show in place of the driver's: driver_types.h.
_RUNTIME = {35: "cudaErrorInsufficientDriver"}

_TABLES = {"nvml": _NVML, "cuda": _CUDA}


def causes(library: str, code: int) -> Causes:
    """What usually is behind the code that init of `nvml` or `cuda` answered."""
    return Causes(code_name(library, code), *_TABLES[library].get(code, ()))


def code_name(library: str, code: int) -> str:
    """A code's name in the header without its prefix, such as DRIVER_NOT_LOADED."""
    return _names(library).get(code, "a code that no header has")


@cache
def _names(library: str) -> dict[int, str]:
    values = vars(import_module(f".{library}._status", __package__))
    own = {code: name for name, code in values.items() if isinstance(code, int)}
    return _RUNTIME | own if library == "cuda" else own
