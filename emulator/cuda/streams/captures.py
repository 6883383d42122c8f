"""The functions that begin, end and look into captures (see capture.py)."""

from __future__ import annotations

import ctypes

from ...api import NULL_PAGE
from .. import _status as status
from ..error import CudaError
from ..graphs.graph import DEFAULT_EDGE, Graph
from ..graphs.handles import edges_at, given
from ..library import Cuda, api, implements
from .capture import GLOBAL, RELAXED, THREAD_LOCAL, Capture, Modes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Optional

    from .stream import Stream

__all__: list[str] = []

NONE, ACTIVE, INVALIDATED = range(3)  # CUstreamCaptureStatus
ADD, SET = range(2)  # CUstreamUpdateCaptureDependencies_flags


def _check_can_begin(stream: Stream) -> None:
    """That a legacy stream cannot be captured is the reference's words; the codes are those of
    AMD's documented imitation of these functions."""
    if stream.is_legacy:
        raise CudaError(status.STREAM_CAPTURE_UNSUPPORTED)
    if stream.capture is not None:
        raise CudaError(status.ILLEGAL_STATE)


@implements("cuStreamBeginCapture")
def begin_before_cuda_10_1(cuda: Cuda, h_stream: Stream) -> None:
    begin(cuda, h_stream, GLOBAL)


@implements("cuStreamBeginCapture_v2")
def begin(cuda: Cuda, h_stream: Stream, mode: int) -> None:
    _check_can_begin(h_stream)
    Capture(h_stream, Graph(cuda, is_owned=True), mode)


@implements("cuStreamBeginCaptureToGraph", nullable=("dependencies", "dependencyData"))
def begin_to_graph(  # noqa: PLR0917  (C's parameters)
    cuda: Cuda,
    h_stream: Stream,
    h_graph: Graph,
    dependencies: Optional[Sequence[int]],
    dependency_data: Optional[Sequence[Any]],
    num_dependencies: int,
    mode: int,
) -> None:
    _check_can_begin(h_stream)
    if num_dependencies and dependencies is None:
        raise CudaError(status.INVALID_VALUE)
    nodes = given(cuda, h_graph, dependencies)
    Capture(h_stream, h_graph, mode, dict(zip(nodes, edges_at(dependency_data, len(nodes)))))


@implements("cuStreamEndCapture", raw=("phGraph",))
def end(cuda: Cuda, h_stream: Stream, ph_graph: int) -> None:
    """The graph is NULL when there is an error."""
    capture = h_stream.capture
    graph = ctypes.c_size_t.from_address(ph_graph) if ph_graph else ctypes.c_size_t()
    graph.value = 0
    if capture is None:
        raise CudaError(status.ILLEGAL_STATE)
    if capture.origin is not h_stream:
        capture.invalidate()
        raise CudaError(status.STREAM_CAPTURE_UNMATCHED)
    if capture.mode != RELAXED and not capture.is_of_this_thread():
        raise CudaError(status.STREAM_CAPTURE_WRONG_THREAD)
    code = status.SUCCESS
    if not capture.valid:
        code = status.STREAM_CAPTURE_INVALIDATED
    elif not capture.is_joined():
        code = status.STREAM_CAPTURE_UNJOINED
    capture.close()
    if code:
        capture.discard()
        raise CudaError(code)
    if capture.is_new:
        capture.graph.is_owned = False
    graph.value = cuda.handles("CUgraph").give(capture.graph)


def _status(stream: Stream) -> int:
    """Where a stream stands; STREAM_CAPTURE_IMPLICIT for a legacy one beside a blocking one that
    captures."""
    if stream.capture is not None:
        return ACTIVE if stream.capture.valid else INVALIDATED
    if stream.is_legacy:
        for capture in stream.schedule.captures:
            if any(s.is_blocking and s.context is stream.context for s in capture.streams):
                raise CudaError(status.STREAM_CAPTURE_IMPLICIT)
    return NONE


@implements("cuStreamIsCapturing")
def is_capturing(h_stream: Stream) -> int:
    return _status(h_stream)


@implements("cuStreamGetCaptureInfo", nullable=("id_out",))
def info_before_cuda_11_3(h_stream: Stream) -> tuple[int, int]:
    return _status(h_stream), h_stream.capture.number if h_stream.capture else 0


