"""Which fields of structs that both sides fill in are the client's question, as cuda.h says."""

from __future__ import annotations

__all__ = ["STRUCT_INPUTS"]

#: Struct -> its fields that the client fills in to ask. Of nodes and tensor maps it is all there
#: is, and a call with one is told apart by the handles that it takes.
STRUCT_INPUTS: dict[str, tuple[str, ...]] = {
    "CUDA_GRAPH_INSTANTIATE_PARAMS": ("flags",),
    "CUDA_MEM_ALLOC_NODE_PARAMS_v1": (),
    "CU_DEV_SM_RESOURCE_GROUP_PARAMS": (
        *("smCount", "coscheduledSmCount", "preferredCoscheduledSmCount", "flags"),
    ),
    "CUgraphNodeParams": (),
    "CUtensorMap": (),
}
