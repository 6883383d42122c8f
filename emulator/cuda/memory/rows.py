"""Copies of rows and slices, as a struct describes them."""

from __future__ import annotations

from .. import _status as status
from ..error import CudaError
from ..library import Cuda, implements
from ..streams.stream import Stream, default
from .copy import Copy, submit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__: list[str] = []


@implements(
    *("cuMemcpy2D", "cuMemcpy2D_v2", "cuMemcpy2DUnaligned", "cuMemcpy2DUnaligned_v2"),
    *("cuMemcpy3D", "cuMemcpy3D_v2"),
)
def now(cuda: Cuda, per_thread: bool, p_copy: Any) -> None:
    default(cuda, per_thread).synchronize()
    copy = Copy.from_params(cuda, p_copy)
    copy.check()
    copy.move()


@implements("cuMemcpy2DAsync", "cuMemcpy2DAsync_v2", "cuMemcpy3DAsync", "cuMemcpy3DAsync_v2")
def later(cuda: Cuda, p_copy: Any, h_stream: Stream) -> None:
    submit(h_stream, Copy.from_params(cuda, p_copy))


@implements("cuMemcpy3DPeer")
def peer_now(cuda: Cuda, per_thread: bool, p_copy: Any) -> None:
    _check_contexts(cuda, p_copy)
    now(cuda, per_thread, p_copy)


@implements("cuMemcpy3DPeerAsync")
def peer_later(cuda: Cuda, p_copy: Any, h_stream: Stream) -> None:
    _check_contexts(cuda, p_copy)
    later(cuda, p_copy, h_stream)


def _check_contexts(cuda: Cuda, params: Any) -> None:
    """With unified addresses the pointers tell whose they are; a context may be left out."""
    contexts = cuda.handles("CUcontext").objects
    for word in (params.srcContext, params.dstContext):
        if word and (word not in contexts or not contexts[word].alive):
            raise CudaError(status.INVALID_CONTEXT)
