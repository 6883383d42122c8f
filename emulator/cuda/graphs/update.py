"""What may change in a graph that is ready: its nodes' parameters, and not all of those.

Source: NVIDIA's driver API reference, cuGraphExecUpdate: how nodes are paired, what is refused, and
with which result.
"""

from __future__ import annotations

from .. import _constants as constants
from ..memory.copy import DEVICE, HOST, UNIFIED
from ..memory.space import ON_HOST, Space

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, Callable, Optional

    from ..memory.copy import Copy, Place
    from ..memory.fill import Fill
    from ..streams.operation import Operation
    from .conditionals import Conditional
    from .graph import Graph, Node

__all__ = ["Difference", "change", "pairs"]

TOPOLOGY_CHANGED = constants.GRAPH_EXEC_UPDATE_ERROR_TOPOLOGY_CHANGED
NODE_TYPE_CHANGED = constants.GRAPH_EXEC_UPDATE_ERROR_NODE_TYPE_CHANGED
PARAMETERS_CHANGED = constants.GRAPH_EXEC_UPDATE_ERROR_PARAMETERS_CHANGED
NOT_SUPPORTED = constants.GRAPH_EXEC_UPDATE_ERROR_NOT_SUPPORTED
FUNCTION_CHANGED = constants.GRAPH_EXEC_UPDATE_ERROR_UNSUPPORTED_FUNCTION_CHANGE
ATTRIBUTES_CHANGED = constants.GRAPH_EXEC_UPDATE_ERROR_ATTRIBUTES_CHANGED

COOPERATIVE = 2  # CU_LAUNCH_ATTRIBUTE_COOPERATIVE


class Difference(Exception):  # noqa: N818  (it is an answer, and no error in all cases)
    """Why a graph cannot take another's place.

    Attributes:
        result: a CUgraphExecUpdateResult.
        node: the other graph's node that it is about.
        start: where the topologies differ, the node that the edge to `node` begins at.
    """

    def __init__(self, result: int, node: Optional[Node] = None, start: Optional[Node] = None):
        super().__init__(result)
        self.result = result
        self.node = node
        self.start = start


def pairs(mine: Graph, other: Graph) -> Iterator[tuple[Node, Node]]:
    """The nodes of two graphs of the same shape that stand for each other, those of children too.

    Raises:
        Difference: they are not of the same shape, or differ in what may not change.
    """
    for old, new in _paired(mine, other).items():
        result = change(old.operation, new.operation) or _attributes(old, new)
        if result:
            raise Difference(result, new)
        yield old, new
        for child, other_child in zip(old.operation.graphs, new.operation.graphs):
            yield from pairs(child, other_child)


def _paired(mine: Graph, other: Graph) -> dict[Node, Node]:
    """From the last nodes on to those before them, in the order of their edges."""
    if len(mine.nodes) != len(other.nodes):
        raise Difference(TOPOLOGY_CHANGED)
    ends, other_ends = _ends(mine), _ends(other)
    if len(ends) != len(other_ends):
        raise Difference(TOPOLOGY_CHANGED, other_ends[-1])
    found = dict(zip(ends, other_ends))
    stands_for = dict(zip(other_ends, ends))
    todo = list(found.items())
    for old, new in todo:
        if old.operation.kind != new.operation.kind:
            raise Difference(NODE_TYPE_CHANGED, new)
        if len(old.before) != len(new.before):
            raise Difference(TOPOLOGY_CHANGED, new)
        for (start, edge), (new_start, new_edge) in zip(old.before.items(), new.before.items()):
            paired = found.get(start), stands_for.get(new_start)
            if edge != new_edge or paired not in ((None, None), (new_start, start)):
                raise Difference(TOPOLOGY_CHANGED, new, new_start)
            if paired[0] is None:
                found[start], stands_for[new_start] = new_start, start
                todo.append((start, new_start))
    return found


def _ends(graph: Graph) -> list[Node]:
    return [node for node in graph.nodes if not node.after]


def change(old: Operation, new: Operation) -> int:
    """Why what one operation does cannot become what another of its kind does: a
    CUgraphExecUpdateResult, 0 if it can."""
    check = CHANGES.get(old.kind)
    return check(old, new) if check is not None else 0


def _kernel(old: Any, new: Any) -> int:
    """The context that owns the function cannot change."""
    return 0 if old.function.context is new.function.context else FUNCTION_CHANGED


def _attributes(old: Node, new: Node) -> int:
    """A cooperative kernel stays one."""
    return 0 if _is_cooperative(old) == _is_cooperative(new) else ATTRIBUTES_CHANGED


def _is_cooperative(node: Node) -> bool:
    given: dict[int, bytes] = getattr(node.operation, "attributes", {})
    value = node.attributes.get(COOPERATIVE, given.get(COOPERATIVE, b""))
    return any(value[:4])


def _memcpy(old: Copy, new: Copy) -> int:
    """Neither the memory's type nor its device can change."""
    return _moved(_whereabouts(old, old.src), _whereabouts(new, new.src)) or _moved(
        _whereabouts(old, old.dst), _whereabouts(new, new.dst)
    )


def _whereabouts(copy: Copy, place: Place) -> Any:
    if place.type in (DEVICE, UNIFIED):
        return _device_at(copy.cuda.part(Space), place.address)
    return place.array.device if place.array is not None else place.type


def _device_at(space: Space, address: int) -> Any:
    """The device of memory, HOST for the host's; None where it cannot be told now."""
    block = space.find(address)
    if block is None:
        return None
    return HOST if block.kind in ON_HOST else block.device


def _moved(old: Any, new: Any) -> int:
    return PARAMETERS_CHANGED if None not in (old, new) and old != new else 0


def _memset(old: Fill, new: Fill) -> int:
    """Of one with rows only the address and the value may change; no other one may get rows."""
    space = old.cuda.part(Space)
    shapes = [(fill.element, fill.width, fill.height, fill.pitch) for fill in (old, new)]
    if (old.height > 1 or new.height > 1) and shapes[0] != shapes[1]:
        return PARAMETERS_CHANGED
    return _moved(_device_at(space, old.dst), _device_at(space, new.dst))


def _fixed(old: Operation, new: Operation) -> int:
    """It cannot be exchanged for another."""
    return 0 if old is new else NOT_SUPPORTED


def _conditional(old: Conditional, new: Conditional) -> int:
    same = (old.type, len(old.graphs)) == (new.type, len(new.graphs))
    return 0 if same else PARAMETERS_CHANGED


#: Type -> what finds out what may not change.
CHANGES: dict[int, Callable[[Any, Any], int]] = {
    constants.GRAPH_NODE_TYPE_KERNEL: _kernel,
    constants.GRAPH_NODE_TYPE_MEMCPY: _memcpy,
    constants.GRAPH_NODE_TYPE_MEMSET: _memset,
    constants.GRAPH_NODE_TYPE_MEM_ALLOC: _fixed,
    constants.GRAPH_NODE_TYPE_MEM_FREE: _fixed,
    constants.GRAPH_NODE_TYPE_CONDITIONAL: _conditional,
}
