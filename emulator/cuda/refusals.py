"""Functions that no machine without a display, a Tegra or NvSci can answer: what they say instead.

One table: which code, whether a context has to be current first, why, which functions. They are
not "not emulated yet": a real driver of a headless server says the same, as there is nothing to
share with. Handles of such resources do not exist, so what needs one is refused for the handle.
The variants for the per-thread default stream are refused alike. Only sparse arrays are what a real
one has and these devices have not: see `arrays/array.py`.
"""

from __future__ import annotations

from . import _status as status
from .library import Cuda, CudaError, api, implements

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable

__all__ = ["REFUSALS"]

NO_GL = "no OpenGL context of this driver can be current"
NO_BUFFER = "no OpenGL buffer object is registered"
NO_RESOURCE = "no graphics resource can be registered, so no handle is one"
NO_EGL = "no EGL stream or image of this driver exists"
NO_VDPAU = "no VDPAU device of this driver exists"
NO_ENDPOINTS = "logical endpoints need an IMEX fabric, which is not emulated"

REFUSALS: tuple[tuple[int, bool, str, tuple[str, ...]], ...] = (
    # Without an OpenGL context: NVIDIA/cuda-python, issue 248.
    (status.INVALID_GRAPHICS_CONTEXT, False, NO_GL, ("cuGLGetDevices", "cuGLGetDevices_v2")),
    (status.INVALID_GRAPHICS_CONTEXT, False, NO_GL, ("cuGLCtxCreate", "cuGLCtxCreate_v2")),
    (status.INVALID_GRAPHICS_CONTEXT, True, NO_GL, ("cuGLInit",)),
    (
        status.INVALID_GRAPHICS_CONTEXT,
        True,
        NO_GL,
        ("cuGraphicsGLRegisterBuffer", "cuGraphicsGLRegisterImage", "cuGLRegisterBufferObject"),
    ),
    (
        status.INVALID_VALUE,
        True,
        NO_BUFFER,
        (
            *("cuGLMapBufferObject", "cuGLMapBufferObjectAsync"),
            *("cuGLMapBufferObject_v2", "cuGLMapBufferObjectAsync_v2"),
            *("cuGLUnmapBufferObject", "cuGLUnmapBufferObjectAsync", "cuGLUnregisterBufferObject"),
        ),
    ),
    (status.INVALID_HANDLE, True, NO_BUFFER, ("cuGLSetBufferObjectMapFlags",)),
    (
        status.INVALID_HANDLE,
        True,
        NO_RESOURCE,
        (
            *("cuGraphicsMapResources", "cuGraphicsUnmapResources", "cuGraphicsUnregisterResource"),
            *("cuGraphicsResourceGetMappedEglFrame", "cuGraphicsResourceGetMappedMipmappedArray"),
            *("cuGraphicsResourceGetMappedPointer", "cuGraphicsResourceGetMappedPointer_v2"),
            *("cuGraphicsResourceSetMapFlags", "cuGraphicsResourceSetMapFlags_v2"),
            "cuGraphicsSubResourceGetMappedArray",
        ),
    ),
    (
        status.INVALID_HANDLE,
        False,
        NO_EGL,
        (
            *("cuEGLStreamConsumerAcquireFrame", "cuEGLStreamConsumerConnect"),
            *("cuEGLStreamConsumerConnectWithFlags", "cuEGLStreamConsumerDisconnect"),
            *("cuEGLStreamConsumerReleaseFrame", "cuEGLStreamProducerConnect"),
            *("cuEGLStreamProducerDisconnect", "cuEGLStreamProducerPresentFrame"),
            *("cuEGLStreamProducerReturnFrame", "cuGraphicsEGLRegisterImage"),
        ),
    ),
    (status.INVALID_VALUE, True, NO_EGL, ("cuEventCreateFromEGLSync",)),
    (
        status.INVALID_VALUE,
        False,
        NO_VDPAU,
        ("cuVDPAUCtxCreate", "cuVDPAUCtxCreate_v2", "cuVDPAUGetDevice"),
    ),
    (
        status.INVALID_HANDLE,
        True,
        NO_VDPAU,
        ("cuGraphicsVDPAURegisterOutputSurface", "cuGraphicsVDPAURegisterVideoSurface"),
    ),
    # "This function is deprecated" since CUDA 11: 470 to 555 say so before cuInit as well.
    (
        status.NOT_SUPPORTED,
        False,
        "the profiler of configuration files is gone",
        ("cuProfilerInitialize",),
    ),
    (
        status.NOT_SUPPORTED,
        False,
        NO_ENDPOINTS,
        tuple(name for name in api.names if name.startswith("cuLogicalEndpoint")),
    ),
    (
        status.NOT_SUPPORTED,
        True,
        "copies of a fabric's memory need an IMEX fabric, which is not emulated",
        ("cuFabricCpyBatchAsync",),
    ),
    # So say 470 to 555 before cuInit.
    (status.NOT_SUPPORTED, False, "in no header", ("cuMemGetAttribute", "cuMemGetAttribute_v2")),
    (
        status.NOT_SUPPORTED,
        False,
        "DMA-BUF needs the open kernel modules, and a device that others reach by PCI",
        ("cuMemGetHandleForAddressRange",),
    ),
    (
        status.NOT_SUPPORTED,
        False,
        "no driver here tells which pages of a range are where: of CUDA 13.5",
        ("cuMemGetLocationInfo",),
    ),
    # What a device without an engine answers: none of its algorithms is the one asked for.
    (
        status.INVALID_VALUE,
        True,
        "no device of the profiles decompresses (MEM_DECOMPRESS_ALGORITHM_MASK is 0)",
        ("cuMemBatchDecompressAsync",),
    ),
    (
        status.INVALID_VALUE,
        False,
        "arrays all have memory of their own, so none can be given some",
        ("cuMemMapArrayAsync",),
    ),
    (
        status.NOT_SUPPORTED,
        True,
        "no Direct3D or Vulkan queue is there whose commands a capture could become (CIG)",
        ("cuStreamBeginCaptureToCig",),
    ),
    (
        status.INVALID_VALUE,
        False,
        "no capture to a Direct3D or Vulkan queue can have begun",
        ("cuStreamEndCaptureToCig",),
    ),
    (
        status.INVALID_VALUE,
        False,
        "of CUDA 13.5, which no driver here is of: no graph can be captured anew",
        ("cuStreamBeginRecaptureToGraph",),
    ),
)


def _refuser(code: int, in_context: bool) -> Callable[[Cuda], None]:
    def refuse(cuda: Cuda) -> None:
        if in_context:
            cuda.contexts.current()
        raise CudaError(code)

    return refuse


def _refuse(name: str, code: int, in_context: bool) -> None:
    # Nothing is looked at but whether the function was given a place for what it puts out.
    raw = [p.name for p in api.find(name).parameters or () if not p.is_output]
    implements(name, raw=raw)(_refuser(code, in_context))


for _code, _in_context, _, _names in REFUSALS:
    for _name in _names:
        _refuse(_name, _code, _in_context)


# In no header; the real one succeeds at it before cuInit and after (observed on 470 to 555).
@implements("cuEGLApiInit", anytime=True)
def initialise_egl() -> None:
    pass
