"""A graph as a picture: its nodes and edges in the language of Graphviz."""

from __future__ import annotations

from ..library import api

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from .graph import Graph, Node

__all__ = ["text"]

PREFIX = "CU_GRAPH_NODE_TYPE_"


def text(graph: Graph) -> str:
    """The graph and its children, each in a box of its own."""
    names = {
        number: name[len(PREFIX) :] for name, number in api.types.members("CUgraphNodeType").items()
    }
    return "\n".join(["digraph dot {", *_box(graph, names), "}", ""])


def _box(graph: Graph, names: dict[int, str]) -> Iterator[str]:
    yield f"subgraph cluster_{graph.number} {{"
    yield f'label="graph_{graph.number}" graph[style="dashed"];'
    for node in graph.nodes:
        label = f"{node.number}\\n{names[node.operation.kind]}{_detail(node)}"
        yield f'"{_name(node)}"[style="solid" shape="rectangle" label="{label}"];'
    for start, end, _ in graph.edges():
        yield f'"{_name(start)}" -> "{_name(end)}";'
    for node in graph.nodes:
        for child in node.operation.graphs:
            yield from _box(child, names)
    yield "}"


def _name(node: Node) -> str:
    return f"graph_{node.graph.number}_node_{node.number}"


def _detail(node: Node) -> str:
    """A kernel's name; the children's numbers."""
    if node.operation.graphs:
        return "".join(f"\\ngraph_{child.number}" for child in node.operation.graphs)
    function = getattr(node.operation, "function", None)
    name = getattr(getattr(function, "kernel", None), "name", "")
    return f"\\n{name}" if name else ""