# Where a program wants to know what, in the order of the parameters.
OUTPUTS = ("captureStatus_out", "id_out", "graph_out", "dependencies_out", "edgeData_out")
COUNT = "numDependencies_out"


@implements("cuStreamGetCaptureInfo_v2", raw=(*OUTPUTS[:-1], COUNT))
def info_before_cuda_12_3(  # noqa: PLR0917  (C's parameters)
    cuda: Cuda,
    h_stream: Stream,
    capture_status_out: int,
    id_out: int,
    graph_out: int,
    dependencies_out: int,
    num_dependencies_out: int,
) -> None:
    places = (capture_status_out, id_out, graph_out, dependencies_out, 0, num_dependencies_out)
    _put_info(cuda, h_stream, places, lossy=True)


@implements("cuStreamGetCaptureInfo_v3", raw=(*OUTPUTS, COUNT))
def info(  # noqa: PLR0917  (C's parameters)
    cuda: Cuda,
    h_stream: Stream,
    capture_status_out: int,
    id_out: int,
    graph_out: int,
    dependencies_out: int,
    edge_data_out: int,
    num_dependencies_out: int,
) -> None:
    places = (capture_status_out, id_out, graph_out, dependencies_out)
    _put_info(cuda, h_stream, (*places, edge_data_out, num_dependencies_out))


def _put_info(cuda: Cuda, stream: Stream, places: Sequence[int], *, lossy: bool = False) -> None:
    """Write what there is to say of a stream's capture; its arrays live as long as it.

    Raises:
        CudaError: LOSSY_QUERY for edges that say anything, where they cannot be told.
    """
    capture = stream.capture
    ctypes.c_int.from_address(places[0]).value = _status(stream)
    if capture is None or not capture.valid:
        return
    if lossy and any(edge != DEFAULT_EDGE for edge in stream.ends.values()):
        raise CudaError(status.LOSSY_QUERY)
    give = cuda.handles("CUgraphNode").give
    nodes = (ctypes.c_size_t * len(stream.ends))(*[give(node) for node in stream.ends])
    edges = (api.types["CUgraphEdgeData"] * len(stream.ends))()
    for place, edge in zip(edges, stream.ends.values()):
        place.from_port, place.to_port, place.type = edge
    capture.shown += [nodes, edges]
    found = (
        *(capture.number, cuda.handles("CUgraph").give(capture.graph)),
        *(ctypes.addressof(nodes), ctypes.addressof(edges), len(nodes)),
    )
    for address, value in zip(places[1:], found):
        if address:
            ctypes.c_size_t.from_address(address).value = value


@implements(
    "cuStreamUpdateCaptureDependencies",
    nullable=("dependencies",),
)
def update_dependencies_before_cuda_12_3(
    cuda: Cuda, h_stream: Stream, dependencies: Optional[Sequence[int]], flags: int
) -> None:
    update_dependencies(cuda, h_stream, dependencies, None, flags)


@implements("cuStreamUpdateCaptureDependencies_v2", nullable=("dependencies", "dependencyData"))
def update_dependencies(
    cuda: Cuda,
    h_stream: Stream,
    dependencies: Optional[Sequence[int]],
    dependency_data: Optional[Sequence[Any]],
    flags: int,
) -> None:
    if flags not in (ADD, SET):
        raise CudaError(status.INVALID_VALUE)
    capture = h_stream.capture
    if capture is None:
        raise CudaError(status.ILLEGAL_STATE)
    capture.check()
    nodes = given(cuda, capture.graph, dependencies)
    if flags == SET:
        h_stream.ends = {}
    h_stream.ends.update(zip(nodes, edges_at(dependency_data, len(nodes))))


# Observed on 470 to 555: it works once cuInit was called, whatever came of that.
@implements("cuThreadExchangeStreamCaptureMode", anytime=True, raw=("mode",))
def exchange_mode(cuda: Cuda, mode: int) -> None:
    if not cuda.asked:
        raise CudaError(status.NOT_INITIALIZED)
    wanted = ctypes.c_uint.from_address(mode) if mode >= NULL_PAGE else None
    if wanted is None or wanted.value not in (GLOBAL, THREAD_LOCAL, RELAXED):
        raise CudaError(status.INVALID_VALUE)
    modes = cuda.part(Modes)
    modes.mode, wanted.value = wanted.value, modes.mode
